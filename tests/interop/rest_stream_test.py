#!/usr/bin/env python3
"""Streams in JSON, every shape, before a service that is not ours: grpc-go's interop server, which
tools/setup --ci installs; without it the cases are skipped."""
import base64
import http.client
import json
import os
import shutil
import subprocess
import sys
import time
import unittest

sys.path.append(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "integration"))
import harness  # noqa: E402 pylint: disable=C0413
import interop_server  # noqa: E402 pylint: disable=C0413

SET = harness.binary("tests/interop/streams_descriptor.binpb")
LINES = {"Content-Type": "application/x-ndjson"}
NEEDS_CURL = unittest.skipUnless(shutil.which("curl"), "curl speaks HTTP/2")


def asked(*sizes):
    return {"responseParameters": [{"size": size} for size in sizes]}


def size_of(answer):
    return len(base64.b64decode(answer.get("payload", {}).get("body", "")))


def payload(size):
    return {"payload": {"body": base64.b64encode(bytes(size)).decode()}}


def lines(*messages):
    return "".join(json.dumps(message) + "\n" for message in messages).encode()


@interop_server.REQUIRED
class Streams(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server, port = interop_server.start()
        cls.stack = harness.Stack(gateway_flags=[
            "--descriptor-set", SET, "--upstream", "127.0.0.1:%d" % port])
        cls.stack.start_gateway()

    @classmethod
    def tearDownClass(cls):
        cls.stack.stop()
        cls.stack.discard()
        cls.server.kill()
        cls.server.wait()

    def call(self, path, body, **headers):
        return self.stack.call("POST", path, body, headers=headers)

    def command(self, path, *flags):
        return ["curl", "-sSN", "--http2-prior-knowledge", "-X", "POST", "-H",
                "Content-Type: application/x-ndjson",
                "http://127.0.0.1:%d%s" % (self.stack.http_port, path)] + list(flags)

    def curl(self, path, *flags):
        process = subprocess.Popen(self.command(path, "-T", ".", *flags), stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def read_one(self, process):
        """The next message of an answer that goes on."""
        text = b""
        while True:
            got = process.stdout.read(1)
            self.assertTrue(got, text)
            text = (text + got).lstrip(b"[,\n")
            try:
                return json.loads(text)
            except json.JSONDecodeError:
                continue

    def test_an_answer_comes_in_the_form_that_is_asked_for(self):
        answer = self.call("/v1/output", asked(3, 1))
        self.assertEqual(answer.headers["Content-Type"], "application/x-ndjson")
        self.assertEqual([size_of(json.loads(line)) for line in answer.body.splitlines()], [3, 1])
        answer = self.call("/v1/output", asked(3, 1), Accept="application/json")
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        self.assertEqual([size_of(one) for one in answer.json], [3, 1])
        answer = self.call("/v1/output", asked(3), Accept="text/event-stream")
        self.assertEqual(answer.headers["Content-Type"], "text/event-stream")
        answer = self.call("/v1/output", {}, Accept="application/json")
        self.assertEqual((answer.status, answer.json), (200, []))

    def test_a_request_of_many_messages_is_summed_up(self):
        body = lines(payload(3), payload(4)) + b"\n \r\n" + lines(payload(5)).rstrip()
        answer = self.call("/v1/input", body, **LINES)
        self.assertEqual((answer.status, answer.json), (200, {"aggregatedPayloadSize": 12}))
        answer = self.call("/v1/input", b"", **LINES)
        self.assertEqual((answer.status, answer.json), (200, {}))

    def test_lines_may_be_cut_anywhere(self):
        body = lines(payload(3), payload(4))
        for step in (1, 7, 50):
            client = http.client.HTTPConnection("127.0.0.1", self.stack.http_port, timeout=60)
            self.addCleanup(client.close)
            pieces = [body[at:at + step] for at in range(0, len(body), step)]
            client.request("POST", "/v1/input", iter(pieces), LINES, encode_chunked=True)
            answer = client.getresponse()
            self.assertEqual(json.loads(answer.read()), {"aggregatedPayloadSize": 7})

    def test_much_more_than_is_held_goes_through(self):
        message = lines(payload(100000))
        client = http.client.HTTPConnection("127.0.0.1", self.stack.http_port, timeout=60)
        self.addCleanup(client.close)
        client.request("POST", "/v1/input", iter([message] * 200), LINES, encode_chunked=True)
        self.assertEqual(json.loads(client.getresponse().read()),
                         {"aggregatedPayloadSize": 20000000})

    def test_a_line_at_fault_is_named(self):
        for bad, word in ((b'{"payload": 5}\n', "payload"), (b"{\n", "line 2"),
                          (b'{"nothing": 1}\n', "nothing")):
            answer = self.call("/v1/input", lines(payload(3)) + bad, **LINES)
            self.assertEqual(answer.status, 400, answer)
            self.assertIn(word, answer.json["error"]["message"])
            self.assertIn("line 2", answer.json["error"]["message"])

    def test_what_is_not_lines_is_refused(self):
        self.assertEqual(self.call("/v1/input", payload(1)).status, 415)
        self.assertEqual(self.call("/v1/input", b"x", **dict(
            LINES, **{"Content-Encoding": "gzip"})).status, 415)
        answer = self.call("/v1/duplex", lines(asked(1)), **LINES)
        self.assertEqual((answer.status, answer.json["error"]["status"]), (505, "UNIMPLEMENTED"))

    @NEEDS_CURL
    def test_both_ways_go_at_once(self):
        for accept in ("application/x-ndjson", "application/json"):
            process = self.curl("/v1/duplex", "-H", "Accept: " + accept)
            for size in (5, 1, 700):
                process.stdin.write(lines(asked(size)))
                process.stdin.flush()
                self.assertEqual(size_of(self.read_one(process)), size)
            process.stdin.close()
            rest = process.stdout.read()
            self.assertEqual(rest, b"]\n" if accept == "application/json" else b"\n")
            self.assertEqual(process.wait(60), 0)

    @NEEDS_CURL
    def test_an_error_behind_messages_is_told_in_band_and_by_trailer(self):
        for accept in ("application/x-ndjson", "application/json"):
            # curl prints trailers among the headers.
            command = self.command("/v1/duplex", "--data-binary", "@-", "-H", "Accept: " + accept,
                                   "-D", "/dev/stderr")
            status = {"responseStatus": {"code": 9, "message": "not yet"}}
            run = subprocess.run(command, input=lines(asked(2), status),
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                                 check=True)
            text = run.stdout.decode()
            answers = json.loads(text) if accept == "application/json" else \
                [json.loads(line) for line in text.splitlines()]
            self.assertEqual(size_of(answers[0]), 2)
            self.assertEqual(answers[1]["error"]["status"], "FAILED_PRECONDITION")
            self.assertIn(b"grpc-status: 9", run.stderr)
            self.assertIn(b"grpc-message: not yet", run.stderr)

    @NEEDS_CURL
    def test_a_client_that_goes_away_cancels_the_call(self):
        process = self.curl("/v1/duplex")
        process.stdin.write(lines(asked(2)))
        process.stdin.flush()
        self.assertTrue(process.stdout.read(1))
        process.kill()
        self.assertNotEqual(process.wait(), 0)
        deadline = time.monotonic() + interop_server.SECONDS_MAX
        while b"gateway_connections 0" not in self.stack.call("GET", "/metrics").body.replace(
                b"gateway_connections 1", b"gateway_connections 0"):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)


if __name__ == "__main__":
    harness.main()
