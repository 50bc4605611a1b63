#!/usr/bin/env python3
"""sync_gateway --check-config: the routes as they will be served, and one line for each mistake."""
import os
import subprocess
import tempfile
import unittest

import harness

GATEWAY = harness.binary("gateway/sync_gateway")
SERVICE = "/travelsense.sync.v1.SyncService/"
# Flags, and what is said of them.
MISTAKES = (
    (["--http", "127.0.0.1:99999"], "127.0.0.1:99999 is not an address"),
    (["--http", "0.0.0.0:8080"], "--http: others can reach this address"),
    (["--http", ""], "--http: neither --http nor --https"),
    (["--https", "127.0.0.1:443"], "--https: it needs --cert and --key"),
    (["--cert", "/none"], "--cert: it needs --https"),
    (["--key", "/none"], "--key: it needs --https"),
    (["--client-ca", "/none"], "--client-ca: it needs --https"),
    (["--https", "127.0.0.1:443", "--cert", "/none", "--key", "/none"],
     "cannot read a certificate chain from /none: No such file or directory"),
    (["--upstream", ""], '--upstream: an address is missing in ""'),
    (["--upstream", "127.0.0.1:1,,"], '--upstream: an address is missing in ","'),
    (["--upstream", "unix:"], "unix: is not an address"),
    (["--upstream", "service"], "service is not an address: expected HOST:PORT"),
    (["--upstream-ca", "/none"], "--upstream-ca: it needs --upstream-tls"),
    (["--upstream-cert", "/none"], "--upstream-cert: it needs --upstream-tls"),
    (["--upstream-tls", "--upstream-ca", "/none"], "cannot read certificates from /none"),
    (["--upstream-tls", "--upstream-cert", "/none"], "--upstream-cert: it and --upstream-key go"),
    (["--cors-origin", "https://app.example/"], '--cors-origin: "https://app.example/" is no'),
    (["--cors-origin", "https://a.example,App"], '--cors-origin: "App" is no origin'),
    (["--cors-origin", "://x"], '--cors-origin: "://x" is no origin'),
    (["--trusted-proxies", "10.0.0.0/99"], "--trusted-proxies: 10.0.0.0/99 is not a network"),
    (["--proxy-protocol"], "--proxy-protocol: it needs --trusted-proxies"),
    (["--client-auth", "maybe"], "--client-auth: expected required or optional"),
    (["--unknown-query", "maybe"], "--unknown-query: expected refuse, ignore"),
    (["--threads", "-3"], 'threads: "-3" is not between 0 and 64'),
    (["--buffer-bytes-max", "1x"], 'buffer-bytes-max: "1x" is no size in bytes'),
    (["--descriptor-set", "/none"], "cannot open /none: No such file or directory"),
    (["--descriptor-set", "/"], "cannot read /: Is a directory"),
    (["--descriptor-set", GATEWAY], "the descriptor set is malformed"),
    (["--access-log-file", "/none/log"], "cannot open /none/log"),
    (["more"], 'unexpected argument "more"'),
    (["--none"], 'unknown option "--none"'),
)


def check(*flags):
    return subprocess.run([GATEWAY, "--check-config", *flags], capture_output=True, text=True,
                          timeout=60, check=False)


class CheckConfig(unittest.TestCase):
    def test_every_mistake_is_one_line_that_names_it(self):
        for flags, said in MISTAKES:
            with self.subTest(flags=flags):
                run = check(*flags)
                self.assertEqual((run.returncode, run.stdout), (1, ""))
                self.assertIn(said, run.stderr)
                self.assertTrue(run.stderr.startswith("sync_gateway: "))
                self.assertEqual(run.stderr.count("\n"), 1, run.stderr)

    def test_what_is_well_is_taken(self):
        for flags in (["--cors-origin", "https://app.example,http://localhost:3000,null"],
                      ["--cors-origin", "*"], ["--cors-origin", "capacitor://localhost"],
                      ["--upstream", "localhost:50051,[::1]:50052,unix:/run/x.sock"],
                      ["--upstream-tls", "--upstream", "backend.example:443"],
                      ["--trusted-proxies", "10.0.0.0/8,2001:db8::/32", "--proxy-protocol"]):
            run = check(*flags)
            self.assertEqual((run.returncode, run.stderr), (0, ""), flags)
            self.assertIn("%s = " % flags[0][2:], run.stdout)

    def test_a_route_says_what_else_decides(self):
        routes = check().stdout.split("# routes\n")[1].splitlines()
        bundle = "GET /api/offline/bundle -> " + SERVICE
        for line in (bundle + "DownloadBundle  # Accept: application/vnd.travelsense.bundle; "
                     "answers with a stream", bundle + "GetBundle",
                     "POST /api/offline/changes -> %sUploadChanges  # body: *" % SERVICE,
                     "PATCH /api/offline/config -> %sUpdateSyncConfig  # body: config; "
                     "response body: config" % SERVICE):
            self.assertIn(line, routes)

    def test_a_set_cut_short_is_refused(self):
        with open(harness.binary("proto/sync_descriptor.binpb"), "rb") as file:
            whole = file.read()
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            path = os.path.join(folder, "set")
            for size in range(1, len(whole), len(whole) // 20):
                with open(path, "wb") as file:
                    file.write(whole[:size])
                run = check("--descriptor-set", path)
                self.assertEqual(run.returncode, 1)
                self.assertEqual(run.stderr.count("\n"), 1, run.stderr)


if __name__ == "__main__":
    harness.main()
