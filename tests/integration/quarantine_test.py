#!/usr/bin/env python3
"""Work that fails by a fault of the service: set aside, tried again, given up, decided."""
import datetime
import os
import time

import harness
from harness import Case, change, token

PATH = "/api/offline/quarantine"


class Quarantine(Case):
    def break_record(self, fault, data_id):
        """Reads of the record fail from now on: `fault` is record (the disk) or damage."""
        with open(self.stack.fault_file + ".new", "w", encoding="utf-8") as file:
            file.write("%s %s" % (fault, data_id))
        os.rename(self.stack.fault_file + ".new", self.stack.fault_file)

    def mend(self):
        if os.path.exists(self.stack.fault_file):
            os.remove(self.stack.fault_file)

    def tearDown(self):
        self.mend()

    def setUp(self):
        super().setUp()
        self.record = "r-" + self.phone  # the fault names it for all users

    def update(self, number, title, data_id=None):
        return change(number, "update", {"title": title}, dataId=data_id or self.record)

    def jobs(self, bearer=None, **parameters):
        query = "&".join("%s=%s" % pair for pair in parameters.items())
        answer = self.call("GET", PATH + ("?" + query if query else ""), bearer=bearer)
        return self.expect(answer, 200)["jobs"]

    def job(self, state, patience=harness.START_SECONDS):
        """The user's only job, once it is in this state."""
        deadline = time.monotonic() + patience
        while True:
            jobs = self.jobs()
            if [job["state"] for job in jobs] == [state]:
                return jobs[0]
            self.assertLess(time.monotonic(), deadline, jobs)
            time.sleep(0.02)

    def settle(self, one):
        """What became of a change that was pending."""
        deadline = time.monotonic() + harness.START_SECONDS
        while True:
            result = self.upload([one])["results"][0]
            if result["outcome"] != "pending":
                return result
            self.assertTrue(result["duplicate"])
            self.assertLess(time.monotonic(), deadline, result)
            time.sleep(0.02)

    def park(self):
        """Two changes of a damaged record, of which the first is in quarantine; its job."""
        self.upload([change(1, data={"title": "one"}, dataId=self.record), change(2)])
        self.break_record("damage", self.record)
        self.first, self.second = self.update(3, "three"), self.update(4, "four")
        answer = self.upload([self.first, self.second, change(5), self.update(6, "six", "r2")])
        self.assertEqual([result["outcome"] for result in answer["results"]],
                         ["pending", "blocked", "applied", "applied"])
        self.assertEqual(answer["status"], "pending")
        self.assertEqual(answer["results"][0]["error"]["reason"], "SERVICE_FAULT")
        self.assertIn('"c3"', answer["results"][1]["error"]["message"])
        return self.job("quarantined")

    def test_a_damaged_record_holds_up_only_the_changes_behind_it(self):
        job = self.park()
        self.assertEqual((job["kind"], job["reason"], job["attempts"]), ("change", "CORRUPT", 1))
        self.assertEqual((job["userId"], job["deviceId"]), (self.user, self.phone))
        self.assertEqual((job["change"]["id"], job["change"]["dataId"]), ("c3", self.record))
        self.assertNotIn("data", job["change"])
        shown = self.expect(self.get(PATH + "/" + job["jobId"]), 200)
        self.assertEqual(shown["change"]["data"], {"title": "three"})
        self.assertEqual(shown["change"]["type"], "update")
        created, quarantined = (datetime.datetime.fromisoformat(shown[name])
                                for name in ("createdAt", "quarantinedAt"))
        self.assertGreaterEqual(quarantined, created)
        again = self.upload([self.first, self.second, change(7)])["results"]
        self.assertEqual([(result["outcome"], result["duplicate"]) for result in again],
                         [("pending", True), ("blocked", False), ("applied", False)])
        other = self.update(3, "another under the same id")
        self.assertEqual(self.upload([other])["results"][0]["error"]["reason"], "CHANGE_ID_REUSED")
        self.assertEqual(len(self.jobs()), 1)

    def test_a_retry_applies_it_and_what_waited_goes_on(self):
        job = self.park()
        self.mend()
        self.assertEqual(self.outcomes([self.second]), ["blocked"])
        answer = self.post(PATH + "/" + job["jobId"] + ":retry", {})
        self.assertEqual(self.expect(answer, 200)["state"], "retrying")
        result = self.settle(self.first)
        self.assertEqual((result["outcome"], result["duplicate"]), ("applied", True))
        self.assertEqual(self.records()[("booking", self.record)]["title"], "three")
        self.assertEqual(self.outcomes([self.second]), ["applied"])
        self.assertEqual(self.records()[("booking", self.record)]["title"], "four")
        self.assertEqual(self.jobs(), [])
        self.expect_error(self.get(PATH + "/" + job["jobId"]), 404, "NOT_FOUND", "JOB_NOT_FOUND")

    def test_a_retry_that_fails_again_is_in_quarantine_again(self):
        job = self.park()
        self.expect(self.post(PATH + "/" + job["jobId"] + ":retry", {}), 200)
        self.assertEqual(self.job("quarantined")["jobId"], job["jobId"])

    def test_what_is_discarded_is_rejected_and_what_waited_goes_on(self):
        job = self.park()
        gone = self.expect(self.call("DELETE", PATH + "/" + job["jobId"]), 200)
        self.assertEqual(gone["change"]["data"], {"title": "three"})
        self.mend()
        result = self.upload([self.first])["results"][0]
        self.assertEqual((result["outcome"], result["error"]["reason"], result["duplicate"]),
                         ("rejected", "DISCARDED", True))
        self.assertEqual(self.outcomes([self.second]), ["applied"])
        self.assertEqual(self.records()[("booking", self.record)]["title"], "four")
        self.expect_error(self.call("DELETE", PATH + "/" + job["jobId"]), 404, "NOT_FOUND")

    def test_a_record_that_cannot_be_read_for_a_while_is_tried_again_by_itself(self):
        self.upload([change(1, data={"title": "one"}, dataId=self.record)])
        self.break_record("record", self.record)
        first = self.update(2, "two")
        self.assertEqual(self.outcomes([first, change(3)]), ["pending", "applied"])
        job = self.job("retrying")
        self.assertEqual(job["reason"], "IO")
        self.assertGreaterEqual(job["attempts"], 1)
        self.assertGreater(job["nextAttemptAt"], job["createdAt"])
        self.expect_error(self.call("DELETE", PATH + "/" + job["jobId"]), 400,
                          "FAILED_PRECONDITION", "NOT_QUARANTINED")
        self.mend()
        self.assertEqual(self.settle(first)["outcome"], "applied")
        self.assertEqual(self.jobs(), [])

    def test_a_create_that_makes_its_own_id_keeps_it(self):
        self.break_record("damage", self.record)
        first = change(1, data={"id": self.record, "title": "one"})
        self.assertEqual(self.outcomes([first]), ["pending"])
        job = self.job("quarantined")
        self.mend()
        self.expect(self.post(PATH + "/" + job["jobId"] + ":retry", {}), 200)
        self.assertEqual(self.settle(first)["dataId"], self.record)
        self.assertEqual(len(self.records()), 1)

    def test_a_dry_run_sets_nothing_aside(self):
        self.break_record("damage", self.record)
        one = change(1, data={"title": "one"}, dataId=self.record)
        self.assertEqual(self.outcomes([one], validateOnly=True), ["pending"])
        self.assertEqual(self.jobs(), [])
        self.mend()
        self.assertEqual(self.upload([one])["results"][0]["duplicate"], False)

    def test_others_see_nothing_of_it_and_services_everything(self):
        job = self.park()
        service = token("operations", role="service")
        found = self.jobs(bearer=service, userId=self.user, state="quarantined")
        self.assertEqual([entry["jobId"] for entry in found], [job["jobId"]])
        self.assertEqual(self.jobs(bearer=service, userId=self.user, state="retrying"), [])
        self.assertIn(job["jobId"], [entry["jobId"] for entry in
                                     self.jobs(bearer=service, pageSize="1000")])
        owner = self.user
        self.become("stranger")
        self.assertEqual(self.jobs(), [])
        self.expect_error(self.get(PATH, userId=owner), 400, "INVALID_ARGUMENT", "userId")
        for method, path in (("GET", ""), ("POST", ":retry"), ("DELETE", "")):
            answer = self.call(method, PATH + "/" + job["jobId"] + path,
                               {} if method == "POST" else None)
            self.expect_error(answer, 403, "PERMISSION_DENIED")
        answer = self.call("DELETE", PATH + "/" + job["jobId"], bearer=service)
        self.expect(answer, 200)

    def test_pages_bring_each_job_once(self):
        wanted = set()
        self.break_record("damage", self.record)
        for device in ("a", "b", "c"):
            self.assertEqual(self.outcomes([change(1, dataId=self.record)], self.phone + device),
                             ["pending"])
        deadline = time.monotonic() + harness.START_SECONDS
        while len(wanted) < 3:
            wanted = {job["jobId"] for job in self.jobs(state="quarantined")}
            self.assertLess(time.monotonic(), deadline)
        found, page = [], ""
        while True:
            answer = self.expect(self.get(PATH, pageSize=2, pageToken=page), 200)
            found += [job["jobId"] for job in answer["jobs"]]
            page = answer.get("nextPageToken", "")
            if not page:
                break
            self.expect_error(self.get(PATH, state="retrying", pageToken=page), 400,
                              "INVALID_ARGUMENT", "pageToken")
        self.assertEqual(sorted(found), sorted(wanted))

    def test_bad_requests_are_named(self):
        self.expect_error(self.get(PATH, state="lost"), 400, "INVALID_ARGUMENT", "state")
        self.expect_error(self.get(PATH, pageSize=1001), 400, "INVALID_ARGUMENT", "pageSize")
        self.expect_error(self.get(PATH + "/x"), 400, "INVALID_ARGUMENT", "jobId")
        self.expect_error(self.call("GET", PATH, bearer="none"), 401, "UNAUTHENTICATED")

    def test_a_sync_that_was_given_up_is_tried_again(self):
        self.upload([change(1, dataId=self.record)])
        cursor = self.bundle(deviceId=self.phone)["cursor"]
        self.bundle(deviceId=self.phone, cursor=cursor)
        self.upload([self.update(2, "two")])
        self.break_record("damage", self.record)
        body = {"dataTypes": ["bookings"], "syncType": "delta", "deviceId": self.phone}
        sync_id = self.expect(self.post("/api/offline/sync", body), 202)["syncId"]
        self.assertEqual(self.finished(sync_id)["status"], "failed")
        job = self.job("quarantined")
        self.assertEqual((job["kind"], job["syncId"]), ("sync", sync_id))
        self.mend()
        self.expect(self.post(PATH + "/" + job["jobId"] + ":retry", {}), 200)
        deadline = time.monotonic() + harness.START_SECONDS
        operation = self.finished(sync_id)
        while operation["status"] == "failed":
            self.assertLess(time.monotonic(), deadline, operation)
            operation = self.finished(sync_id)
        self.assertEqual((operation["status"], operation["changesProcessed"]), ("completed", 1))

    def test_what_is_set_aside_survives_the_service(self):
        job = self.park()
        self.stack.kill_service()
        self.stack.start_service()
        deadline = time.monotonic() + harness.START_SECONDS
        while self.get(PATH).status != 200:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        self.assertEqual(self.job("quarantined")["jobId"], job["jobId"])
        self.assertEqual(self.outcomes([self.first, self.second]), ["pending", "blocked"])
        self.mend()
        self.expect(self.post(PATH + "/" + job["jobId"] + ":retry", {}), 200)
        self.assertEqual(self.settle(self.first)["outcome"], "applied")


if __name__ == "__main__":
    harness.main()
