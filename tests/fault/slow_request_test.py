#!/usr/bin/env python3
"""Requests that come a byte at a time: each is ended within its time, whatever it has reached."""
import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "integration"))
import edge  # noqa: E402
import harness  # noqa: E402
import http2_flood as h2  # noqa: E402

HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 1000
POST = (b"POST /api/offline/changes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
        b"Authorization: Bearer any\r\nContent-Type: application/json\r\n\r\n")
H2_POST = h2.OPENING + h2.frame(h2.HEADERS, h2.END_HEADERS, 1,
                                h2.head(b"/api/offline/changes", b"POST") +
                                h2.literal(b"authorization", b"Bearer any"))
LONG = h2.GET + h2.literal(b"x-long", b"x" * 1000)
CONTINUED = h2.frame(h2.CONTINUATION, 0, 1, h2.literal(b"x", b"y"))
# Name, what is sent at once, what then comes byte by byte, what the answer must hold.
REQUESTS = (
    ("nothing", b"", b"", b""),
    ("HTTP/1.1 head", b"", HEAD, b""),
    ("HTTP/1.1 second head", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", HEAD, b"200 OK"),
    ("HTTP/1.1 body", POST, b" " * 1000, b"408 Request Timeout"),
    ("HTTP/2 preface", b"", h2.PREFACE + b"\0" * 1000, b""),
    ("HTTP/2 head", h2.OPENING, h2.frame(h2.HEADERS, h2.END_HEADERS, 1, LONG), b""),
    ("HTTP/2 continued head", h2.OPENING + h2.frame(h2.HEADERS, 0, 1, h2.GET), CONTINUED * 100,
     b""),
    ("HTTP/2 other frame", h2.OPENING, h2.frame(10, 0, 0, b"x" * 1000),
     b""),
    ("HTTP/2 body", H2_POST, h2.frame(h2.DATA, 0, 1, b" " * 1000), b"BODY_TOO_SLOW"),
)
PACE_SECONDS = 0.05
END_SECONDS = 60


class Slow:
    """One such request."""

    def __init__(self, port, name, first, rest, expected):
        self.name, self.rest, self.expected = name, rest, expected
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.socket.sendall(first)
        self.socket.setblocking(False)
        self.at, self.answer, self.closed = 0, b"", False

    def turn(self):
        """Sends a byte and takes what there is; tells whether it goes on."""
        try:
            part = self.socket.recv(65536)
            self.answer += part
            self.closed |= not part
        except BlockingIOError:
            pass
        except ConnectionError:
            self.closed = True
        try:
            if not self.over and self.at < len(self.rest):
                self.socket.send(self.rest[self.at:self.at + 1])
                self.at += 1
        except (BlockingIOError, ConnectionError):
            pass
        return not self.over

    @property
    def over(self):
        return self.closed or (self.expected.isupper() and self.expected in self.answer)


class SlowRequests(edge.Case):
    edge_flags = ("--header-timeout-ms", "700")

    def test_every_one_is_ended(self):
        slow = [Slow(self.stack.http_port, *request) for request in REQUESTS]
        deadline = time.monotonic() + END_SECONDS
        while any([one.turn() for one in slow]):
            self.assertLess(time.monotonic(), deadline,
                            [one.name for one in slow if not one.over])
            time.sleep(PACE_SECONDS)
        for one in slow:
            with self.subTest(one.name):
                self.assertIn(one.expected, one.answer)
                self.assertLess(one.at, max(1, len(one.rest)))
            one.socket.close()
        self.expect(self.get("/api/offline/config"), 200)


if __name__ == "__main__":
    harness.main()
