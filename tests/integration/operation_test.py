#!/usr/bin/env python3
"""POST /api/offline/sync and what follows from it."""
import uuid

import container
import harness
from harness import Case, change

PATH = "/api/offline/sync"


class Operation(Case):
    def request(self, sync_type="full", data_types=("trips", "bookings"), device=None, **more):
        return self.post(PATH, {"dataTypes": list(data_types), "syncType": sync_type,
                                "deviceId": device or self.phone, **more})

    def accepted(self, **more):
        answer = self.expect(self.request(**more), 202)
        self.assertEqual(answer["status"], "pending")
        return answer["syncId"]

    def test_a_request_is_accepted_and_completes_with_its_bundle(self):
        self.upload([change(1), change(2), change(3, data_type="trip")])
        operation = self.finished(self.accepted())
        self.assertEqual(operation["status"], "completed", operation)
        self.assertEqual(operation["userId"], self.user)
        self.assertEqual(operation["deviceId"], self.phone)
        self.assertEqual(sorted(operation["dataTypes"]), ["bookings", "trips"])
        self.assertEqual(operation["syncType"], "full")
        self.assertEqual(operation["progress"], 100)
        self.assertEqual(operation["changesProcessed"], 3)
        self.assertEqual(operation["conflictsDetected"], 0)
        for name in ("startTime", "endTime", "createdAt", "updatedAt", "bundleId", "phase"):
            self.assertTrue(operation[name], name)
        for name in ("bytesDone", "bytesTotal"):
            self.assertGreater(int(operation[name]), 0, name)

    def test_every_sync_type_and_data_type_is_taken(self):
        for sync_type in ("full", "delta", "incremental"):
            for data_type in ("trips", "profiles", "preferences", "bookings",
                              "trip", "profile", "preference", "booking"):
                sync_id = self.accepted(sync_type=sync_type, data_types=[data_type])
                self.assertEqual(self.finished(sync_id)["syncType"], sync_type)

    def test_its_bundle_is_packed_as_the_client_can_unpack_it(self):
        dictionary = self.call("GET", "/api/offline/dictionaries").body
        known = int.from_bytes(dictionary[4:8], "little")
        self.upload([change(name, data={"@type": "Flight", "airplaneSeat": "%dC" % name})
                     for name in range(30)])
        wholes = set()
        for asked, codec, codecs, used in (
                ({}, "snappy", {1, 2}, 0),
                ({"codecs": ["snappy"], "dictionaryId": known}, "snappy", {1, 2}, 0),
                ({"codecs": ["zstd"]}, "zstd", {1, 3}, 0),
                ({"codecs": ["snappy", "zstd"], "dictionaryId": known}, "zstd", {1, 3}, known),
                ({"codecs": ["zstd"], "dictionaryId": 5}, "zstd", {1, 3}, 0),
                ({"codecs": ["identity"]}, "identity", {1}, 0)):
            with self.subTest(asked):
                operation = self.finished(self.accepted(**asked))
                self.assertEqual((operation["codec"], operation.get("dictionaryId", 0)),
                                 (codec, used))
                body = self.call("GET", "/api/offline/bundle/" + operation["bundleId"]).body
                header, entries = container.read(body, dictionary)
                self.assertEqual(header.get(11, 0), used)
                self.assertLessEqual(container.codecs(body), codecs)
                self.assertEqual(len(entries), 30)
                wholes.add(repr(entries))
        self.assertEqual(len(wholes), 1)

    def test_the_requests_are_listed_newest_first_by_pages(self):
        made = [self.accepted() for _ in range(5)]
        listed, page = [], ""
        while True:
            answer = self.expect(self.get(PATH, pageSize=2, pageToken=page), 200)
            listed += [operation["syncId"] for operation in answer["operations"]]
            page = answer.get("nextPageToken", "")
            if not page:
                break
            self.assertEqual(len(answer["operations"]), 2)
        self.assertEqual(listed, made[::-1])

    def test_the_list_can_be_of_one_device(self):
        self.accepted(device=self.tablet)
        sync_id = self.accepted(device=self.phone)
        listed = self.expect(self.get(PATH, deviceId=self.phone), 200)["operations"]
        self.assertEqual([operation["syncId"] for operation in listed], [sync_id])

    def test_an_upload_is_an_operation_too(self):
        answer = self.upload([change(1), change(2)])
        operation = self.expect(self.get(PATH + "/" + answer["syncId"]), 200)
        self.assertEqual(operation["status"], "completed")
        self.assertEqual(operation["changesProcessed"], 2)

    def test_an_ended_operation_stays_as_it_is_when_cancelled(self):
        sync_id = self.accepted()
        self.finished(sync_id)
        answer = self.expect(self.post(PATH + "/%s:cancel" % sync_id, {}), 200)
        self.assertEqual(answer["status"], "completed")

    def test_cancelling_ends_an_operation(self):
        sync_id = self.accepted()
        self.expect(self.post(PATH + "/%s:cancel" % sync_id, {}), 200)
        self.assertIn(self.finished(sync_id)["status"], ("cancelled", "completed"))

    def test_missing_and_wrong_fields_are_named(self):
        whole = {"dataTypes": ["trips"], "syncType": "full", "deviceId": self.phone}
        for name, value in (("dataTypes", None), ("dataTypes", []), ("dataTypes", ["planes"]),
                            ("dataTypes", ["trips"] * 101), ("dataTypes", "trips?"),
                            ("dataTypes", [7.5]), ("syncType", None), ("syncType", "partial"),
                            ("syncType", ""), ("deviceId", None), ("deviceId", ""),
                            ("deviceId", "my phone"), ("deviceId", "x" * 129), ("deviceId", 7)):
            with self.subTest(name=name, value=value):
                body = dict(whole)
                body[name] = value
                if value is None:
                    del body[name]
                self.expect_error(self.post(PATH, body), 400, "INVALID_ARGUMENT", name)
        self.assertEqual(self.expect(self.get(PATH), 200)["operations"], [])

    def test_all_missing_fields_are_named_at_once(self):
        error = self.expect_error(self.post(PATH, {}), 400, "INVALID_ARGUMENT")
        self.assertEqual(sorted(self.violations(error)), ["dataTypes", "deviceId", "syncType"])

    def test_a_malformed_id_is_400_and_an_unknown_one_404(self):
        self.expect_error(self.get(PATH + "/not-an-id"), 400, "INVALID_ARGUMENT")
        unknown = "0192f3c0-0000-7000-8000-000000000000"
        self.expect_error(self.get(PATH + "/" + unknown), 404, "NOT_FOUND")
        self.expect_error(self.get(PATH + "/" + str(uuid.uuid4())), 404, "NOT_FOUND")
        self.expect_error(self.post(PATH + "/%s:cancel" % unknown, {}), 404, "NOT_FOUND")

    def test_somebody_elses_operation_is_403(self):
        sync_id = self.accepted()
        other = harness.token(self.user + "-other")
        answer = self.stack.call("GET", PATH + "/" + sync_id, bearer=other)
        self.expect_error(answer, 403, "PERMISSION_DENIED")
        answer = self.stack.call("POST", PATH + "/%s:cancel" % sync_id, {}, bearer=other)
        self.expect_error(answer, 403, "PERMISSION_DENIED")

    def test_what_is_promised_survives_a_kill(self):
        self.upload([change(1)])
        made = [self.accepted() for _ in range(3)]
        self.stack.kill_service()
        self.stack.start_service()
        for sync_id in made:
            self.assertEqual(self.finished(sync_id, restarted=True)["status"], "completed")


if __name__ == "__main__":
    harness.main()
