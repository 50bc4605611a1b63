#!/usr/bin/env python3
"""The gateway in front of a service that is not ours, a Go program that knows no word of sync, with
that service's own descriptor set. tools/setup --ci builds it; without it the cases are skipped."""
import http.client
import json
import os
import shutil
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
        service = subprocess.Popen([SERVICE, DESCRIPTORS, upstream], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE)
        cls.processes.append(service)
        assert service.stdout.readline() == b"ready\n"
        ready = os.path.join(cls.folder, "ready")
        cls.processes.append(subprocess.Popen(
            [harness.binary("gateway/sync_gateway"), "--descriptor-set", DESCRIPTORS,
             "--upstream", upstream, "--http", "127.0.0.1:%d" % cls.http_port,
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
        for method, address, headers, status in (
                ("GET", "/nowhere", {}, 404), ("POST", "/rest/x", {}, 405),
                ("GET", "/any/x?nothing=1", {}, 400), ("GET", "/any/%ff", {}, 400),
                ("POST", "/body/flag", {"Content-Type": "text/plain"}, 415)):
            with self.subTest(address=address):
                answer = self.call(method, address, b"true" if method == "POST" else None, headers)
                self.assertEqual(answer.status, status, answer)
                self.assertEqual(answer.json["error"]["code"], status)

    def test_the_service_is_described(self):
        document = self.call("GET", "/openapi.json").json
        self.assertEqual(document["info"]["title"], "Echo")
        self.assertIn("/deep/{inner.below.name}/{b}", document["paths"])
        self.assertNotIn("travelsense", json.dumps(document["paths"]).replace(
            "gateway.travelsense", ""))


if __name__ == "__main__":
    harness.main()
