#!/usr/bin/env python3
"""The gateway before a service that is not ours, with that service's own descriptor set: grpc-go's
interop server, which tools/setup --ci installs; without it the cases are skipped."""
import base64
import json
import os
import shutil
import sys
import tempfile
import time
import unittest

sys.path.append(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "integration"))
import edge  # noqa: E402 pylint: disable=C0413
import harness  # noqa: E402 pylint: disable=C0413
import interop_server  # noqa: E402 pylint: disable=C0413

SET = harness.binary("tests/interop/annotated_descriptor.binpb")


@interop_server.REQUIRED
class Foreign(unittest.TestCase):
    server_flags = gateway_flags = ()

    @classmethod
    def setUpClass(cls):
        cls.server, port = interop_server.start(cls.server_flags)
        cls.stack = harness.Stack(gateway_flags=[
            "--descriptor-set", SET, "--upstream", "127.0.0.1:%d" % port,
            "--upstream-health-interval-ms", "100"] + list(cls.gateway_flags))
        cls.stack.start_gateway()

    @classmethod
    def tearDownClass(cls):
        cls.stack.discard()
        cls.server.kill()
        cls.server.wait()

    def call(self, method, path, body=None, **headers):
        return self.stack.call(method, path, body, headers=headers)

    def test_unary_calls_go_both_ways(self):
        answer = self.call("GET", "/v1/empty")
        self.assertEqual((answer.status, answer.json), (200, {}))
        answer = self.call("GET", "/v1/calls/5")
        self.assertEqual(base64.b64decode(answer.json["payload"]["body"]), bytes(5))
        answer = self.call("POST", "/v1/calls", {"responseSize": 314159,
                                                 "payload": {"body": "AAAA"}})
        self.assertEqual(len(base64.b64decode(answer.json["payload"]["body"])), 314159)

    def test_its_errors_come_as_they_are(self):
        answer = self.call("POST", "/v1/calls",
                           {"responseStatus": {"code": 9, "message": "not \u00fcber yet"}})
        self.assertEqual(answer.status, 400)
        self.assertEqual(answer.json["error"]["status"], "FAILED_PRECONDITION")
        self.assertEqual(answer.json["error"]["message"], "not \u00fcber yet")

    def test_a_stream_comes_as_lines(self):
        answer = self.call("POST", "/v1/streams",
                           {"responseParameters": [{"size": 3}, {"size": 1, "intervalUs": 1000}]})
        lines = [json.loads(line) for line in answer.body.splitlines()]
        self.assertEqual([len(base64.b64decode(line["payload"]["body"])) for line in lines], [3, 1])

    def test_it_is_well_without_the_health_service(self):
        time.sleep(0.5)  # some checks
        self.assertEqual(self.call("GET", "/readyz").status, 200)
        metrics = self.call("GET", "/metrics").body.decode()
        self.assertIn("gateway_upstream_check_failures_total{", metrics)
        for line in metrics.splitlines():
            if line.startswith("gateway_upstream_check_failures_total{"):
                self.assertTrue(line.endswith(" 0"), line)
            if line.startswith("gateway_upstream_up{"):
                self.assertFalse(line.endswith(" 0"), line)

    def test_nothing_of_another_service_shows(self):
        document = self.call("GET", "/openapi.json")
        self.assertEqual(document.json["info"]["title"], "TestService")
        texts = [document.body, self.call("GET", "/").body, self.call("GET", "/metrics").body]
        for answer in (self.call("GET", "/api/offline/config"), self.call("GET", "/v1/calls/x"),
                       self.call("POST", "/v1/calls", {"responseStatus": {"code": 16}})):
            self.assertIn(answer.status, (400, 401, 404))
            texts += [answer.body, str(answer.headers).encode()]
        self.assertEqual(answer.headers["WWW-Authenticate"], 'Bearer realm="TestService"')
        for text in texts:
            for word in (b"travelsense", b"sync", b"offline"):
                self.assertNotIn(word, text.lower())


class ForeignTls(Foreign):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="interop-", dir="/tmp")
        path = os.path.join(cls.folder, "server")
        edge.make_certificate(path)
        cls.server_flags = ("-use_tls", "-tls_cert_file", path + ".pem", "-tls_key_file",
                            path + ".key")
        cls.gateway_flags = ("--upstream-tls", "--upstream-ca", path + ".pem")
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.folder, ignore_errors=True)


if __name__ == "__main__":
    harness.main()
