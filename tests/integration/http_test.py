#!/usr/bin/env python3
"""The edge: health, metrics, OpenAPI, HTTP/2, TLS, keep-alive and pipelining."""
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
import unittest

import edge
import harness
from harness import Case, change
from raw_http2 import HEADERS, RawClient

CURL, NODE = shutil.which("curl"), shutil.which("node")


class HeadClient(RawClient):
    """Keeps the heads of answers, compressed, by their streams."""

    def __init__(self, port):
        super().__init__(port)
        self.heads = {}

    def _take_frame(self, kind, flags, stream, payload):
        if kind == HEADERS:
            self.heads.setdefault(stream, payload)
        super()._take_frame(kind, flags, stream, payload)

    def head_of(self, path):
        """The head of the answer to a GET."""
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        self.send_headers(stream, [(":method", "GET"), (":scheme", "http"), (":path", path),
                                   (":authority", "raw")], end=True)
        while not self.has_ended(stream):
            self.take(1)
        return self.heads[stream]


class Http(Case):
    @classmethod
    def setUpClass(cls):
        cls.stack = harness.Stack(cls.service_flags)
        cls.certificate = cls.stack.path("cert.pem")
        key = cls.stack.path("key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                        "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
                        "-keyout", key, "-out", cls.certificate], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        cls.https_port = harness.free_port()
        cls.stack.gateway_flags = ["--https", "127.0.0.1:%d" % cls.https_port, "--cert",
                                   cls.certificate, "--key", key, "--threads", "0"]
        cls.stack.start()

    def test_health_and_readiness(self):
        for path in ("/healthz", "/readyz"):
            self.assertEqual(self.stack.call("GET", path).status, 200)

    def test_not_ready_while_the_service_is_away(self):
        self.stack.kill_service()
        try:
            self.assertEqual(self.stack.call("GET", "/healthz").status, 200)
            self.assertEqual(self.stack.call("GET", "/readyz").status, 503)
            answer = self.get("/api/offline/config")
            self.expect_error(answer, 503, "UNAVAILABLE")
        finally:
            self.stack.start_service()
        self.expect(self.get("/api/offline/config"), 200)
        self.assertEqual(self.stack.call("GET", "/readyz").status, 200)

    def test_by_default_there_is_a_loop_for_two_cores(self):
        folder = "/proc/%d/task" % self.stack.gateway.pid
        names = []
        for thread in os.listdir(folder):
            with open(os.path.join(folder, thread, "comm"), encoding="ascii") as file:
                names.append(file.read().strip())
        self.assertEqual(names.count("gateway-loop"), min(max(os.cpu_count() // 2, 1), 2), names)

    def test_a_later_answer_over_http2_repeats_no_names(self):
        client = HeadClient(self.stack.http_port)
        self.addCleanup(client.close)
        self.assertGreater(len(client.head_of("/healthz")), 80)
        # The id, its Huffman code of at most 6 bits a character; the others' numbers and digits.
        size_max, begun = 36 * 6 // 8 + 16, int(time.time())
        longer = [len(client.head_of("/healthz")) >= size_max for _ in range(50)]
        # A new second brings a new date.
        self.assertLessEqual(sum(longer), int(time.time()) - begun + 1)

    def test_metrics_are_prometheus_text(self):
        self.get("/api/offline/config")
        answer = self.stack.call("GET", "/metrics")
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.headers["Content-Type"].startswith("text/plain"))
        for line in answer.body.decode().splitlines():
            self.assertRegex(line, r"^(# (HELP|TYPE) .+|[a-zA-Z_:][\w:]*(\{.*\})? [-+.\w]+)$")
        self.assertIn("gateway_http_requests_total", answer.body.decode())

    def test_openapi_names_every_documented_path(self):
        answer = self.stack.call("GET", "/openapi.json")
        self.assertEqual(answer.status, 200)
        document = answer.json
        self.assertRegex(document["openapi"], r"^3\.")
        for path, method in (("/api/offline/config", "get"), ("/api/offline/config", "patch"),
                             ("/api/offline/sync", "post"), ("/api/offline/bundle", "get"),
                             ("/api/offline/changes", "post"),
                             ("/api/offline/conflicts/resolve", "post")):
            self.assertIn(method, document["paths"][path])
        status = [path for path in document["paths"]
                  if re.fullmatch(r"/api/offline/sync/\{\w+\}", path)]
        self.assertEqual(len(status), 1)
        self.assertIn("202", document["paths"]["/api/offline/changes"]["post"]["responses"])

    def test_what_a_client_has_of_the_documentation_is_not_sent_again(self):
        for path in ("/openapi.json", "/docs", "/docs/docs_page.js", "/docs/docs_page.css"):
            for coding in ("identity", "gzip"):
                with self.subTest(path, coding=coding):
                    headers = {"Accept-Encoding": coding}
                    whole = self.stack.call("GET", path, headers=headers)
                    self.assertEqual(whole.status, 200)
                    self.assertEqual(whole.headers["ETag"].startswith("W/"),
                                     whole.headers["Content-Encoding"] == "gzip")
                    headers["If-None-Match"] = whole.headers["ETag"]
                    again = self.stack.call("GET", path, headers=headers)
                    self.assertEqual((again.status, again.body), (304, b""))
                    self.assertEqual(again.headers["ETag"], whole.headers["ETag"])

    def test_a_timeout_that_is_none_is_refused(self):
        for name, values in (("X-Request-Timeout", ("soon", "-1", "1s", "NaN")),
                             ("grpc-timeout", ("soon", "1", "-1S", "123456789S"))):
            for value in values:
                with self.subTest(name, value=value):
                    answer = self.call("GET", "/api/offline/config", headers={name: value})
                    self.expect_error(answer, 400, "INVALID_ARGUMENT", name.lower())

    def test_the_documentation_page_needs_nothing_from_elsewhere(self):
        self.assertEqual(self.stack.call("GET", "/").json["links"]["docs"], "/docs")
        page = self.stack.call("GET", "/docs")
        self.assertEqual(page.status, 200)
        self.assertEqual(page.headers["Content-Type"], "text/html; charset=utf-8")
        self.assertIn("default-src 'none'", page.headers["Content-Security-Policy"])
        text = page.body.decode()
        self.assertNotRegex(text, r"(src|href)=.(https?:)?//")
        self.assertNotRegex(text, r"<script>|<style>|style=|onclick=")
        types = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
        links = re.findall(r'(?:src|href)="(/docs/[^"]+)"', text)
        self.assertEqual(len(links), len(types))
        for link in links:
            part = self.stack.call("GET", link)
            self.assertEqual(part.status, 200)
            self.assertEqual(part.headers["Content-Type"], types[link.rsplit(".", 1)[1]])
            self.assertNotRegex(part.body.decode(), r"https?://|@import|\burl\(")
        self.assertEqual(self.stack.call("POST", "/docs", b"").headers["Allow"],
                         "GET, HEAD, OPTIONS")

    @unittest.skipUnless(NODE, "node is not installed")
    def test_the_documentation_page_words_what_values_may_be(self):
        script = self.stack.call("GET", "/docs/docs_page.js").body.decode()
        functions = re.findall(r"^function (?:describe|limits)\(.*?^}$", script, re.M | re.S)
        self.assertEqual(len(functions), 2)
        listed = {"type": "array", "maxItems": 9, "items": {"enum": ["full", "delta", 0, 1, None]}}
        text = {"type": "string", "maxLength": 8, "x-maxBytes": 8, "pattern": "^a$"}
        ask = "\nconsole.log(JSON.stringify([%s].map(one => describe(one) + ': ' + limits(one))))"
        run = subprocess.run([NODE, "-e", "\n".join(functions) + ask % ", ".join(
            json.dumps(one) for one in (listed, text, {"enum": [1, 2]}))], capture_output=True,
                             text=True, timeout=60, check=True)
        self.assertEqual(json.loads(run.stdout), [
            "list of values: 0 to 9 items; one of full, delta",
            "string: 0 to 8 bytes; matches ^a$", ": one of 1, 2"])

    def test_pipelined_requests_are_answered_in_order(self):
        one = ("GET /api/offline/config?%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
               + self.bearer + "\r\n%s\r\n")
        with socket.create_connection(("127.0.0.1", self.stack.http_port), timeout=30) as client:
            client.sendall((one % ("", "") + one % ("bad=1", "") +
                            one % ("", "Connection: close\r\n")).encode())
            answer = b""
            while True:
                part = client.recv(65536)
                if not part:
                    break
                answer += part
        self.assertEqual(re.findall(rb"HTTP/1\.1 (\d+)", answer), [b"200", b"400", b"200"])

    def test_thousands_of_pipelined_requests_are_answered_one_by_one(self):
        count = 3000
        data = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * (count - 1) + (
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        trusting = ssl.create_default_context(cafile=self.certificate)
        for port, secure in ((self.stack.http_port, None), (self.https_port, trusting)):
            with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
                if secure:
                    client = secure.wrap_socket(client, server_hostname="localhost")
                answer = edge.pump(client, data)
                client.close()
            self.assertEqual(answer.count(b"HTTP/1.1 200 OK\r\n"), count)

    def test_a_request_byte_by_byte(self):
        request = ("GET /api/offline/config HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                   "Authorization: Bearer %s\r\n\r\n" % self.bearer).encode()
        with socket.create_connection(("127.0.0.1", self.stack.http_port), timeout=30) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in request:
                client.sendall(bytes([byte]))
            self.assertTrue(client.recv(65536).startswith(b"HTTP/1.1 200"))

    def test_a_body_in_chunks_is_read(self):
        body = json.dumps({"changes": [change(1)], "deviceId": self.phone}).encode()
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[at:at + 7]), body[at:at + 7])
                          for at in range(0, len(body), 7)) + b"0\r\n\r\n"
        head = ("POST /api/offline/changes HTTP/1.1\r\nHost: x\r\nContent-Type: application/json"
                "\r\nTransfer-Encoding: chunked\r\nAuthorization: Bearer %s\r\n\r\n" % self.bearer)
        with socket.create_connection(("127.0.0.1", self.stack.http_port), timeout=30) as client:
            client.sendall(head.encode() + chunks)
            self.assertTrue(client.recv(65536).startswith(b"HTTP/1.1 202"))
        self.assertEqual(len(self.records()), 1)

    @unittest.skipUnless(CURL, "curl is not installed")
    def test_http2_in_the_clear_and_over_tls(self):
        for url, extra in (("http://127.0.0.1:%d" % self.stack.http_port,
                            ["--http2-prior-knowledge"]),
                           ("https://127.0.0.1:%d" % self.https_port,
                            ["--http2", "--cacert", self.certificate]),
                           ("https://127.0.0.1:%d" % self.https_port,
                            ["--http1.1", "--cacert", self.certificate])):
            command = [CURL, "-s", "-S", "-o", self.stack.path("out"), "-w",
                       "%{http_version} %{http_code}", "-H", "Authorization: Bearer " + self.bearer]
            run = subprocess.run(command + extra + [url + "/api/offline/config"], text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
            expected = "1.1 200" if "--http1.1" in extra else "2 200"
            self.assertEqual(run.stdout, expected, run.stderr)

    def test_a_client_that_rules_identity_out_gets_another_coding(self):
        for accept, coding in (("identity;q=0, gzip", "gzip"), ("zstd;q=0.5, *;q=0", "zstd"),
                               ("gzip", None), ("gzip;q=0, zstd;q=0", None)):
            answer = self.call("GET", "/none", headers={"Accept-Encoding": accept})
            self.assertEqual((answer.status, answer.headers["Content-Encoding"]), (404, coding))
            if coding:
                self.assertIn("accept-encoding", answer.headers["Vary"])

    def test_tls_below_1_2_is_refused(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        with socket.create_connection(("127.0.0.1", self.https_port), timeout=30) as plain:
            with self.assertRaises((ssl.SSLError, ConnectionError)):
                context.wrap_socket(plain)

    def test_programs_explain_themselves(self):
        for name in ("service/sync_service", "gateway/sync_gateway"):
            for flag, word in (("--help", "--ready-file"), ("--version", ".")):
                run = subprocess.run([harness.binary(name), flag], stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, text=True, check=False)
                self.assertEqual(run.returncode, 0, run.stderr)
                self.assertIn(word, run.stdout)
            run = subprocess.run([harness.binary(name), "--no-such-flag"], text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
            self.assertNotEqual(run.returncode, 0)
            self.assertIn("no-such-flag", run.stderr)

    def test_a_configuration_is_checked_without_serving(self):
        for name, good, bad in (
                ("service/sync_service", ["--data", self.stack.path("none"), "--threads", "3"],
                 ["--threads", "many"]),
                ("gateway/sync_gateway", ["--upstream", "unix:/none", "--http", "127.0.0.1:0"],
                 ["--http", "nonsense"])):
            for flags, fails in ((good, False), (good + bad, True)):
                with self.subTest(name=name, flags=flags):
                    run = subprocess.run([harness.binary(name), "--check-config"] + flags,
                                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                         timeout=60, check=False)
                    self.assertEqual(run.returncode != 0, fails, run.stderr)
                    if fails:
                        self.assertIn(flags[-1], run.stderr)
                        self.assertEqual(run.stderr.count("\n"), 1, run.stderr)
                    else:
                        self.assertIn("%s = %s" % (flags[-2][2:], flags[-1]), run.stdout)
        self.assertFalse(os.path.exists(self.stack.path("none")))

    def test_a_busy_port_is_one_clear_line(self):
        with socket.socket() as busy:
            busy.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            port = harness.free_port()
            busy.bind(("127.0.0.1", port))
            busy.listen()
            run = subprocess.run(
                [harness.binary("gateway/sync_gateway"), "--upstream",
                 "unix:" + os.path.join(self.stack.folder, "sync.sock"), "--http",
                 "127.0.0.1:%d" % port], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, timeout=60, check=False)
        self.assertNotEqual(run.returncode, 0)
        self.assertIn(str(port), run.stdout)


if __name__ == "__main__":
    harness.main()
