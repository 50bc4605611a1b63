#!/usr/bin/env python3
"""Who a client is, what it may take, and what is written down of it."""
import json
import os
import re
import signal
import socket
import struct
import time

import edge
import harness

HOST = b"Host: localhost\r\n"
LAST = b"GET /healthz HTTP/1.1\r\nConnection: close\r\n" + HOST
V2_MARK = b"\r\n\r\n\0\r\nQUIT\n"
TRACE = "0af7651916cd43dd8448eb211c80319c"


def proxy_v1(client):
    return b"PROXY TCP4 %s 192.0.2.2 4711 443\r\n" % client.encode()


def proxy_v2(client):
    return (V2_MARK + b"\x21\x11\0\x0c" + socket.inet_aton(client) +
            socket.inet_aton("192.0.2.2") + struct.pack(">HH", 4711, 443))


class ClientCase(edge.Case):
    @classmethod
    def prepare(cls):
        cls.log_file = cls.stack.path("access.log")
        cls.stack.gateway_flags += ["--access-log-file", cls.log_file]

    def entry(self, request_id):
        """The line of the access log about a request."""
        deadline = time.monotonic() + harness.START_SECONDS
        while True:
            with open(self.log_file, encoding="utf-8") as file:
                for line in file:
                    entry = json.loads(line)
                    if entry["request_id"] == request_id:
                        return entry
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def send(self, headers=b"", before=b"", source="127.0.0.1"):
        """The log's entry about a request with these headers, after these bytes."""
        name = "r-" + os.urandom(8).hex()
        answer = edge.talk(self.stack.http_port, before + LAST + b"X-Request-Id: %s\r\n" %
                           name.encode() + headers + b"\r\n", source)
        self.assertTrue(answer.startswith(b"HTTP/1.1 200"), answer)
        return self.entry(name)

    def statuses(self, answer):
        return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


class AccessLog(ClientCase):
    def test_each_request_is_a_line(self):
        answer = self.call("GET", "/api/offline/config?access_token=secret", headers={
            "X-Request-Id": "line-1", "User-Agent": "test/1", "traceparent":
            "00-%s-b7ad6b7169203331-01" % TRACE})
        entry = self.entry("line-1")
        for name, value in (("method", "GET"), ("path", "/api/offline/config"), ("status", 400),
                            ("client", "127.0.0.1"), ("protocol", "HTTP/1.1"), ("tls", ""),
                            ("user_agent", "test/1"), ("trace_id", TRACE), ("complete", 1),
                            ("grpc_status", "INVALID_ARGUMENT"), ("bytes_in", 0),
                            ("bytes_out", len(answer.body))):
            self.assertEqual(entry[name], value, name)
        self.assertGreater(entry["duration_us"], 0)
        with open(self.log_file, encoding="utf-8") as file:
            self.assertNotIn("secret", file.read())
        self.call("GET", "/api/offline/config", headers={"X-Request-Id": "line-2"})
        entry = self.entry("line-2")
        self.assertEqual((entry["status"], entry["grpc_status"]), (200, "OK"))
        self.assertTrue(entry["rpc"].endswith("/GetSyncConfig"))

    def test_a_trace_that_is_malformed_is_begun_anew(self):
        for value in ("", "00-%s-0000000000000000-01" % TRACE, "nonsense"):
            entry = self.send(b"traceparent: %s\r\n" % value.encode())
            self.assertRegex(entry["trace_id"], "^(?!0{32})[0-9a-f]{32}$")
            self.assertNotEqual(entry["trace_id"], TRACE)

    def test_sighup_opens_the_file_anew(self):
        moved = self.log_file + ".1"
        self.send()
        os.rename(self.log_file, moved)
        self.stack.gateway.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + harness.START_SECONDS
        while not os.path.exists(self.log_file):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        self.send()

    def test_headers_of_strangers_do_not_count(self):
        self.assertEqual(self.send(b"X-Forwarded-For: 1.1.1.1\r\n")["client"], "127.0.0.1")
        answer = edge.talk(self.stack.http_port, proxy_v1("1.1.1.1") + LAST + b"\r\n")
        self.assertEqual(answer, b"")  # what is no HTTP gets no answer


class Forwarded(ClientCase):
    edge_flags = ("--trusted-proxies", "127.0.0.2,10.0.0.0/8", "--client-requests-per-s", "3",
                  "--client-streams-max", "50")

    def test_trusted_proxies_tell_the_client(self):
        for headers, client in ((b"X-Forwarded-For: 203.0.113.1, 10.0.0.1\r\n", "203.0.113.1"),
                                (b"Forwarded: for=\"[2001:db8::7]:80\"\r\n", "2001:db8::7"),
                                (b"", "127.0.0.2")):
            self.assertEqual(self.send(headers, source="127.0.0.2")["client"], client)
        self.assertEqual(self.send(b"X-Forwarded-For: 203.0.113.1\r\n")["client"], "127.0.0.1")

    def test_a_client_that_is_too_fast_is_told_when_to_come_back(self):
        request = b"GET /healthz HTTP/1.1\r\nX-Forwarded-For: %s\r\n" + HOST + b"\r\n"
        last = LAST + b"X-Forwarded-For: 203.0.113.9\r\n\r\n"
        data = request % b"203.0.113.8" * 6 + last
        answer = edge.talk(self.stack.http_port, data, "127.0.0.2")
        self.assertEqual(self.statuses(answer), [200] * 3 + [429] * 3 + [200])
        self.assertEqual(answer.count(b"\r\nretry-after: 1\r\n"), 3)
        self.assertIn(b"CLIENT_RATE", answer)
        self.assertEqual(self.metric("gateway_client_refusals_total"), 3)


class Proxied(ClientCase):
    edge_flags = ("--trusted-proxies", "127.0.0.2", "--proxy-protocol",
                  "--client-connections-max", "2", "--header-timeout-ms", "3000")

    def test_the_header_tells_the_client_in_clear(self):
        for header, client in ((proxy_v1("203.0.113.1"), "203.0.113.1"),
                               (proxy_v2("203.0.113.2"), "203.0.113.2"),
                               (b"PROXY UNKNOWN\r\n", "127.0.0.2"),
                               (V2_MARK + b"\x20\0\0\0", "127.0.0.2")):
            self.assertEqual(self.send(before=header, source="127.0.0.2")["client"], client)

    def test_the_header_may_come_in_pieces(self):
        for header in (proxy_v1("203.0.113.3"), proxy_v2("203.0.113.3")):
            for at in range(1, len(header)):
                answer = edge.talk(self.stack.http_port,
                                   [header[:at], header[at:] + LAST + b"\r\n"], "127.0.0.2")
                self.assertEqual(self.statuses(answer), [200])

    def test_the_header_comes_before_tls(self):
        with socket.create_connection(("127.0.0.1", self.https_port), 60,
                                      ("127.0.0.2", 0)) as plain:
            plain.sendall(proxy_v2("203.0.113.4"))
            context = edge.trusting(self.certificate)
            with context.wrap_socket(plain, server_hostname="localhost") as client:
                client.sendall(LAST + b"X-Request-Id: before-tls\r\n\r\n")
                self.assertTrue(edge.read_all(client).startswith(b"HTTP/1.1 200"))
        entry = self.entry("before-tls")
        self.assertEqual((entry["client"], entry["tls"]), ("203.0.113.4", "TLSv1.3"))

    def test_a_proxy_that_does_not_say_or_says_nonsense_is_not_served(self):
        for data in (LAST + b"\r\n", b"PROXY TCP9 x\r\n" + LAST + b"\r\n", b"PROXY TCP4 1."):
            self.assertEqual(edge.talk(self.stack.http_port, data, "127.0.0.2"), b"")

    def test_a_client_has_no_more_connections_than_it_may(self):
        for source, header in (("127.0.0.2", proxy_v1("203.0.113.5")), ("127.0.0.3", b"")):
            with self.subTest(source):
                refused = self.metric("gateway_client_refusals_total")
                open_ones = []
                for _ in range(2):
                    client = socket.create_connection(("127.0.0.1", self.stack.http_port), 60,
                                                      (source, 0))
                    client.sendall(header + b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
                    self.assertTrue(client.recv(65536).startswith(b"HTTP/1.1 200"))
                    open_ones.append(client)
                answer = edge.talk(self.stack.http_port, header + LAST + b"\r\n", source)
                self.assertIn(self.statuses(answer), ([], [503]))
                self.assertEqual(self.metric("gateway_client_refusals_total"), refused + 1)
                open_ones.pop().close()
                deadline = time.monotonic() + harness.START_SECONDS
                while self.statuses(edge.talk(self.stack.http_port, header + LAST + b"\r\n",
                                              source)) != [200]:
                    self.assertLess(time.monotonic(), deadline)
                open_ones.pop().close()


class Certificates(ClientCase):
    @classmethod
    def prepare(cls):
        super().prepare()
        authority, cls.client = cls.stack.path("authority"), cls.stack.path("client")
        edge.make_certificate(authority, "Travel CA")
        edge.make_certificate(cls.client, 'agent "7"', "URI:spiffe://travel/agent/7,DNS:a.test",
                              issuer=authority)
        cls.stack.gateway_flags += ["--client-ca", authority + ".pem", "--client-auth", "optional"]

    def test_the_certificate_is_written_down_and_cannot_be_forged(self):
        digest = edge.run_openssl("x509", "-in", self.client + ".pem", "-noout", "-fingerprint",
                                  "-sha256").decode().split("=")[1].strip().replace(":", "").lower()
        identity = ('Hash=%s;Subject="CN=agent \\\\\\"7\\\\\\",O=Travel";'
                    "URI=spiffe://travel/agent/7;DNS=a.test" % digest)
        for shown, expected in ((True, identity), (False, "")):
            context = edge.trusting(self.certificate)
            if shown:
                context.load_cert_chain(self.client + ".pem", self.client + ".key")
            name = "certificate-%d" % shown
            answer = edge.talk(self.https_port, LAST + b"X-Request-Id: %s\r\nX-Forwarded-Client-"
                               b"Cert: Hash=00\r\n\r\n" % name.encode(), secure=context)
            self.assertEqual(self.statuses(answer), [200])
            self.assertEqual(self.entry(name)["client_certificate"], expected)


if __name__ == "__main__":
    harness.main()
