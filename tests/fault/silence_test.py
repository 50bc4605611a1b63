#!/usr/bin/env python3
"""Peers that vanish without a word: it is noticed, and who only has nothing to say stays."""
import os
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "integration"))
import edge  # noqa: E402
import harness  # noqa: E402
import http2_flood as h2  # noqa: E402

KEEPALIVE_MS = 300
TIMEOUT_MS = 300
# For who answers, however slow a machine is.
PATIENT_MS = 60000
ACK = 1
END_SECONDS = 30
TCP_REPAIR = 19
# What the system does of itself about a socket (/proc/net/tcp).
TIMER_KEEPALIVE = 2


def timers(pid):
    """The timers of a process's TCP sockets, by local and remote port: kind, seconds left."""
    inodes = set()
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            inodes.add(os.readlink("/proc/%d/fd/%s" % (pid, fd)))
        except FileNotFoundError:
            continue
    found = {}
    with open("/proc/%d/net/tcp" % pid, encoding="ascii") as lines:
        for line in list(lines)[1:]:
            words = line.split()
            if "socket:[%s]" % words[9] in inodes:
                ports = tuple(int(end.split(":")[1], 16) for end in words[1:3])
                kind, ticks = (int(part, 16) for part in words[5].split(":"))
                found[ports] = kind, ticks / os.sysconf("SC_CLK_TCK")
    return found


def wait_for_keepalive(pid, ports):
    """Seconds until the system asks on a socket, once what was sent on it is acknowledged."""
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        kind, left = timers(pid).get(ports, (0, 0))
        if kind == TIMER_KEEPALIVE:
            return left
        time.sleep(0.01)
    raise AssertionError("the system does not ask on %s" % (ports,))


def vanish(client):
    """Closes a socket so that the other side is not told; False where that is not allowed."""
    try:
        client.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    except PermissionError:
        return False
    client.close()
    return True


class SilenceCase(edge.Case):
    def open_stream(self):
        """A connection with a call that stays open."""
        head = h2.head(b"/travelsense.sync.v1.SyncService/Sync", b"POST", b"".join(
            h2.literal(name, value) for name, value in (
                (b"content-type", b"application/grpc"), (b"te", b"trailers"),
                (b"authorization", b"Bearer " + self.bearer.encode()))))
        client = socket.create_connection(("127.0.0.1", self.stack.http_port), END_SECONDS)
        client.sendall(h2.OPENING + h2.frame(h2.HEADERS, h2.END_HEADERS, 1, head))
        return client

    def read_frames(self, client):
        """The frames until the other side closes: kind, flags, payload."""
        stream = client.makefile("rb")
        while True:
            try:
                head = stream.read(9)
            except ConnectionError:
                return
            if len(head) < 9:
                return
            size = struct.unpack(">I", b"\0" + head[:3])[0]
            yield head[3], head[4], stream.read(size)


class Answering(SilenceCase):
    edge_flags = ("--keepalive-ms", str(KEEPALIVE_MS), "--keepalive-timeout-ms", str(PATIENT_MS))

    def test_a_client_that_answers_stays(self):
        asked = 0
        with self.open_stream() as client:
            for kind, flags, payload in self.read_frames(client):
                if kind == h2.PING and not flags & ACK:
                    client.sendall(h2.frame(h2.PING, ACK, 0, payload))
                    asked += 1
                if asked == 5:
                    break
            client.sendall(h2.frame(h2.PING, 0, 0, b"are you?"))
            answers = (payload for kind, flags, payload in self.read_frames(client)
                       if kind == h2.PING and flags & ACK)
            self.assertEqual(next(answers, None), b"are you?")


class Silence(SilenceCase):
    edge_flags = ("--keepalive-ms", str(KEEPALIVE_MS), "--keepalive-timeout-ms", str(TIMEOUT_MS))

    def test_a_client_that_answers_no_ping_is_gone(self):
        with self.open_stream() as client:
            asked = [payload for kind, flags, payload in self.read_frames(client)
                     if kind == h2.PING and not flags & ACK]
        self.assertEqual(len(asked), 1)

    def test_the_system_asks_clients_of_http1(self):
        with socket.create_connection(("127.0.0.1", self.stack.http_port), END_SECONDS) as client:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            client.recv(65536)
            ports = self.stack.http_port, client.getsockname()[1]
            self.assertLessEqual(wait_for_keepalive(self.stack.gateway.pid, ports), 1)

    def test_a_client_of_http1_that_vanished_is_gone(self):
        client = socket.create_connection(("127.0.0.1", self.stack.http_port), END_SECONDS)
        ports = self.stack.http_port, client.getsockname()[1]
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.recv(65536)
        wait_for_keepalive(self.stack.gateway.pid, ports)
        if not vanish(client):
            client.close()
            self.skipTest("only with CAP_NET_ADMIN may a socket vanish")
        deadline = time.monotonic() + END_SECONDS
        while ports in timers(self.stack.gateway.pid):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)


class SilentBackend(harness.Case):
    """A gateway without health checks, before a backend that is a socket of ours."""

    @classmethod
    def setUpClass(cls):
        cls.stack = harness.Stack()
        cls.backend = socket.create_server(("127.0.0.1", 0))
        cls.backend.settimeout(END_SECONDS)
        cls.stack.gateway_flags = [
            "--upstream", "127.0.0.1:%d" % cls.backend.getsockname()[1], "--threads", "1",
            "--upstream-sessions", "1", "--upstream-health-interval-ms", "0",
            "--upstream-keepalive-ms", str(KEEPALIVE_MS),
            "--keepalive-ms", str(KEEPALIVE_MS), "--keepalive-timeout-ms", str(TIMEOUT_MS)]
        cls.stack.start_gateway()

    @classmethod
    def tearDownClass(cls):
        cls.backend.close()
        cls.stack.stop()
        cls.stack.discard()

    def greet(self):
        """Takes the gateway's connection as a service does; its ports."""
        server, peer = self.backend.accept()
        server.sendall(h2.frame(h2.SETTINGS) + h2.frame(h2.SETTINGS, ACK))
        return server, (peer[1], server.getsockname()[1])

    def test_a_call_to_a_backend_that_answers_no_ping_ends(self):
        server, _ = self.greet()
        with server:
            answer = self.get("/api/offline/config")
            self.expect_error(answer, 503, "UNAVAILABLE")
            self.assertEqual(answer.headers["Retry-After"], "1")

    def test_a_backend_that_vanished_is_connected_to_anew(self):
        server, ports = self.greet()
        self.assertLessEqual(wait_for_keepalive(self.stack.gateway.pid, ports), 1)
        if not vanish(server):
            server.close()
            self.skipTest("only with CAP_NET_ADMIN may a socket vanish")
        again, other = self.greet()
        self.assertNotEqual(other, ports)
        again.close()


if __name__ == "__main__":
    harness.main()
