#!/usr/bin/env python3
"""Conflicts: how they arise, how they are listed and resolved."""
from concurrent import futures

import container
import harness
from harness import Case, change

PATH = "/api/offline/conflicts"
RESOLVE = PATH + "/resolve"
BASE = {"title": "Rome", "nights": 2, "guests": {"adults": 2}}


class Conflicts(Case):
    def start(self, strategy="manual"):
        """Both devices hold the base; the tablet changes it first."""
        self.configure(conflictResolution=strategy)
        self.upload([change("base", data=BASE, data_type="trip", dataId="t")], device=self.tablet)

    def patch(self, device, data, number=1, kind="update"):
        """A device changes the record that it holds at version 1."""
        return self.upload([change(number, kind, data, data_type="trip", dataId="t",
                                   baseVersion="1")], device=device)["results"][0]

    def conflict(self, tablet="Roma", phone="Rom"):
        self.start()
        self.assertEqual(self.patch(self.tablet, {"title": tablet})["outcome"], "applied")
        result = self.patch(self.phone, {"title": phone})
        self.assertEqual(result["outcome"], "conflict", result)
        return result["conflictId"]

    def trip(self):
        return self.records().get(("trip", "t"))

    def resolve(self, conflict_id, resolution, **more):
        return self.post(RESOLVE, dict(conflictId=conflict_id, resolution=resolution, **more))

    def test_changes_of_different_fields_are_merged(self):
        self.start()
        self.patch(self.tablet, {"title": "Roma"})
        self.assertEqual(self.patch(self.phone, {"nights": 3})["outcome"], "merged")
        self.assertEqual(self.trip(), dict(BASE, title="Roma", nights=3))
        self.assertEqual(self.expect(self.get(PATH), 200)["conflicts"], [])

    def test_the_same_change_on_both_sides_is_no_conflict(self):
        self.start()
        self.patch(self.tablet, {"title": "Roma"})
        self.assertIn(self.patch(self.phone, {"title": "Roma"})["outcome"], ("applied", "merged"))

    def test_each_automatic_strategy_decides_for_its_side(self):
        for strategy, title in (("server", "Roma"), ("client", "Rom"), ("merge", None)):
            with self.subTest(strategy=strategy):
                self.become(strategy)
                self.start(strategy)
                self.patch(self.tablet, {"title": "Roma"})
                self.assertIn(self.patch(self.phone, {"title": "Rom"})["outcome"],
                              ("applied", "merged"))
                if title:
                    self.assertEqual(self.trip()["title"], title)
                else:
                    self.assertIn(self.trip()["title"], ("Roma", "Rom"))

    def test_a_conflict_shows_all_its_sides(self):
        conflict_id = self.conflict()
        listed = self.expect(self.get(PATH), 200)["conflicts"]
        self.assertEqual([conflict["conflictId"] for conflict in listed], [conflict_id])
        conflict = self.expect(self.get(PATH + "/" + conflict_id), 200)
        self.assertEqual(conflict, listed[0])
        self.assertEqual(conflict["conflictType"], "update-update")
        self.assertEqual((conflict["dataType"], conflict["dataId"]), ("trip", "t"))
        self.assertEqual(conflict["baseData"], BASE)
        self.assertEqual(conflict["clientData"]["title"], "Rom")
        self.assertEqual(conflict["serverData"]["title"], "Roma")
        self.assertEqual(conflict["fields"], ["title"])
        self.assertIs(conflict["resolved"], False)
        self.assertTrue(conflict["detectedAt"])
        self.assertIn(conflict["suggestedData"]["title"], ("Rom", "Roma"))

    def test_each_resolution_takes_its_side(self):
        for resolution, title in (("client", "Rom"), ("server", "Roma"), ("merge", "Rome!")):
            with self.subTest(resolution=resolution):
                self.become(resolution)
                conflict_id = self.conflict()
                more = {"mergedData": dict(BASE, title=title)} if resolution == "merge" else {}
                answer = self.expect(self.resolve(conflict_id, resolution, **more), 200)
                self.assertIs(answer["conflict"]["resolved"], True)
                self.assertEqual(answer["conflict"]["resolution"], resolution)
                self.assertTrue(answer["conflict"]["resolvedAt"])
                self.assertEqual(answer["record"]["data"]["title"], title)
                self.assertEqual(self.trip()["title"], title)
                self.assertEqual(self.expect(self.get(PATH), 200)["conflicts"], [])

    def test_a_resolution_reaches_the_other_device_and_the_checksums_agree(self):
        conflict_id = self.conflict()
        cursor = self.bundle()["cursor"]
        self.expect(self.resolve(conflict_id, "client"), 200)
        pulled = self.bundle(cursor=cursor)
        self.assertEqual(pulled["records"][0]["data"]["title"], "Rom")
        self.assertEqual(pulled["checksum"], container.checksum(self.records()))

    def undo(self, conflict_id):
        return self.post(PATH + "/%s:undo" % conflict_id, {})

    def test_what_was_decided_without_the_user_is_listed_with_its_reason_and_undone(self):
        self.start("client")
        self.patch(self.tablet, {"title": "Roma", "notes": "ours"})
        result = self.patch(self.phone, {"title": "Rom", "notes": "theirs"})
        self.assertEqual(result["outcome"], "merged")
        self.assertEqual(self.trip(), dict(BASE, title="Rom", notes="ours theirs"))
        self.assertEqual(self.expect(self.get(PATH), 200)["conflicts"], [])
        shown = self.expect(self.get(PATH, includeResolved="true"), 200)["conflicts"]
        self.assertEqual([c["conflictId"] for c in shown], [result["decisionId"]])
        self.assertEqual(shown[0]["decisions"],
                         [{"field": "notes", "reason": "policy text", "taken": "merge"},
                          {"field": "title", "reason": "strategy client", "taken": "client"}])
        self.assertEqual((shown[0]["resolved"], shown[0]["resolution"]), (True, "merge"))
        sides = [dict(BASE, title="Roma", notes="ours"), dict(BASE, title="Rom", notes="theirs")]
        self.assertEqual([shown[0]["serverData"], shown[0]["clientData"]], sides)
        self.assertEqual(shown[0]["baseData"], BASE)
        answer = self.expect(self.undo(result["decisionId"]), 200)
        self.assertIs(answer["conflict"]["resolved"], False)
        self.assertEqual(self.trip(), dict(BASE, title="Roma", notes="ours"))
        self.assertEqual(len(self.expect(self.get(PATH), 200)["conflicts"]), 1)
        answer = self.expect(self.resolve(result["decisionId"], "client"), 200)
        self.assertEqual(answer["record"]["data"], dict(BASE, title="Rom", notes="theirs"))

    def test_a_resolution_is_undone_until_what_it_changed_changes_again(self):
        conflict_id = self.conflict()
        self.expect(self.resolve(conflict_id, "client"), 200)
        answer = self.expect(self.undo(conflict_id), 200)
        self.assertEqual(answer["record"]["data"]["title"], "Roma")
        again = self.expect(self.undo(conflict_id), 200)
        self.assertEqual(again["record"]["version"], answer["record"]["version"])
        self.expect(self.resolve(conflict_id, "client"), 200)
        self.patch(self.tablet, {"nights": 9}, number=7)
        answer = self.expect(self.undo(conflict_id), 200)
        self.assertEqual(answer["record"]["data"], dict(BASE, title="Roma", nights=9))
        self.assertEqual(self.trip(), answer["record"]["data"])
        self.assertEqual(answer["conflict"]["clientData"], dict(BASE, title="Rom", nights=9))
        answer = self.expect(self.resolve(conflict_id, "client"), 200)
        self.assertEqual(answer["record"]["data"], dict(BASE, title="Rom", nights=9))
        self.upload([change(8, "update", {"title": "Roma aeterna"}, data_type="trip", dataId="t",
                            baseVersion=answer["record"]["version"])], device=self.tablet)
        error = self.expect_error(self.undo(conflict_id), 400, "FAILED_PRECONDITION",
                                  "VERSION_MISMATCH")
        self.assertIn('such as "title"', error["message"])
        self.assertEqual(self.trip()["title"], "Roma aeterna")

    def test_what_waits_behind_a_conflict_goes_on_when_it_is_resolved(self):
        for resolution, title in (("client", "Rom"), ("server", "Roma")):
            with self.subTest(resolution=resolution):
                self.become("waited-" + resolution)
                self.start()
                self.patch(self.tablet, {"title": "Roma"})
                batch = [change(1, "update", {"title": "Rom"}, data_type="trip", dataId="t",
                                baseVersion="1"),
                         change(2, "update", {"nights": 9}, data_type="trip", dataId="t",
                                baseVersion="1")]
                results = self.upload(batch)["results"]
                self.assertEqual([(one["outcome"], "held" in one) for one in results],
                                 [("conflict", False), ("blocked", True)])
                self.assertEqual(results[1]["conflictId"], results[0]["conflictId"])
                waiting = self.expect(self.get(PATH + "/" + results[0]["conflictId"]), 200)
                self.assertEqual(waiting["heldChanges"],
                                 [{"changeId": "c2", "type": "update", "data": {"nights": 9}}])
                cursor = self.bundle()["cursor"]
                answer = self.expect(self.resolve(results[0]["conflictId"], resolution), 200)
                held = answer["conflict"]["heldChanges"][0]
                self.assertEqual((held["changeId"], "data" in held), ("c2", False))
                self.assertIn(held["result"]["outcome"], ("applied", "merged"))
                self.assertEqual(self.trip(), dict(BASE, title=title, nights=9))
                self.assertEqual(answer["record"]["data"], self.trip())
                pulled = self.bundle(cursor=cursor)
                self.assertEqual([one["data"] for one in pulled["records"]], [self.trip()])
                again = self.expect(self.resolve(results[0]["conflictId"], resolution), 200)
                self.assertEqual(again["conflict"]["heldChanges"], [held])
                sent_again = self.upload(batch)["results"]
                self.assertEqual([(one["outcome"], one["duplicate"]) for one in sent_again],
                                 [("conflict", True), (held["result"]["outcome"], True)])

    def test_what_is_held_and_cannot_go_on_is_told_with_its_data(self):
        self.start()
        self.patch(self.tablet, {"title": "Roma"})
        conflict_id = self.patch(self.phone, None, kind="delete")["conflictId"]
        self.assertTrue(self.patch(self.phone, {"nights": 9}, number=2)["held"])
        self.expect(self.resolve(conflict_id, "client"), 200)
        held = self.expect(self.get(PATH + "/" + conflict_id), 200)["heldChanges"][0]
        self.assertEqual((held["result"]["outcome"], held["result"]["error"]["reason"]),
                         ("rejected", "GONE"))
        self.assertEqual(held["data"], {"nights": 9})

    def test_what_comes_to_a_conflict_of_its_own_holds_the_rest(self):
        conflict_id = self.conflict()
        self.assertTrue(self.patch(self.phone, {"title": "Rim"}, number=2)["held"])
        self.assertTrue(self.patch(self.phone, {"nights": 9}, number=3)["held"])
        answer = self.expect(self.resolve(conflict_id, "server"), 200)
        fresh = answer["conflict"]["heldChanges"][0]["result"]
        self.assertEqual(fresh["outcome"], "conflict")
        listed = self.expect(self.get(PATH), 200)["conflicts"]
        self.assertEqual([one["conflictId"] for one in listed], [fresh["conflictId"]])
        self.assertEqual([one["changeId"] for one in listed[0]["heldChanges"]], ["c3"])
        self.expect(self.resolve(fresh["conflictId"], "client"), 200)
        self.assertEqual(self.trip(), dict(BASE, title="Rim", nights=9))

    def test_a_decision_shows_its_sides_also_when_the_record_has_changed_again(self):
        self.start("server")
        self.patch(self.tablet, {"title": "Roma"})
        decision_id = self.patch(self.phone, {"title": "Rom"})["decisionId"]
        before = self.expect(self.get(PATH + "/" + decision_id), 200)
        self.patch(self.tablet, {"title": "Roma aeterna", "more": 1}, number=5)
        self.upload([change(6, "delete", data_type="trip", dataId="t")], device=self.tablet)
        self.upload([change(7, data={"new": 1}, data_type="trip", dataId="t")], device=self.tablet)
        self.assertEqual(self.expect(self.get(PATH + "/" + decision_id), 200), before)
        self.assertEqual(before["clientData"], dict(BASE, title="Rom"))
        self.assertEqual(before["serverData"], dict(BASE, title="Roma"))
        self.expect_error(self.undo(decision_id), 400, "FAILED_PRECONDITION", "VERSION_MISMATCH")

    def test_undo_names_what_is_wrong(self):
        conflict_id = self.conflict()
        self.expect_error(self.undo("nonsense"), 400, "INVALID_ARGUMENT", "conflictId")
        unknown = "0192f3c0-0000-7000-8000-000000000000"
        self.expect_error(self.undo(unknown), 404, "NOT_FOUND")
        answer = self.stack.call("POST", PATH + "/%s:undo" % conflict_id, {},
                                 bearer=harness.token("other-" + self.user))
        self.expect_error(answer, 403, "PERMISSION_DENIED")

    def test_a_record_that_moved_on_unseen_is_not_overwritten(self):
        conflict_id = self.conflict()
        self.patch(self.tablet, {"title": "Roma aeterna"}, number=8)
        self.expect_error(self.resolve(conflict_id, "client"), 400, "FAILED_PRECONDITION",
                          "VERSION_MISMATCH")
        self.assertEqual(self.trip()["title"], "Roma aeterna")
        conflict = self.expect(self.get(PATH + "/" + conflict_id), 200)
        self.assertEqual(conflict["serverData"]["title"], "Roma aeterna")
        self.assertIs(conflict["resolved"], False)
        self.expect(self.resolve(conflict_id, "client"), 200)
        self.assertEqual(self.trip()["title"], "Rom")

    def test_the_same_resolution_again_changes_nothing(self):
        conflict_id = self.conflict()
        first = self.expect(self.resolve(conflict_id, "client"), 200)
        second = self.expect(self.resolve(conflict_id, "client"), 200)
        self.assertEqual(first["record"]["version"], second["record"]["version"])

    def test_resolved_conflicts_are_shown_when_asked_for(self):
        conflict_id = self.conflict()
        self.expect(self.resolve(conflict_id, "server"), 200)
        shown = self.expect(self.get(PATH, includeResolved="true"), 200)["conflicts"]
        self.assertEqual([(c["conflictId"], c["resolved"]) for c in shown], [(conflict_id, True)])

    def test_an_update_of_a_deleted_record_is_a_conflict(self):
        self.start()
        self.patch(self.tablet, None, kind="delete")
        result = self.patch(self.phone, {"title": "Rom"})
        self.assertEqual(result["outcome"], "conflict", result)
        conflict = self.expect(self.get(PATH + "/" + result["conflictId"]), 200)
        self.assertEqual(conflict["conflictType"], "update-delete")
        self.assertNotIn("serverData", conflict)
        self.expect(self.resolve(result["conflictId"], "client"), 200)
        self.assertEqual(self.trip()["title"], "Rom")

    def test_a_delete_of_a_changed_record_is_a_conflict(self):
        self.start()
        self.patch(self.tablet, {"title": "Roma"})
        result = self.patch(self.phone, None, kind="delete")
        self.assertEqual(result["outcome"], "conflict", result)
        conflict = self.expect(self.get(PATH + "/" + result["conflictId"]), 200)
        self.assertEqual(conflict["conflictType"], "delete-update")
        self.assertNotIn("clientData", conflict)
        self.expect(self.resolve(result["conflictId"], "client"), 200)
        self.assertIsNone(self.trip())

    def test_a_delete_of_a_deleted_record_is_applied(self):
        self.start()
        self.patch(self.tablet, None, kind="delete")
        self.assertEqual(self.patch(self.phone, None, kind="delete")["outcome"], "applied")

    def test_an_old_device_without_base_versions_conflicts_too(self):
        self.start()
        cursor = self.bundle(deviceId=self.phone)["cursor"]
        self.bundle(deviceId=self.phone, cursor=cursor)
        self.upload([change(1, "update", {"title": "Roma"}, data_type="trip", dataId="t")],
                    device=self.tablet)
        result = self.upload([change(1, "update", {"title": "Rom"}, data_type="trip",
                                     dataId="t")], device=self.phone)["results"][0]
        self.assertEqual(result["outcome"], "conflict", result)

    def test_a_conflict_holds_its_record_on_its_device_alone(self):
        conflict_id = self.conflict()
        self.assertTrue(self.patch(self.phone, {"nights": 9}, number=2)["held"])
        self.assertEqual(self.patch(self.tablet, {"more": 1}, number=5)["outcome"], "applied")
        self.expect(self.resolve(conflict_id, "server"), 200)
        self.assertEqual(self.trip(), dict(BASE, title="Roma", nights=9, more=1))

    def test_beyond_what_can_be_held_the_device_keeps_its_changes(self):
        conflict_id = self.conflict()
        batch = [change("h%d" % i, "update", {"nights": i}, data_type="trip", dataId="t",
                        baseVersion="1") for i in range(102)]
        results = self.upload(batch[:101])["results"]
        self.assertTrue(all(one["held"] for one in results[:100]))
        self.assertNotIn("held", results[100])
        self.assertEqual((results[100]["outcome"], results[100]["error"]["reason"]),
                         ("blocked", "HELD_EXHAUSTED"))
        self.assertEqual(self.outcomes(batch[101:]), ["blocked"])
        self.expect(self.resolve(conflict_id, "server"), 200)
        self.assertEqual(self.trip()["nights"], 99)
        self.assertNotIn("blocked", self.outcomes(batch[100:]))
        self.assertEqual(self.trip()["nights"], 101)

    def test_a_dry_run_with_conflicts_and_what_they_hold_leaves_no_trace(self):
        self.conflict()
        held = change(2, "update", {"nights": 9}, data_type="trip", dataId="t", baseVersion="1")
        other = change(3, data={"n": 1}, data_type="trip", dataId="other")
        lists = [self.get(PATH, includeResolved="true").json["conflicts"], self.bundle()["records"]]
        for _ in range(2):
            results = self.upload([held, other], validateOnly=True)["results"]
            self.assertEqual([(one["outcome"], one["duplicate"]) for one in results],
                             [("blocked", False), ("applied", False)])
        self.assertEqual(lists, [self.get(PATH, includeResolved="true").json["conflicts"],
                                 self.bundle()["records"]])

    def test_a_resolution_and_a_change_at_the_same_moment_do_not_overwrite_each_other(self):
        met = set()
        for number in range(12):
            self.become("race-%d" % number)
            conflict_id = self.conflict()
            late = [change(8, "update", {"title": "Roma aeterna"}, data_type="trip", dataId="t",
                           baseVersion="2")]
            with futures.ThreadPoolExecutor(2) as pool:
                resolving = pool.submit(self.resolve, conflict_id, "client")
                changing = pool.submit(self.upload, late, self.tablet)
                answer, outcome = resolving.result(), changing.result()["results"][0]["outcome"]
            met.add((answer.status, outcome))
            if answer.status == 200: # first; so the tablet had not seen it
                self.assertEqual(outcome, "conflict")
                self.assertEqual(self.trip()["title"], "Rom")
            else:
                self.expect_error(answer, 400, "FAILED_PRECONDITION", "VERSION_MISMATCH")
                self.assertEqual((outcome, self.trip()["title"]), ("applied", "Roma aeterna"))
            waiting = self.expect(self.get(PATH), 200)["conflicts"]
            self.assertEqual([one["serverData"]["title"] for one in waiting],
                             [self.trip()["title"]])
        self.assertLessEqual(met, {(200, "conflict"), (400, "applied")})

    def test_another_resolution_of_a_resolved_conflict_is_refused(self):
        conflict_id = self.conflict()
        first = self.expect(self.resolve(conflict_id, "merge", mergedData={"title": "Rome!"}), 200)
        again = self.expect(self.resolve(conflict_id, "merge", mergedData={"title": "Rome!"}), 200)
        self.assertEqual(again, first)
        for resolution, more in (("client", {}), ("server", {}),
                                 ("merge", {"mergedData": {"title": "Rome?"}})):
            self.expect_error(self.resolve(conflict_id, resolution, **more), 400,
                              "FAILED_PRECONDITION", "ALREADY_RESOLVED", "conflictId")
        self.assertEqual(self.trip(), {"title": "Rome!"})

    def test_undo_after_a_later_change_of_the_same_field_says_so(self):
        conflict_id = self.conflict()
        self.expect(self.resolve(conflict_id, "client"), 200)
        self.upload([change(8, "update", {"title": "Roma aeterna"}, data_type="trip", dataId="t",
                            baseVersion="3")], device=self.tablet)
        error = self.expect_error(self.undo(conflict_id), 400, "FAILED_PRECONDITION",
                                  "VERSION_MISMATCH")
        self.assertIn("version 3", error["message"])
        self.assertEqual(self.trip()["title"], "Roma aeterna")

    def test_bad_resolutions_are_named_and_change_nothing(self):
        conflict_id = self.conflict()
        before = self.trip()
        for body, field in (({"resolution": "client"}, "conflictId"),
                            ({"conflictId": conflict_id}, "resolution"),
                            ({"conflictId": conflict_id, "resolution": "coin"}, "resolution"),
                            ({"conflictId": conflict_id, "resolution": "merge"}, "mergedData"),
                            ({"conflictId": conflict_id, "resolution": "merge",
                              "mergedData": [1]}, "mergedData"),
                            ({"conflictId": conflict_id, "resolution": "merge",
                              "mergedData": "text"}, "mergedData"),
                            ({"conflictId": "nonsense", "resolution": "client"}, "conflictId")):
            with self.subTest(body=body):
                self.expect_error(self.post(RESOLVE, body), 400, "INVALID_ARGUMENT", field)
        self.assertEqual(self.trip(), before)
        self.assertEqual(len(self.expect(self.get(PATH), 200)["conflicts"]), 1)

    def test_an_unknown_conflict_is_404_and_somebody_elses_403(self):
        unknown = "0192f3c0-0000-7000-8000-000000000000"
        self.expect_error(self.resolve(unknown, "client"), 404, "NOT_FOUND")
        self.expect_error(self.get(PATH + "/" + unknown), 404, "NOT_FOUND")
        self.expect_error(self.get(PATH + "/nonsense"), 400, "INVALID_ARGUMENT")
        conflict_id = self.conflict()
        self.bearer = harness.token("other-" + self.user)
        self.expect_error(self.get(PATH + "/" + conflict_id), 403, "PERMISSION_DENIED")
        self.expect_error(self.resolve(conflict_id, "client"), 403, "PERMISSION_DENIED")

    def test_a_resolution_of_a_record_that_moved_on_unseen_is_refused(self):
        conflict_id = self.conflict()
        self.upload([change(5, "update", {"nights": 8}, data_type="trip", dataId="t",
                            baseVersion="2")], device=self.tablet)
        answer = self.resolve(conflict_id, "client", baseVersion="2")
        self.expect_error(answer, 400, "FAILED_PRECONDITION", "VERSION_MISMATCH")
        self.assertEqual(self.trip()["nights"], 8)


if __name__ == "__main__":
    harness.main()
