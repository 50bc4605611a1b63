#!/usr/bin/env python3
"""The gateway in front of a service that is not ours, a Go program that knows no word of sync, with
that service's own descriptor set. tools/setup --ci builds it; without it the cases are skipped."""
import http.client
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.append(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "integration"))
import harness  # noqa: E402 pylint: disable=C0413

SERVICE = os.path.join(harness.ROOT, ".cache", "bin", "echo-service")
DESCRIPTORS = harness.binary("tests/gateway/sample_routes_descriptor.binpb")

# gRPC's codes and the HTTP status of each, by google/rpc/code.proto.
CODES = {
    1: (499, "CANCELLED"), 2: (500, "UNKNOWN"), 3: (400, "INVALID_ARGUMENT"),
    4: (504, "DEADLINE_EXCEEDED"), 5: (404, "NOT_FOUND"), 6: (409, "ALREADY_EXISTS"),
    7: (403, "PERMISSION_DENIED"), 8: (429, "RESOURCE_EXHAUSTED"),
    9: (400, "FAILED_PRECONDITION"), 10: (409, "ABORTED"), 11: (400, "OUT_OF_RANGE"),
    12: (501, "UNIMPLEMENTED"), 13: (500, "INTERNAL"), 14: (503, "UNAVAILABLE"),
    15: (500, "DATA_LOSS"), 16: (401, "UNAUTHENTICATED")}

NEEDS_CURL = unittest.skipUnless(shutil.which("curl"), "curl speaks HTTP/2")
NEEDS_GRPCURL = unittest.skipUnless(harness.grpcurl(), "grpcurl is not in .cache/bin "
                                    "(tools/setup --ci)")
SERVICE_NAME = "sample.routes.Routes/"
LINES, WEB = "application/x-ndjson", "application/grpc-web+proto"
MB = 1 << 20
# What clients may forge to be taken for others.
FORGED = (("X-Forwarded-For", "192.0.2.66"), ("x-forwarded-for", "198.51.100.66, 192.0.2.66"),
          ("Forwarded", "for=192.0.2.66;host=evil"), ("X-Forwarded-Host", "evil"),
          ("X-Forwarded-Proto", "https"), ("X-Real-IP", "192.0.2.66"),
          ("X-Client-IP", "192.0.2.66"), ("True-Client-IP", "192.0.2.66"),
          ("X-Forwarded-Client-Cert", "Hash=0;Subject=\"CN=admin\""))

# Method and address, body, and the answer: the request as the service saw it.
ECHOES = (
    ("GET", "/any/x?inner.below.size=3&colors=red&colors=COLOR_BLUE&colors=1", None,
     {"a": "x", "inner": {"below": {"size": 3}}, "colors": ["red", "blue", "red"]}),
    ("BREW", "/any/x", None, {"a": "x"}),
    ("TARGET", "/heads/x%2Fy", None, {"a": "x/y"}),
    ("GET", "/rest/x/y%2Fz:list", None, {"a": "x/y%2Fz"}),
    ("GET", "/rest", None, {}),
    ("GET", "/named/x/1/y/2", None, {"a": "x/1/y/2"}),
    ("GET", "/deep/x/1/y/2", None, {"b": "2", "inner": {"below": {"name": "x/1/y"}}}),
    ("POST", "/body/numbers/x?b=y", [1, 2], {"a": "x", "b": "y", "numbers": [1, 2]}),
    ("POST", "/body/map", {"k": "v"}, {"map": {"k": "v"}}),
    ("POST", "/body/flag", True, {"flag": True}),
    ("POST", "/body/value", [{"deep": None}], {"value": [{"deep": None}]}),
    ("POST", "/body/all/x", {"inner": {"name": "other"}, "span": "1.5s"},
     {"inner": {"name": "x"}, "span": "1.500s"}),
    ("PATCH", "/body/inner/x", {"below": {"size": 2}, "counts": {"k": 1}},
     {"inner": {"name": "x", "below": {"size": 2}, "counts": {"k": 1}},
      "updateMask": "below.size,counts"}),
    ("GET", "/any/x?leftSide=9007199254740993&data=-_8&time=2026-01-02T03:04:05Z", None,
     {"a": "x", "leftSide": "9007199254740993", "data": "+/8=", "time": "2026-01-02T03:04:05Z"}),
    ("GET", "/part/x?inner.tags=1&inner.tags=2", None, {"tags": ["1", "2"]}),
    ("GET", "/part/x", None, {}),
    ("GET", "/numbers?numbers=1&numbers=2", None, [1, 2]),
)


def reason_of(error):
    """The stable word of an error, which this service's own set could not show."""
    detail = error["details"][0]
    return detail.get("reason") or detail["fieldViolations"][0]["reason"]


def grpc_framed(message):
    return struct.pack(">BI", 0, len(message)) + message


@unittest.skipUnless(os.path.exists(SERVICE), "the echo service is not in .cache/bin "
                     "(tools/setup --ci)")
class Generic(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="generic-", dir="/tmp")
        cls.http_port, cls.grpc_port = harness.free_port(), harness.free_port()
        cls.processes = []
        cls.addClassCleanup(cls.end)
        upstream = "127.0.0.1:%d" % cls.grpc_port
        cls.told = os.path.join(cls.folder, "told")
        service = subprocess.Popen([SERVICE, DESCRIPTORS, upstream, cls.told],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        cls.processes.append(service)
        assert service.stdout.readline() == b"ready\n"
        ready = os.path.join(cls.folder, "ready")
        cls.processes.append(subprocess.Popen(
            [harness.binary("gateway/sync_gateway"), "--descriptor-set", DESCRIPTORS,
             "--upstream", upstream, "--http", "127.0.0.1:%d" % cls.http_port,
             "--upstream-health-interval-ms", "0",  # a check is a call that is noted as well
             "--title", "Echo", "--ready-file", ready], stdin=subprocess.DEVNULL))
        deadline = time.monotonic() + harness.START_SECONDS
        while not os.path.exists(ready):
            assert time.monotonic() < deadline and cls.processes[-1].poll() is None
            time.sleep(0.01)

    @classmethod
    def end(cls):
        for process in cls.processes:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()
        shutil.rmtree(cls.folder)

    def call(self, method, address, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=60)
        try:
            connection.request(method, address, body, headers or {})
            response = connection.getresponse()
            return harness.Answer(response, response.read())
        finally:
            connection.close()

    def test_requests_arrive_as_their_rules_say(self):
        for method, address, body, wanted in ECHOES:
            with self.subTest(method=method, address=address):
                text = None if body is None else json.dumps(body).encode()
                answer = self.call(method, address, text, {"Content-Type": "application/json"})
                self.assertEqual(answer.status, 200, answer)
                self.assertEqual(answer.json, wanted)

    def test_raw_bodies_pass_both_ways(self):
        raw = bytes(range(256)) * 1000
        for method, address in (("POST", "/files"), ("PUT", "/files/x")):
            answer = self.call(method, address, raw, {"Content-Type": "image/x-raw"})
            self.assertEqual(answer.status, 200, answer)
            self.assertEqual(answer.headers["Content-Type"], "image/x-raw")
            self.assertEqual(answer.body, raw)

    def test_streams_come_in_the_form_asked_for(self):
        path = "/watch/x?numbers=1&numbers=2&numbers=3"
        message = {"a": "x", "numbers": [1, 2, 3]}
        lines = self.call("GET", path, headers={"Accept": "application/x-ndjson"})
        self.assertEqual([json.loads(line) for line in lines.body.splitlines()], [message] * 3)
        events = self.call("GET", path, headers={"Accept": "text/event-stream"})
        data = [line[6:] for line in events.body.splitlines() if line.startswith(b"data: ")]
        self.assertEqual([json.loads(line) for line in data], [message] * 3)
        pieces = self.call("GET", "/files/x?numbers=1&numbers=2")
        self.assertEqual(pieces.headers["Content-Type"], "text/plain")
        self.assertEqual(pieces.body.count(b'a:'), 2)

    def test_every_code_has_its_status_and_body(self):
        for code, (status, name) in CODES.items():
            with self.subTest(name=name):
                answer = self.call("GET", "/fail/%d" % code)
                self.assertEqual(answer.status, status, answer)
                self.assertEqual(answer.headers["Content-Type"], "application/json")
                error = answer.json["error"]
                self.assertEqual((error["code"], error["status"]), (status, name))
                wanted = "internal error" if status == 500 else "asked for %d" % code
                self.assertIn(wanted, error["message"])
                self.assertEqual("WWW-Authenticate" in answer.headers, status == 401)
                self.assertEqual("Retry-After" in answer.headers, status in (429, 503))

    def test_refusals_are_json_and_never_reach_the_service(self):
        for method, address, headers, status, reason in (
                ("GET", "/nowhere", {}, 404, "NO_SUCH_PATH"),
                ("POST", "/rest/x", {}, 405, "METHOD_NOT_ALLOWED"),
                ("GET", "/any/x?nothing=1", {}, 400, "UNKNOWN_FIELD"),
                ("GET", "/any/%ff", {}, 400, "MALFORMED_PATH"),
                ("POST", "/body/flag", {"Content-Type": "text/plain"}, 415, "CONTENT_TYPE")):
            with self.subTest(address=address):
                answer = self.call(method, address, b"true" if method == "POST" else None, headers)
                self.assertEqual(answer.status, status, answer)
                self.assertEqual(answer.json["error"]["code"], status)
                self.assertEqual(reason_of(answer.json["error"]), reason)

    def curl(self, address, *flags, kind=LINES):
        """curl over HTTP/2, whose body is what it is given, as it is given."""
        process = subprocess.Popen(
            ["curl", "-sSN", "--http2-prior-knowledge", "-X", "POST", "-H", "Content-Type: " + kind,
             "http://127.0.0.1:%d%s" % (self.http_port, address), "-T", ".", *flags],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def grpcurl(self, method, text, *flags):
        """The messages of an answer, and what is said of its end."""
        run = subprocess.run(
            [harness.grpcurl(), "-plaintext", "-protoset", DESCRIPTORS, *flags, "-d", "@",
             "127.0.0.1:%d" % self.http_port, SERVICE_NAME + method], input=text, text=True,
            capture_output=True, timeout=60, check=False)
        messages, decoder, rest = [], json.JSONDecoder(), run.stdout.strip()
        while rest:
            message, size = decoder.raw_decode(rest)
            messages.append(message)
            rest = rest[size:].strip()
        return messages, run.stderr

    def test_a_streamed_request_arrives_whole(self):
        lines = b'{"numbers": [1]}\n\n{"b": "y", "numbers": [2, 3]}'
        wanted = {"a": "x", "b": "y", "numbers": [1, 2, 3]}
        answer = self.call("POST", "/collect/x", lines, {"Content-Type": LINES})
        self.assertEqual((answer.status, answer.json), (200, wanted))
        body = grpc_framed(b"\x22\x01\x01") + grpc_framed(b"\x22\x02\x02\x03")
        answer = self.call("POST", "/" + SERVICE_NAME + "Collect", body, {"Content-Type": WEB})
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.body.startswith(grpc_framed(b"\x22\x03\x01\x02\x03")))
        self.assertIn(b"grpc-status: 0", answer.body)

    @NEEDS_CURL
    def test_lines_go_both_ways_at_once(self):
        process = self.curl("/talk/x")
        for number in range(3):
            process.stdin.write(b'{"numbers": [%d]}\n' % number)
            process.stdin.flush()
            self.assertEqual(json.loads(process.stdout.readline()),
                             {"a": "x", "numbers": [number]})
        process.stdin.close()
        self.assertEqual((process.stdout.read(), process.wait()), (b"", 0))

    @NEEDS_CURL
    def test_an_error_midway_is_the_last_line(self):
        process = self.curl("/fail-midway")
        process.stdin.write(b'{"a": "1"}\n')
        process.stdin.flush()
        self.assertEqual(json.loads(process.stdout.readline()), {"a": "1"})
        process.stdin.write(b'{"longValue": "9"}\n')
        process.stdin.flush()
        error = json.loads(process.stdout.readline())["error"]
        self.assertEqual((error["code"], error["status"]), (400, "FAILED_PRECONDITION"))

    @NEEDS_GRPCURL
    def test_grpc_streams_every_way(self):
        two = '{"a": "1", "numbers": [1]} {"a": "2", "numbers": [2]}'
        self.assertEqual(self.grpcurl("Collect", two), ([{"a": "2", "numbers": [1, 2]}], ""))
        self.assertEqual(self.grpcurl("Talk", two), ([{"a": "1", "numbers": [1]},
                                                      {"a": "2", "numbers": [2]}], ""))
        self.assertEqual(self.grpcurl("Watch", '{"a": "1", "numbers": [7, 8]}'),
                         ([{"a": "1", "numbers": [7, 8]}] * 2, ""))
        messages, said = self.grpcurl("FailMidway", '{"a": "1"} {"longValue": "9"} {"a": "3"}')
        self.assertEqual(messages, [{"a": "1"}])
        self.assertIn("Code: FailedPrecondition", said)
        self.assertIn("Message: asked for 9", said)

    def test_grpc_web_goes_both_ways_at_once_even_over_http_1(self):
        client = socket.create_connection(("127.0.0.1", self.http_port), 60)
        self.addCleanup(client.close)
        client.sendall(("POST /%sTalk HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\n"
                        "Transfer-Encoding: chunked\r\n\r\n" % (SERVICE_NAME, WEB)).encode())
        got = b""
        for name in (b"1", b"2"):
            message = grpc_framed(b"\x0a\x01" + name)
            client.sendall(b"%x\r\n%s\r\n" % (len(message), message))
            while message not in got:
                part = client.recv(4096)
                self.assertTrue(part, got)
                got += part
        client.sendall(b"0\r\n\r\n")
        while b"grpc-status: 0" not in got:
            part = client.recv(4096)
            self.assertTrue(part, got)
            got += part

    @NEEDS_CURL
    def test_a_line_of_40_mb_is_refused_within_bounds(self):
        before = self.memory()
        process = self.curl("/collect/x", "-w", "%{http_code}")
        try:
            process.stdin.write(b'{"a": "')
            for _ in range(40):
                process.stdin.write(b"x" * MB)
            process.stdin.close()
        except BrokenPipeError:
            pass
        said = process.stdout.read()
        self.assertEqual(said[-3:], b"413")
        self.assertEqual(reason_of(json.loads(said[:-3])["error"]), "BODY_TOO_LARGE")
        pieces = iter([b'{"a": "'] + [b"x" * MB] * 40)
        client = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=60)
        self.addCleanup(client.close)
        try:
            client.request("POST", "/collect/x", pieces, {"Content-Type": LINES},
                           encode_chunked=True)
        except (BrokenPipeError, ConnectionResetError):
            pass
        self.assertEqual(client.getresponse().status, 413)
        if not self.is_sanitized():
            self.assertLess(self.memory() - before, 128 * MB)

    def is_sanitized(self):
        """Whether a sanitizer holds on to memory that the gateway has given back."""
        with open("/proc/%d/maps" % self.processes[-1].pid, encoding="ascii") as maps:
            return "san.so" in maps.read()

    def memory(self):
        """The most that the gateway has ever held, in bytes."""
        with open("/proc/%d/status" % self.processes[-1].pid, encoding="ascii") as file:
            lines = [line.split() for line in file if line.startswith("VmHWM")]
        return int(lines[0][1]) * 1024

    def last_told(self):
        with open(self.told, encoding="utf-8") as file:
            return json.loads(file.readlines()[-1])

    def check_told(self):
        """Of the last call's client the service was told what the gateway knows, and no more."""
        told = self.last_told()
        self.assertEqual(told["x-forwarded-for"], ["127.0.0.1"])
        for name, _ in FORGED[2:]:
            self.assertNotIn(name.lower(), told)
        self.assertNotIn("66", json.dumps(told.get("x-forwarded-for")))
        self.assertNotIn("evil", json.dumps(told))
        self.assertNotIn("admin", json.dumps(told))

    @NEEDS_CURL
    @NEEDS_GRPCURL
    def test_nobody_speaks_as_another(self):
        flags = [part for header in FORGED for part in ("-H", "%s: %s" % header)]
        head = "".join("%s: %s\r\n" % header for header in FORGED)
        with socket.create_connection(("127.0.0.1", self.http_port), 60) as client:
            client.sendall(("GET /any/1 HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n%s\r\n" %
                            head).encode())
            self.assertTrue(client.recv(65536).startswith(b"HTTP/1.1 200"))
        self.check_told()
        run = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", *flags, "-H", "Host: evil",
                              "http://127.0.0.1:%d/any/2" % self.http_port], capture_output=True,
                             timeout=60, check=True)
        self.assertEqual(json.loads(run.stdout), {"a": "2"})
        self.check_told()
        self.assertEqual(self.grpcurl("Any", '{"a": "3"}', *flags, "-authority", "evil"),
                         ([{"a": "3"}], ""))
        self.check_told()
        body = grpc_framed(b"\x0a\x014")
        with socket.create_connection(("127.0.0.1", self.http_port), 60) as client:
            client.sendall(("POST /%sAny HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n"
                            "Content-Type: %s\r\nContent-Length: %d\r\n%s\r\n" %
                            (SERVICE_NAME, WEB, len(body), head)).encode() + body)
            self.assertTrue(client.recv(65536).startswith(b"HTTP/1.1 200"))
        self.check_told()

    def test_the_service_is_described(self):
        document = self.call("GET", "/openapi.json").json
        self.assertEqual(document["info"]["title"], "Echo")
        self.assertIn("/deep/{inner.below.name}/{b}", document["paths"])
        self.assertNotIn("travelsense", json.dumps(document["paths"]).replace(
            "gateway.travelsense", ""))


if __name__ == "__main__":
    harness.main()
