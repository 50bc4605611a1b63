#!/usr/bin/env python3
"""An address whose connections flood: its new ones wait, those that are open and others' do not."""
import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "integration"))
import edge  # noqa: E402
import harness  # noqa: E402
import http2_flood as h2  # noqa: E402

PENALTY_SECONDS = 0.7
CUTS = 5
SECONDS = 30
HOSTILE, PROXY = "127.0.0.2", "127.0.0.3"
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
DELAYED = "gateway_connections_delayed_total"


def proxied(address):
    """The PROXY protocol's header of a client."""
    return b"PROXY TCP4 %s 127.0.0.1 4711 80\r\n" % address.encode()


class Penalty(edge.Case):
    edge_flags = ("--penalty-ms", str(int(PENALTY_SECONDS * 1000)), "--trusted-proxies", PROXY,
                  "--proxy-protocol")

    def connect(self, source, port=None):
        return socket.create_connection(("127.0.0.1", port or self.stack.http_port), SECONDS,
                                        (source, 0))

    def flood(self, source, first=b"", times=CUTS):
        """Has connections cut, one after the other."""
        for _ in range(times):
            with self.connect(source) as client:
                try:
                    client.sendall(first + h2.OPENING + h2.Ping().more() * 5)
                except ConnectionError:
                    continue
                edge.read_all(client)

    def ask(self, client, first=b""):
        """One request; its seconds."""
        begun = time.monotonic()
        client.sendall(first + GET)
        self.assertTrue(client.recv(65536).startswith(b"HTTP/1.1 200"))
        return time.monotonic() - begun

    def test_new_connections_of_the_address_wait(self):
        delayed = self.metric(DELAYED)
        with self.connect(HOSTILE) as before:
            self.ask(before)
            self.flood(HOSTILE, times=CUTS - 1)
            with self.connect(HOSTILE) as client:
                self.ask(client)
            self.assertEqual(self.metric(DELAYED), delayed)
            self.flood(HOSTILE, times=1)
            for port, secure in ((self.stack.http_port, False), (self.https_port, True)):
                begun = time.monotonic()
                with self.connect(HOSTILE, port) as client:
                    if secure:
                        client = edge.trusting(self.certificate).wrap_socket(
                            client, server_hostname="localhost")
                    self.ask(client)
                    client.close()
                self.assertGreaterEqual(time.monotonic() - begun, PENALTY_SECONDS - 0.01)
            self.assertEqual(self.metric(DELAYED), delayed + 2)
            self.ask(before)
            with self.connect("127.0.0.1") as other:
                self.ask(other)
            self.assertEqual(self.metric(DELAYED), delayed + 2)

    def test_one_who_leaves_while_it_waits_is_forgotten(self):
        self.flood("127.0.0.4")
        client = self.connect("127.0.0.4")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        deadline = time.monotonic() + SECONDS
        while self.metric("gateway_connections") > 1:  # that which asks
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def test_clients_of_a_proxy_are_told_apart(self):
        self.flood(PROXY, proxied("192.0.2.7"))
        delayed = self.metric(DELAYED)
        with self.connect(PROXY) as client:
            self.ask(client, proxied("192.0.2.8"))
        self.assertEqual(self.metric(DELAYED), delayed)
        with self.connect(PROXY) as client:
            self.assertGreaterEqual(self.ask(client, proxied("192.0.2.7")),
                                    PENALTY_SECONDS - 0.01)
        self.assertEqual(self.metric(DELAYED), delayed + 1)


class TrustedProxy(edge.Case):
    edge_flags = ("--penalty-ms", "60000", "--trusted-proxies", "127.0.0.1")

    def test_a_proxy_never_waits_for_what_a_client_of_it_did(self):
        Penalty.flood(self, "127.0.0.1")
        self.assertEqual(self.metric(DELAYED), 0)

    def connect(self, source):
        return socket.create_connection(("127.0.0.1", self.stack.http_port), SECONDS, (source, 0))


if __name__ == "__main__":
    harness.main()
