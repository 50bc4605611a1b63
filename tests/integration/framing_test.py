#!/usr/bin/env python3
"""HTTP/1.1 framing: what two parsers could read differently ends in one refusal, however the bytes
are cut; what is well-formed is answered as RFC 9112 says."""
import re
import socket
import time

import edge
import harness

PATH = b"/healthz"
HOST = b"Host: localhost\r\n"
POST = b"POST " + PATH + b" HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
# What must never be read as a request.
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"


def get(more=b"", target=PATH, host=HOST, version=b"HTTP/1.1", method=b"GET"):
    return method + b" " + target + b" " + version + b"\r\n" + host + more + b"\r\n"


# Name, bytes, statuses that may be told.
ATTACKS = (
    ("length and coding", POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
     b"0\r\n\r\n", 400),
    ("coding and length", POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n"
     b"0\r\n\r\n", 400),
    ("two lengths", POST + b"Content-Length: 0\r\nContent-Length: 43\r\n\r\n", 400),
    ("the same length twice", POST + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n", 400),
    ("a list of lengths", POST + b"Content-Length: 0, 0\r\n\r\n", 400),
    ("a signed length", POST + b"Content-Length: +0\r\n\r\n", 400),
    ("a negative length", POST + b"Content-Length: -1\r\n\r\n", 400),
    ("a hexadecimal length", POST + b"Content-Length: 0x0\r\n\r\n", 400),
    ("a length with a space", POST + b"Content-Length: 0 0\r\n\r\n", 400),
    ("an empty length", POST + b"Content-Length:\r\n\r\n", 400),
    ("a length that overflows", POST + b"Content-Length: 18446744073709551616\r\n\r\n", 413),
    ("chunked twice", POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    ("chunked in two headers", POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"
     b"\r\n\r\n0\r\n\r\n", 400),
    ("chunked not last", POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400),
    ("identity last", POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
    ("another coding", POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    ("nearly chunked", POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    ("quoted chunked", POST + b"Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 501),
    ("an empty coding", POST + b"Transfer-Encoding:\r\n\r\n", 400),
    ("a control character before chunked", POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n", 400),
    ("a coding in HTTP/1.0", get(b"Transfer-Encoding: chunked\r\n", version=b"HTTP/1.0"), 400),
    ("LF after the request line", b"GET " + PATH + b" HTTP/1.1\n" + HOST + b"\r\n", 400),
    ("LF after a header", b"GET " + PATH + b" HTTP/1.1\r\nHost: localhost\n\r\n", 400),
    ("LF after the head", b"GET " + PATH + b" HTTP/1.1\r\n" + HOST + b"\n", 400),
    ("CR in the request line", b"GET " + PATH + b"\r HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("CR in a value", get(b"A: b\rContent-Length: 3\r\n"), 400),
    ("CR before CR LF", get(b"A: b\r\r\n"), 400),
    ("a folded header", get(b"A: b\r\n c\r\n"), 400),
    ("a header folded by a tab", get(b"A: b\r\n\tc\r\n"), 400),
    ("a folded first header", b"GET " + PATH + b" HTTP/1.1\r\n " + HOST + b"\r\n", 400),
    ("a space before the colon", POST + b"Content-Length : 3\r\n\r\n", 400),
    ("a tab before the colon", POST + b"Transfer-Encoding\t: chunked\r\n\r\n", 400),
    ("no colon", get(b"Content-Length\r\n"), 400),
    ("no name", get(b": 3\r\n"), 400),
    ("a name that is none", get(b"A(b): c\r\n"), 400),
    ("NUL in a name", get(b"A\0: c\r\n"), 400),
    ("NUL in a value", get(b"A: b\0c\r\n"), 400),
    ("NUL in the target", get(target=PATH + b"\0"), 400),
    ("NUL first", b"\0" + get(), 400),
    ("no host", get(host=b""), 400),
    ("two hosts", get(b"Host: other\r\n"), 400),
    ("a host with a space", get(host=b"Host: local host\r\n"), 400),
    ("a host with a path", get(host=b"Host: localhost/x\r\n"), 400),
    ("a list of hosts", get(host=b"Host: a, b\r\n"), 400),
    ("another host in the target", get(target=b"http://other" + PATH), 400),
    ("no host in the target", get(target=b"http://" + PATH), 400),
    ("a user in the target", get(target=b"http://u@localhost" + PATH), 400),
    ("a target without a slash", get(target=b"healthz"), 400),
    ("an asterisk by GET", get(target=b"*"), 400),
    ("a fragment", get(target=PATH + b"#x"), 400),
    ("a target that is not ASCII", get(target=b"/\xc3\xa9"), 400),
    ("two spaces in the request line", b"GET  " + PATH + b" HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("a tab in the request line", b"GET\t" + PATH + b" HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("a space after the version", get(version=b"HTTP/1.1 "), 400),
    ("a space before the method", b" " + get(), 400),
    ("two empty lines first", b"\r\n\r\n" + get(), 400),
    ("HTTP/0.9", b"GET " + PATH + b"\r\n", 400),
    ("HTTP/2.0", get(version=b"HTTP/2.0"), 505),
    ("HTTP/1.2", get(version=b"HTTP/1.2"), 505),
    ("HTTP/1.10", get(version=b"HTTP/1.10"), 400),
    ("http/1.1", get(version=b"http/1.1"), 400),
    ("a late preface", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 505),
    ("a lower-case method", get(method=b"get"), 400),
    ("a method that is none", get(method=b"GE(T"), 400),
    ("no method", get(method=b""), 400),
    ("CONNECT", get(method=b"CONNECT", target=b"localhost:80"), 501),
    ("another expectation", POST + b"Expect: coffee\r\nContent-Length: 0\r\n\r\n", 417),
)
CHUNKS = (
    ("a signed chunk size", b"+1\r\nx\r\n0\r\n\r\n"),
    ("a negative chunk size", b"-1\r\nx\r\n0\r\n\r\n"),
    ("0x before a chunk size", b"0x1\r\nx\r\n0\r\n\r\n"),
    ("a chunk size that overflows", b"10000000000000001\r\nx\r\n0\r\n\r\n"),
    ("a space before a chunk size", b" 1\r\nx\r\n0\r\n\r\n"),
    ("a space after a chunk size", b"1 \r\nx\r\n0\r\n\r\n"),
    ("a chunk size that is none", b"g\r\nx\r\n0\r\n\r\n"),
    ("no chunk size", b"\r\nx\r\n0\r\n\r\n"),
    ("only an extension", b";a\r\nx\r\n0\r\n\r\n"),
    ("LF after a chunk size", b"1\nx\r\n0\r\n\r\n"),
    ("CR within an extension", b"1;a\rb\r\nx\r\n0\r\n\r\n"),
    ("LF within an extension", b"1;a\nb\r\nx\r\n0\r\n\r\n"),
    ("NUL within an extension", b"1;a\0\r\nx\r\n0\r\n\r\n"),
    ("a chunk longer than it says", b"1\r\nxy\r\n0\r\n\r\n"),
    ("LF after a chunk", b"1\r\nx\n0\r\n\r\n"),
    ("LF after the last chunk", b"0\n\r\n"),
    ("LF after the trailers", b"0\r\n\n"),
    ("a trailer without a colon", b"0\r\nContent-Length\r\n\r\n"),
    ("a folded trailer", b"0\r\nA: b\r\n c\r\n\r\n"),
)


class Framing(edge.Case):
    def statuses(self, answer):
        return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]

    def check_refusal(self, answer, status):
        """One refusal, which says that the connection ends."""
        self.assertEqual(self.statuses(answer), [status], answer)
        self.assertIn(b"\r\nconnection: close\r\n", answer)
        self.assertNotIn(b"smuggled", answer)

    def split_everywhere(self, data):
        """The answers where the bytes come in two pieces, cut at each place."""
        clients = []
        try:
            for at in range(1, len(data)):
                client = socket.create_connection(("127.0.0.1", self.stack.http_port), 60)
                clients.append(client)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                client.sendall(data[:at])
            time.sleep(0.005)  # long enough for the first pieces to be read alone
            for at, client in enumerate(clients, 1):
                try:
                    client.sendall(data[at:])
                except ConnectionError:
                    pass  # refused by its first piece
            return [edge.read_all(client) for client in clients]
        finally:
            for client in clients:
                client.close()

    def test_an_ambiguous_head_is_refused_and_the_connection_closed(self):
        for name, attack, status in ATTACKS:
            with self.subTest(name):
                data = attack + SMUGGLED
                self.check_refusal(edge.talk(self.stack.http_port, data), status)
                for answer in self.split_everywhere(data):
                    self.check_refusal(answer, status)

    def test_an_ambiguous_body_is_refused_and_the_connection_closed(self):
        # The gateway's own path refuses POST by the head; what comes then must still close.
        head = (b"POST /api/offline/changes HTTP/1.1\r\nHost: localhost\r\n"
                b"Authorization: Bearer any\r\nContent-Type: application/json\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n")
        for name, body in CHUNKS:
            with self.subTest(name):
                data = head + body + SMUGGLED
                self.check_refusal(edge.talk(self.stack.http_port, data), 400)
                for answer in self.split_everywhere(data):
                    self.check_refusal(answer, 400)

    def test_an_ambiguous_body_closes_where_the_answer_stands_already(self):
        for name, body in CHUNKS:
            with self.subTest(name):
                begun = time.monotonic()
                answer = edge.talk(self.stack.http_port, [CHUNKED, body + SMUGGLED])
                self.assertEqual(self.statuses(answer), [405], answer)
                self.assertNotIn(b"smuggled", answer)
                self.assertLess(time.monotonic() - begun, 9)  # not by the timeout of 10 s

    def test_what_is_too_large_is_refused(self):
        large = b"x" * (64 << 10)
        for data, status in ((get(target=b"/" + large), 414), (get(b"A: " + large + b"\r\n"), 431),
                             (get(b"A: b\r\n" * 200), 431), (large, 414), (get(large), 431),
                             (CHUNKED.replace(PATH, b"/api/offline/changes").replace(
                                 HOST, HOST + b"Authorization: Bearer any\r\n") + b"1;" + large,
                              431)):
            with self.subTest(data=data[:40]):
                self.check_refusal(edge.talk(self.stack.http_port, data), status)

    def test_another_protocol_gets_no_answer(self):
        for data in (b"INVALID CONNECTION PREFACE\r\n\r\n", b"HELO mail.example.com SMTP\r\n\r\n"):
            self.assertEqual(edge.talk(self.stack.http_port, data), b"")

    def test_well_formed_requests_are_answered_however_they_are_cut(self):
        body = b'{"changes":[],"deviceId":"%s"}' % self.phone.encode()
        token = b"Authorization: Bearer " + self.bearer.encode() + b"\r\n"
        head = b"POST /api/offline/changes HTTP/1.1\r\n" + HOST + token
        chunks = b"".join(b"%x;a=b\r\n%s\r\n" % (len(body[at:at + 9]), body[at:at + 9])
                          for at in range(0, len(body), 9))
        last = get(b"Connection: close\r\n")
        for data in (
                get(b"Connection: keep-alive\r\n") + get() + last,
                get(target=b"http://LOCALHOST" + PATH) + get(target=b"http://localhost?x") + last,
                get(version=b"HTTP/1.0", host=b"") + get(),
                head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body) + last,
                head + b"Transfer-Encoding: chunked\r\n\r\n%s0\r\nA: b\r\n\r\n" % chunks + last):
            whole = self.statuses(edge.talk(self.stack.http_port, data))
            self.assertTrue(whole)
            for answer in self.split_everywhere(data):
                self.assertEqual(self.statuses(answer), whole)

    def test_head_has_the_headers_of_get_and_no_body(self):
        answer = edge.talk(self.stack.http_port, get(b"Connection: close\r\n", method=b"HEAD"))
        head, body = answer.split(b"\r\n\r\n", 1)
        self.assertEqual(body, b"")
        self.assertRegex(head, rb"content-length: [1-9]")

    def test_options_tells_the_methods(self):
        for path, methods in (("*", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
                              ("/healthz", "GET, HEAD, OPTIONS"),
                              ("/api/offline/config", "GET, HEAD, PATCH, OPTIONS"),
                              ("/api/offline/changes", "POST, OPTIONS")):
            answer = self.stack.call("OPTIONS", path)
            self.assertEqual((answer.status, answer.headers["Allow"]), (204, methods))
        self.assertEqual(self.stack.call("OPTIONS", "/none").status, 404)

    def test_a_client_that_expects_100_sends_its_body_then(self):
        body = b'{"changes":[],"deviceId":"d"}'
        for path, token, first in ((b"/api/offline/changes", self.bearer, b"HTTP/1.1 100 "),
                                   (b"/none", "", b"HTTP/1.1 404 ")):
            with socket.create_connection(("127.0.0.1", self.stack.http_port), 60) as client:
                client.sendall(b"POST %s HTTP/1.1\r\n%sExpect: 100-continue\r\nAuthorization: "
                               b"Bearer %s\r\nContent-Length: %d\r\n\r\n" %
                               (path, HOST, token.encode(), len(body)))
                answer = client.recv(65536)
                self.assertTrue(answer.startswith(first), answer)
                if first.endswith(b"100 "):
                    client.sendall(body)
                    self.assertRegex(client.recv(65536), rb"^HTTP/1\.1 (400|202) ")

    def test_an_upgrade_is_not_taken(self):
        answer = edge.talk(self.stack.http_port, get(
            b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n")
            + get(b"Connection: close\r\n"))
        self.assertEqual(self.statuses(answer), [200, 200])

    def test_an_answer_of_unknown_length_is_chunked(self):
        answer = edge.talk(self.stack.http_port, b"GET /api/offline/sync/x/events HTTP/1.1\r\n" +
                           HOST + b"Accept: text/event-stream\r\nConnection: close\r\n"
                           b"Authorization: Bearer " + self.bearer.encode() + b"\r\n\r\n")
        head, body = answer.split(b"\r\n\r\n", 1)
        if b"transfer-encoding: chunked" in head:
            self.assertTrue(body.endswith(b"0\r\n\r\n"), body)
        else:
            self.assertRegex(head, rb"content-length: \d")


if __name__ == "__main__":
    harness.main()
