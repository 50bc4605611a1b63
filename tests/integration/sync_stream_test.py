#!/usr/bin/env python3
"""The Sync stream against the real service: typed by hand, live, and what ends it from outside."""
import json
import queue
import signal
import subprocess
import threading
import time
import unittest

import harness
from harness import Case, change
from stream_device import SYNC, WAIT_SECONDS, Device, Talk

GRPCURL = harness.grpcurl()
BOOKING = "DATA_TYPE_BOOKING"


def typed(number, **more):
    """A change as grpcurl wants it: the proto's own names."""
    made = dict(change(number, **more), dataType=BOOKING)
    made["type"] = "CHANGE_TYPE_" + made["type"].upper()
    return made


class Hand:
    """A session typed into grpcurl; answers are read as they come."""

    def __init__(self, stack, bearer):
        self.process = subprocess.Popen(
            [GRPCURL, "-plaintext", "-H", "authorization: Bearer " + bearer, "-d", "@",
             "127.0.0.1:%d" % stack.grpc_port, SYNC],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answers = queue.Queue()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        decoder, text = json.JSONDecoder(), ""
        for line in self.process.stdout:
            text += line
            try:
                answer, end = decoder.raw_decode(text.lstrip())
            except json.JSONDecodeError:
                continue
            text = text.lstrip()[end:]
            self.answers.put(answer)
        self.answers.put(None)

    def type(self, message):
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def read(self):
        """The next answer; None at the end."""
        return self.answers.get(timeout=WAIT_SECONDS)

    def read_kinds(self, last):
        """Answers up to one of this kind, by kind."""
        answers = {}
        while last not in answers:
            answer = self.read()
            assert answer, "the session ended before " + last
            answers.update(answer)
        return answers

    def leave(self):
        self.type({"bye": {}})
        self.process.stdin.close()
        while self.read():
            pass
        code = self.process.wait(timeout=WAIT_SECONDS)
        self.process.stdout.close()
        return code


@unittest.skipUnless(GRPCURL, "grpcurl is not installed (tools/setup --ci installs it)")
class ByHand(Case):
    def test_a_session_typed_by_hand_gives_all_it_promises(self):
        hand = Hand(self.stack, self.bearer)
        hand.type({"hello": {"deviceId": self.phone}})
        hand.type({"batch": {"batchId": 1, "changes": [typed(1), typed(2)]}})
        answers = hand.read_kinds("complete")
        if "outcomes" not in answers:
            answers.update(hand.read_kinds("outcomes"))
        self.assertRegex(answers["welcome"]["syncId"], "^[0-9a-f-]{36}$")
        self.assertEqual([result["outcome"] for result in answers["outcomes"]["results"]],
                         ["CHANGE_OUTCOME_APPLIED"] * 2)
        self.assertEqual(answers["progress"]["percent"], 100)
        self.assertTrue(answers["complete"]["cursor"])
        hand.process.stdin.close()
        self.assertEqual(hand.process.wait(timeout=WAIT_SECONDS), 0)
        hand.process.stdout.close()

    def test_two_live_streams_hear_of_each_other(self):
        phone, tablet = Hand(self.stack, self.bearer), Hand(self.stack, self.bearer)
        phone.type({"hello": {"deviceId": self.phone, "live": True}})
        tablet.type({"hello": {"deviceId": self.tablet, "live": True}})
        phone.read_kinds("complete")
        tablet.read_kinds("complete")
        phone.type({"batch": {"batchId": 7, "changes": [typed(1)]}})
        records = tablet.read_kinds("records")["records"]["records"]
        self.assertEqual([record["dataId"] for record in records], ["r1"])
        outcomes = phone.read_kinds("outcomes")["outcomes"]
        self.assertTrue(outcomes["cursor"], "its own change does not come back")
        tablet.type({"batch": {"batchId": 1, "changes": [typed(2)]}})
        self.assertEqual(phone.read_kinds("records")["records"]["records"][0]["dataId"], "r2")
        self.assertEqual((phone.leave(), tablet.leave()), (0, 0))


class Stream(Case):
    service_flags = ("--no-limits", "--metrics", "127.0.0.1:0")

    def target(self):
        return "127.0.0.1:%d" % self.stack.grpc_port

    def device(self, name=None, **hello):
        device = Device(name or self.phone, self.bearer, **hello)
        device.connect(self.target())
        self.addCleanup(device.disconnect)
        return device

    def complete(self, device):
        self.assertTrue(device.run(lambda: device.is_complete and device.has_sent_all()), device)
        return device

    def test_a_device_catches_up_and_goes_on_live(self):
        self.upload([change(number) for number in range(400)], device=self.tablet)
        device = self.complete(self.device())
        self.assertEqual(len(device.records), 400)
        self.upload([change("more", data={"title": "more"})], device=self.tablet)
        self.assertTrue(device.run(lambda: ("booking", "rmore") in device.records), device)
        self.upload([change(3, kind="delete", id="gone")], device=self.tablet)
        self.assertTrue(device.run(lambda: ("booking", "r3") not in device.records), device)

    def test_a_cursor_brings_only_what_is_new(self):
        self.upload([change(number) for number in range(50)], device=self.tablet)
        device = self.complete(self.device())
        device.disconnect()
        self.upload([change("new")], device=self.tablet)
        device.again = 0
        device.connect(self.target())
        self.complete(device)
        self.assertEqual((len(device.records), device.again), (51, 0))

    def test_delta_brings_patches(self):
        long = {"title": "old", "filling": "x" * 500}
        self.upload([change(1, data=long)], device=self.tablet)
        device = self.complete(self.device(syncType="delta"))
        bytes_before = len(json.dumps(device.data(("booking", "r1"))))
        self.upload([change(2, kind="update", data={"title": "new"}, dataId="r1")],
                    device=self.tablet)
        self.assertTrue(device.run(lambda: device.data(("booking", "r1"))["title"] == "new"))
        self.assertEqual(len(json.dumps(device.data(("booking", "r1")))), bytes_before)

    def test_the_session_is_an_operation(self):
        device = self.complete(self.device())
        sync_id = device.welcome["syncId"]
        operation = self.finished(sync_id)
        self.assertEqual((operation["status"], operation["progress"]), ("completed", 100))
        self.assertEqual(operation["deviceId"], self.phone)
        device.bye()
        self.assertEqual(self.finished(sync_id)["status"], "completed")

    def test_a_device_that_vanishes_cancels_its_operation(self):
        self.configure(bandwidthLimit=1)
        self.upload([change(number, data={"title": "x" * 3000}) for number in range(100)],
                    device=self.tablet)
        device = self.device()
        self.assertTrue(device.run(lambda: device.welcome))
        sync_id = device.welcome["syncId"]
        device.disconnect()
        self.assertEqual(self.finished(sync_id)["status"], "cancelled")

    def test_cancelling_the_operation_ends_the_session(self):
        self.configure(bandwidthLimit=1)
        self.upload([change(number, data={"title": "x" * 3000}) for number in range(100)],
                    device=self.tablet)
        device = self.device()
        self.assertTrue(device.run(lambda: device.welcome))
        self.expect(self.post("/api/offline/sync/%s:cancel" % device.welcome["syncId"], {}), 200)
        ending = device.session.finish()
        self.assertEqual((ending["status"], device.session.reason()),
                         ("CANCELLED", "SYNC_CANCELLED"))

    def test_a_revoked_device_is_cut_at_once(self):
        phone, tablet = self.complete(self.device()), self.complete(self.device(self.tablet))
        self.expect(self.call("DELETE", "/api/offline/devices/" + self.phone), 200)
        self.assertEqual(phone.session.finish()["status"], "PERMISSION_DENIED")
        self.assertEqual(phone.session.reason(), "DEVICE_REVOKED")
        self.upload([change(1)], device=self.tablet)
        self.assertTrue(tablet.run(lambda: tablet.records), "the other device goes on")
        phone.connect(self.target())
        self.assertEqual(phone.session.finish()["status"], "PERMISSION_DENIED")
        self.assertEqual(phone.session.reason(), "DEVICE_REVOKED")

    def test_a_device_that_does_not_read_is_cut_as_well(self):
        self.upload([change(number, data={"title": "x" * 200000}) for number in range(40)],
                    device=self.tablet)
        deaf = Talk(self.target(), self.bearer)
        self.addCleanup(deaf.close)
        deaf.send({"hello": {"deviceId": self.phone, "unacknowledgedBytesMax": 16 << 20}})
        deaf.expect("records")
        deaf.process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(1)  # the way to it fills up
            self.expect(self.call("DELETE", "/api/offline/devices/" + self.phone), 200)
            self.await_metric("sync_streams_open", lambda open: open == 0)
        finally:
            deaf.process.send_signal(signal.SIGCONT)
        self.assertEqual(deaf.finish()["status"], "PERMISSION_DENIED", deaf.ending)

    def test_another_users_device_is_refused(self):
        self.complete(self.device()).bye()
        other = Device(self.phone, harness.token(self.user + "-other"))
        other.connect(self.target())
        self.addCleanup(other.disconnect)
        self.assertEqual(other.session.finish()["status"], "PERMISSION_DENIED")
        self.assertEqual(other.session.reason(), "DEVICE_OF_ANOTHER_USER")

    def test_a_token_of_another_device_is_refused(self):
        device = Device(self.phone, harness.token(self.user, device=self.tablet))
        device.connect(self.target())
        self.addCleanup(device.disconnect)
        self.assertEqual(device.session.finish()["status"], "PERMISSION_DENIED")
        self.assertEqual(device.session.reason(), "DEVICE_NOT_OF_TOKEN")

    def test_a_newer_session_supersedes_the_older(self):
        older = self.complete(self.device())
        newer = self.complete(self.device())
        self.assertEqual(older.session.finish()["status"], "ABORTED")
        self.assertEqual(older.session.reason(), "SUPERSEDED")
        self.upload([change(1)], device=self.tablet)
        self.assertTrue(newer.run(lambda: newer.records), newer)

    def test_a_token_is_renewed_in_the_stream(self):
        device = Device(self.phone, harness.token(self.user, ttl=20))
        device.connect(self.target())
        self.addCleanup(device.disconnect)
        self.complete(device)
        self.assertTrue(device.run(lambda: device.notices), "told that it expires")
        device.session.send({"token": {"token": self.bearer}})
        self.assertTrue(device.run(
            lambda: any(notice["kind"] == "token-renewed" for notice in device.notices)), device)
        device.session.send({"token": {"token": harness.token(self.user + "-other")}})
        self.upload([change(1)], device=self.tablet)
        self.assertTrue(device.run(lambda: device.records), "another's token changes nothing")

    def test_a_batch_with_faults_is_refused_alone(self):
        talk = Talk(self.target(), self.bearer)
        self.addCleanup(talk.close)
        talk.send({"hello": {"deviceId": self.phone, "live": True}})
        talk.expect("complete")
        bad = dict(change(1), id="", timestamp=None)
        talk.send({"batch": {"batchId": 1, "changes": [bad, change(2)]}})
        error = talk.expect("outcomes")["error"]
        self.assertEqual(error["reason"], "INVALID_CHANGES")
        self.assertEqual([fault["field"] for fault in error["faults"]],
                         ["changes[0].id", "changes[0].timestamp"])
        talk.send({"batch": {"batchId": 2, "changes": [change(2)]}})
        self.assertEqual(talk.expect("outcomes")["results"][0]["outcome"], "applied")

    def test_records_come_in_the_order_of_the_types_asked_for(self):
        kinds = ["booking", "trip", "profile", "preference"]
        self.upload([change("%s%d" % (kind, number), data_type=kind)
                     for kind in kinds for number in range(30)], device=self.tablet)
        for wanted in (["preference", "booking"], ["trip", "preference", "booking", "profile"]):
            with self.subTest(wanted=wanted):
                device = self.complete(self.device(self.phone + wanted[0], dataTypes=wanted))
                came = [kind for kind, _ in device.records]
                self.assertEqual(came, [kind for kind in wanted for _ in range(30)])

    def test_a_cursor_of_some_types_misses_nothing_of_the_others(self):
        self.upload([change("b"), change("t", data_type="trip")], device=self.tablet)
        device = self.complete(self.device(dataTypes=["booking"]))
        self.assertEqual(set(device.records), {("booking", "rb")})
        device.disconnect()
        device.hello["dataTypes"] = ["booking", "trip"]
        device.connect(self.target())
        self.complete(device)
        self.assertEqual([notice["kind"] for notice in device.notices], ["resync-required"])
        self.assertEqual(set(device.records), {("booking", "rb"), ("trip", "rt")})
        answer = self.get("/api/offline/bundle", dataTypes="profile", cursor=device.cursor)
        self.expect_error(answer, 400, "FAILED_PRECONDITION", "RESYNC_REQUIRED")
        self.assertEqual(self.bundle(dataTypes="trip", cursor=device.cursor)["records"], [])
        some = self.bundle(dataTypes="trip")["cursor"]
        answer = self.get("/api/offline/bundle", cursor=some)
        self.expect_error(answer, 400, "FAILED_PRECONDITION", "RESYNC_REQUIRED")

    def test_conflicts_come_through_the_stream(self):
        self.configure(conflictResolution="manual")
        phone, tablet = self.complete(self.device()), self.complete(self.device(self.tablet))
        key = ("booking", "b1")
        phone.change("create", key, {"title": "first"})
        self.complete(phone)
        self.assertTrue(tablet.run(lambda: key in tablet.records))
        tablet.change("update", key, {"title": "tablet's"})
        phone.change("update", key, {"title": "phone's"}, baseVersion=phone.version(key))
        self.complete(tablet)
        self.complete(phone)
        self.assertTrue(phone.run(lambda: phone.conflicts), phone)
        conflict, = phone.conflicts.values()
        self.assertEqual((conflict["dataId"], conflict["deviceId"]), ("b1", self.phone))

    def await_metric(self, name, holds):
        """Waits until a metric's value is as it shall be; all metrics then."""
        deadline = time.monotonic() + WAIT_SECONDS
        metrics = self.stack.metrics()
        while not holds(metrics[name]):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
            metrics = self.stack.metrics()
        return metrics

    def test_metrics_count_streams_and_messages(self):
        before = self.await_metric("sync_streams_open", lambda open: open == 0)  # others' are gone
        phone, tablet = self.complete(self.device()), self.complete(self.device(self.tablet))
        after = self.stack.metrics()
        self.assertEqual(after["sync_streams_open"], 2)
        for direction in ("received", "sent"):
            name = 'sync_stream_messages_total{direction="%s"}' % direction
            self.assertGreaterEqual(after[name] - before[name], 2)
        phone.change("create", ("booking", "b1"), {"title": "first"})
        self.complete(phone)
        self.assertTrue(tablet.run(lambda: tablet.records))
        name = "sync_live_latency_seconds_count"  # it is counted once the message is taken
        self.await_metric(name, lambda count: count > after[name])


class Limited(Case):
    service_flags = ("--changes-burst", "100", "--changes-per-second", "1")

    def test_a_limit_is_told_before_it_is_reached_and_refuses_batches_alone(self):
        talk = Talk("127.0.0.1:%d" % self.stack.grpc_port, self.bearer)
        self.addCleanup(talk.close)
        talk.send({"hello": {"deviceId": self.phone, "live": True}})
        talk.expect("complete")
        talk.send({"batch": {"batchId": 1, "changes": [change(number) for number in range(95)]}})
        self.assertEqual(len(talk.expect("outcomes")["results"]), 95)
        notice = talk.expect("notice")
        self.assertEqual(notice["kind"], "quota-near")
        more = [change(number) for number in range(100, 150)]
        talk.send({"batch": {"batchId": 2, "changes": more}})
        error = talk.expect("outcomes")["error"]
        self.assertEqual(error["reason"], "RATE_LIMITED")
        self.assertGreater(float(error["retryAfter"].rstrip("s")), 10)
        talk.send({"batch": {"batchId": 3, "changes": [change(200)]}})
        self.assertEqual(talk.expect("outcomes")["results"][0]["outcome"], "applied")


class Herd(Case):
    service_flags = ("--no-limits", "--streams-max", "2", "--streams-opening-max", "1",
                     "--stream-opens-per-second", "50")

    def target(self):
        return "127.0.0.1:%d" % self.stack.grpc_port

    def hello(self, name, **hello):
        talk = Talk(self.target(), self.bearer)
        self.addCleanup(talk.close)
        talk.send({"hello": dict({"deviceId": name + self.phone, "live": True}, **hello)})
        return talk

    def delay(self, talk):
        """How long a refused stream is told to wait."""
        ending = talk.finish()
        self.assertEqual(ending["status"], "UNAVAILABLE")
        delays = [detail["retryDelay"] for detail in ending["details"] if "retryDelay" in detail]
        return float(delays[0].rstrip("s"))

    def test_one_stream_too_many_is_told_when_to_come_back(self):
        first, second = self.hello("1"), None
        first.expect("complete")
        second = self.hello("2")
        second.expect("complete")
        third, fourth = self.hello("3"), self.hello("4")
        delays = [self.delay(third), self.delay(fourth)]
        self.assertEqual(third.reason(), "STREAMS_FULL")
        self.assertTrue(all(1 <= delay <= 300 for delay in delays), delays)
        second.send({"bye": {}})
        second.done()
        second.finish()
        self.hello("5").expect("complete")

    def test_openings_under_way_are_bounded(self):
        self.configure(bandwidthLimit=1)
        self.upload([change(number, data={"title": "x" * 3000}) for number in range(100)])
        slow = self.hello("1")
        slow.expect("welcome")
        refused = self.hello("2")
        self.assertGreaterEqual(self.delay(refused), 1)
        self.assertEqual(refused.reason(), "STREAMS_OPENING")
        devices = self.expect(self.get("/api/offline/devices"), 200)["devices"]
        self.assertNotIn("2" + self.phone, [device["deviceId"] for device in devices],
                         "nothing was stored of it")


class End(Case):
    """Each case ends the service of its own."""

    def setUp(self):
        super().setUp()
        self.own = harness.Stack(self.service_flags)
        self.own.start()
        self.addCleanup(self.own.discard)

    def connect(self, name):
        device = Device(name, self.bearer)
        device.connect("127.0.0.1:%d" % self.own.grpc_port)
        self.addCleanup(device.disconnect)
        return device

    def test_a_drain_sends_each_stream_its_slot(self):
        devices = [self.connect("%d%s" % (number, self.phone)) for number in range(5)]
        for device in devices:
            self.assertTrue(device.run(lambda device=device: device.is_complete), device)
        self.own.service.terminate()
        slots = []
        for device in devices:
            device.run(lambda device=device: device.session.ending)
            self.assertEqual(device.session.ending["status"], "UNAVAILABLE")
            notice = [notice for notice in device.notices if notice["kind"] == "drain"][0]
            self.assertEqual(notice["resumeCursor"], device.cursor)
            slots.append(float(notice["retryAfter"].rstrip("s")))
        self.assertEqual(len(set(slots)), 5, slots)
        self.assertEqual(self.own.service.wait(timeout=WAIT_SECONDS), 0)

    def test_a_batch_under_way_at_the_drain_has_its_outcome(self):
        device = self.connect(self.phone)
        self.assertTrue(device.run(lambda: device.is_complete))
        for number in range(3000):
            device.change("create", ("booking", "b%d" % number), {"title": "x"})
        device.run(lambda: len(device.results) >= 1000)
        self.own.service.terminate()
        device.run(lambda: device.session.ending)
        device.disconnect()
        self.own.service.wait(timeout=WAIT_SECONDS)
        self.own.start_service()
        device.connect("127.0.0.1:%d" % self.own.grpc_port)
        self.assertTrue(device.run(lambda: device.is_complete and device.has_sent_all()), device)
        self.assertEqual(len(device.records), 3000)
        self.assertEqual({result["outcome"] for _, result in device.results.values()}, {"applied"})

    def test_a_crash_leaves_no_operation_that_counts_for_ever(self):
        self.own.call("PATCH", "/api/offline/config", {"bandwidthLimit": 1}, self.bearer)
        changes = [change(number, data={"title": "x" * 3000}) for number in range(100)]
        self.own.call("POST", "/api/offline/changes",
                      {"changes": changes, "deviceId": self.tablet}, self.bearer)
        device = self.connect(self.phone)
        self.assertTrue(device.run(lambda: device.welcome))
        sync_id = device.welcome["syncId"]
        self.own.kill_service()
        device.disconnect()
        self.own.start_service()
        path = "/api/offline/sync/" + sync_id
        deadline = time.monotonic() + WAIT_SECONDS
        while True:  # until the gateway has found the service again
            answer = self.own.call("GET", path, bearer=self.bearer)
            if answer.status == 200:
                break
            self.assertLess(time.monotonic(), deadline, answer)
            time.sleep(0.1)
        self.assertEqual(answer.json["status"], "processing", "it may come back")


if __name__ == "__main__":
    harness.main()
