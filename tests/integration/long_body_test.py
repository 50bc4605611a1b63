#!/usr/bin/env python3
"""A body that takes long to transcode holds nobody up: others of its loop are answered
before it."""
import select
import socket
import time

import edge
import harness
from edge import SOCKET_SECONDS

KEYS, OTHERS = 1500000, 20
SMALL = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


class LongBody(edge.Case):
    edge_flags = ("--threads", "1")

    def connect(self):
        client = socket.create_connection(("127.0.0.1", self.stack.http_port), SOCKET_SECONDS)
        self.addCleanup(client.close)
        return client

    def request(self):
        """An upload of one change with more keys than it may have."""
        keys = ",".join('"k%d":1' % number for number in range(KEYS))
        body = ('{"deviceId":"%s","changes":[{"id":"c","type":"create","dataType":"trip",'
                '"timestamp":"2026-01-01T00:00:00Z","data":{%s}}]}' % (self.phone, keys)).encode()
        head = ("POST /api/offline/changes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
                "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" %
                (self.bearer, len(body))).encode()
        return head + body

    def test_others_are_answered_first(self):
        large, small = self.connect(), self.connect()
        small.sendall(SMALL)
        self.assertIn(b" 200 ", small.recv(65536))
        request = self.request()
        large.sendall(request[:-1])
        self.await_taken(large)
        large.sendall(request[-1:])
        for _ in range(OTHERS):
            small.sendall(SMALL)
            self.assertIn(b" 200 ", small.recv(65536))
        self.assertEqual(select.select([large], [], [], 0)[0], [], "the long body was first")
        self.assertIn(b" 400 ", large.recv(65536).split(b"\r\n", 1)[0])

    def await_taken(self, client):
        """Waits until the gateway has read all that was sent."""
        end, deadline = ":%04X" % client.getsockname()[1], time.monotonic() + harness.START_SECONDS
        while time.monotonic() < deadline:
            with open("/proc/net/tcp", encoding="ascii") as table:
                queues = [fields[4] for fields in map(str.split, table)
                          if fields[1].endswith(end) or fields[2].endswith(end)]
            if all(queue == "00000000:00000000" for queue in queues):
                return
            time.sleep(0.02)
        self.fail("the gateway does not read")


if __name__ == "__main__":
    harness.main()
