#!/usr/bin/env python3
"""Hostile clients of calls that the gateway passes through: whatever they send, and wherever they
stop, it is their own call alone that suffers."""
import os
import random
import signal
import struct
import time
import unittest
import urllib.request

import harness
from harness import Case
from raw_http2 import RawClient, RefusingService, hello

CHECK, WATCH = "grpc.health.v1.Health/Check", "grpc.health.v1.Health/Watch"
SYNC = "travelsense.sync.v1.SyncService/Sync"
RECORDS = "travelsense.sync.v1.RecordService/WatchRecords"
EMPTY = b"\0\0\0\0\0"
WAIT_SECONDS = 60
TYPES = ("application/grpc", "application/grpc+proto", "application/grpc-web+proto",
         "application/grpc-web-text", "application/x-ndjson", "application/grpc;x",
         "application/grpcx")
HEADERS = (
    ("x-a-bin", "!"), ("-bin", "!"), ("-bin", "AA=A"), ("x", "v" * 17000), ("x", "v" * 7500),
    ("grpc-timeout", "x"), ("grpc-timeout", "1n"), ("grpc-encoding", "x"), ("grpc-status", "x"),
    ("grpc-trace-bin", "*"), ("grpc-tags-bin", "*"), ("lb-cost-bin", "*"), ("lb-token", ""),
    ("grpc-internal-encoding-request", "x"), ("grpc-previous-rpc-attempts", "-1"),
    ("grpc-retry-pushback-ms", "x"), ("x-forwarded-for", "!"), ("expect", "100-continue"),
    ("content-length", "7"), ("te", "trailers"), ("cookie", "a=b"), (".", "x"))
BODIES = (EMPTY, b"\2\0\0\0\0", b"\0\xff\xff\xff\xff" + bytes(100), b"\1\0\0\0\3abc",
          b"\0\0\1\0\0" + bytes(30000), b"\0\0", b"AAAAAAA=", b"AA=A", b"{}\n\n{\xff\n",
          hello("hostile"))
MB = 1 << 20


class PassThrough(Case):
    def connect(self):
        client = RawClient(self.stack.grpc_port)
        self.addCleanup(client.close)
        return client

    def metric(self, name):
        """The sum of a metric of the gateway's."""
        with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % self.stack.http_port) as page:
            lines = page.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + "{"))

    def await_end(self, client, stream):
        deadline = time.monotonic() + WAIT_SECONDS
        while not client.has_ended(stream):
            self.assertLess(time.monotonic(), deadline, "the call does not end")
            client.take(0.1)

    def assert_nothing_is_left(self):
        """No call is under way at the service, but what others have there."""
        deadline = time.monotonic() + WAIT_SECONDS
        while self.metric("gateway_upstream_outstanding") > 0:
            self.assertLess(time.monotonic(), deadline, "a call outlives its client")
            time.sleep(0.02)

    def settled_connects(self):
        """How often the gateway has connected, once every worker has."""
        for _ in range(16):
            self.assertEqual(self.get("/readyz").status, 200)
        return self.metric("gateway_upstream_connects_total")

    def test_no_header_costs_the_connection_to_the_service(self):
        before = self.settled_connects()
        for header in HEADERS:
            client = self.connect()
            stream = client.call(CHECK, self.bearer, more=[header])
            client.push(stream, EMPTY)
            client.end(stream)
            self.await_end(client, stream)
        self.assert_nothing_is_left()
        self.assertEqual(self.settled_connects(), before)

    def step(self, chance, client, streams):
        """One thing that a client may do in the middle of others."""
        kind = chance.randrange(8)
        if kind < 3 or not streams:
            method = chance.choice((CHECK, WATCH, SYNC, RECORDS, "no.Such/Method", "", "a?b"))
            streams.append(client.call(method, self.bearer, chance.choice(TYPES),
                                       chance.sample(HEADERS, chance.randrange(2))))
            return
        stream = chance.choice(streams)
        if kind < 5:
            client.push(stream, chance.choice(BODIES), 0.01)
        elif kind == 5:
            client.end(stream)
        elif kind == 6:
            client.send_headers(stream, [chance.choice(((":path", "/x"), ("grpc-status", "0")))],
                                end=True)
        else:
            client.reset(stream, chance.choice((0, 1, 7, 8)))
        if kind >= 5:
            streams.remove(stream)

    def test_who_goes_in_any_state_leaves_nothing(self):
        seed = int(os.environ.get("PASS_THROUGH_SEED", random.getrandbits(32)))
        print("PASS_THROUGH_SEED=%d" % seed)
        chance, before = random.Random(seed), self.settled_connects()
        for _ in range(int(os.environ.get("PASS_THROUGH_CLIENTS", "100"))):
            client, streams = RawClient(self.stack.grpc_port), []
            for _ in range(chance.randrange(1, 30)):
                self.step(chance, client, streams)
                client.take(0)
            client.close()
        self.assert_nothing_is_left()
        self.assertEqual(self.settled_connects(), before)

    def test_a_service_that_does_not_read_holds_back_its_clients(self):
        client = self.connect()
        streams = [client.call(SYNC, self.bearer) for _ in range(4)]
        for number, stream in enumerate(streams):
            client.push(stream, hello("%s-%d" % (self.phone, number)))
        while client.take(0.2):
            pass
        message = b"\0" + struct.pack(">I", 16 * MB) + bytes(16 * MB)
        self.stack.service.send_signal(signal.SIGSTOP)
        try:
            taken = [client.push(stream, message, 1.5) for stream in streams]
        finally:
            self.stack.service.send_signal(signal.SIGCONT)
        self.assertTrue(all(0 < size < 3 * MB for size in taken), taken)
        client.close()
        self.assert_nothing_is_left()


class Refused(unittest.TestCase):
    """Calls that the service refuses."""

    def test_they_are_not_held_against_their_client(self):
        stack = harness.Stack()
        self.addCleanup(stack.discard)
        service = RefusingService(stack.path("sync.sock"))
        self.addCleanup(service.close)
        stack.start_gateway()
        client = RawClient(stack.grpc_port)
        self.addCleanup(client.close)
        for _ in range(120):
            stream = client.call("no.Such/Method", "none")
            client.push(stream, EMPTY)
            client.end(stream)
            while not client.has_ended(stream):
                self.assertTrue(client.take(WAIT_SECONDS))
        self.assertFalse(client.closed, "the client was told to calm down")


if __name__ == "__main__":
    harness.main()
