#!/usr/bin/env python3
"""Updates that say by operations what they do: elements of arrays by their ids, on their way up."""
import json

import harness
from harness import Case, change

CONFLICTS = "/api/offline/conflicts"
TRIP = {"name": "Round the world", "segments": [
    {"id": "S%d" % number, "train": "NJ %d" % (400 + number), "seat": "21A"}
    for number in range(40)]}


def update(number, *operations, **more):
    made = change(number, "update", data_type="trip", dataId="t", operations=list(operations),
                  **more)
    if "data" not in more:
        del made["data"]
    return made


class OperationsUpload(Case):
    def begin(self, strategy="manual"):
        """Both devices hold the trip."""
        self.configure(conflictResolution=strategy)
        self.upload([change("base", data=TRIP, data_type="trip", dataId="t")], device=self.tablet)

    def send(self, *changes, device=None):
        return self.upload(list(changes), device=device)["results"]

    def segments(self):
        return {one["id"]: one for one in self.records()[("trip", "t")]["segments"]}

    def test_one_seat_of_forty_is_a_short_upload(self):
        self.begin()
        step = {"path": "/segments/S17/seat", "set": "1C"}
        self.assertLess(len(json.dumps(update(1, step))), 220)
        self.assertEqual(self.send(update(1, step, baseVersion="1"))[0]["outcome"], "applied")
        self.assertEqual(self.segments()["S17"]["seat"], "1C")
        self.assertEqual(self.segments()["S16"], TRIP["segments"][16])

    def test_what_others_did_to_other_elements_stays(self):
        self.begin()
        self.send(update(1, {"path": "/segments/S1/seat", "set": "2A"},
                         {"path": "/segments/S2", "remove": True},
                         {"path": "/segments/S99", "set": {"id": "S99"}}, baseVersion="1"),
                  device=self.tablet)
        results = self.send(
            update(1, {"path": "/segments/S3/seat", "set": "3A"}, baseVersion="1"),
            update(2, {"path": "/segments/S3/seat", "set": "3B"},
                   {"path": "/title", "moveFrom": "/name"}, baseVersion="1"))
        self.assertEqual([one["outcome"] for one in results], ["merged", "merged"])
        segments = self.segments()
        self.assertEqual([segments[name]["seat"] for name in ("S1", "S3")], ["2A", "3B"])
        self.assertNotIn("S2", segments)
        self.assertEqual(segments["S99"], {"id": "S99"})
        self.assertEqual(self.records()[("trip", "t")]["title"], TRIP["name"])

    def test_the_same_element_changed_twice_is_asked_for(self):
        self.begin()
        for device, seat in ((self.tablet, "2A"), (self.phone, "2B")):
            result = self.send(update(1, {"path": "/segments/S1/train", "set": seat},
                                      baseVersion="1"), device=device)[0]
        self.assertEqual(result["outcome"], "conflict")
        held = self.send(update(2, {"path": "/segments/S5/seat", "set": "5C"}, baseVersion="1"))[0]
        self.assertTrue(held["held"])
        waiting = self.expect(self.get(CONFLICTS + "/" + result["conflictId"]), 200)
        self.assertEqual(waiting["fields"], ["segments.S1.train"])
        self.assertEqual(waiting["heldChanges"][0]["operations"],
                         [{"path": "/segments/S5/seat", "set": "5C"}])
        self.expect(self.post(CONFLICTS + "/resolve", {"conflictId": result["conflictId"],
                                                       "resolution": "client"}), 200)
        segments = self.segments()
        self.assertEqual((segments["S1"]["train"], segments["S5"]["seat"]), ("2B", "5C"))

    def test_one_that_leads_nowhere_is_named(self):
        self.begin()
        result = self.send(update(1, {"path": "/name", "set": "x"},
                                  {"path": "/segments/S77/seat", "set": "1C"}, baseVersion="1"))[0]
        self.assertEqual((result["outcome"], result["error"]["reason"], result["error"]["field"]),
                         ("rejected", "PATH_NOT_FOUND", "changes[0].operations[1].path"))
        self.assertEqual(self.records()[("trip", "t")], TRIP)

    def test_faults_of_form_are_named_before_anything_is_stored(self):
        self.begin()
        step = {"path": "/name", "set": "x"}
        cases = [(update(1), "data"),
                 (update(1, {"path": "name", "set": 1}), "operations[0].path"),
                 (update(1, step, {"path": "/x"}), "operations[1]"),
                 (update(1, *[step] * 257), "operations"),
                 (update(1, step, data={}), "operations"),
                 (update(1, step, type="delete"), "operations"),
                 (update(1, {"path": "/id", "set": "other"}), "operations[0].set")]
        for body, field in cases:
            with self.subTest(field=field, body=body["operations"][:2]):
                answer = self.post("/api/offline/changes",
                                   {"changes": [body], "deviceId": self.phone})
                error = self.expect_error(answer, 400, "INVALID_ARGUMENT")
                self.assertEqual(self.violations(error), ["changes[0]." + field])
        self.assertEqual(self.records()[("trip", "t")], TRIP)

    def test_a_dry_run_shows_what_they_make(self):
        self.begin()
        answer = self.upload([update(1, {"path": "/segments/S3", "remove": True},
                                     baseVersion="1")],
                             validateOnly=True)
        self.assertEqual(len(answer["results"][0]["data"]["segments"]), 39)
        self.assertEqual(len(self.segments()), 40)


if __name__ == "__main__":
    harness.main()
