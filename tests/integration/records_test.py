#!/usr/bin/env python3
"""Records go up from one device and come down to another, each equal as JSON to what was sent."""
import json
import unittest

import container
import harness
from harness import Case, change

TRIP_TYPES = ("Event", "EventReservation", "Trip")


def type_of(data):
    return "trip" if data.get("@type") in TRIP_TYPES else "booking"


class Records(Case):
    def load(self):
        """What is sent, by type and id."""
        return {(type_of(data), data["id"]): data for data in harness.own_records()}

    def send(self, records, kind="create", first=0):
        changes = [change(first + number, kind, data, data_type=key[0], dataId=key[1])
                   for number, (key, data) in enumerate(records.items())]
        for at in range(0, len(changes), 1000):
            outcomes = self.outcomes(changes[at:at + 1000], sentAt="2026-05-02T00:00:00Z")
            self.assertEqual(set(outcomes), {"applied"})

    def assert_same(self, found, sent):
        self.assertEqual(set(found), set(sent))
        for key, data in sent.items():
            self.assertEqual(container.canonical(found[key]), container.canonical(data), key)

    def sync(self, sync_type):
        """A sync request of the tablet; the records of the bundle that it made."""
        body = {"dataTypes": ["trips", "bookings"], "syncType": sync_type,
                "deviceId": self.tablet}
        accepted = self.expect(self.post("/api/offline/sync", body), 202)
        operation = self.finished(accepted["syncId"])
        self.assertEqual(operation["status"], "completed", operation)
        answer = self.call("GET", "/api/offline/bundle/" + operation["bundleId"],
                           headers={"Accept": "application/vnd.travelsense.bundle"})
        self.assertEqual(answer.status, 200, answer)
        return container.read(answer.body)

    def test_by_pull(self):
        sent = self.load()
        self.send(sent)
        self.assert_same(self.records(deviceId=self.tablet), sent)
        self.assertEqual(self.bundle()["checksum"], container.checksum(sent))

    def test_by_full_sync(self):
        sent = self.load()
        self.send(sent)
        header, entries = self.sync("full")
        self.assert_same({(entry["dataType"], entry["dataId"]): json.loads(entry["json"])
                          for entry in entries}, sent)
        self.assertEqual(header[8].hex(), container.checksum(sent))

    def split(self):
        """Half of the records are acknowledged by the tablet, then the others are sent."""
        sent = self.load()
        keys = list(sent)
        first = {key: sent[key] for key in keys[:len(keys) // 2]}
        second = {key: sent[key] for key in keys[len(keys) // 2:]}
        self.send(first)
        cursor = self.bundle(deviceId=self.tablet)["cursor"]
        self.bundle(deviceId=self.tablet, cursor=cursor)
        self.send(second, first=len(first))
        return first, second, cursor

    def test_by_incremental_sync(self):
        first, second, cursor = self.split()
        self.assert_same({(record["dataType"], record["dataId"]): record["data"]
                          for record in self.bundle(cursor=cursor)["records"]}, second)
        _, entries = self.sync("incremental")
        self.assert_same({(entry["dataType"], entry["dataId"]): json.loads(entry["json"])
                          for entry in entries}, second)
        self.assert_same(self.records(), {**first, **second})

    def test_by_delta_sync(self):
        first, second, cursor = self.split()
        self.send({key: {"touched": True} for key in first}, "update", 10000)
        state = {key: dict(data) for key, data in first.items()}
        for record in self.bundle(cursor=cursor, syncType="delta")["records"]:
            key = (record["dataType"], record["dataId"])
            if "patch" in record and key in state:
                self.assertEqual(record["patch"], {"touched": True})
                state[key].update(record["patch"])
            else:
                state[key] = record["data"] if "data" in record else record["patch"]
        expected = {key: dict(data, touched=True) for key, data in first.items()}
        expected.update(second)
        self.assert_same(state, expected)
        _, entries = self.sync("delta")
        synced = {key: dict(data) for key, data in first.items()}
        for entry in entries:
            key = (entry["dataType"], entry["dataId"])
            if "patch" in entry:
                synced[key].update(json.loads(entry["patch"]))
            else:
                synced[key] = json.loads(entry["json"])
        self.assert_same(synced, expected)

    def test_by_bundle(self):
        sent = self.load()
        self.send(sent)
        answer = self.call("GET", "/api/offline/bundle",
                           headers={"Accept": "application/vnd.travelsense.bundle"})
        _, entries = container.read(answer.body)
        self.assert_same({(entry["dataType"], entry["dataId"]): json.loads(entry["json"])
                          for entry in entries}, sent)


@unittest.skipUnless(harness.shared_records(), "the real records are not at hand")
class RealRecords(Records):
    def load(self):
        lines = harness.shared_records()
        self.assertEqual(len(lines), 158)
        return {(data_type, "%s-%d" % (line["source"].replace("/", ":"), line["index"])):
                line["data"] for line in lines for data_type in ("booking", "trip")}

    def test_a_bundle_takes_35_percent_of_the_json_at_most(self):
        sent = {key: data for key, data in self.load().items() if key[0] == type_of(data)}
        self.send(sent)
        answer = self.call("GET", "/api/offline/bundle",
                           headers={"Accept": "application/vnd.travelsense.bundle"})
        size = sum(len(json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode())
                   for data in sent.values())
        self.assertLessEqual(len(answer.body), 0.35 * size)


if __name__ == "__main__":
    harness.main()
