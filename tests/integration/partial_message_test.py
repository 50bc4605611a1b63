#!/usr/bin/env python3
"""Clients that stop in the middle of a message, and keep what they have sent in the service."""
import time

import harness
from harness import Case, change, token
from raw_http2 import RawClient, hello
from stream_device import SYNC, WAIT_SECONDS, Talk

UPLOAD = "travelsense.sync.v1.SyncService/UploadChanges"
MB = 1 << 20
BUFFER, OTHERS = 128 * MB, 64 * MB  # what the flag says, and what all else may take meanwhile
STREAMS, SENT, ANNOUNCED = 24, 20 * MB, 64 * MB


class PartialMessage(Case):
    """The memory that they get, and the time."""

    service_flags = ("--no-limits", "--message-buffer", "128m", "--request-timeout", "2")

    def connect(self):
        client = RawClient(self.stack.path("sync.sock"))
        self.addCleanup(client.close)
        return client

    def memory_peak(self):
        """The most that the service has had resident, in bytes."""
        with open("/proc/%d/status" % self.stack.service.pid, encoding="ascii") as status:
            return [int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM:")][0]

    def is_sanitized(self):
        with open("/proc/%d/maps" % self.stack.service.pid, encoding="ascii") as maps:
            return "san.so" in maps.read()

    def assert_served(self):
        """Somebody else synchronizes and uploads."""
        self.become("served")
        self.assertEqual(self.outcomes([change(1)]), ["applied"])
        with Talk("unix:" + self.stack.path("sync.sock"), self.bearer) as other:
            other.send({"hello": {"deviceId": self.tablet}})
            other.expect("complete")

    def await_end(self, client, stream):
        deadline = time.monotonic() + WAIT_SECONDS
        while not client.has_ended(stream):
            self.assertLess(time.monotonic(), deadline, "the call does not end")
            client.take(0.1)

    def test_sessions_that_stop_in_a_message_hold_no_more_than_the_buffer(self):
        calls = []
        before = self.memory_peak()
        for number in range(STREAMS):
            client = calls[-1][0] if number % 2 else self.connect()
            stream = client.call(SYNC, token("%s-%d" % (self.user, number)))
            client.push(stream, hello("%s-%d" % (self.phone, number)))
            client.begin_message(stream, ANNOUNCED)
            calls.append((client, stream))
        for client, stream in calls:
            client.push(stream, bytes(SENT))
        self.assert_served()
        for client, _ in calls:
            while client.take(0.01):
                pass
        ended = sum(client.has_ended(stream) for client, stream in calls)
        self.assertGreater(ended, 0, "the streams hold 480 MB")
        self.assertLess(ended, STREAMS, "the buffer has room for some")
        if not self.is_sanitized():
            self.assertLess(self.memory_peak() - before, BUFFER + OTHERS)

    def test_a_message_that_announces_a_gigabyte_holds_no_more_than_the_buffer(self):
        before = self.memory_peak()
        client = self.connect()
        stream = client.call(SYNC, self.bearer)
        client.push(stream, hello(self.phone))
        client.begin_message(stream, 1 << 30)
        client.push(stream, bytes(2 * BUFFER))
        self.await_end(client, stream)
        self.assert_served()
        if not self.is_sanitized():
            self.assertLess(self.memory_peak() - before, BUFFER + OTHERS)

    def test_a_request_that_does_not_come_whole_in_time_ends(self):
        client = self.connect()
        streams = [client.call(UPLOAD, self.bearer) for _ in range(3)]
        client.begin_message(streams[1], ANNOUNCED)
        client.begin_message(streams[2], ANNOUNCED)
        client.push(streams[2], bytes(SENT))
        for stream in streams:
            self.await_end(client, stream)
        self.assert_served()

    def test_a_request_of_a_byte_now_and_then_ends(self):
        client = self.connect()
        stream = client.call(UPLOAD, self.bearer)
        client.begin_message(stream, 1000)
        deadline = time.monotonic() + WAIT_SECONDS
        while not client.has_ended(stream):
            self.assertLess(time.monotonic(), deadline, "the call does not end")
            client.push(stream, b"\0")
            client.take(0.1)
        self.assert_served()


if __name__ == "__main__":
    harness.main()
