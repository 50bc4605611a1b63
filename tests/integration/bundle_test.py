#!/usr/bin/env python3
"""GET /api/offline/bundle: pages, cursors, times and the container."""
import base64
import gzip
import json
import time

import container
import harness
from harness import Case, change

PATH = "/api/offline/bundle"
CONTAINER = {"Accept": "application/vnd.travelsense.bundle"}


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


class Bundle(Case):
    def download(self, path=PATH, **headers):
        return self.call("GET", path, headers=dict(CONTAINER, **headers))

    def test_an_empty_bundle_has_all_its_fields(self):
        bundle = self.bundle()
        self.assertEqual(bundle["records"], [])
        self.assertEqual(sorted(bundle["dataTypes"]),
                         ["bookings", "preferences", "profiles", "trips"])
        self.assertEqual(bundle["checksum"], "0" * 32)
        self.assertEqual(bundle["size"], 0)
        self.assertIs(bundle["compressed"], True)
        for name in ("bundleId", "cursor", "nextSince", "expiresAt"):
            self.assertTrue(bundle[name], name)

    def test_a_snapshot_holds_every_record_and_its_checksum_can_be_computed(self):
        records = {("booking", "b1"): {"seat": "3C", "price": 12.5},
                   ("trip", "t1"): {"name": "Zürich", "days": 3},
                   ("profile", "p1"): {"name": "Ann"}, ("preference", "q1"): {"seat": "aisle"}}
        self.upload([change(number, data=data, data_type=key[0], dataId=key[1])
                     for number, (key, data) in enumerate(records.items())])
        bundle = self.bundle()
        self.assertEqual(self.records(), records)
        self.assertEqual(bundle["checksum"], container.checksum(records))
        self.assertEqual(bundle["size"],
                         sum(len(container.canonical(data).encode()) for data in records.values()))

    def test_bookings_come_first_then_trips_profiles_and_preferences(self):
        order = ("booking", "trip", "profile", "preference")
        self.upload([change(number, data_type=name) for number, name in enumerate(order[::-1])])
        self.assertEqual([record["dataType"] for record in self.bundle()["records"]], list(order))

    def test_data_types_can_be_chosen_in_every_form(self):
        self.upload([change(1, data_type="trip"), change(2), change(3, data_type="profile")])
        for query in ("dataTypes=trips&dataTypes=bookings", "dataTypes=trips,bookings",
                      "dataTypes=trip,booking", "dataTypes=bookings%2Ctrips"):
            answer = self.expect(self.call("GET", PATH + "?" + query), 200)
            self.assertEqual({record["dataType"] for record in answer["records"]},
                             {"trip", "booking"}, query)

    def test_a_cursor_brings_only_what_changed_since(self):
        self.upload([change(1), change(2)])
        cursor = self.bundle()["cursor"]
        self.assertEqual(self.bundle(cursor=cursor)["records"], [])
        self.upload([change(3), change(4, "update", {"seat": "1A"}, dataId="r1")])
        changed = self.bundle(cursor=cursor)
        self.assertEqual(sorted(record["dataId"] for record in changed["records"]), ["r1", "r3"])

    def test_delta_brings_patches_that_lead_to_the_same_state(self):
        self.upload([change(1, data={"a": 1, "b": {"c": 2, "d": 3}, "e": "x" * 400})])
        cursor = self.bundle()["cursor"]
        self.upload([change(2, "update", {"b": {"d": 4}, "a": None}, dataId="r1")])
        pulled = self.bundle(cursor=cursor, syncType="delta")["records"]
        self.assertEqual(len(pulled), 1)
        self.assertEqual(pulled[0]["patch"], {"a": None, "b": {"d": 4}})
        self.assertNotIn("data", pulled[0])

    def test_a_delta_of_one_changed_field_is_small(self):
        self.upload([change(1, data={"field%d" % n: "v" * 50 for n in range(40)})])
        cursor = self.bundle()["cursor"]
        self.upload([change(2, "update", {"field7": "w"}, dataId="r1")])
        for headers in ({"Accept-Encoding": "identity"}, {"Accept-Encoding": "gzip"}, CONTAINER):
            answer = self.call("GET", PATH + "?syncType=delta&cursor=" + cursor, headers=headers)
            self.assertEqual(answer.status, 200)
            self.assertLessEqual(len(answer.body), 400, headers)

    def test_an_answer_to_a_cursor_leaves_out_what_tells_its_reader_nothing(self):
        self.upload([change(1)])
        whole = self.bundle()
        self.assertNotIn("deleted", whole["records"][0])
        self.assertNotIn("nextSince", self.bundle(cursor=whole["cursor"]))
        self.assertRegex(whole["bundleId"], "^[A-Za-z0-9_-]{16}$")
        self.assertRegex(whole["expiresAt"], ":[0-9]{2}Z$")

    def test_the_write_checkpoint_includes_what_was_written(self):
        before = self.bundle()["cursor"]
        checkpoint = self.upload([change(1)])["writeCheckpoint"]
        self.assertEqual(self.bundle(cursor=checkpoint)["records"], [])
        self.assertEqual(len(self.bundle(cursor=before)["records"]), 1)

    def test_since_never_misses_a_change(self):
        self.upload([change(1)])
        since = self.bundle()["nextSince"]
        self.upload([change(2)])
        found = {record["dataId"] for record in self.bundle(since=since)["records"]}
        self.assertIn("r2", found)
        everything = self.bundle(since="2020-01-01T00:00:00Z")["records"]
        self.assertEqual(len(everything), 2)

    def test_since_takes_iso_8601_and_refuses_the_rest(self):
        for good in ("2026-05-01", "2026-05-01T10:00:00Z", "2026-05-01T10:00:00+02:00"):
            self.bundle(since=good)
        for bad in ("yesterday", "2026-13-01T00:00:00Z", "1"):
            self.expect_error(self.get(PATH, since=bad), 400, "INVALID_ARGUMENT", "since")

    def test_bad_parameters_are_named(self):
        for name, value in (("dataTypes", "planes"), ("compress", "maybe"), ("pageSize", "many"),
                            ("pageSize", "-1"), ("pageSize", "10001"), ("cursor", "not a cursor"),
                            ("pageToken", "???"), ("nonsense", "1"), ("syncType", "partial"),
                            ("deviceId", "my phone")):
            with self.subTest(name=name, value=value):
                self.expect_error(self.get(PATH, **{name: value}), 400, "INVALID_ARGUMENT", name)

    def test_pages_together_are_the_whole(self):
        self.upload([change(number) for number in range(25)])
        whole = self.bundle()
        found, page = [], ""
        while True:
            answer = self.bundle(pageSize=10, pageToken=page)
            found += [record["dataId"] for record in answer["records"]]
            page = answer.get("nextPageToken", "")
            if not page:
                break
        self.assertEqual(sorted(found), sorted(record["dataId"] for record in whole["records"]))
        self.assertEqual(answer["checksum"], whole["checksum"])

    def test_compression_follows_what_the_client_accepts(self):
        self.upload([change(number, data={"text": "the same words again " * 20})
                     for number in range(50)])
        plain = self.call("GET", PATH)
        self.assertIsNone(plain.headers["Content-Encoding"])
        packed = self.call("GET", PATH, headers={"Accept-Encoding": "gzip"})
        self.assertEqual(packed.headers["Content-Encoding"], "gzip")
        self.assertLess(len(packed.body), len(plain.body) // 4)
        records = json.loads(gzip.decompress(packed.body))["records"]
        self.assertEqual(records, plain.json["records"])

    def test_compress_false_brings_json_as_it_is(self):
        self.upload([change(1, data={"text": "the same words again " * 200})])
        for compress in ("true", "false"):
            answer = self.call("GET", PATH + "?compress=" + compress,
                               headers={"Accept-Encoding": "gzip"})
            packed = answer.headers["Content-Encoding"] == "gzip"
            self.assertEqual(packed, compress == "true", answer.headers)
            body = gzip.decompress(answer.body) if packed else answer.body
            self.assertIs(json.loads(body)["compressed"], compress == "true")

    def test_a_cursor_of_another_store_asks_for_a_fresh_start(self):
        self.upload([change(1)])
        cursor = self.bundle()["cursor"]
        parts = bytearray(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        self.assertEqual(len(parts), 14)
        self.assertEqual(int.from_bytes(parts[-4:], "big"), crc32c(parts[:-4]))
        parts[5] ^= 1  # in the epoch
        parts[-4:] = crc32c(parts[:-4]).to_bytes(4, "big")
        other = base64.urlsafe_b64encode(parts).rstrip(b"=").decode()
        self.expect_error(self.get(PATH, cursor=other), 400, "FAILED_PRECONDITION",
                          "RESYNC_REQUIRED")

    def test_the_container_holds_the_same_records(self):
        data = {"b%d" % number: {"text": "words " * number, "n": number} for number in range(200)}
        self.upload([change(name, data=value, dataId=name) for name, value in data.items()])
        answer = self.download()
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.headers["Content-Type"], "application/vnd.travelsense.bundle")
        header, entries = container.read(answer.body)
        self.assertEqual(header[1], 1)
        self.assertEqual(header[3].decode(), self.user)
        self.assertEqual({entry["dataId"]: json.loads(entry["json"]) for entry in entries}, data)
        self.assertEqual(header[8].hex(), container.checksum(
            {("booking", name): value for name, value in data.items()}))

    def test_a_container_without_compression_is_larger_and_equal(self):
        self.upload([change(number, data={"text": "again " * 50}) for number in range(100)])
        small, large = self.download(), self.download(PATH + "?compress=false")
        self.assertLess(len(small.body), len(large.body) // 2)
        self.assertEqual([entry["json"] for entry in container.read(small.body)[1]],
                         [entry["json"] for entry in container.read(large.body)[1]])

    def dictionary(self, path="/api/offline/dictionaries"):
        """The id of a dictionary and its bytes."""
        answer = self.call("GET", path)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.body[:4], bytes.fromhex("37a430ec"))  # RFC 8878 section 5
        return int.from_bytes(answer.body[4:8], "little"), answer.body

    def test_a_container_is_packed_as_the_client_can_unpack_it(self):
        number, dictionary = self.dictionary()
        self.upload([change(name, data={"@type": "Flight", "airplaneSeat": "%dC" % name})
                     for name in range(30)])
        known = "dictionaryId=%d" % number
        cases = [("", {1, 2}, 0), ("codecs=snappy", {1, 2}, 0), ("codecs=zstd", {1, 3}, 0),
                 ("codecs=snappy,zstd&" + known, {1, 3}, number),
                 ("codecs=identity&" + known, {1}, 0), ("codecs=snappy&" + known, {1, 2}, 0),
                 ("codecs=zstd&dictionaryId=5", {1, 3}, 0), ("codecs=zstd&compress=false", {1}, 0)]
        whole = None
        for query, codecs, used in cases:
            with self.subTest(query):
                answer = self.download(PATH + "?" + query)
                self.assertEqual(answer.status, 200, answer)
                header, entries = container.read(answer.body, dictionary)
                self.assertEqual(header.get(11, 0), used)
                self.assertLessEqual(container.codecs(answer.body), codecs)
                whole = whole or entries
                self.assertEqual(entries, whole)

    def test_the_dictionary_halves_what_a_small_bundle_needs(self):
        number, dictionary = self.dictionary()
        self.upload([change(0, data=next(record for record in harness.own_records()
                                         if record["@type"] == "FlightReservation"))])
        plain = len(self.download(PATH + "?compress=false").body)
        small = self.download(PATH + "?codecs=zstd&dictionaryId=%d" % number).body
        self.assertLess(len(small), plain * 0.7)
        self.assertEqual(len(container.read(small, dictionary)[1]), 1)

    def test_a_container_with_zstd_resumes_as_any_other(self):
        self.upload([change(number, data={"text": "x%d " % number * 100}) for number in range(99)])
        whole = self.download(PATH + "?codecs=zstd")
        path = PATH + "/" + whole.headers["X-Bundle-Id"]
        rest = self.download(path, Range="bytes=100-")
        self.assertEqual((rest.status, whole.body[:100] + rest.body), (206, whole.body))
        self.assertEqual(self.download(path).headers["ETag"], whole.headers["ETag"])
        self.assertNotEqual(self.download().headers["ETag"], whole.headers["ETag"])

    def test_a_container_of_real_records_is_a_fifth_of_their_json(self):
        records = harness.shared_records()
        if not records:
            self.skipTest("the real records are not at hand")
        self.upload([change(number, data=record["data"], dataId="r-%03d" % number)
                     for number, record in enumerate(records)])
        json_size = len(self.call("GET", PATH).body)
        size = len(self.download(PATH + "?codecs=zstd").body)
        print("%d of %d bytes" % (size, json_size))
        self.assertLessEqual(size, json_size * 0.20)

    def test_a_dictionary_is_to_be_had_by_its_id(self):
        number, dictionary = self.dictionary()
        path = "/api/offline/dictionaries/"
        self.assertEqual(self.dictionary(path + str(number)), (number, dictionary))
        self.expect_error(self.call("GET", path + "7"), 404, "NOT_FOUND", str(number))
        self.expect_error(self.call("GET", path + "seven"), 400, "INVALID_ARGUMENT")

    def test_the_dictionary_holds_nothing_of_real_records(self):
        records = harness.shared_records()
        if not records:
            self.skipTest("the real records are not at hand")
        dictionary = self.dictionary()[1].decode("utf-8", "replace")
        own = ("familyName", "givenName", "reservationNumber", "ticketNumber", "membershipNumber",
               "ticketToken")
        seen = 0
        for name, value in container.members(records):
            if name in own and len(value) > 3:
                seen += 1
                self.assertNotIn('"%s"' % value, dictionary)
        self.assertGreater(seen, 100)

    def completed_bundle(self):
        body = {"dataTypes": ["bookings"], "syncType": "full", "deviceId": self.phone}
        accepted = self.expect(self.post("/api/offline/sync", body), 202)
        return self.finished(accepted["syncId"])["bundleId"]

    def test_a_stored_bundle_resumes_from_a_range(self):
        self.upload([change(number, data={"text": "x%d " % number * 100}) for number in range(99)])
        path = PATH + "/" + self.completed_bundle()
        whole = self.download(path)
        self.assertEqual(whole.status, 200, whole)
        middle = len(whole.body) // 2
        rest = self.download(path, Range="bytes=%d-" % middle)
        self.assertEqual(rest.status, 206, rest)
        self.assertEqual(rest.headers["Content-Range"],
                         "bytes %d-%d/%d" % (middle, len(whole.body) - 1, len(whole.body)))
        self.assertEqual(whole.body[:middle] + rest.body, whole.body)
        tail = self.download(path, Range="bytes=-10")
        self.assertEqual(tail.body, whole.body[-10:])
        beyond = self.download(path, Range="bytes=%d-" % (len(whole.body) + 5))
        self.assertEqual(beyond.status, 416, beyond)

    def test_a_stored_bundle_that_the_client_holds_is_not_sent_again(self):
        self.upload([change(1)])
        path = PATH + "/" + self.completed_bundle()
        etag = self.download(path).headers["ETag"]
        self.assertTrue(etag)
        again = self.download(path, **{"If-None-Match": etag})
        self.assertEqual((again.status, again.body), (304, b""))

    def test_an_unknown_bundle_is_404_and_somebody_elses_403(self):
        unknown = PATH + "/q1RywL-49ltxJC6A"
        self.expect_error(self.download(unknown), 404, "NOT_FOUND")
        for nonsense in ("nonsense", "q1RywL+49ltxJC6A", "0192f3c0-0000-7000-8000-000000000000"):
            self.expect_error(self.download(PATH + "/" + nonsense), 400, "INVALID_ARGUMENT")
        mine = PATH + "/" + self.completed_bundle()
        answer = self.stack.call("GET", mine, bearer=harness.token("other-" + self.user),
                                 headers=CONTAINER)
        self.expect_error(answer, 403, "PERMISSION_DENIED")

    def test_users_see_only_their_own(self):
        self.upload([change(1)])
        answer = self.stack.call("GET", PATH, bearer=harness.token("other-" + self.user))
        self.assertEqual(self.expect(answer, 200)["records"], [])

    def test_what_expires_lies_in_the_future(self):
        expires = self.bundle()["expiresAt"]
        self.assertGreater(expires, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()))


class Tags(Case):
    def test_a_tag_of_a_packed_answer_is_weak(self):
        self.upload([change(1, data={"text": "x" * 3000})])
        plain = self.call("GET", "/api/offline/bundle").headers["ETag"]
        self.assertTrue(plain.startswith('"'))
        for coding in ("gzip", "zstd"):
            headers = {"Accept-Encoding": coding}
            answer = self.call("GET", "/api/offline/bundle", headers=headers)
            self.assertEqual(answer.headers["Content-Encoding"], coding)
            self.assertEqual(answer.headers["ETag"], "W/" + plain)
            for tag in (plain, "W/" + plain, '"other", W/' + plain):
                headers["If-None-Match"] = tag
                answer = self.call("GET", "/api/offline/bundle", headers=headers)
                self.assertEqual((answer.status, answer.body), (304, b""))
                self.assertEqual(answer.headers["ETag"], "W/" + plain)


if __name__ == "__main__":
    harness.main()
