#!/usr/bin/env python3
"""A descriptor set that changes while the gateway serves."""
import http.client
import json
import os
import signal
import subprocess
import time
import unittest

import harness
from harness import Stack, change, token

SET = harness.binary("proto/sync_descriptor.binpb")
OLD, NEW = "/api/offline/config", "/api/offline/konfig"


class Reload(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(SET, "rb") as file:
            cls.old = file.read()
        # Of the same length, so that the set stays well-formed.
        cls.new = cls.old.replace(OLD.encode(), NEW.encode()).replace(
            b"/api/offline/changes", b"/api/offline/uploads")
        assert cls.new != cls.old

    def setUp(self):
        self.bearer = token("reload-user")
        self.stack = Stack()
        self.addCleanup(self.stack.discard)
        self.file = self.stack.path("set.binpb")
        self.replace(self.old)
        self.stack.gateway_flags += ["--descriptor-set", self.file]
        self.stack.start()

    def replace(self, content):
        with open(self.file + ".new", "wb") as file:
            file.write(content)
        os.rename(self.file + ".new", self.file)

    def status(self, path):
        return self.stack.call("GET", path, bearer=self.bearer).status

    def log(self):
        return self.stack.log("gateway/sync_gateway")

    def until(self, what):
        deadline = time.monotonic() + harness.START_SECONDS
        while not what():
            self.assertLess(time.monotonic(), deadline, self.log())
            time.sleep(0.02)

    def hang_up(self):
        self.stack.gateway.send_signal(signal.SIGHUP)

    def test_a_signal_brings_the_new_routes_and_document(self):
        self.assertEqual((self.status(OLD), self.status(NEW)), (200, 404))
        self.replace(self.new)
        self.hang_up()
        # Each thread takes it in its own time.
        self.until(lambda: all(self.status(OLD) == 404 for _ in range(10)))
        self.assertEqual((self.status(OLD), self.status(NEW)), (404, 200))
        paths = self.stack.call("GET", "/openapi.json").json["paths"]
        self.assertIn(NEW, paths)
        self.assertNotIn(OLD, paths)
        self.assertIn('"the descriptor set was loaded"', self.log())
        metrics = self.stack.call("GET", "/metrics").body.decode()
        self.assertIn('method="travelsense.sync.v1.SyncService/GetSyncConfig",code="200"', metrics)

    def test_a_new_file_is_noticed(self):
        self.replace(self.new)
        self.until(lambda: all(self.status(NEW) == 200 for _ in range(10)))

    def test_a_request_in_flight_keeps_what_it_began_with(self):
        body = json.dumps({"changes": [change(1)], "deviceId": "reload-phone"}).encode()
        client = http.client.HTTPConnection("127.0.0.1", self.stack.http_port, timeout=60)
        self.addCleanup(client.close)
        client.putrequest("POST", "/api/offline/changes")
        client.putheader("Authorization", "Bearer " + self.bearer)
        client.putheader("Content-Type", "application/json")
        client.putheader("Content-Length", str(len(body)))
        client.endheaders(body[:20])
        # The thread that has it has read it once another request of it is answered; there are two.
        for _ in range(20):
            self.assertEqual(self.status(OLD), 200)
        self.replace(self.new)
        self.hang_up()
        self.until(lambda: all(self.status(OLD) == 404 for _ in range(10)))
        client.send(body[20:])
        response = client.getresponse()
        answer = json.loads(response.read())
        self.assertEqual(response.status, 202, answer)
        self.assertEqual(answer["results"][0]["outcome"], "applied")

    def test_a_broken_file_changes_nothing(self):
        self.replace(self.new[:1000])
        self.hang_up()
        self.until(lambda: '"the descriptor set stays as it was"' in self.log())
        self.assertEqual((self.status(OLD), self.status(NEW)), (200, 404))
        os.remove(self.file)
        self.hang_up()
        self.until(lambda: "cannot open" in self.log())
        self.assertEqual(self.status(OLD), 200)
        # Nor does it when it is left alone for a while: a line is told once for each file.
        time.sleep(2.5)
        self.assertEqual(self.log().count('"the descriptor set stays as it was"'), 2)
        self.replace(self.new)
        self.until(lambda: self.status(NEW) == 200)

    def test_the_check_prints_the_routes(self):
        run = subprocess.run(
            [harness.binary("gateway/sync_gateway"), "--check-config", "--descriptor-set",
             self.file], capture_output=True, text=True, timeout=60, check=True)
        routes = run.stdout[run.stdout.index("# routes\n"):]
        self.assertIn("\nGET %s -> /travelsense.sync.v1.SyncService/GetSyncConfig " % OLD, routes)

    def test_the_check_names_both_of_two_templates_that_conflict(self):
        self.replace(self.old.replace(b"/api/offline/devices", b"/api/offline/changes"))
        run = subprocess.run(
            [harness.binary("gateway/sync_gateway"), "--check-config", "--descriptor-set",
             self.file], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(run.returncode, 1)
        self.assertIn('"POST /api/offline/changes" of /travelsense.sync.v1.SyncService/',
                      run.stderr)
        for method in ("UploadChanges", "RegisterDevice"):
            self.assertIn(method, run.stderr)
        self.assertEqual(run.stderr.count("\n"), 1)


if __name__ == "__main__":
    harness.main()
