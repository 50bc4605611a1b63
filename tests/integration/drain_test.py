#!/usr/bin/env python3
"""Connections that end in an orderly way, frame by frame: a service that says goodbye in the middle
of an answer, and a gateway that stops while calls of every kind are under way."""
import http.client
import json
import signal
import threading
import time
import unittest

import harness
from harness import change
from raw_http2 import WINDOW_MAX, LeavingService, RawClient

CONFIG = "/api/offline/config"
GET_CONFIG = "travelsense.sync.v1.SyncService/GetSyncConfig"
WATCH = "grpc.health.v1.Health/Watch"
CHECK = "grpc.health.v1.Health/Check"
EVENTS = "/api/offline/sync/01a22334-835e-7220-b02b-f9901bf032e5/events"
# Values of grpc-status in HPACK, where Huffman's code would not be shorter.
OK, UNAVAILABLE = b"\x010", b"\x0214"
EMPTY = b"\0\0\0\0\0"
# A field that no message has: of any type it is an empty one.
MESSAGE = b"\xc0\x3e\x01"
SERVING = b"\0\0\0\0\2\x08\1"
WAIT_SECONDS = 60


def await_end(case, client, stream):
    """Takes what comes until the call has ended; its last headers."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not client.has_ended(stream):
        case.assertLess(time.monotonic(), deadline, "the call does not end")
        client.take(0.1)
    return client.ended.get(stream, b"")


class ServiceLeaves(unittest.TestCase):
    """A service whose first answer is half told when its GOAWAY comes."""

    def setUp(self):
        self.stack = harness.Stack(gateway_flags=[
            "--threads", "1", "--upstream-health-interval-ms", "0", "--upstream-sessions", "1"])
        self.addCleanup(self.stack.discard)
        self.service = LeavingService(self.stack.path("sync.sock"), MESSAGE)
        self.addCleanup(self.service.close)
        self.addCleanup(self.service.go_on.set)
        self.stack.start_gateway()
        self.bearer = harness.token("somebody")

    def leave_during(self, call):
        """Has a call under way while the service leaves, and others behind it."""
        answers = []
        caller = threading.Thread(target=lambda: answers.append(call()))
        caller.start()
        deadline = time.monotonic() + WAIT_SECONDS
        while not self.service.connections:
            self.assertLess(time.monotonic(), deadline, "the call does not arrive")
            time.sleep(0.01)
        for _ in range(3):
            answer = self.stack.call("GET", CONFIG, bearer=self.bearer)
            self.assertEqual((answer.status, answer.json), (200, {}))
        first, *later = self.service.connections
        self.assertNotIn(first, later)
        self.assertEqual(answers, [])
        self.service.go_on.set()
        caller.join()
        return answers[0]

    def test_a_unary_answer_is_completed_and_later_calls_go_elsewhere(self):
        answer = self.leave_during(lambda: self.stack.call("GET", CONFIG, bearer=self.bearer))
        self.assertEqual((answer.status, answer.json), (200, {}))

    def test_events_are_completed(self):
        answer = self.leave_during(lambda: self.stack.call(
            "GET", EVENTS, bearer=self.bearer, headers={"Accept": "text/event-stream"}))
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.body.endswith(b"data: {}\n\n"), answer.body)

    def test_grpc_is_completed(self):
        client = RawClient(self.stack.grpc_port)
        self.addCleanup(client.close)
        stream = client.call(GET_CONFIG, self.bearer)
        client.push(stream, EMPTY)
        client.end(stream)
        headers = self.leave_during(lambda: await_end(self, client, stream))
        self.assertTrue(headers.endswith(OK), headers)
        self.assertEqual(client.data[stream], b"\0\0\0\0\3" + MESSAGE)
        self.assertEqual(client.goaways, [])


class GatewayStops(unittest.TestCase):
    """A gateway that is told to stop while calls of every kind are under way."""

    def setUp(self):
        self.stack = harness.Stack(
            service_flags=["--no-limits"],
            gateway_flags=["--drain-timeout-ms", "6000", "--upstream-health-interval-ms", "0"])
        self.addCleanup(self.stack.discard)
        self.stack.start()
        self.bearer = harness.token("somebody")

    def held(self):
        """An operation that goes on only once the store is well again."""
        self.stack.call("POST", "/api/offline/changes",
                        {"changes": [change(1)], "deviceId": "d"}, self.bearer)
        with open(self.stack.fault_file, "w", encoding="ascii") as file:
            file.write("snapshot")
        answer = self.stack.call("POST", "/api/offline/sync", {
            "dataTypes": ["bookings"], "syncType": "full", "deviceId": "d"}, self.bearer)
        return answer.json["syncId"]

    def test_calls_end_as_they_may_and_clients_are_told_which_were_not_taken(self):
        sync_id = self.held()
        events = http.client.HTTPConnection("127.0.0.1", self.stack.http_port, timeout=60)
        self.addCleanup(events.close)
        events.request("GET", "/api/offline/sync/%s/events" % sync_id, headers={
            "Accept": "text/event-stream", "Authorization": "Bearer " + self.bearer})
        stream_answer = events.getresponse()
        self.assertEqual(stream_answer.readline()[:6], b"retry:")
        client = RawClient(self.stack.grpc_port)
        self.addCleanup(client.close)
        watch = client.call(WATCH, self.bearer)
        client.push(watch, EMPTY)
        unary = client.call(CHECK, self.bearer)
        client.push(unary, EMPTY)
        while watch not in client.data:
            self.assertTrue(client.take(WAIT_SECONDS))
        client.answers_pings = False
        self.stack.gateway.send_signal(signal.SIGTERM)
        while not client.goaways:
            self.assertTrue(client.take(WAIT_SECONDS))
        # What was under way may still be said, and what was sent before it was known is taken.
        crossing = client.call(CHECK, self.bearer)
        client.push(crossing, EMPTY)
        for call in (unary, crossing):
            client.end(call)
            self.assertTrue(await_end(self, client, call), "it is reset")
            self.assertEqual(client.data[call], SERVING)
        while len(client.goaways) < 2:
            self.assertTrue(client.take(WAIT_SECONDS))
        self.assertEqual(client.goaways, [(WINDOW_MAX, 0), (crossing, 0)])
        self.assertIn(UNAVAILABLE, await_end(self, client, watch))
        rest = stream_answer.read()
        last = json.loads(rest.rsplit(b"data: ", 1)[1])
        self.assertEqual(last["error"]["status"], "UNAVAILABLE")
        self.assertEqual(self.stack.gateway.wait(timeout=harness.START_SECONDS), 0)

    def test_a_client_that_is_idle_is_let_go_once_it_has_heard(self):
        client = RawClient(self.stack.grpc_port)
        self.addCleanup(client.close)
        while client.take(0.2):
            pass
        self.stack.gateway.send_signal(signal.SIGTERM)
        while not client.closed:
            self.assertTrue(client.take(WAIT_SECONDS))
        self.assertEqual(client.goaways, [(WINDOW_MAX, 0), (0, 0)])
        self.assertEqual(self.stack.gateway.wait(timeout=harness.START_SECONDS), 0)


if __name__ == "__main__":
    harness.main()
