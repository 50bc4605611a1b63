#!/usr/bin/env python3
"""Requests that hold as much of the gateway as they may: who has many is refused more, and others
are served."""
import os
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "integration"))
import edge  # noqa: E402
import harness  # noqa: E402
import http2_flood as h2  # noqa: E402

STREAMS = 120
REFUSED_STREAM = 7
SECONDS = 30
# Answers that are never taken.
CLOSED_WINDOW = h2.PREFACE + h2.frame(h2.SETTINGS, 0, 0, struct.pack(">HI", h2.INITIAL_WINDOW, 0))


class Full(edge.Case):
    # A request counts as 12 kB: some 85 fill it.
    edge_flags = ("--buffer-bytes-max", "1m")

    def begin(self, streams):
        """A connection with so many requests whose answers it does not take; how many of them have
        an answer's head, and how many are refused."""
        client = socket.create_connection(("127.0.0.1", self.stack.http_port), SECONDS)
        client.sendall(CLOSED_WINDOW + b"".join(
            h2.frame(h2.HEADERS, h2.END_STREAM | h2.END_HEADERS, 2 * i + 1, h2.GET)
            for i in range(streams)))
        stream, answered, refused = client.makefile("rb"), 0, 0
        while answered + refused < streams:
            head = stream.read(9)
            payload = stream.read(struct.unpack(">I", b"\0" + head[:3])[0])
            answered += head[3] == h2.HEADERS
            if head[3] == h2.RESET:
                self.assertEqual(struct.unpack(">I", payload)[0], REFUSED_STREAM)
                refused += 1
        return client, answered, refused

    def test_who_has_many_requests_leaves_room_for_others(self):
        many, answered, refused = self.begin(STREAMS)
        with many:
            self.assertGreater(refused, 20)
            self.assertGreater(answered, 60)
            few, answered, refused = self.begin(4)
            with few:
                self.assertEqual((answered, refused), (4, 0))
                self.assertEqual(self.stack.call("GET", "/healthz").status, 200)


if __name__ == "__main__":
    harness.main()
