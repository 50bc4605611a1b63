#!/usr/bin/env python3
"""Clients of the gateway that speak HTTP as no good one does: they get an answer, or an end."""
import select
import socket
import time

import edge
import harness
from harness import change
from raw_http2 import RawClient

WAIT_SECONDS = 60
ENHANCE_YOUR_CALM = 11
NEWEST_ENTRY = b"\xbe"  # a reference to it in the table of headers (RFC 7541, 6.1)
HEADS = 80  # of 20 kB
LARGE_CHANGES, LARGE_TEXT = 40, 240000  # more than what a connection holds for its socket


class HostileClient(edge.Case):

    def open_raw(self):
        client = RawClient(self.stack.http_port)
        self.addCleanup(client.close)
        return client

    def head(self, path, method="GET"):
        return [(":method", method), (":scheme", "http"), (":path", path),
                (":authority", "localhost"), ("authorization", "Bearer " + self.bearer)]

    def await_end(self, client, stream):
        deadline = time.monotonic() + WAIT_SECONDS
        while not client.has_ended(stream):
            self.assertLess(time.monotonic(), deadline, "the answer does not end")
            client.take(0.1)
        return client.data.get(stream, b"")

    def test_a_large_answer_reaches_a_client_that_opens_all_windows(self):
        self.upload([change(number, data={"text": "x" * LARGE_TEXT})
                     for number in range(LARGE_CHANGES)])
        client = self.open_raw()
        client.widen()
        client.send_headers(1, self.head("/api/offline/bundle"), end=True)
        body = self.await_end(client, 1)
        self.assertFalse(client.closed)
        self.assertGreater(len(body), LARGE_CHANGES * LARGE_TEXT)

    def test_trailers_that_refer_to_a_large_entry_are_bounded_as_headers_are(self):
        client = self.open_raw()
        head = self.head("/api/offline/changes", "POST")
        client.send_headers(1, head + [("a", "b" * 4000, True)])
        client.send_block(1, NEWEST_ENTRY * 16000, end=True)
        self.await_end(client, 1)
        self.assertEqual([code for _, code in client.goaways], [ENHANCE_YOUR_CALM])


class LittleMemory(edge.Case):
    edge_flags = ("--buffer-bytes-max", "1m")

    def test_heads_that_never_end_are_bounded_together(self):
        begun = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20000
        clients = []
        for _ in range(HEADS):
            client = socket.create_connection(("127.0.0.1", self.stack.http_port), WAIT_SECONDS)
            self.addCleanup(client.close)
            client.sendall(begun)
            clients.append(client)
        refused, _, _ = select.select(clients, [], [], WAIT_SECONDS)
        self.assertIn(b"503", refused[0].recv(65536))
        for client in clients:
            client.close()
        deadline = time.monotonic() + WAIT_SECONDS
        while self.call("GET", "/healthz", headers={"X": "x" * 20000}).status != 200:
            self.assertLess(time.monotonic(), deadline, "what was held is not given back")


if __name__ == "__main__":
    harness.main()
