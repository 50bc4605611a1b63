#!/usr/bin/env python3
"""An HTTP/2 connection whose tokens are refused: it has few calls under way, others have theirs."""
import json
import os
import signal
import time

import harness
from harness import Case
from raw_http2 import RawClient

PATH = "/api/offline/config"
METHOD = "travelsense.sync.v1.SyncService/GetSyncConfig"
DENIED_MIN, DOUBTED_STREAMS, MANY = 16, 4, 20
SECONDS = 60
REFUSALS = 'gateway_client_refusals_total{limit="streams"}'


class Denied(Case):
    def setUp(self):
        super().setUp()
        self.client = RawClient(self.stack.http_port)
        self.addCleanup(self.client.close)

    def begin(self, count, bearer="none"):
        """So many GETs at once; their streams."""
        streams = []
        for _ in range(count):
            stream, self.client.next_stream = self.client.next_stream, self.client.next_stream + 2
            self.client.send_headers(stream, [
                (":method", "GET"), (":scheme", "http"), (":path", PATH), (":authority", "raw"),
                ("authorization", "Bearer " + bearer)], end=True)
            streams.append(stream)
        return streams

    def stop(self):
        """Stops the service, with all its threads."""
        pid = self.stack.service.pid
        self.stack.service.send_signal(signal.SIGSTOP)
        self.addCleanup(self.go_on)
        for thread in os.listdir("/proc/%d/task" % pid):
            state = ""
            while state != "T":
                with open("/proc/%d/task/%s/stat" % (pid, thread), encoding="ascii") as stat:
                    state = stat.read().rpartition(") ")[2][0]

    def go_on(self):
        self.stack.service.send_signal(signal.SIGCONT)

    def refusals(self):
        """How many requests were refused since there were too many at one time."""
        page = self.stack.call("GET", "/metrics").body.decode()
        return sum(float(line.rpartition(" ")[2]) for line in page.splitlines()
                   if line.startswith(REFUSALS))

    def code(self, stream):
        """The code of an answer that is an error; 200 of another, None where there is none yet."""
        body = self.client.data.get(stream)
        return json.loads(body).get("error", {"code": 200})["code"] if body else None

    def codes(self, streams, count):
        """The codes, once so many have come."""
        deadline = time.monotonic() + SECONDS
        while sum(self.code(stream) is not None for stream in streams) < count:
            self.assertLess(time.monotonic(), deadline)
            self.client.take(0.1)
        return [self.code(stream) for stream in streams]

    def test_few_calls_are_under_way_of_who_has_no_valid_token(self):
        for _ in range(DENIED_MIN):
            self.assertEqual(self.codes(self.begin(1), 1), [401])
        before = self.refusals()
        self.stop()
        streams = self.begin(MANY)
        codes = self.codes(streams, MANY - DOUBTED_STREAMS)
        self.go_on()
        self.assertEqual(codes, [None] * DOUBTED_STREAMS + [429] * (MANY - DOUBTED_STREAMS))
        codes = self.codes(streams, MANY)
        self.assertEqual(codes[:DOUBTED_STREAMS], [401] * DOUBTED_STREAMS)
        self.assertEqual(self.refusals() - before, MANY - DOUBTED_STREAMS)
        # One by one it is served, and others are as ever.
        self.assertEqual(self.codes(self.begin(1, self.bearer), 1), [200])
        self.client = RawClient(self.stack.http_port)
        self.addCleanup(self.client.close)
        self.assertEqual(self.codes(self.begin(MANY, self.bearer), MANY), [200] * MANY)

    def test_who_brings_calls_of_many_is_no_worse_for_some_old_tokens(self):
        for _ in range(DENIED_MIN + 4):
            self.assertEqual(self.codes(self.begin(1), 1), [401])
            self.assertEqual(self.codes(self.begin(1, self.bearer), 1), [200])
        before = self.refusals()
        self.assertEqual(self.codes(self.begin(MANY, self.bearer), MANY), [200] * MANY)
        self.assertEqual(self.refusals(), before)

    def test_calls_passed_through_count_as_well(self):
        for _ in range(DENIED_MIN):
            stream = self.client.call(METHOD, "none")
            self.client.begin_message(stream, 0)
            self.client.end(stream)
            while not self.client.has_ended(stream):
                self.client.take(1)
        self.stop()
        streams = self.begin(MANY)
        codes = self.codes(streams, MANY - DOUBTED_STREAMS)
        call = self.client.call(METHOD, "none")
        self.client.end(call)
        while not self.client.has_ended(call):
            self.client.take(1)
        self.go_on()
        self.assertEqual(codes.count(429), MANY - DOUBTED_STREAMS)
        self.assertEqual(self.codes(streams, MANY).count(401), DOUBTED_STREAMS)


if __name__ == "__main__":
    harness.main()
