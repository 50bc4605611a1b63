#!/usr/bin/env python3
"""Every HTTP status that the gateway's code can say is brought about and answered as documented: an
error in JSON, as /openapi.json shows it and docs/api.md lists it."""
import glob
import json
import os
import re
import signal
import unittest

import edge
import harness
from harness import Stack, change, token
from raw_http2 import StatusService

DOCUMENT = os.path.join(harness.ROOT, "docs", "api.md")
SOURCES = os.path.join(harness.ROOT, "gateway", "*.c")
CONFIG, CHANGES, BUNDLE = "/api/offline/config", "/api/offline/changes", "/api/offline/bundle"
CONTAINER = {"Accept": "application/vnd.travelsense.bundle"}
# gRPC's codes, by the status that each alone brings about.
CODES = {499: 1, 500: 13, 409: 10, 501: 12}
# Statuses of which a service may say what it likes, in a google.api.HttpBody.
SERVICES_OWN = (201, 406, 412)
WITHOUT_BODY = (416,)
# Those of the gateway alone: they are what the document shows as an example.
OWN = (401, 408, 413, 414, 415, 417, 431, 503, 504)


def statuses_of_the_code():
    """The statuses in the gateway's sources: those that gRPC's codes mean and that its refusals
    name, and those that it has phrases for."""
    named, phrases = set(), set()
    for path in glob.glob(SOURCES):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        calls = re.findall(r"(?:refuse_as|refuse|answer_whole|upload_fail|http1_break|REFUSE)\("
                           r"([^;]*?);", text, re.S)
        for call in calls:
            found = re.findall(r"(?<![\w.[])[1-5]\d\d(?![\w.])", call.split('"')[0])
            named |= {int(number) for number in found}
        named |= {int(number) for number in re.findall(r"= FACE\(\w+, (\d+)\)", text)}
        phrases |= {int(number) for number in re.findall(r'\{(\d+), "[A-Z]', text)}
    return named, phrases


def statuses_of_the_document():
    """Those that the table of errors has."""
    with open(DOCUMENT, encoding="utf-8") as file:
        rows = re.findall(r"^\| (\d{3}(?:, \d{3})*) \|", file.read(), re.M)
    return {int(number) for row in rows for number in row.split(", ")}


def http_body(status):
    """A google.api.HttpBody in wire form whose head asks for a status."""
    head = b"\x08" + bytes([status & 127 | 128, status >> 7])
    name = b"type.googleapis.com/travelsense.http.v1.ResponseHead"
    packed = b"\x0a" + bytes([len(name)]) + name + b"\x12" + bytes([len(head)]) + head
    return b"\x12\x01x\x1a" + bytes([len(packed)]) + packed


class Statuses(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        flags = ["--upstream-health-interval-ms", "0", "--threads", "1"]
        cls.real, cls.scripted = Stack(gateway_flags=flags), Stack(gateway_flags=flags)
        cls.limited = Stack(gateway_flags=["--client-requests-per-s", "1"])
        cls.lonely = Stack(gateway_flags=flags)
        cls.addClassCleanup(cls.end)
        cls.real.start()
        cls.service = StatusService(cls.scripted.path("sync.sock"))
        cls.scripted.start_gateway()
        cls.limited.start_gateway()
        cls.lonely.start_gateway()
        cls.bearer = token("status-user")
        cls.upload(1, cls.bearer)

    @classmethod
    def end(cls):
        cls.real.service.send_signal(signal.SIGCONT)
        for stack in (cls.real, cls.scripted, cls.limited, cls.lonely):
            stack.discard()
        cls.service.close()

    @classmethod
    def upload(cls, number, bearer):
        return cls.real.call("POST", CHANGES, {"changes": [change(number)], "deviceId": "status-d"},
                             bearer)

    def ask(self, path=CONFIG, method="GET", body=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.real.call(method, path, body, self.bearer, headers)

    def talk(self, *lines, **more):
        """What a request of these lines is answered with."""
        text = "\r\n".join(lines) + "\r\n\r\n"
        return edge.talk(self.real.http_port, text.encode(), **more)

    def said(self, code, message=None, path=CONFIG, **headers):
        """What is answered when the service says so."""
        self.service.code, self.service.message = code, message
        return self.scripted.call("GET", path, bearer=self.bearer, headers=headers)

    def not_modified(self):
        return self.ask(BUNDLE, If_None_Match=self.ask(BUNDLE).headers["ETag"])

    def slow(self):
        return self.talk("POST %s HTTP/1.1" % CHANGES, "Host: x", "Content-Type: application/json",
                         "Authorization: Bearer " + self.bearer, "Content-Length: 9")

    def large(self):
        return self.talk("POST %s HTTP/1.1" % CHANGES, "Host: x", "Content-Type: application/json",
                         "Content-Length: 99999999", end=True)

    def limited_soon(self):
        answer = self.limited.call("GET", CONFIG)
        for _ in range(20):
            if answer.status == 429:
                break
            answer = self.limited.call("GET", CONFIG)
        return answer

    def stopped(self):
        self.real.service.send_signal(signal.SIGSTOP)
        try:
            return self.ask(X_Request_Timeout="0.1")
        finally:
            self.real.service.send_signal(signal.SIGCONT)

    def causes(self):
        """For each status, what brings it about."""
        causes = {
            200: self.ask,
            202: lambda: self.upload(2, self.bearer),
            204: lambda: self.ask(method="OPTIONS"),
            206: lambda: self.ask(BUNDLE, **CONTAINER, Range="bytes=0-1"),
            304: self.not_modified,
            400: lambda: self.ask(CONFIG + "?nothing=1"),
            401: lambda: self.real.call("GET", CONFIG),
            403: lambda: self.upload(3, token("another")),
            404: lambda: self.ask("/nothing"),
            405: lambda: self.ask(method="DELETE"),
            408: self.slow,
            413: self.large,
            414: lambda: self.talk("GET /%s HTTP/1.1" % ("x" * 20000)),
            415: lambda: self.ask(CHANGES, "POST", b"x", Content_Type="text/plain"),
            416: lambda: self.ask(BUNDLE, **CONTAINER, Range="bytes=99999999-"),
            417: lambda: self.talk("GET / HTTP/1.1", "Host: x", "Expect: a miracle"),
            429: self.limited_soon,
            431: lambda: self.talk("GET / HTTP/1.1", "Host: x", "X: " + "x" * 40000),
            503: lambda: self.lonely.call("GET", CONFIG, bearer=self.bearer),
            504: self.stopped,
            505: lambda: self.talk("GET / HTTP/1.7", "Host: x"),
        }
        for status, code in CODES.items():
            causes[status] = lambda code=code: self.said(code)
        for status in SERVICES_OWN:
            causes[status] = lambda status=status: self.said(0, http_body(status), BUNDLE + "/x",
                                                             **CONTAINER)
        return causes

    @staticmethod
    def read(answer):
        """Status, headers as text, and body."""
        if isinstance(answer, harness.Answer):
            return answer.status, str(answer.headers), answer.body
        head, body = answer.split(b"\r\n\r\n", 1)
        return int(head[9:12]), head.decode(), body

    def check_error(self, status, headers, body, documented):
        self.assertRegex(headers, "(?i)content-type: application/json")
        if status == 408:  # nobody waits for the rest
            self.assertRegex(headers, "(?i)connection: close")
        error = json.loads(body)["error"]
        self.assertEqual(error["code"], status)
        self.assertGreater(len(error["message"]), 5)
        example = documented["content"]["application/json"]["example"]["error"]
        self.assertEqual(example["code"], status)
        self.assertEqual(example.keys(), error.keys())
        if status in OWN:
            for one in (error, example):
                for detail in one["details"]:
                    detail.pop("domain", None)
            self.assertEqual(error, example)

    def test_every_status_is_brought_about_and_documented(self):
        named, phrases = statuses_of_the_code()
        causes = self.causes()
        self.assertGreater(len(named), 20)
        self.assertEqual(named - phrases, set(), "they have no phrase")
        self.assertEqual(phrases, set(causes), "these, and only these, are brought about")
        errors = {status for status in causes if status >= 400} - set(SERVICES_OWN)
        self.assertEqual(statuses_of_the_document(), errors)
        responses = self.real.call("GET", "/openapi.json").json["components"]["responses"]
        for status, cause in sorted(causes.items()):
            with self.subTest(status=status):
                said, headers, body = self.read(cause())
                self.assertEqual(said, status, body[:1000])
                if status < 400 or status in SERVICES_OWN:
                    continue
                self.assertIn(str(status), responses)
                if status in WITHOUT_BODY:
                    self.assertEqual(body, b"")
                else:
                    self.check_error(status, headers, body, responses[str(status)])


if __name__ == "__main__":
    harness.main()
