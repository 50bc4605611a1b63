#!/usr/bin/env python3
"""Devices that leave what comes untaken: their time, their place, and what they hold together."""
import time

import harness
from harness import Case, change
from raw_http2 import RawClient, hello
from stream_device import SYNC, WAIT_SECONDS, Talk

SLOW = 16  # devices; each is sent a page of up to 512 KiB at first
SEND_TIMEOUT = 6


class SlowReader(Case):
    """On a service with little memory for streams."""

    service_flags = ("--no-limits", "--metrics", "127.0.0.1:0", "--stream-send-timeout",
                     str(SEND_TIMEOUT), "--streams-memory", "2m")

    @property
    def target(self):
        return "unix:" + self.stack.path("sync.sock")

    def talk(self, device, flags=()):
        talk = Talk(self.target, self.bearer, SYNC, flags)
        self.addCleanup(talk.close)
        talk.send({"hello": {"deviceId": device, "live": True}})
        return talk

    def fill(self, megabytes):
        for number in range(megabytes):
            self.upload([change("%d-%d" % (number, part), data={"text": "x" * 240000})
                         for part in range(4)])

    def await_metric(self, name, value):
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            found = self.stack.metrics()[name]
            if found == value:
                break
            self.assertLess(time.monotonic(), deadline, "%s is %s" % (name, found))
            time.sleep(0.05)

    def open_raw(self, device):
        """A session of a client that takes its first 64 KiB and then no more."""
        client = RawClient(self.stack.path("sync.sock"))
        self.addCleanup(client.close)
        stream = client.call(SYNC, self.bearer)
        client.push(stream, hello(device))
        return client, stream

    def await_end(self, client, stream):
        """Takes what the service says until the call has ended; its last headers."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not client.has_ended(stream):
            self.assertLess(time.monotonic(), deadline, "the call does not end")
            client.take(0.1)
        return client.ended.get(stream, b"")

    def test_a_message_that_is_not_taken_in_time_ends_the_session(self):
        self.fill(1)
        headers = self.await_end(*self.open_raw(self.tablet))
        self.assertIn(b"the device did not take a message in time", headers)
        self.await_metric("sync_streams_open", 0)

    def test_a_stream_that_has_ended_leaves_its_place_though_its_client_reads_nothing(self):
        self.fill(4)
        client = RawClient(self.stack.path("sync.sock"))
        self.addCleanup(client.close)
        client.widen()
        devices = ["%s-%d" % (self.phone, number) for number in range(3)]
        for device in devices:
            stream = client.call(SYNC, self.bearer)
            client.push(stream, hello(device))
        # From here on the client's socket is full, and nobody empties it.
        self.await_metric("sync_streams_open", 3)
        deadline = time.monotonic() + WAIT_SECONDS
        for device in devices:
            while self.call("DELETE", "/api/offline/devices/" + device).status != 200:
                self.assertLess(time.monotonic(), deadline, "the device is not bound")
        self.await_metric("sync_streams_open", 0)

    def test_many_slow_devices_do_not_keep_what_all_streams_may_hold(self):
        self.fill(4)
        slow = [self.open_raw("%s-%d" % (self.phone, number)) for number in range(SLOW)]
        deadline, endings = time.monotonic() + WAIT_SECONDS, []
        while True:
            self.assertLess(time.monotonic(), deadline, "nobody else is served")
            self.assertLess(self.stack.metrics()["sync_streams_held_bytes"], 4 << 20)
            fast = self.talk(self.tablet)
            try:
                self.take_all(fast)
                break
            except AssertionError:
                endings.append(fast.reason())
        self.assertLessEqual(set(endings), {"STREAMS_MEMORY"})
        headers = b"".join(self.await_end(*one) for one in slow)
        self.assertIn(b"all streams together may hold no more than 2097152 bytes", headers)
        fast.close()
        self.await_metric("sync_streams_held_bytes", 0)

    def take_all(self, talk):
        """Takes and acknowledges until the session is complete."""
        while True:
            message = talk.receive()
            if message is None:
                raise AssertionError("the session ends")
            if "complete" in message:
                return
            if "records" in message:
                talk.send({"acknowledgement": {"cursor": message["records"]["cursor"]}})


if __name__ == "__main__":
    harness.main()
