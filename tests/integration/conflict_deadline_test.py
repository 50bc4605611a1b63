#!/usr/bin/env python3
"""Conflicts that nobody resolves: when they are settled, and how that is told."""
import os
import tempfile
import time

import harness
from harness import Case, change
from stream_device import Device

PATH = "/api/offline/conflicts"
SETTLED_SECONDS = 30


class Deadline(Case):
    """A service whose policies the class tells."""
    policies = ""

    @classmethod
    def setUpClass(cls):
        cls.file = os.path.join(tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR")), "policies")
        with open(cls.file, "w", encoding="utf-8") as file:
            file.write(cls.policies)
        cls.service_flags = ("--no-limits", "--policies", cls.file)
        super().setUpClass()

    def setUp(self):
        super().setUp()
        self.configure(conflictResolution="manual")

    def conflict(self, data_type, data_id, data, ours, theirs):
        """Two devices change a record that both hold in its first version."""
        created = self.upload([change("base-" + data_id, data=data, data_type=data_type,
                                      dataId=data_id)], device=self.tablet)["results"][0]
        outcomes = []
        for device, patch in ((self.tablet, ours), (self.phone, theirs)):
            outcomes.append(self.upload(
                [change("edit-" + data_id, "update", patch, data_type=data_type, dataId=data_id,
                        baseVersion=created["version"])], device=device)["results"][0])
        self.assertEqual([one["outcome"] for one in outcomes], ["applied", "conflict"])
        return outcomes[1]["conflictId"]

    def listed(self, **query):
        return self.expect(self.get(PATH, **query), 200)["conflicts"]

    def show(self, conflict_id):
        return self.expect(self.get(PATH + "/" + conflict_id), 200)

    def settled(self, conflict_id):
        """The conflict, once its deadline has come."""
        until = time.monotonic() + SETTLED_SECONDS
        while time.monotonic() < until:
            conflict = self.show(conflict_id)
            if conflict["resolved"]:
                return conflict
            time.sleep(0.1)
        self.fail("the conflict is not settled")


class Deadlines(Deadline):
    policies = """
deadline trip client 2s
deadline booking suggested 9d before 1d
deadline preference latest 3d
"""

    def test_a_conflict_is_settled_at_its_deadline_and_can_be_taken_back(self):
        cursor = self.bundle()["cursor"]
        conflict_id = self.conflict("trip", "t", {"title": "Rome", "nights": 2},
                                    {"title": "Roma", "city": "RM"}, {"title": "Rom", "nights": 3})
        waiting = self.show(conflict_id)
        self.assertEqual(waiting["deadlineAction"], "client")
        self.assertGreater(waiting["resolveBy"], waiting["detectedAt"])
        conflict = self.settled(conflict_id)
        self.assertGreaterEqual(conflict["resolvedAt"], waiting["resolveBy"])
        self.assertNotIn("resolveBy", conflict)
        self.assertEqual(conflict["decisions"],
                         [{"field": "title", "reason": "deadline client", "taken": "client"}])
        settled = {"title": "Rom", "city": "RM", "nights": 3}
        self.assertEqual([one["data"] for one in self.bundle(cursor=cursor)["records"]], [settled])
        self.assertEqual(self.listed(), [])
        self.assertEqual([one["conflictId"] for one in self.listed(includeResolved="true")],
                         [conflict_id])
        back = self.expect(self.post(PATH + "/%s:undo" % conflict_id, {}), 200)
        self.assertEqual(back["record"]["data"], {"title": "Roma", "city": "RM", "nights": 2})
        self.assertEqual(back["conflict"]["clientData"]["title"], "Rom")
        self.assertNotIn("resolveBy", back["conflict"])
        time.sleep(3)
        self.assertIs(self.show(conflict_id)["resolved"], False)

    def test_what_is_due_soonest_is_listed_first(self):
        late = self.conflict("booking", "late", {"seat": "1A"}, {"seat": "1B"}, {"seat": "1C"})
        forever = self.conflict("profile", "p", {"passport": "1"}, {"passport": "2"},
                                {"passport": "3"})
        soon = self.conflict("preference", "soon", {"meal": "a"}, {"meal": "b"}, {"meal": "c"})
        age = [one["conflictId"] for one in self.listed()]
        self.assertEqual(age, [late, forever, soon])
        self.assertEqual(age, [one["conflictId"] for one in self.listed(order="age")])
        due = self.listed(order="deadline")
        self.assertEqual([one["conflictId"] for one in due], [soon, late])
        self.assertEqual([one["deadlineAction"] for one in due], ["latest", "suggested"])
        self.assertNotIn("resolveBy", self.show(forever))
        first = self.expect(self.get(PATH, order="deadline", pageSize="1"), 200)
        self.assertEqual([one["conflictId"] for one in first["conflicts"]], [soon])
        self.assertTrue(first["serverTime"])
        second = self.expect(self.get(PATH, order="deadline", pageSize="1",
                                      pageToken=first["nextPageToken"]), 200)
        self.assertEqual([one["conflictId"] for one in second["conflicts"]], [late])
        self.assertNotIn("nextPageToken", second)

    def test_orders_that_are_none_are_named(self):
        self.expect_error(self.get(PATH, order="name"), 400, "INVALID_ARGUMENT", "order")
        self.assertEqual(self.listed(order="deadline", includeResolved="true"), [])


class Live(Deadline):
    policies = "deadline profile server 2s\n"

    def test_a_live_device_hears_at_once_of_what_becomes_of_conflicts(self):
        tablet = Device(self.tablet, self.bearer)
        tablet.connect("127.0.0.1:%d" % self.stack.grpc_port)
        self.addCleanup(tablet.disconnect)
        self.assertTrue(tablet.run(lambda: tablet.is_complete), tablet)

        def told(count):
            """The tablet hears so often of conflicts; how many wait then, as it was told."""
            changed = [notice.get("conflictsOpen", 0) for notice in tablet.notices
                       if notice["kind"] == "conflicts-changed"]
            return changed if len(changed) >= count else None

        conflict_id = self.conflict("profile", "p", {"seat": "1A"}, {"seat": "1B"},
                                    {"seat": "1C"})
        version = self.bundle()["records"][0]["version"]
        self.assertTrue(tablet.run(lambda: told(1)))
        self.assertEqual(told(1), [1])
        # Nothing of the record changes, so that no record tells.
        self.assertTrue(tablet.run(lambda: told(2)))
        self.assertEqual(told(2), [1, 0])
        conflict = self.show(conflict_id)
        self.assertEqual(conflict["decisions"][0]["reason"], "deadline server")
        self.assertEqual(self.bundle()["records"][0]["version"], version)
        self.expect(self.post(PATH + "/%s:undo" % conflict_id, {}), 200)
        self.assertTrue(tablet.run(lambda: told(3)))
        self.expect(self.post(PATH + "/resolve", {"conflictId": conflict_id,
                                                  "resolution": "server"}), 200)
        self.assertTrue(tablet.run(lambda: told(4)))
        self.assertEqual(told(4), [1, 0, 1, 0])


if __name__ == "__main__":
    harness.main()
