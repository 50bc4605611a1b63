#!/usr/bin/env python3
"""Clients of HTTP/1.1 that go away while the gateway does not read from them: their calls end, and
nobody spins over what is left of them."""
import os
import signal
import socket
import struct
import time

import edge
import harness
from edge import SOCKET_SECONDS

SYNC = "/travelsense.sync.v1.SyncService/Sync"
WATCH = "/grpc.health.v1.Health/Watch"
MB = 1 << 20
EMPTY = b"\0\0\0\0\0"


class ClientGone(edge.Case):
    # A service that is stopped for a moment is not given up.
    edge_flags = ("--upstream-health-interval-ms", "0")

    def await_outstanding(self, count):
        deadline = time.monotonic() + harness.START_SECONDS
        while self.metric("gateway_upstream_outstanding") != count:
            self.assertLess(time.monotonic(), deadline, "no %d calls" % count)
            time.sleep(0.02)

    def gateway_cpu_seconds(self):
        with open("/proc/%d/stat" % self.stack.gateway.pid, encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def connect(self, secure=False):
        port = self.https_port if secure else self.stack.http_port
        client = socket.create_connection(("127.0.0.1", port), SOCKET_SECONDS)
        self.addCleanup(client.close)
        if secure:
            client = edge.trusting(self.certificate).wrap_socket(client,
                                                                 server_hostname="localhost")
            self.addCleanup(client.close)
        return client

    def web(self, path, size):
        return ("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/grpc-web+proto\r\n"
                "Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n" %
                (path, self.bearer, size)).encode()

    def unread(self, client):
        """How much of what the client sent lies in the gateway's socket."""
        here, there = client.getsockname()[1], client.getpeername()[1]
        with open("/proc/net/tcp", encoding="ascii") as table:
            for line in table:
                fields = line.split()
                if fields[1].endswith(":%04X" % there) and fields[2].endswith(":%04X" % here):
                    return int(fields[4].split(":")[1], 16)
        return 0

    def fill(self, client, piece):
        """Sends until the gateway reads no more. It sees an end of input that is behind what its
        socket takes only once it reads again, so that is not filled."""
        for _ in range(1000):
            client.sendall(piece)
            deadline = time.monotonic() + 0.3
            while time.monotonic() < deadline:
                time.sleep(0.001)
                if self.unread(client) == 0:
                    break
            else:
                return
        self.fail("the gateway takes all that comes")

    def test_a_client_whose_body_waits_cancels_its_call(self):
        for reset in (False, True):
            for secure in (False, True):
                with self.subTest(reset=reset, secure=secure):
                    self.await_outstanding(0)
                    client = self.connect(secure)
                    client.sendall(self.web(SYNC, 30 * MB))
                    self.await_outstanding(1)
                    self.stack.service.send_signal(signal.SIGSTOP)
                    try:
                        # Only now: a message must not stop in its middle for seconds.
                        client.sendall(b"\0" + struct.pack(">I", 16 * MB))
                        self.fill(client, bytes(8192))
                        self.leave(client, reset)
                        self.await_outstanding(0)
                    finally:
                        self.stack.service.send_signal(signal.SIGCONT)

    def leave(self, client, reset):
        if reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()

    def test_a_client_that_has_more_requests_waiting_cancels_its_stream(self):
        for reset in (False, True):
            with self.subTest(reset=reset):
                self.await_outstanding(0)
                client = self.connect()
                client.sendall(self.web(WATCH, len(EMPTY)) + EMPTY)
                self.assertTrue(client.recv(4096).startswith(b"HTTP/1.1 200"))
                self.await_outstanding(1)
                self.fill(client, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
                self.leave(client, reset)
                self.await_outstanding(0)

    def test_a_client_that_only_ends_its_side_is_not_watched_in_a_circle(self):
        for pipelined in (False, True):
            client = self.connect()
            client.sendall(self.web(WATCH, len(EMPTY)) + EMPTY)
            self.assertTrue(client.recv(4096).startswith(b"HTTP/1.1 200"))
            if pipelined:
                self.fill(client, b"G" * 8192)
            before = self.gateway_cpu_seconds()
            client.shutdown(socket.SHUT_WR)
            self.await_outstanding(0)
            self.assertLess(self.gateway_cpu_seconds() - before, 0.5)
            client.close()


if __name__ == "__main__":
    harness.main()
