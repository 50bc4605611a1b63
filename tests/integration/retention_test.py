#!/usr/bin/env python3
"""What has had its time is removed, and the way back of a device that was away for longer."""
import datetime
import random
import time

import harness
from harness import Case, change, token
from stream_device import Device, Talk

KEEP_SECONDS = 2
BUNDLE = "/api/offline/bundle"
CONTAINER = {"Accept": "application/vnd.travelsense.bundle"}
WATCH = "travelsense.sync.v1.RecordService/WatchRecords"


def stamp():
    return datetime.datetime.now(datetime.timezone.utc).isoformat()


class Retention(Case):
    service_flags = ("--no-limits", "--log-retention", str(KEEP_SECONDS))

    def restart(self):
        """Ends the service as a crash does; it trims the logs soon after its start."""
        self.stack.kill_service()
        self.stack.start_service()
        self.until(lambda: self.get("/api/offline/config").status == 200)

    def until(self, true):
        deadline = time.monotonic() + harness.START_SECONDS
        while not true():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)

    def trim(self, cursor):
        """Lets time pass until the log no longer reaches the cursor."""
        time.sleep(KEEP_SECONDS)
        self.restart()
        self.until(lambda: self.get(BUNDLE, cursor=cursor).status == 400)

    def away(self):
        """A phone that was away: its cursor is behind the log, and what it has not sent."""
        self.created = change(1, timestamp=stamp())
        self.upload([self.created, change(2, timestamp=stamp()), change(3, timestamp=stamp())])
        cursor = self.bundle(deviceId=self.phone)["cursor"]
        self.bundle(deviceId=self.phone, cursor=cursor)
        self.edited = change(4, "update", {"seat": "1A"}, dataId="r2", timestamp=stamp())
        self.upload([self.edited])
        self.upload([change(5, "delete", dataId="r1", timestamp=stamp()),
                     change(6, "update", {"seat": "9Z"}, dataId="r2", timestamp=stamp())],
                    self.tablet, acknowledgedCursor=self.bundle()["cursor"])
        unsent = change(7, "update", {"title": "from afar"}, dataId="r3", timestamp=stamp())
        self.trim(cursor)
        return cursor, unsent

    def test_the_way_back_by_rest_keeps_what_is_unsent_and_brings_nothing_back(self):
        cursor, unsent = self.away()
        self.expect_error(self.get(BUNDLE, cursor=cursor, deviceId=self.phone), 400,
                          "FAILED_PRECONDITION", "RESYNC_REQUIRED")
        whole = self.bundle(deviceId=self.phone)
        self.assertEqual({record["dataId"] for record in whole["records"]}, {"r2", "r3"})
        self.bundle(deviceId=self.phone, cursor=whole["cursor"])
        # The phone never heard what became of the first and the fourth: it sends them again.
        results = self.upload([self.created, self.edited, unsent])["results"]
        self.assertEqual([result["outcome"] for result in results], ["merged", "merged", "merged"])
        self.assertTrue(results[0]["decisionId"] and results[1]["decisionId"])
        overwritten = self.get("/api/offline/conflicts/" + results[2]["decisionId"])
        self.assertEqual(self.expect(overwritten, 200)["serverData"], {"title": "record 3"})
        records = self.records()
        self.assertEqual(set(records), {("booking", "r2"), ("booking", "r3")})
        self.assertEqual(records[("booking", "r2")]["seat"], "9Z")
        self.assertEqual(records[("booking", "r3")]["title"], "from afar")
        kept = self.expect(self.get("/api/offline/conflicts/" + results[0]["decisionId"]), 200)
        self.assertEqual(kept["clientData"], {"title": "record 1"})
        self.assertEqual(kept["decisions"][0]["reason"], "older than the log")
        self.post("/api/offline/conflicts/%s:undo" % results[0]["decisionId"], {})
        again = self.upload([self.created, self.edited, unsent])["results"]
        self.assertTrue(all(result["duplicate"] for result in again), again)

    def test_every_way_to_pull_says_that_the_log_is_too_short(self):
        cursor, _ = self.away()
        for headers in ({}, CONTAINER):
            answer = self.call("GET", BUNDLE + "?cursor=" + cursor, headers=headers)
            self.expect_error(answer, 400, "FAILED_PRECONDITION", "RESYNC_REQUIRED")
        answer = self.call("GET", BUNDLE + "?syncType=delta&cursor=" + cursor)
        self.expect_error(answer, 400, "FAILED_PRECONDITION", "RESYNC_REQUIRED")
        with Talk(self.stack.grpc_target, token("booking", role="service"), WATCH) as talk:
            talk.send({"userId": self.user, "cursor": cursor})
            self.assertEqual(talk.finish()["status"], "FAILED_PRECONDITION", talk.ending)
            self.assertEqual(talk.reason(), "RESYNC_REQUIRED")
        # Times need no log: what was deleted is told for ever.
        found = {record["dataId"]: record.get("deleted", False)
                 for record in self.bundle(since="2020-01-01T00:00:00Z")["records"]}
        self.assertEqual(found, {"r1": True, "r2": False, "r3": False})
        # A sync in the background makes a snapshot instead.
        body = {"dataTypes": ["bookings"], "syncType": "incremental", "deviceId": self.phone}
        operation = self.finished(self.expect(self.post("/api/offline/sync", body), 202)["syncId"])
        self.assertEqual((operation["status"], operation["changesProcessed"]), ("completed", 2))

    def test_the_way_back_by_the_stream_ends_in_the_same_state(self):
        device = Device(self.phone, self.bearer)
        self.addCleanup(device.disconnect)
        self.upload([change(1, timestamp=stamp()), change(2, timestamp=stamp())], self.tablet)
        device.connect(self.stack.grpc_target)
        self.assertTrue(device.run(lambda: device.is_complete))
        device.disconnect()
        cursor = device.cursor
        self.upload([change(3, "delete", dataId="r1", timestamp=stamp())], self.tablet,
                    acknowledgedCursor=self.bundle()["cursor"])
        device.change("update", ("booking", "r2"), {"title": "from afar"})
        self.trim(cursor)
        device.connect(self.stack.grpc_target)
        self.assertTrue(device.run(lambda: device.is_complete and device.has_sent_all()))
        self.assertIn("resync-required", [notice["kind"] for notice in device.notices])
        wanted = {("booking", "r2"): {"title": "from afar"}}
        self.assertTrue(device.run(lambda: device.state() == wanted), device)
        self.assertEqual(self.records(), wanted)

    def test_a_crash_while_the_logs_are_trimmed_loses_nothing(self):
        users, rounds = 12, 25
        marks, cursors = {}, {}
        for number in range(users):
            self.become("trim%d" % number)
            for step in range(rounds):
                self.upload([change(step, "update" if step else "create", {"step": step},
                                    dataId="r", timestamp=stamp())])
                if step == rounds // 2:
                    cursors[self.bearer] = self.bundle()["cursor"]
            marks[self.bearer] = self.phone
        time.sleep(KEEP_SECONDS)
        for _ in range(3):
            self.stack.kill_service()
            self.stack.start_service()
            time.sleep(1.95 + random.random() * 0.15)  # the first step is after two seconds
        self.restart()
        for bearer, phone in marks.items():
            self.bearer = bearer
            whole = self.bundle()
            self.assertEqual([(record["dataId"], record["version"], record["data"])
                              for record in whole["records"]],
                             [("r", str(rounds), {"step": rounds - 1})])
            behind = self.get(BUNDLE, cursor=cursors[bearer])
            self.assertIn(behind.status, (200, 400))
            if behind.status == 200:
                self.assertEqual(behind.json["records"][0]["version"], str(rounds))
            result = self.upload([change("new", "update", {"step": "on"}, dataId="r",
                                         timestamp=stamp(), baseVersion=rounds)], phone)
            self.assertEqual(result["results"][0]["outcome"], "applied")
            self.until(lambda: self.get(BUNDLE, cursor=cursors[self.bearer]).status == 400)
            self.assertEqual(self.bundle(cursor=whole["cursor"])["records"][0]["data"],
                             {"step": "on"})


if __name__ == "__main__":
    harness.main()
