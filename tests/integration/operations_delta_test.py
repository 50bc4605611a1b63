#!/usr/bin/env python3
"""Deltas as operations: elements of arrays by their ids, in every form a device can get them."""
import json

import container
import harness
import operations
from harness import Case, change
from stream_device import Device

PATH = "/api/offline/bundle"
CONTAINER = {"Accept": "application/vnd.travelsense.bundle"}


def trip(count=40):
    return {"name": "Round the world", "notes": "x" * 300, "segments": [
        {"id": "S%d" % number, "from": "Salzburg Hbf", "to": "Venezia Santa Lucia",
         "train": "NJ %d" % (400 + number), "seat": "21A"} for number in range(count)]}


class OperationsDelta(Case):
    def begin(self):
        self.upload([change(1, data=trip(), data_type="trip", dataId="t")])
        return self.bundle()["cursor"], trip()

    def update(self, number, data):
        self.upload([change(number, "update", data, data_type="trip", dataId="t")])

    def delta(self, cursor, form="operations"):
        return self.call("GET", "%s?syncType=delta&patchFormat=%s&cursor=%s" % (PATH, form, cursor))

    def one(self, answer):
        records = self.expect(answer, 200)["records"]
        self.assertEqual(len(records), 1)
        return records[0]

    def test_a_seat_in_one_of_forty_segments_is_a_short_pull(self):
        cursor, record = self.begin()
        record["segments"][17]["seat"] = "1C"
        self.update(2, {"segments": record["segments"]})
        answer = self.delta(cursor)
        pulled = self.one(answer)
        self.assertEqual(pulled["operations"], [{"path": "/segments/S17/seat", "set": "1C"}])
        self.assertNotIn("data", pulled)
        self.assertNotIn("patch", pulled)
        self.assertLess(len(answer.body), 400)

    def test_segments_come_go_and_change_places_by_their_ids(self):
        cursor, record = self.begin()
        segments = record["segments"]
        del segments[3]
        segments.append({"id": "S99", "from": "Split"})
        self.update(2, {"segments": segments})
        pulled = self.one(self.delta(cursor))
        self.assertEqual(pulled["operations"], [{"path": "/segments/S3", "remove": True},
                                                {"path": "/segments/S99", "set": segments[-1]}])
        segments.insert(0, segments.pop())
        self.update(3, {"segments": segments, "name": "Twice round"})
        pulled = self.one(self.delta(cursor))
        self.assertEqual([sorted(step) for step in pulled["operations"]][-1], ["order", "path"])
        self.assertEqual(operations.apply(trip(), pulled["operations"]),
                         dict(record, name="Twice round"))

    def test_a_renamed_array_is_moved(self):
        cursor, record = self.begin()
        segments = record.pop("segments")
        self.update(2, {"segments": None, "legs": segments})
        pulled = self.one(self.delta(cursor))
        self.assertEqual(pulled["operations"], [{"path": "/legs", "moveFrom": "/segments"}])
        segments[0]["seat"] = "9F"
        self.update(3, {"legs": segments})
        pulled = self.one(self.delta(cursor))
        self.assertEqual(pulled["operations"], [{"path": "/legs", "moveFrom": "/segments"},
                                                {"path": "/legs/S0/seat", "set": "9F"}])

    def test_who_does_not_ask_gets_a_merge_patch(self):
        cursor, record = self.begin()
        record["segments"][17]["seat"] = "1C"
        self.update(2, {"segments": record["segments"]})
        for form in ("merge", ""):
            query = "&patchFormat=" + form if form else ""
            pulled = self.one(self.call("GET", PATH + "?syncType=delta&cursor=" + cursor + query))
            self.assertEqual(pulled["patch"], {"segments": record["segments"]})
            self.assertNotIn("operations", pulled)

    def test_a_short_merge_patch_is_taken_before_operations(self):
        def station(value):
            return {"reservationFor": {"departureStation": dict.fromkeys("cdefg", value)}}
        self.upload([change(1, data=dict(station(1), notes="x" * 300), data_type="trip",
                            dataId="t")])
        cursor = self.bundle()["cursor"]
        self.update(2, station(2))
        self.assertEqual(self.one(self.delta(cursor))["patch"], station(2))

    def test_an_unknown_form_is_refused(self):
        cursor, _ = self.begin()
        error = self.expect(self.delta(cursor, "json-patch"), 400)
        self.assertIn("patchFormat", json.dumps(error))

    def test_a_container_holds_operations(self):
        cursor, record = self.begin()
        record["segments"][17]["seat"] = "1C"
        self.update(2, {"segments": record["segments"], "name": "Twice round"})
        answer = self.call("GET", "%s?syncType=delta&patchFormat=operations&cursor=%s" %
                           (PATH, cursor), headers=CONTAINER)
        _, entries = container.read(answer.body)
        self.assertEqual([len(entry["operations"]) for entry in entries], [2])
        self.assertIn(b"/segments/S17/seat", b"".join(entries[0]["operations"]))
        merged = self.call("GET", PATH + "?syncType=delta&cursor=" + cursor, headers=CONTAINER)
        self.assertIn("patch", container.read(merged.body)[1][0])
        self.assertLess(len(answer.body), len(merged.body))

    def test_a_live_stream_brings_operations(self):
        self.begin()
        device = Device(self.phone, self.bearer, syncType="delta", patchFormat="operations")
        self.addCleanup(device.disconnect)
        device.connect("127.0.0.1:%d" % self.stack.grpc_port)
        device.run(lambda: device.is_complete)
        record, key = trip(), ("trip", "t")
        for number in range(2, 5):
            record["segments"][number]["seat"] = "%dD" % number
            self.upload([change(number, "update", {"segments": record["segments"]}, "trip",
                                dataId="t", baseVersion=number - 1)], device=self.tablet)
            device.run(lambda: device.data(key) == record)
        self.assertEqual(device.operations, 3)
        device.bye()


if __name__ == "__main__":
    harness.main()
