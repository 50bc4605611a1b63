#!/usr/bin/env python3
"""h2spec against the gateway: strict, generic and HPACK, in clear and over TLS."""
import re
import socket
import subprocess
import time
import unittest

import edge
import harness

H2SPEC = harness.tool("h2spec")
CASES_MIN = 140


class Goodbye(edge.Case):
    def test_who_says_goodbye_and_more_is_not_reset(self):
        settings = b"\0\0\0\4\0\0\0\0\0"
        goaway = b"\0\0\x08\7\0\0\0\0\0" + bytes(8)
        ping = b"\0\0\x08\6\0\0\0\0\0" + bytes(8)
        with socket.create_connection(("127.0.0.1", self.stack.http_port), 30) as client:
            client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + goaway)
            for _ in range(3):
                time.sleep(0.05)
                client.sendall(ping)
            while client.recv(65536):
                pass


@unittest.skipUnless(H2SPEC, "h2spec is not installed (tools/setup --ci installs it)")
class H2spec(edge.Case):
    def check(self, *flags):
        run = subprocess.run([H2SPEC, "generic", "http2", "hpack", "--strict", "--path", "/healthz",
                              "--timeout", "5", *flags], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, timeout=280, check=False)
        found = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", run.stdout)
        self.assertTrue(found, run.stdout)
        failures = run.stdout[run.stdout.find("Failures:"):] if run.returncode else ""
        self.assertEqual((found[2], found[4]), (found[1], "0"), failures)
        self.assertGreaterEqual(int(found[1]), CASES_MIN)

    def test_every_case_passes_in_clear(self):
        self.check("--port", str(self.stack.http_port))

    def test_every_case_passes_over_tls(self):
        self.check("--port", str(self.https_port), "--tls", "--insecure")


if __name__ == "__main__":
    harness.main()
