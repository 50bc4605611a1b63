#!/usr/bin/env python3
"""Devices on a Sync stream that are slow, silent, broken or hostile.

Each gets its defined answer, the memory held for it stays bounded, and others are served meanwhile.
The seed of what is said at random is printed; HOSTILE_SEED repeats it.
"""
import json
import os
import random
import time

import harness
from frame_proxy import FrameProxy
from harness import Case, change, token
from stream_device import SYNC, WAIT_SECONDS, Talk, checksum, now

SEED = int(os.environ.get("HOSTILE_SEED", random.SystemRandom().randrange(1 << 32)))
CONVERSATIONS = int(os.environ.get("HOSTILE_CONVERSATIONS", "60"))
MB = 1 << 20
# What a stream may cost beyond the messages that are bounded by design.
STREAM_BYTES_MAX = 64 * MB
FLOOD_BYTES_MAX = 128 * MB


class Stream(Case):
    """A case that opens sessions."""

    @property
    def target(self):
        return "unix:" + self.stack.path("sync.sock")

    def talk(self, bearer=None, flags=(), target=None):
        talk = Talk(target or self.target, bearer or self.bearer, SYNC, flags)
        self.addCleanup(talk.close)
        return talk

    def hello(self, **more):
        return {"hello": dict({"deviceId": self.phone, "live": True, "sentAt": now()}, **more)}

    def batch(self, number, *changes):
        return {"batch": {"batchId": number, "changes": list(changes), "sentAt": now()}}

    def live(self, **more):
        """A session that has caught up."""
        talk = self.talk()
        talk.send(self.hello(**more))
        talk.expect("welcome")
        talk.expect("complete")
        return talk

    def assert_ends(self, talk, status, reason):
        ending = talk.finish()
        self.assertEqual(ending["status"], status, ending)
        self.assertEqual(talk.reason(), reason, ending)
        self.assert_served()

    def assert_served(self):
        """Somebody else's session works."""
        device = "other-" + self.phone
        with Talk(self.target, token("other-" + self.user)) as other:
            other.send({"hello": {"deviceId": device}})
            other.expect("complete")

    def outcomes(self, talk, batch):
        talk.send(batch)
        return talk.expect("outcomes")

    def assert_refused(self, talk, batch, reason):
        """The batch alone is refused, and the session goes on."""
        outcomes = self.outcomes(talk, batch)
        self.assertEqual(outcomes["error"]["reason"], reason, outcomes)
        self.assertEqual(outcomes.get("results", []), [])
        self.assertGreater(len(outcomes["error"]["message"]), 5)
        following = int(batch["batch"]["batchId"]) + 1
        good = self.outcomes(talk, self.batch(following, change("good")))
        self.assertEqual(good["results"][0]["outcome"], "applied", good)
        return outcomes["error"]


class Hostile(Stream):
    """What a session answers to those who break its rules."""

    # ---- the opening

    def test_a_first_message_that_is_no_hello_ends_the_session(self):
        for first in (self.batch(1, change(1)), {"acknowledgement": {"cursor": "x"}},
                      {"pause": {}}, {"bye": {}}, {"token": {"token": "x"}}, {}):
            with self.subTest(first=first):
                talk = self.talk()
                talk.send(first)
                self.assert_ends(talk, "INVALID_ARGUMENT", "HELLO_FIRST")
        self.assert_nothing_stored()

    def test_two_hellos_end_the_session(self):
        talk = self.live()
        talk.send(self.hello())
        self.assert_ends(talk, "INVALID_ARGUMENT", "HELLO_TWICE")

    def test_two_hellos_at_once_end_the_session(self):
        talk = self.talk()
        talk.send(self.hello())
        talk.send(self.hello())
        self.assert_ends(talk, "INVALID_ARGUMENT", "HELLO_TWICE")

    def test_half_closing_without_a_hello_ends_the_session(self):
        talk = self.talk()
        talk.done()
        ending = talk.finish()
        self.assertNotEqual(ending["status"], "TALK_BROKE")
        self.assert_served()

    def test_a_hello_of_another_users_device_is_refused(self):
        self.live()
        talk = self.talk(token("thief-" + self.user))
        talk.send(self.hello())
        self.assert_ends(talk, "PERMISSION_DENIED", "DEVICE_OF_ANOTHER_USER")

    def test_hellos_that_make_no_sense_name_what_is_wrong(self):
        for wrong in ({"deviceId": ""}, {"deviceId": "a b"}, {"deviceId": "x" * 129},
                      {"cursor": "no cursor"}, {"cursor": "AAAA"}, {"cursor": "x" * 5000}):
            with self.subTest(wrong=wrong):
                talk = self.talk()
                talk.send(self.hello(**wrong))
                ending = talk.finish()
                self.assertEqual(ending["status"], "INVALID_ARGUMENT", ending)
                self.assertIn(next(iter(wrong)), json.dumps(ending))

    def test_without_a_token_or_with_a_bad_one_there_is_no_session(self):
        for bearer in ("garbage", token(self.user, exp=int(time.time()) - 1000),
                       token(self.user, aud="others")):
            talk = self.talk(bearer)
            talk.send(self.hello())
            self.assertEqual(talk.finish()["status"], "UNAUTHENTICATED")

    # ---- bytes

    def test_garbage_instead_of_a_message_ends_the_session(self):
        for garbage in ("ffffffffff", "0a05", "0b0b0b0b", "00", "0a" * 3000, "1200" + "ff" * 100):
            with self.subTest(garbage=garbage[:20]):
                talk = self.talk()
                talk.send(self.hello())
                talk.expect("complete")
                talk.say("!raw " + garbage)
                ending = talk.finish()
                self.assertEqual(ending["status"], "INVALID_ARGUMENT", ending)
        self.assert_served()

    def test_an_empty_message_in_a_session_is_refused(self):
        talk = self.live()
        talk.say("!raw")
        self.assertEqual(talk.finish()["status"], "INVALID_ARGUMENT")

    # ---- acknowledgements

    def test_acknowledgements_of_cursors_never_sent_end_the_session(self):
        self.upload([change(1)], self.tablet)
        other = self.talk(token("other-" + self.user))
        other.send({"hello": {"deviceId": "other-" + self.phone}})
        foreign = other.expect("complete")["cursor"]
        good = self.upload([change(2)], self.tablet)["writeCheckpoint"]
        broken = good[:-1] + ("A" if good[-1] != "A" else "B")
        for cursor in ("", "garbage", "AAAA" * 7, "x" * 5000, broken):
            with self.subTest(cursor=cursor[:30]):
                talk = self.live()
                talk.send({"acknowledgement": {"cursor": cursor}})
                self.assert_ends(talk, "INVALID_ARGUMENT", "CURSOR_NOT_SENT")
        talk = self.live()
        talk.send({"pause": {}})
        self.outcomes(talk, self.batch(1, change(3)))
        # The head's cursor is known to the tablet, but paused, the phone never got it.
        ahead = self.upload([change(4)], self.tablet)["writeCheckpoint"]
        talk.send({"acknowledgement": {"cursor": ahead}})
        self.assert_ends(talk, "INVALID_ARGUMENT", "CURSOR_NOT_SENT")
        # A cursor of a lower place in the same store is no secret, and says nothing untrue.
        talk = self.live()
        talk.send({"acknowledgement": {"cursor": foreign}})
        talk.send({"bye": {}})
        self.assertEqual(talk.finish()["status"], "OK")

    # ---- batches

    def test_batches_while_paused_are_applied_and_records_wait(self):
        talk = self.live()
        talk.send({"pause": {}})
        outcomes = self.outcomes(talk, self.batch(7, change(1)))
        self.assertEqual(outcomes["results"][0]["outcome"], "applied")
        self.upload([change(2)], self.tablet)
        outcomes = self.outcomes(talk, self.batch(8, change(3)))
        self.assertEqual(outcomes["results"][0]["outcome"], "applied")
        # Whatever comes between the pause and the resumption, no records are among it.
        while True:
            message = talk.receive(0.3)
            if message is None:
                break
            self.assertNotIn("records", message)
        talk.send({"resume": {}})
        page = talk.expect("records")
        self.assertIn("r2", [record["dataId"] for record in page["records"]])

    def test_a_thousand_pauses_and_resumptions_change_nothing(self):
        talk = self.live()
        for _ in range(1000):
            talk.send({"pause": {}})
            talk.send({"resume": {}})
        self.upload([change(1)], self.tablet)
        page = talk.expect("records")
        self.assertEqual([record["dataId"] for record in page["records"]], ["r1"])
        talk.send({"bye": {}})
        self.assertEqual(talk.finish()["status"], "OK")

    def test_an_empty_batch_is_refused_alone(self):
        self.assert_refused(self.live(), self.batch(1), "EMPTY_BATCH")

    def test_a_batch_of_1001_changes_is_refused_alone(self):
        batch = self.batch(1, *[change(number) for number in range(1001)])
        self.assert_refused(self.live(), batch, "TOO_MANY_CHANGES")
        self.assertEqual(list(self.records()), [("booking", "rgood")])

    def test_a_batch_beyond_8_mib_is_refused_alone(self):
        batch = self.batch(1, *[change(number, data={"text": "x" * 200000})
                                for number in range(50)])
        self.assert_refused(self.live(), batch, "BATCH_TOO_LARGE")
        self.assertEqual(list(self.records()), [("booking", "rgood")])

    def test_a_message_beyond_all_bounds_ends_the_session(self):
        talk = self.live()
        talk.say("!zeros %d" % (70 * MB))
        self.assertIn(talk.finish()["status"], ("RESOURCE_EXHAUSTED", "INVALID_ARGUMENT"))
        self.assert_served()

    def test_faults_of_form_are_named_and_nothing_is_stored(self):
        batch = self.batch(1, change(1), change(2, timestamp=None), change(3, id=""))
        error = self.assert_refused(self.live(), batch, "INVALID_CHANGES")
        fields = [fault["field"] for fault in error["faults"]]
        self.assertIn("changes[1].timestamp", fields)
        self.assertIn("changes[2].id", fields)
        self.assertEqual(list(self.records()), [("booking", "rgood")])

    def test_batches_out_of_order_end_the_session(self):
        for second in (5, 4, 7, -1, 0):
            with self.subTest(second=second):
                self.become("order")
                talk = self.live()
                self.outcomes(talk, self.batch(5, change(1)))
                talk.send(self.batch(second, change(2)))
                self.assert_ends(talk, "INVALID_ARGUMENT", "BATCH_OUT_OF_ORDER")
                self.assertEqual(list(self.records()), [("booking", "r1")])

    def test_more_batches_at_once_than_allowed_are_answered_in_order(self):
        talk = self.live()
        for number in range(1, 101):
            talk.send(self.batch(number, change(number)))
        answered = [int(talk.expect("outcomes")["batchId"]) for _ in range(100)]
        self.assertEqual(answered, list(range(1, 101)))

    # ---- tokens and devices

    def test_a_new_token_that_is_garbage_or_anothers_is_refused_and_the_old_one_stays(self):
        talk = self.live()
        for number, bearer in enumerate(("garbage", token("thief-" + self.user),
                                         token(self.user, device="another-" + self.phone))):
            with self.subTest(bearer=bearer[:10]):
                talk.send({"token": {"token": bearer}})
                self.assertEqual(talk.expect("notice")["kind"], "token-expiring")
                outcomes = self.outcomes(talk, self.batch(number, change(number)))
                self.assertEqual(outcomes["results"][0]["outcome"], "applied")
        self.assert_served()

    def test_sessions_whose_time_runs_out_end_by_themselves(self):
        """No hello, one of a byte a second, and a token that is not renewed: all at once."""
        with FrameProxy(self.stack.path("slow.sock"), self.stack.path("sync.sock"),
                        trickle=("up", 1, 1)) as proxy:
            mute, slow = self.talk(), self.talk(target=proxy.address)
            expiring = self.talk(token(self.user, ttl=2))
            slow.send(self.hello(deviceId=self.tablet))
            expiring.send(self.hello())
            self.assertEqual(expiring.expect("notice")["kind"], "token-expiring")
            self.assert_ends(mute, "DEADLINE_EXCEEDED", "HELLO_MISSING")
            self.assert_ends(slow, "DEADLINE_EXCEEDED", "HELLO_MISSING")
            self.assert_ends(expiring, "UNAUTHENTICATED", "TOKEN_EXPIRED")

    def test_a_new_token_of_the_same_user_is_taken(self):
        talk = self.live()
        talk.send({"token": {"token": token(self.user)}})
        self.assertEqual(talk.expect("notice")["kind"], "token-renewed")

    def test_a_newer_session_of_the_device_ends_the_older(self):
        older = self.live()
        newer = self.live()
        self.assert_ends(older, "ABORTED", "SUPERSEDED")
        self.upload([change(1)], self.tablet)
        self.assertEqual(len(newer.expect("records")["records"]), 1)

    def test_a_revoked_device_is_cut_at_once(self):
        talk = self.live()
        self.expect(self.call("DELETE", "/api/offline/devices/" + self.phone), 200)
        self.assert_ends(talk, "PERMISSION_DENIED", "DEVICE_REVOKED")
        again = self.talk()
        again.send(self.hello())
        self.assert_ends(again, "PERMISSION_DENIED", "DEVICE_REVOKED")


class Random(Stream):
    """Devices that say anything in any order."""

    # How a session may end by what a device does; never by a fault of the service.
    ENDINGS = {"OK", "CANCELLED", "INVALID_ARGUMENT", "ABORTED", "UNAUTHENTICATED",
               "PERMISSION_DENIED"}

    def setUp(self):
        super().setUp()
        print("HOSTILE_SEED=%d" % SEED)
        self.random = random.Random(SEED)

    def word(self, number, cursors):
        """One thing to say, as a line."""
        roll = self.random.random
        cursor = self.random.choice(cursors) if cursors and roll() < 0.8 else "AZ3bRnxNKCZk"
        garbage = bytes(self.random.randrange(256) for _ in range(self.random.randrange(1, 60)))
        words = [
            (8, json.dumps(self.batch(number, change(number, data={"n": number})))),
            (2, json.dumps(self.batch(number, *[change("%d-%d" % (number, part))
                                                for part in range(self.random.randrange(40))]))),
            (2, json.dumps(self.batch(number, change(number, timestamp=None)))),
            (6, json.dumps({"acknowledgement": {"cursor": cursor}})),
            (3, json.dumps({"pause": {}})), (3, json.dumps({"resume": {}})),
            (1, json.dumps({"token": {"token": token(self.user)}})),
            (0.3, json.dumps({"token": {"token": "garbage"}})),
            (0.3, json.dumps(self.hello())), (0.5, json.dumps({"bye": {}})),
            (0.3, json.dumps(self.batch(number + 7, change(number)))),
            (0.3, "!raw " + garbage.hex()), (0.3, "!raw"), (0.3, "!cancel"),
        ]
        return self.random.choices([text for _, text in words], [weight for weight, _ in words])[0]

    def converse(self):
        """One session of any words, after which it is ended; how it ended."""
        talk, cursors = self.talk(), []
        if self.random.random() < 0.95:
            talk.send(self.hello(live=self.random.random() < 0.7,
                                 batchesInFlightMax=self.random.randrange(4),
                                 unacknowledgedBytesMax=self.random.choice((0, 1, 1000))))
        number = self.random.randrange(1 << 40)
        for _ in range(self.random.randrange(40)):
            line = self.word(number, cursors)
            number += '"batchId"' in line
            talk.say(line)
            message = talk.receive(self.random.choice((0, 0, 0.01)))
            for content in (message or {}).values():
                cursors += [content["cursor"]] if content.get("cursor") else []
        talk.send({"bye": {}})
        talk.done()
        ending = talk.finish()
        talk.close()
        return ending

    def test_devices_that_say_anything_get_a_defined_end(self):
        self.upload([change("first%d" % number) for number in range(20)], self.tablet)
        seen = set()
        for number in range(CONVERSATIONS):
            with self.subTest(conversation=number):
                ending = self.converse()
                self.assertIn(ending["status"], self.ENDINGS, ending)
                seen.add(ending["status"])
        self.assertIn("OK", seen)
        self.assertIn("INVALID_ARGUMENT", seen)
        self.assert_served()
        # What was applied is whole, whatever was said around it.
        bundle = self.bundle()
        held = {(one["dataType"], one["dataId"]): one["data"]
                for one in bundle["records"] if not one.get("deleted")}
        self.assertEqual(checksum(held), bundle["checksum"])


class Slow(Stream):
    """Devices that do not read."""

    def memory(self):
        """Resident bytes of the service."""
        with open("/proc/%d/status" % self.stack.service.pid, encoding="ascii") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) << 10
        raise AssertionError("no VmRSS")

    def assert_bounded(self, before, most=STREAM_BYTES_MAX):
        """The service has grown by no more than it may once it has given back what its threads had
        freed, unless a sanitizer keeps that."""
        with open("/proc/%d/maps" % self.stack.service.pid, encoding="ascii") as maps:
            if "san.so" in maps.read():
                return
        for _ in range(200):
            if self.memory() - before < most:
                break
            time.sleep(0.1)
        self.assertLess(self.memory() - before, most)

    def fill(self, megabytes):
        for number in range(megabytes):
            self.upload([change("%d-%d" % (number, part), data={"text": "x" * 240000})
                         for part in range(4)], self.tablet)

    def test_a_device_that_never_reads_is_held_within_bounds(self):
        self.fill(40)
        self.assert_served()
        before = self.memory()
        talks = [self.talk(flags=("--slow-read",)) for _ in range(4)]
        for number, talk in enumerate(talks):
            talk.send(self.hello(deviceId="%s-%d" % (self.phone, number)))
        for number in range(300):
            self.upload([change("more%d" % number)], self.tablet)
            for talk in talks:
                talk.send({"pause": {}} if number % 2 else {"resume": {}})
        self.assert_served()
        self.assert_bounded(before)

    def test_a_device_that_reads_late_gets_all_in_order(self):
        self.fill(8)
        talk = self.talk(flags=("--slow-read",))
        talk.send(self.hello())
        self.assert_served()
        talk.say("!read 1000000")
        keys, deadline = set(), time.monotonic() + WAIT_SECONDS
        while len(keys) < 32:
            self.assertLess(time.monotonic(), deadline, len(keys))
            page = talk.expect("records")
            keys |= {record["dataId"] for record in page["records"]}
            talk.send({"acknowledgement": {"cursor": page["cursor"]}})
        talk.expect("complete")

    def test_a_device_that_never_acknowledges_gets_no_more_than_it_asked_for(self):
        self.fill(4)
        talk = self.talk()
        talk.send(self.hello(unacknowledgedBytesMax=MB))
        taken, cursor = 0, None
        while True:
            message = talk.receive(2 if taken else WAIT_SECONDS)
            if message is None:
                break
            if "records" in message:
                taken += sum(len(json.dumps(one["data"])) for one in message["records"]["records"])
                cursor = message["records"]["cursor"]
            self.assertNotIn("complete", message)
        self.assertIsNone(talk.ending)
        self.assertGreater(taken, 0)
        self.assertLess(taken, 2 * MB)
        talk.send({"acknowledgement": {"cursor": cursor}})
        talk.expect("records")

    def test_a_flood_of_batches_by_one_who_never_reads_is_held_within_bounds(self):
        before = self.memory()
        talk = self.talk(flags=("--slow-read",))
        talk.send(self.hello())
        data = {"text": "x" * 200000}
        # 640 MB, of which five batches of 4 MB are taken, each in some copies. The same changes in
        # each: what the store keeps in memory of new ones is its own.
        changes = [change("same-%d" % part, data=data) for part in range(20)]
        for number in range(1, 161):
            talk.send(self.batch(number, *changes))
        self.assert_served()
        time.sleep(1)
        self.assert_bounded(before, FLOOD_BYTES_MAX)


if __name__ == "__main__":
    harness.main()
