#!/usr/bin/env python3
"""POST /api/offline/changes: outcomes, repetition and bounds."""
import json
import unittest

import harness
from harness import Case, change

PATH = "/api/offline/changes"


class Changes(Case):
    def test_an_upload_is_answered_with_202_and_one_result_a_change(self):
        answer = self.upload([change(1), change(2, data_type="trip")])
        self.assertEqual(answer["status"], "completed")
        for name in ("syncId", "writeCheckpoint", "serverTime"):
            self.assertTrue(answer[name], name)
        first = answer["results"][0]
        self.assertEqual(first["changeId"], "c1")
        self.assertEqual(first["outcome"], "applied")
        self.assertFalse(first["duplicate"])
        self.assertEqual((first["dataType"], first["dataId"]), ("booking", "r1"))
        self.assertEqual(first["version"], "1")
        self.assertEqual(answer["results"][1]["version"], "2")
        self.assertNotIn("error", first)

    def test_the_documented_body_alone_is_enough(self):
        body = {"changes": [{"id": "1", "type": "create", "dataType": "trip",
                             "data": {"name": "Lisbon"}, "timestamp": "2026-05-01T10:00:00Z"}],
                "deviceId": self.phone}
        result = self.expect(self.post(PATH, body), 202)["results"][0]
        self.assertRegex(result["dataId"], "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-")
        self.assertEqual(self.records(), {("trip", result["dataId"]): {"name": "Lisbon"}})

    def test_every_data_type_is_taken_in_both_forms(self):
        for number, name in enumerate(("trip", "profile", "preference", "booking",
                                       "trips", "profiles", "preferences", "bookings")):
            result = self.upload([change(number, data_type=name)])["results"][0]
            self.assertEqual(result["dataType"], name.rstrip("s"))

    def test_the_id_inside_the_data_names_the_record(self):
        self.upload([change(1, data={"id": "b-7", "seat": "3C"})])
        self.upload([change(2, "update", {"id": "b-7", "seat": "4A"})])
        self.assertEqual(self.records(), {("booking", "b-7"): {"id": "b-7", "seat": "4A"}})

    def test_an_update_is_a_merge_patch(self):
        self.upload([change(1, data={"a": 1, "b": {"c": 2, "d": 3}, "e": [1, 2]})])
        self.upload([change(2, "update", {"a": None, "b": {"d": 4}, "e": [5], "f": "new"},
                            dataId="r1")])
        self.assertEqual(self.records()[("booking", "r1")],
                         {"b": {"c": 2, "d": 4}, "e": [5], "f": "new"})

    def test_a_delete_leaves_a_tombstone(self):
        self.upload([change(1), change(2)])
        cursor = self.bundle()["cursor"]
        self.upload([change(3, "delete", dataId="r1")])
        self.assertEqual(set(self.records()), {("booking", "r2")})
        pulled = self.bundle(cursor=cursor)["records"]
        self.assertEqual([(record["dataId"], record.get("deleted")) for record in pulled],
                         [("r1", True)])
        self.assertNotIn("data", pulled[0])

    def test_sent_twice_a_batch_changes_nothing_and_answers_the_same(self):
        batch = [change(1), change(2), change(3, "update", {"x": 1}, dataId="nobody")]
        first = self.upload(batch)
        state = self.bundle()
        second = self.upload(batch)
        self.assertEqual([result["duplicate"] for result in second["results"]], [True] * 3)
        for before, after in zip(first["results"], second["results"]):
            self.assertEqual(dict(before, duplicate=True), after)
        again = self.bundle()
        self.assertEqual((again["records"], again["checksum"], again["cursor"]),
                         (state["records"], state["checksum"], state["cursor"]))

    def test_a_made_id_is_the_same_when_the_change_is_sent_again(self):
        once = change(1, dataId=None)
        first = self.upload([once])["results"][0]
        self.assertEqual(self.upload([once])["results"][0]["dataId"], first["dataId"])
        self.assertEqual(len(self.records()), 1)

    def test_an_id_used_again_with_other_content_is_an_error_of_that_change_alone(self):
        self.upload([change(1)])
        results = self.upload([change(1, data={"title": "other"}), change(2)])["results"]
        self.assertEqual([result["outcome"] for result in results], ["rejected", "applied"])
        self.assertTrue(results[0]["error"]["reason"])
        self.assertTrue(results[0]["error"]["message"])
        self.assertEqual(self.records()[("booking", "r1")], {"title": "record 1"})

    def test_the_same_id_from_another_device_is_another_change(self):
        self.upload([change(1)], device=self.phone)
        result = self.upload([change(1, dataId="r2")], device=self.tablet)["results"][0]
        self.assertEqual((result["outcome"], result["duplicate"]), ("applied", False))

    def test_one_bad_state_in_a_thousand_settles_the_others(self):
        batch = [change(number) for number in range(1000)]
        batch[500] = change(500, "update", {"x": 1}, dataId="never-there")
        results = self.upload(batch)["results"]
        wrong = [result for result in results if result["outcome"] != "applied"]
        self.assertEqual([result["changeId"] for result in wrong], ["c500"])
        self.assertEqual(wrong[0]["outcome"], "rejected")
        self.assertEqual(wrong[0]["error"]["reason"], "NOT_FOUND")
        self.assertEqual(len(self.records()), 999)

    def test_a_batch_of_none_and_of_more_than_a_thousand_are_refused(self):
        for count in (0, 1001):
            with self.subTest(count=count):
                body = {"changes": [change(number) for number in range(count)],
                        "deviceId": self.phone}
                self.expect_error(self.post(PATH, body), 400, "INVALID_ARGUMENT", "changes")
        self.assert_nothing_stored()

    def test_all_faults_of_a_batch_are_named_at_once(self):
        batch = [change(number) for number in range(6)]
        del batch[0]["id"]
        batch[1]["type"] = "upsert"
        batch[2]["dataType"] = "plane"
        batch[3]["timestamp"] = "yesterday"
        batch[4]["data"] = [1, 2]
        error = self.expect_error(self.post(PATH, {"changes": batch}), 400, "INVALID_ARGUMENT")
        self.assertEqual(
            sorted(set(self.violations(error))),
            ["changes[0].id", "changes[1].type", "changes[2].dataType", "changes[3].timestamp",
             "changes[4].data", "deviceId"])
        self.assert_nothing_stored()

    def test_each_required_field_is_missed_by_name(self):
        for name in ("id", "type", "dataType", "timestamp"):
            with self.subTest(name=name):
                batch = [change(0), change(1)]
                del batch[1][name]
                error = self.expect_error(
                    self.post(PATH, {"changes": batch, "deviceId": self.phone}), 400,
                    "INVALID_ARGUMENT")
                self.assertEqual(self.violations(error), ["changes[1]." + name])
        self.assert_nothing_stored()

    def test_an_id_that_differs_from_the_datas_is_refused(self):
        batch = [change(1, data={"id": "a"}, dataId="b")]
        self.expect_error(self.post(PATH, {"changes": batch, "deviceId": self.phone}), 400,
                          "INVALID_ARGUMENT", "changes[0].data")
        self.assert_nothing_stored()

    def test_create_and_update_need_data_and_update_needs_an_id(self):
        for bad in (change(1, data={}, id="c", data_type="trip"),):
            self.upload([bad])
        wrong = [change(1), change(2, "update", {"x": 1}, dataId=None)]
        del wrong[0]["data"]
        error = self.expect_error(self.post(PATH, {"changes": wrong, "deviceId": self.phone}), 400,
                                  "INVALID_ARGUMENT")
        self.assertEqual(len(self.violations(error)), 2, error)

    def test_long_ids_are_taken_to_their_bound_and_refused_beyond(self):
        self.upload([change(1, id="c" * 128, dataId="d" * 256)], device=self.phone.rjust(128, "p"))
        for bad, device in ((change(2, id="c" * 129), self.phone),
                            (change(2, dataId="d" * 257), self.phone),
                            (change(2), "p" * 129)):
            self.expect_error(self.post(PATH, {"changes": [bad], "deviceId": device}), 400,
                              "INVALID_ARGUMENT")
        self.assertEqual(len(self.records()), 1)

    def test_data_are_taken_to_their_bound_and_refused_beyond(self):
        self.upload([change(1, data={"text": "x" * (255 << 10)})])
        answer = self.post(PATH, {"changes": [change(2, data={"text": "x" * (257 << 10)})],
                                  "deviceId": self.phone})
        self.expect_error(answer, 400, "INVALID_ARGUMENT", "changes[0].data")
        self.assertEqual(len(self.records()), 1)

    def test_iso_8601_times_are_taken(self):
        times = ("2026-05-01T10:00:00Z", "2026-05-01T10:00:00.123456789Z",
                 "2026-05-01T12:00:00+02:00", "2026-05-01T10:00:00", "2026-05-01")
        for number, time in enumerate(times):
            self.assertEqual(self.outcomes([change(number, timestamp=time)]), ["applied"], time)

    def test_a_dry_run_answers_the_outcomes_and_stores_nothing(self):
        self.assertEqual(self.outcomes([change(1)], validateOnly=True), ["applied"])
        self.assert_nothing_stored()
        self.assertEqual(self.upload([change(1)])["results"][0]["duplicate"], False)

    def everything(self):
        """All that the user can see of himself, without what is new in each answer."""
        bundle = self.bundle()
        shown = {name: bundle[name] for name in ("records", "cursor", "checksum")}
        for path in ("sync", "conflicts?includeResolved=true", "devices"):
            shown[path] = self.expect(self.get("/api/offline/" + path), 200)
            shown[path].pop("serverTime", None)
        return shown

    def test_a_dry_run_shows_what_the_records_would_be_and_leaves_no_trace(self):
        self.configure(conflictResolution="merge")
        self.upload([change(1, data={"a": 1, "notes": "x"}, dataId="r")])
        self.upload([change(2, "update", {"a": 2, "notes": "x ours"}, dataId="r", baseVersion="1")])
        before = self.everything()
        batch = [change(1, "update", {"b": 3, "notes": "x theirs"}, dataId="r", baseVersion="1"),
                 change(2, data={}, dataId="s"), change(3, "delete", dataId="s"),
                 change(4, "update", {"a": 1}, dataId="nobody")]
        results = self.upload(batch, device="never-seen", validateOnly=True)["results"]
        self.assertEqual([(result["outcome"], result.get("data")) for result in results],
                         [("merged", {"a": 2, "b": 3, "notes": "x ours theirs"}),
                          ("applied", {}), ("applied", None), ("rejected", None)])
        for result in results:
            self.assertNotIn("decisionId", result)
        self.assertEqual(self.everything(), before)
        sent = self.upload(batch, device="never-seen")["results"]
        self.assertEqual([result["outcome"] for result in sent],
                         [result["outcome"] for result in results])
        self.assertNotIn("data", sent[0])
        self.assertEqual(self.records()[("booking", "r")], results[0]["data"])

    def test_a_later_change_of_the_same_record_waits_behind_a_conflict(self):
        self.configure(conflictResolution="manual")
        self.upload([change(1, data={"x": 1}, dataId="r")])
        self.upload([change(2, "update", {"x": 2}, dataId="r", baseVersion="1")])
        batch = [change(1, "update", {"x": 3}, dataId="r", baseVersion="1"),
                 change(2, "update", {"y": 4}, dataId="r", baseVersion="1"), change(3)]
        self.assertEqual(self.outcomes(batch, self.tablet), ["conflict", "blocked", "applied"])
        self.assertEqual(self.records()[("booking", "r")], {"x": 2})

    def test_changes_of_one_record_in_one_batch_apply_in_order(self):
        batch = [change(1, data={"n": 1}, dataId="r"), change(2, "update", {"n": 2}, dataId="r"),
                 change(3, "delete", dataId="r"), change(4, data={"n": 4}, dataId="r")]
        self.upload(batch)
        self.assertEqual(self.records(), {("booking", "r"): {"n": 4}})

    def test_json_comes_back_as_it_was_sent(self):
        data = {"text": "Zürich – 東京 \U0001f6eb \"quoted\" \\ / \u0001 \u2028", "empty": {},
                "none": [], "zero": 0, "negative": -7, "big": 9007199254740991,
                "fraction": 0.1, "tiny": 5e-324, "large": 123456789012345.6,
                "nested": {"a": [{"b": [[1, 2], []]}, True, False, "x"]}, "key with space": 1}
        self.upload([change(1, data=data)])
        self.assertEqual(self.records()[("booking", "r1")], data)

    def test_null_inside_a_new_record_is_kept(self):
        data = {"list": [None, 1], "given": {"name": "x"}}
        self.upload([change(1, data=data)])
        self.assertEqual(self.records()[("booking", "r1")], data)

    @unittest.skipUnless(harness.shared_records(), "the real records are not at hand")
    def test_the_real_records_can_be_sent_one_by_one(self):
        for number, line in enumerate(harness.shared_records()):
            self.assertEqual(
                self.outcomes([change(number, data=line["data"], dataId="r%d" % number)]),
                ["applied"])
        self.assertEqual(json.dumps(self.records()[("booking", "r0")], sort_keys=True),
                         json.dumps(harness.shared_records()[0]["data"], sort_keys=True))


class Faults(Case):
    """Every fault of form of a batch, whoever finds it, in one answer."""

    def faults(self, batch, **more):
        """The paths named in the refusal of a batch."""
        body = dict({"changes": batch, "deviceId": self.phone}, **more)
        error = self.expect_error(self.post(PATH, body), 400, "INVALID_ARGUMENT")
        return self.violations(error)

    def test_a_thousand_faults_that_the_gateway_finds_are_all_named(self):
        batch = [change(number, timestamp="yesterday") for number in range(1000)]
        self.assertEqual(self.faults(batch), ["changes[%d].timestamp" % n for n in range(1000)])
        self.assert_nothing_stored()

    def test_a_thousand_faults_that_the_service_finds_are_all_named(self):
        batch = [change(number, baseVersion="-1") for number in range(1000)]
        self.assertEqual(self.faults(batch), ["changes[%d].baseVersion" % n for n in range(1000)])
        self.assert_nothing_stored()

    def test_a_thousand_faults_of_both_are_named_in_their_order(self):
        batch = [change(n, **({"timestamp": "yesterday"} if n % 3 else {"id": "c%0128d" % n}))
                 for n in range(1000)]
        batch[500].update(timestamp="yesterday", baseVersion="-1")
        wanted = ["changes[%d].%s" % (n, "timestamp" if n % 3 else "id") for n in range(1000)]
        wanted.insert(500, "changes[500].baseVersion")
        self.assertEqual(self.faults(batch, sentAt="never"), wanted + ["sentAt"])
        self.assert_nothing_stored()

    def test_every_field_of_a_thousand_changes_may_be_at_fault(self):
        batch = [{"id": "c%0128d" % n, "type": "x", "dataType": "y", "timestamp": "z", "data": 1,
                  "dataId": "d" * 257, "baseVersion": "-1"} for n in range(1000)]
        names = ("baseVersion", "data", "dataId", "dataType", "id", "timestamp", "type")
        named = self.faults(batch)
        self.assertEqual(named, ["changes[%d].%s" % (n, name) for n in range(1000)
                                 for name in names])
        self.assertEqual(len(self.faults([{}] * 1000, deviceId="")), 4001)
        self.assert_nothing_stored()

    def test_a_change_that_is_no_object_does_not_move_the_others(self):
        batch = [7, change(1, baseVersion="-1"), None, change(3, baseVersion="-1")]
        self.assertEqual(self.faults(batch), ["changes[0]", "changes[1].baseVersion", "changes[2]",
                                              "changes[3].baseVersion"])
        self.assertEqual(self.faults([7] * 1000), ["changes[%d]" % n for n in range(1000)])
        self.assert_nothing_stored()

    def test_a_batch_too_long_is_said_beside_its_faults(self):
        named = self.faults([change(n, timestamp="yesterday") for n in range(1001)])
        self.assertEqual(named[:2], ["changes", "changes[0].timestamp"])
        self.assertEqual(len(named), 1002)

    def test_faults_beyond_the_bound_are_counted(self):
        strange = {"strange%d" % n: 1 for n in range(11)}
        answer = self.post(PATH, {"changes": [change(n, **strange) for n in range(1000)],
                                  "deviceId": self.phone})
        error = self.expect_error(answer, 400, "INVALID_ARGUMENT", "11000 faults")
        self.assertEqual(len(self.violations(error)), 10000)
        self.assert_nothing_stored()

    def test_who_is_not_let_in_is_told_no_faults(self):
        answer = self.post(PATH, {"changes": [{}] * 1000}, bearer="x.y.z")
        error = self.expect_error(answer, 401, "UNAUTHENTICATED")
        self.assertEqual(self.violations(error), [])
        for size in (7000, 7300, 7400, 7500, 7600, 8000):
            with self.subTest(size=size):
                answer = self.post(PATH, {"changes": [{}] * 1000}, bearer="x" * size)
                self.assertIn(answer.status, (401, 431))
                self.assertEqual(self.violations(answer.json["error"]), [])

    def test_what_gateway_and_service_tell_each_other_is_not_a_clients_to_say(self):
        ours = ({"json-faults": "3"}, {"status-details": "message"},
                {"accept-status-details": "trailers"}, {"json-faults-bin": "CgA"},
                {"grpc-status-details-bin": "CgA"})
        for number, headers in enumerate(ours):
            with self.subTest(headers=headers):
                answer = self.post(PATH, {"changes": [change(number)], "deviceId": self.phone},
                                   headers=headers)
                self.expect(answer, 202)
        for headers in ({"json-faults": "0"}, {"json-faults": ""},
                        {"accept-status-details": "none"}):
            with self.subTest(headers=headers):
                batch = [change(9000 + n, timestamp="yesterday") for n in range(99)]
                batch.append(change(9100))
                answer = self.post(PATH, {"changes": batch, "deviceId": self.phone},
                                   headers=headers)
                error = self.expect_error(answer, 400, "INVALID_ARGUMENT", "99 faults")
                self.assertEqual(len(self.violations(error)), 99)
        self.assertEqual(len(self.records()), len(ours))


if __name__ == "__main__":
    harness.main()
