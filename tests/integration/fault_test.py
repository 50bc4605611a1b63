#!/usr/bin/env python3
"""500: a store that fails, and what a client is told of it."""
import os
import time

import harness
from harness import Case, change

SECRETS = ("rocksdb", "store", ".c:", "errno", "fault", "/tmp", "injected")


class Fault(Case):
    def break_store(self, what):
        """`what` fails from now on: load, snapshot or commit."""
        with open(self.stack.fault_file, "w", encoding="utf-8") as file:
            file.write(what)

    def mend_store(self):
        if os.path.exists(self.stack.fault_file):
            os.remove(self.stack.fault_file)

    def tearDown(self):
        self.mend_store()

    def expect_500(self, answer):
        self.expect_error(answer, 500, "INTERNAL")
        text = answer.body.decode().lower()
        for secret in SECRETS:
            self.assertNotIn(secret, text)

    def test_every_endpoint_answers_500_without_detail(self):
        self.upload([change(1)])
        unknown = "0192f3c0-0000-7000-8000-000000000000"
        sync = {"dataTypes": ["trips"], "syncType": "full", "deviceId": self.phone}
        self.break_store("load")
        for method, path, body in (
                ("GET", "/api/offline/config", None),
                ("PATCH", "/api/offline/config", {"syncInterval": 20}),
                ("POST", "/api/offline/sync", sync),
                ("GET", "/api/offline/sync/" + unknown, None),
                ("GET", "/api/offline/bundle", None),
                ("POST", "/api/offline/changes",
                 {"changes": [change(2)], "deviceId": self.phone}),
                ("POST", "/api/offline/conflicts/resolve",
                 {"conflictId": unknown, "resolution": "client"}),
                ("GET", "/api/offline/conflicts", None),
                ("GET", "/api/offline/devices", None)):
            with self.subTest(method=method, path=path):
                self.expect_500(self.call(method, path, body))

    def test_what_was_refused_is_not_stored_and_the_rest_is_still_there(self):
        self.upload([change(1)])
        self.break_store("commit")
        self.expect_500(self.post("/api/offline/changes",
                                  {"changes": [change(2)], "deviceId": self.phone}))
        self.expect_500(self.call("PATCH", "/api/offline/config", {"syncInterval": 20}))
        self.mend_store()
        self.assertEqual(set(self.records()), {("booking", "r1")})
        self.assertEqual(self.expect(self.get("/api/offline/config"), 200)["syncInterval"], 15)
        result = self.upload([change(2)])["results"][0]
        self.assertEqual((result["outcome"], result["duplicate"]), ("applied", False))

    def request_sync(self):
        return self.post("/api/offline/sync", {"dataTypes": ["bookings"], "syncType": "full",
                                               "deviceId": self.phone})

    def test_a_sync_that_meets_a_fault_is_tried_again_until_it_works(self):
        self.upload([change(1)])
        self.break_store("snapshot")
        sync_id = self.expect(self.request_sync(), 202)["syncId"]
        deadline = time.monotonic() + harness.START_SECONDS
        while True:
            operation = self.expect(self.get("/api/offline/sync/" + sync_id), 200)
            if operation.get("syncAttempts", 0) >= 2:
                break
            self.assertIn(operation["status"], ("pending", "processing"))
            self.assertLess(time.monotonic(), deadline, operation)
            time.sleep(0.02)
        self.mend_store()
        operation = self.finished(sync_id)
        self.assertEqual(operation["status"], "completed", operation)
        self.assertEqual(operation["changesProcessed"], 1)

    def test_a_user_has_50_syncs_at_one_time_and_no_more(self):
        self.break_store("snapshot")
        made = [self.expect(self.request_sync(), 202)["syncId"] for _ in range(50)]
        answer = self.request_sync()
        self.expect_error(answer, 429, "RESOURCE_EXHAUSTED", "50")
        self.assertGreaterEqual(int(answer.headers["Retry-After"]), 1)
        self.mend_store()
        for sync_id in made:
            self.assertEqual(self.finished(sync_id)["status"], "completed")
        self.expect(self.request_sync(), 202)


if __name__ == "__main__":
    harness.main()
