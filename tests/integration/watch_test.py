#!/usr/bin/env python3
"""GET /api/offline/sync/{syncId}/events: server-sent events and NDJSON, and how they end."""
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import time
import unittest
import urllib.request
import uuid

import harness
from harness import Case, change

PATH = "/api/offline/sync"
CURL = shutil.which("curl")


class Events:
    """An open answer of events or lines, read piece by piece."""

    def __init__(self, port, path, bearer, headers=None):
        self.connection = http.client.HTTPConnection("127.0.0.1", port,
                                                     timeout=harness.START_SECONDS)
        send = {"Authorization": "Bearer " + bearer, "Accept": "text/event-stream"}
        send.update(headers or {})
        self.connection.request("GET", path, headers=send)
        self.response = self.connection.getresponse()
        self.status = self.response.status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.response.close()
        self.connection.close()

    def line(self):
        """The next line; None at the end."""
        line = self.response.readline()
        return line.decode().rstrip("\n") if line else None

    def block(self):
        """The next block of an event stream, as a list of its lines; None at the end."""
        lines = []
        while True:
            line = self.line()
            if line is None:
                return lines or None
            if not line:
                return lines
            lines.append(line)

    def event(self):
        """The next event as a dictionary; comments and retry are passed over."""
        while True:
            block = self.block()
            if block is None:
                return None
            fields = dict(line.split(": ", 1) for line in block if not line.startswith(":"))
            if "data" in fields:
                return dict(fields, data=json.loads(fields["data"]))

    def rest(self):
        """All events up to the end."""
        return list(iter(self.event, None))


class WatchCase(Case):
    """Ways to hold, watch and count."""

    metrics_port = harness.free_port()
    service_flags = ("--no-limits", "--metrics", "127.0.0.1:%d" % metrics_port)
    gateway_flags = ("--stream-heartbeat-ms", "300")

    def setUp(self):
        super().setUp()
        self.addCleanup(self.order)

    def order(self, fault=None):
        """From here on the store does what the fault says; none without."""
        if fault:
            with open(self.stack.fault_file, "w", encoding="utf-8") as file:
                file.write(fault)
        elif os.path.exists(self.stack.fault_file):
            os.remove(self.stack.fault_file)

    def request(self):
        answer = self.post(PATH, {"dataTypes": ["bookings"], "syncType": "full",
                                  "deviceId": self.phone})
        return self.expect(answer, 202)["syncId"]

    def held(self):
        """An operation that goes on only once the store is well again."""
        self.upload([change(1)])
        self.order("snapshot")
        return self.request()

    def ended(self):
        self.upload([change(1)])
        sync_id = self.request()
        self.finished(sync_id)
        return sync_id

    def watch(self, sync_id, bearer=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return Events(self.stack.http_port, "%s/%s/events" % (PATH, sync_id),
                      bearer or self.bearer, headers)

    def calls(self, code):
        """How many watches have ended so, by the service's own count."""
        url = "http://127.0.0.1:%d/metrics" % self.metrics_port
        with urllib.request.urlopen(url, timeout=harness.START_SECONDS) as answer:
            text = answer.read().decode()
        found = re.findall(r'grpc_server_handled_total\{[^}]*"WatchSyncOperation"[^}]*'
                           r'grpc_code="%s"\} (\d+)' % code, text)
        return sum(int(number) for number in found)

    def await_calls(self, code, count):
        deadline = time.monotonic() + harness.START_SECONDS
        while self.calls(code) < count:
            self.assertLess(time.monotonic(), deadline, "no %d calls %s" % (count, code))
            time.sleep(0.05)


class Watch(WatchCase):
    def test_an_operation_is_followed_to_its_end(self):
        sync_id = self.held()
        with self.watch(sync_id) as events:
            self.assertEqual(events.status, 200)
            self.assertEqual(events.response.headers["Content-Type"], "text/event-stream")
            self.assertRegex(events.block()[0], r"^retry: \d+$")
            first = events.event()
            self.assertEqual(first["event"], "operation")
            self.assertEqual(first["data"]["operation"]["syncId"], sync_id)
            self.assertIn(first["data"]["operation"]["status"], ("pending", "processing"))
            self.assertEqual(first["data"]["eventId"], first["id"])
            self.order()
            rest = events.rest()
        self.assertEqual(rest[-1]["data"]["operation"]["status"], "completed", rest)
        identifiers = [first["id"]] + [event["id"] for event in rest]
        self.assertEqual(len(set(identifiers)), len(identifiers))
        times = [first["data"]["operation"]["updatedAt"]]
        times += [event["data"]["operation"]["updatedAt"] for event in rest]
        self.assertEqual(times, sorted(times))

    def test_lines_of_json_are_the_same_without_the_frame(self):
        sync_id = self.held()
        with self.watch(sync_id, Accept="application/x-ndjson") as events:
            self.assertEqual(events.response.headers["Content-Type"], "application/x-ndjson")
            first = json.loads(events.line())
            self.assertEqual(first["operation"]["syncId"], sync_id)
            self.order()
            lines = [json.loads(line) for line in iter(events.line, None)]
        self.assertEqual(lines[-1]["operation"]["status"], "completed", lines)

    def test_an_ended_operation_is_told_once(self):
        sync_id = self.ended()
        with self.watch(sync_id) as events:
            told = events.rest()
        self.assertEqual([event["data"]["operation"]["status"] for event in told], ["completed"])

    def test_a_client_that_has_the_last_event_is_told_not_to_come_again(self):
        sync_id = self.ended()
        with self.watch(sync_id) as events:
            last = events.rest()[-1]["id"]
        with self.watch(sync_id, Last_Event_ID=last) as events:
            self.assertEqual(events.status, 204)
            self.assertEqual(events.response.read(), b"")
        with self.watch(sync_id, Last_Event_ID=last, Accept="application/x-ndjson") as events:
            self.assertEqual((events.status, events.response.read()), (200, b""))

    def test_a_client_resumes_behind_the_event_it_has(self):
        sync_id = self.held()
        with self.watch(sync_id) as events:
            seen = events.event()["id"]
        with self.watch(sync_id, Last_Event_ID=seen) as events:
            # The head comes at once, though there may be nothing new.
            self.assertEqual(events.status, 200)
            self.order()
            told = events.rest()
        self.assertNotIn(seen, [event["id"] for event in told])
        self.assertEqual(told[-1]["data"]["operation"]["status"], "completed")
        with self.watch(sync_id, Last_Event_ID="something else") as events:
            self.assertEqual(len(events.rest()), 1)

    def test_a_cancellation_is_told_as_it_happens(self):
        sync_id = self.held()
        with self.watch(sync_id) as events:
            events.event()
            self.expect(self.post("%s/%s:cancel" % (PATH, sync_id), {}), 200)
            self.assertEqual(events.rest()[-1]["data"]["operation"]["status"], "cancelled")

    def test_a_silent_stream_shows_that_it_lives(self):
        sync_id = self.held()
        with self.watch(sync_id) as events:
            lines = []
            while lines.count(":") < 3:
                lines.append(events.line())
                self.assertIsNotNone(lines[-1], lines)
        self.post("%s/%s:cancel" % (PATH, sync_id), {})

    def test_what_is_not_the_callers_is_refused_before_the_stream(self):
        sync_id = self.ended()
        for accept in ("text/event-stream", "application/x-ndjson"):
            get = {"headers": {"Accept": accept}}
            path = "%s/%s/events" % (PATH, sync_id)
            answer = self.call("GET", path, bearer=harness.token("somebody-else"), **get)
            self.expect_error(answer, 403, "PERMISSION_DENIED", "SYNC_OF_ANOTHER_USER")
            answer = self.call("GET", "%s/%s/events" % (PATH, uuid.uuid4()), **get)
            self.expect_error(answer, 404, "NOT_FOUND", "SYNC_NOT_FOUND")
            answer = self.call("GET", PATH + "/no-uuid/events", **get)
            error = self.expect_error(answer, 400, "INVALID_ARGUMENT")
            self.assertEqual(self.violations(error), ["syncId"])
            answer = self.call("GET", path, bearer="nonsense", **get)
            self.expect_error(answer, 401, "UNAUTHENTICATED")

    def test_a_client_that_goes_away_ends_the_call(self):
        sync_id = self.held()
        before = self.calls("Canceled")
        for accept in ("text/event-stream", "application/x-ndjson"):
            events = self.watch(sync_id, Accept=accept)
            events.line()
            events.close()
        self.await_calls("Canceled", before + 2)
        self.post("%s/%s:cancel" % (PATH, sync_id), {})

    @unittest.skipUnless(CURL, "no curl")
    def test_a_client_killed_in_the_middle_ends_the_call(self):
        sync_id = self.held()
        before = self.calls("Canceled")
        for flags in ((), ("--http2-prior-knowledge",)):
            client = subprocess.Popen(
                [CURL, "-sN", *flags, "-H", "Authorization: Bearer " + self.bearer,
                 "-H", "Accept: text/event-stream",
                 "http://127.0.0.1:%d%s/%s/events" % (self.stack.http_port, PATH, sync_id)],
                stdout=subprocess.PIPE)
            for line in client.stdout:
                if line.startswith(b"data: "):
                    break
            client.send_signal(signal.SIGKILL)
            client.wait()
            client.stdout.close()
        self.await_calls("Canceled", before + 2)
        self.post("%s/%s:cancel" % (PATH, sync_id), {})

    def test_a_token_that_expires_ends_the_stream(self):
        sync_id = self.held()
        bearer = harness.token(self.user, ttl=2)
        with self.watch(sync_id, bearer=bearer) as events:
            self.assertEqual(events.status, 200)
            last = events.rest()[-1]
        self.assertEqual(last["event"], "error")
        self.assertEqual(last["data"]["error"]["status"], "UNAUTHENTICATED")
        self.assertIn("TOKEN_EXPIRED", json.dumps(last["data"]))
        self.post("%s/%s:cancel" % (PATH, sync_id), {})

    def test_many_watch_one_operation(self):
        sync_id = self.held()
        watches = [self.watch(sync_id) for _ in range(50)]
        try:
            for events in watches:
                self.assertEqual(events.event()["data"]["operation"]["syncId"], sync_id)
            self.order()
            for events in watches:
                self.assertEqual(events.rest()[-1]["data"]["operation"]["status"], "completed")
        finally:
            for events in watches:
                events.close()


class Drain(WatchCase):
    """Each test stops a part, so each has a stack of its own."""

    @classmethod
    def setUpClass(cls):
        cls.stack = None

    @classmethod
    def tearDownClass(cls):
        pass

    def setUp(self):
        self.stack = harness.Stack(self.service_flags, self.gateway_flags).start()
        self.addCleanup(self.stack.discard)
        super().setUp()

    def assert_ends_with_unavailable(self, events):
        last = events.rest()[-1]
        self.assertEqual(last["event"], "error")
        self.assertNotIn("id", last)
        self.assertEqual(last["data"]["error"]["status"], "UNAVAILABLE", last)

    def test_a_service_that_stops_ends_its_streams_and_a_later_one_goes_on(self):
        sync_id = self.held()
        with self.watch(sync_id) as events:
            seen = events.event()["id"]
            self.stack.service.terminate()
            self.assert_ends_with_unavailable(events)
        self.assertEqual(self.stack.service.wait(timeout=harness.START_SECONDS), 0)
        self.order()
        self.stack.start_service()
        self.finished(sync_id)
        with self.watch(sync_id, Last_Event_ID=seen) as events:
            self.assertEqual(events.rest()[-1]["data"]["operation"]["status"], "completed")
        self.assertEqual(self.stack.stop(), [0, 0])

    def test_a_gateway_that_stops_ends_its_streams(self):
        sync_id = self.held()
        with self.watch(sync_id) as events:
            events.event()
            self.stack.gateway.terminate()
            self.assert_ends_with_unavailable(events)
        self.assertEqual(self.stack.gateway.wait(timeout=harness.START_SECONDS), 0)
        self.assertEqual(self.stack.stop(), [0, 0])

    def test_a_service_that_dies_is_told_too(self):
        sync_id = self.held()
        with self.watch(sync_id) as events:
            events.event()
            self.stack.kill_service()
            self.assert_ends_with_unavailable(events)


if __name__ == "__main__":
    harness.main()
