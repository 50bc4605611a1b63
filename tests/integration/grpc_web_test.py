#!/usr/bin/env python3
"""gRPC-Web through the gateway: what a page can call, over HTTP/1.1 and HTTP/2, in both forms."""
import base64
import http.client
import json
import shutil
import struct
import subprocess
import unittest

import harness
from harness import Case

HEALTH = "/grpc.health.v1.Health/Check"
WATCH = "/travelsense.sync.v1.RecordService/WatchRecords"
CONFIG = "/travelsense.sync.v1.SyncService/GetSyncConfig"
BINARY, TEXT = "application/grpc-web+proto", "application/grpc-web-text+proto"
SERVING = b"\x08\x01"


def framed(message=b"", flag=0):
    return struct.pack(">BI", flag, len(message)) + message


def frames(body):
    """The messages of a body, and its trailers by name."""
    messages, trailers = [], None
    while body:
        flag, size = struct.unpack(">BI", body[:5])
        part, body = body[5:5 + size], body[5 + size:]
        assert len(part) == size and trailers is None
        if flag & 0x80:
            lines = part.decode().split("\r\n")[:-1]
            trailers = dict(line.split(": ", 1) for line in lines)
        else:
            messages.append(part)
    return messages, trailers


def decoded(text):
    """The bytes of base64 that is padded wherever it was flushed."""
    return b"".join(base64.b64decode(text[i:i + 4], validate=True)
                    for i in range(0, len(text), 4))


class Web(Case):
    gateway_flags = ("--cors-origin", "https://app.example")

    def web(self, path, message=b"", form=BINARY, body=None, **headers):
        """Messages and trailers of a call that HTTP answers well."""
        body = framed(message) if body is None else body
        send = {"Content-Type": form, "X-Grpc-Web": "1", "Authorization": "Bearer " + self.bearer}
        send.update({name.replace("_", "-"): value for name, value in headers.items()})
        answer = self.stack.call("POST", path, base64.b64encode(body) if form == TEXT else body,
                                 headers=send)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.headers["Content-Type"], form)
        return frames(decoded(answer.body) if form == TEXT else answer.body)

    def test_a_call_is_answered_with_its_trailers_in_the_body(self):
        for form in (BINARY, TEXT):
            messages, trailers = self.web(HEALTH, form=form)
            self.assertEqual(messages, [SERVING])
            self.assertEqual(trailers["grpc-status"], "0")

    def test_an_error_is_a_status_in_the_trailers(self):
        for form in (BINARY, TEXT):
            messages, trailers = self.web("/no.Such/Method", form=form)
            self.assertEqual((messages, trailers["grpc-status"]), ([], "12"))
            messages, trailers = self.web(CONFIG, form=form, Authorization="Bearer nothing")
            self.assertEqual((messages, trailers["grpc-status"]), ([], "16"))
            self.assertIn("grpc-message", trailers)

    def test_who_calls_is_known_by_the_token(self):
        messages, trailers = self.web(CONFIG)
        self.assertEqual(trailers["grpc-status"], "0")
        self.assertIn(self.user.encode(), messages[0])

    def test_what_is_no_message_is_refused(self):
        for body in (b"\2\0\0\0\0", framed(b"abc")[:-1], b"\0\xff\xff\xff\xff"):
            messages, trailers = self.web(HEALTH, body=body)
            self.assertEqual(messages, [])
            self.assertIn(trailers["grpc-status"], ("3", "8"))

    def test_a_body_that_is_no_base64_is_refused(self):
        for body in (b"AAAAAAA", b"AAAA*AAA"):
            answer = self.stack.call("POST", HEALTH, body, headers={"Content-Type": TEXT})
            _, trailers = frames(decoded(answer.body))
            self.assertEqual(trailers["grpc-status"], "3")

    def test_metadata_that_would_harm_the_service_is_refused(self):
        for name, value, code in (("x-a-bin", "!", "3"), ("-bin", "!", "3"),
                                  ("x-a", "v" * 9000, "8")):
            _, trailers = self.web(HEALTH, **{name: value})
            self.assertEqual(trailers["grpc-status"], code)
            self.assertIn(name, trailers["grpc-message"])
        _, trailers = self.web(HEALTH)
        self.assertEqual(trailers["grpc-status"], "0")

    def watch(self):
        """The message that asks for the user's records, and who may ask."""
        name = self.user.encode()
        service = harness.token("web", role="service")
        return b"\x0a" + bytes([len(name)]) + name, "Bearer " + service

    def test_a_deadline_is_kept(self):
        message, bearer = self.watch()
        for timeout_ms in (300, 3000, 30000):  # a slow machine gets to its message later
            messages, trailers = self.web(WATCH, message, grpc_timeout="%dm" % timeout_ms,
                                          Authorization=bearer)
            self.assertEqual(trailers["grpc-status"], "4")
            if messages:
                break
        self.assertEqual(len(messages), 1)

    def test_a_stream_comes_as_it_is_made(self):
        message, bearer = self.watch()
        for form in (BINARY, TEXT):
            client = http.client.HTTPConnection("127.0.0.1", self.stack.http_port, timeout=30)
            self.addCleanup(client.close)
            body = base64.b64encode(framed(message)) if form == TEXT else framed(message)
            client.request("POST", WATCH, body, {"Content-Type": form, "Authorization": bearer})
            answer = client.getresponse()
            came = b""
            while not came or (form == TEXT and len(came) % 4):
                came += answer.read1()  # while the stream is open
            messages, trailers = frames(decoded(came) if form == TEXT else came)
            self.assertEqual((len(messages), trailers), (1, None))

    def test_a_page_may_ask_first(self):
        answer = self.stack.call("OPTIONS", HEALTH, headers={
            "Origin": "https://app.example", "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,x-grpc-web,x-user-agent,grpc-timeout"})
        self.assertEqual(answer.status, 204, answer)
        allowed = answer.headers["Access-Control-Allow-Headers"]
        for name in ("content-type", "x-grpc-web", "x-user-agent", "grpc-timeout"):
            self.assertIn(name, allowed)
        own = "last-event-id, x-my-own"
        for asked, allowed in ((own, own), ("a;b", None)):
            answer = self.stack.call("OPTIONS", "/api/offline/config", headers={
                "Origin": "https://app.example", "Access-Control-Request-Method": "GET",
                "Access-Control-Request-Headers": asked})
            self.assertEqual(answer.headers["Access-Control-Allow-Headers"], allowed)
        answer = self.stack.call("POST", HEALTH, framed(), headers={
            "Content-Type": BINARY, "Origin": "https://app.example"})
        self.assertEqual(answer.headers["Access-Control-Allow-Origin"], "https://app.example")
        for name in ("grpc-status", "grpc-message", "grpc-status-details-bin"):
            self.assertIn(name, answer.headers["Access-Control-Expose-Headers"])

    @unittest.skipUnless(shutil.which("curl"), "curl speaks HTTP/2")
    def test_it_is_the_same_over_http2(self):
        for form in (BINARY, TEXT):
            body = base64.b64encode(framed()) if form == TEXT else framed()
            run = subprocess.run(
                ["curl", "-sS", "--http2-prior-knowledge", "-H", "Content-Type: " + form,
                 "--data-binary", "@-", "http://127.0.0.1:%d%s" % (self.stack.http_port, HEALTH)],
                input=body, stdout=subprocess.PIPE, timeout=60, check=True)
            messages, trailers = frames(decoded(run.stdout) if form == TEXT else run.stdout)
            self.assertEqual((messages, trailers["grpc-status"]), ([SERVING], "0"))

    def test_a_connection_serves_one_call_after_another(self):
        client = http.client.HTTPConnection("127.0.0.1", self.stack.http_port, timeout=30)
        self.addCleanup(client.close)
        for _ in range(3):
            client.request("POST", HEALTH, framed(), {"Content-Type": BINARY})
            self.assertEqual(frames(client.getresponse().read())[0], [SERVING])
            client.request("GET", "/healthz")
            self.assertEqual(json.loads(client.getresponse().read()), {"status": "ok"})


if __name__ == "__main__":
    harness.main()
