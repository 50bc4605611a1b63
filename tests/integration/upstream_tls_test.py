#!/usr/bin/env python3
"""Backends that the gateway speaks TLS to: they must be who they are said to be."""
import contextlib
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import unittest

import edge
import harness
from harness import Stack, token

# An empty SETTINGS frame: the first word of an HTTP/2 server.
SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
HANG_SECONDS = 60


class Server:
    """A TLS server that greets as HTTP/2 does, and then only reads."""

    def __init__(self, cert, protocols=("h2",), client_ca=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert + ".pem", cert + ".key")
        self.context.set_alpn_protocols(list(protocols))
        if client_ca:
            self.context.load_verify_locations(client_ca)
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port = self.listener.getsockname()[1]
        self.clients, self.streams, self.read = [], [], b""
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                plain, _ = self.listener.accept()
                threading.Thread(target=self.speak, args=(plain,), daemon=True).start()

    def speak(self, plain):
        with contextlib.suppress(OSError), self.context.wrap_socket(plain, server_side=True) as tls:
            self.clients.append(tls.getpeercert())
            self.streams.append(tls)
            tls.sendall(SETTINGS)
            while True:
                some = tls.recv(4096)
                if not some:
                    break
                self.read += some

    def cut(self):
        """Ends the connections there are."""
        for tls in self.streams:
            with contextlib.suppress(OSError):
                tls.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@unittest.skipUnless(shutil.which("openssl"), "openssl makes the certificates")
class UpstreamTls(unittest.TestCase):
    def setUp(self):
        self.front = Stack()
        self.addCleanup(self.front.discard)
        self.cert = self.certificate("localhost", "DNS:localhost,IP:127.0.0.1")

    def certificate(self, name, names=None):
        """Makes a certificate that vouches for itself; its path without the ending."""
        path = self.front.path(name)
        edge.make_certificate(path, name, names or "DNS:" + name)
        return path

    def serve(self, cert=None, **more):
        server = Server(cert or self.cert, **more)
        self.addCleanup(server.close)
        return server

    def gateway(self, *flags):
        self.front.gateway_flags = ["--threads", "1", "--upstream-sessions", "1",
                                    "--upstream-health-interval-ms", "0"] + list(flags)
        self.front.start_gateway()

    def sessions(self):
        text = self.front.call("GET", "/metrics").body.decode()
        return sum(float(value) for value in re.findall(
            r"^gateway_upstream_sessions\{.*\} (\S+)$", text, re.M))

    def connects(self):
        text = self.front.call("GET", "/metrics").body.decode()
        return sum(float(value) for value in re.findall(
            r"^gateway_upstream_connects_total\{.*\} (\S+)$", text, re.M))

    def until(self, what):
        deadline = time.monotonic() + harness.START_SECONDS
        while not what():
            self.assertLess(time.monotonic(), deadline, self.front.log("gateway/sync_gateway"))
            time.sleep(0.02)

    def expect_refused(self):
        """The gateway tries, and tries again, and is never content."""
        self.until(lambda: self.connects() >= 3)
        self.assertEqual(self.sessions(), 0)
        answer = self.front.call("GET", "/api/offline/config", bearer=token("tls"),
                                 timeout=HANG_SECONDS)
        self.assertEqual(answer.status, 503, answer)
        self.assertEqual(answer.headers["Retry-After"], "1")

    def test_a_backend_is_known_by_name_or_number(self):
        for host in ("localhost", "127.0.0.1"):
            with self.subTest(host=host):
                server = self.serve()
                self.gateway("--upstream", "%s:%d" % (host, server.port), "--upstream-tls",
                             "--upstream-ca", self.cert + ".pem")
                self.until(lambda: self.sessions() == 1)
                self.until(lambda: b"PRI * HTTP/2.0" in server.read)
                self.front.stop()

    def test_a_backend_by_another_name_is_refused(self):
        server = self.serve(self.certificate("other.test"))
        self.gateway("--upstream", "127.0.0.1:%d" % server.port, "--upstream-tls", "--upstream-ca",
                     self.front.path("other.test.pem"))
        self.expect_refused()

    def test_a_backend_that_nobody_vouches_for_is_refused(self):
        server = self.serve()
        self.gateway("--upstream", "127.0.0.1:%d" % server.port, "--upstream-tls", "--upstream-ca",
                     self.certificate("stranger.test") + ".pem")
        self.expect_refused()

    def test_a_backend_without_http2_is_refused(self):
        server = self.serve(protocols=("http/1.1",))
        self.gateway("--upstream", "127.0.0.1:%d" % server.port, "--upstream-tls", "--upstream-ca",
                     self.cert + ".pem")
        self.expect_refused()

    def test_the_gateway_shows_its_own_certificate(self):
        own = self.certificate("gateway.test")
        server = self.serve(client_ca=own + ".pem")
        self.gateway("--upstream", "127.0.0.1:%d" % server.port, "--upstream-tls", "--upstream-ca",
                     self.cert + ".pem", "--upstream-cert", own + ".pem", "--upstream-key",
                     own + ".key")
        self.until(lambda: self.sessions() == 1)
        self.assertEqual(server.clients[-1]["subjectAltName"], (("DNS", "gateway.test"),))

    def put(self, certificate, name):
        """Puts a certificate and its key in the place of others."""
        for ending in (".pem", ".key"):
            shutil.copy(certificate + ending, self.front.path("next"))
            os.replace(self.front.path("next"), self.front.path(name + ending))

    def test_who_vouches_for_backends_is_read_anew(self):
        server = self.serve()
        self.put(self.certificate("stranger.test"), "trusted")
        self.gateway("--upstream", "127.0.0.1:%d" % server.port, "--upstream-tls", "--upstream-ca",
                     self.front.path("trusted.pem"))
        self.expect_refused()
        self.put(self.cert, "trusted")
        self.until(lambda: self.sessions() == 1)
        self.assertIn('"the certificates for upstreams were loaded"',
                      self.front.log("gateway/sync_gateway"))

    def test_the_gateways_own_certificate_is_read_anew_and_a_bad_one_is_not_taken(self):
        first, second = self.certificate("first.test"), self.certificate("second.test")
        with open(self.front.path("both.pem"), "wb") as both:
            for one in (first, second):
                with open(one + ".pem", "rb") as file:
                    both.write(file.read())
        self.put(first, "own")
        server = self.serve(client_ca=self.front.path("both.pem"))
        self.gateway("--upstream", "127.0.0.1:%d" % server.port, "--upstream-tls", "--upstream-ca",
                     self.cert + ".pem", "--upstream-cert", self.front.path("own.pem"),
                     "--upstream-key", self.front.path("own.key"))
        shown = lambda: [cert["subjectAltName"][0][1] for cert in server.clients]
        self.until(lambda: shown() == ["first.test"])
        with open(self.front.path("own.pem"), "w", encoding="ascii") as file:
            file.write("nonsense")
        self.front.gateway.send_signal(signal.SIGHUP)
        self.until(lambda: '"the certificates for upstreams stay as they were"' in
                   self.front.log("gateway/sync_gateway"))
        server.cut()
        self.until(lambda: shown() == ["first.test"] * 2)
        self.put(second, "own")
        self.front.gateway.send_signal(signal.SIGHUP)
        self.until(lambda: '"the certificates for upstreams were loaded"' in
                   self.front.log("gateway/sync_gateway"))
        server.cut()
        self.until(lambda: shown()[2:] == ["second.test"])

    def test_other_machines_may_be_spoken_to(self):
        run = subprocess.run(
            [harness.binary("gateway/sync_gateway"), "--check-config", "--upstream",
             "192.0.2.1:443,backend.example:443", "--upstream-tls"],
            capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(run.returncode, 0, run.stderr)


if __name__ == "__main__":
    harness.main()
