#!/usr/bin/env python3
"""Audits: a device finds by checksums of ranges what it holds otherwise than the service, and
repairs only that."""
import random

import container
import harness
from harness import Case, change

PATH = "/api/offline/audit"
RECORDS = 1000


def between(data_id, item):
    """Whether an id lies in a range, in the order of the ids' bytes."""
    code, end = data_id.encode(), item.get("toDataId", "").encode()
    return item.get("fromDataId", "").encode() <= code and (not end or code < end)


class Audit(Case):
    def audit(self, **parameters):
        return self.expect(self.get(PATH, **parameters), 200)

    def send(self, data_type, numbers):
        changes = [change(data_type + str(number), data_type=data_type, dataId=data_type[0] +
                          "-%d" % number, data={"title": "é %d" % number, "price": number / 4})
                   for number in numbers]
        self.assertEqual(set(self.outcomes(changes)), {"applied"})

    def differing(self, held, answer):
        """The ranges of an answer in which a device holds something else."""
        found = []
        for item in answer["ranges"]:
            own = {key: data for key, data in held.items()
                   if key[0] == item["dataType"] and between(key[1], item)}
            if item["checksum"] != container.checksum(own):
                found.append((item, own))
        return found

    def repair(self, held):
        """The repair of docs/protocol.md. Gives the records that it touched, and its calls."""
        touched, calls = set(), 1
        ranges = self.differing(held, self.audit(deviceId=self.tablet))
        while ranges:
            item, own = ranges.pop()
            if item["recordCount"] <= 1 and (item["recordCount"] == 0 or "record" in item):
                record = item.get("record")
                here = {(record["dataType"], record["dataId"]): record["data"]} if record else {}
                touched |= {key for key in set(own) | set(here) if own.get(key) != here.get(key)}
                for key in own:
                    del held[key]
                held.update(here)
                continue
            ends = {name: item[name] for name in ("fromDataId", "toDataId") if item.get(name)}
            calls += 1
            ranges += self.differing(held, self.audit(
                dataType=item["dataType"], deviceId=self.tablet, **ends, includeRecords="true",
                parts=min(item["recordCount"], 16)))
        return touched, calls

    def test_a_device_finds_one_wrong_one_missing_and_one_extra_record(self):
        self.send("booking", range(RECORDS))
        self.send("trip", range(20))
        held = self.records(deviceId=self.tablet)
        expected = dict(held)
        seed = random.randrange(1 << 32)
        print("seed", seed)
        wrong, missing = random.Random(seed).sample(range(RECORDS), 2)
        held["booking", "b-%d" % wrong] = {"title": "wrong"}
        del held["booking", "b-%d" % missing]
        held["booking", "b-%d-not-there" % missing] = {"title": "extra"}
        touched, calls = self.repair(held)
        self.assertEqual(held, expected)
        self.assertEqual(touched, {("booking", "b-%d" % wrong), ("booking", "b-%d" % missing),
                                   ("booking", "b-%d-not-there" % missing)})
        self.assertLessEqual(calls, 10)
        self.assertEqual(self.repair(held), (set(), 1))

    def test_a_device_that_holds_nothing_or_what_was_deleted_is_repaired_too(self):
        self.send("trip", range(40))
        held = {}
        self.assertEqual(len(self.repair(held)[0]), 40)
        self.assertEqual(held, self.records())
        self.upload([change("gone%d" % number, "delete", data_type="trip",
                            dataId="t-%d" % number) for number in range(40)])
        self.assertEqual(len(self.repair(held)[0]), 40)
        self.assertEqual(held, {})

    def test_the_whole_is_the_state_checksum_at_the_cursor(self):
        self.send("booking", range(30))
        self.send("trip", range(30))
        bundle = self.bundle()
        for parameters in ({}, {"parts": 7}, {"parts": 256}):
            answer = self.audit(**parameters)
            total = sum(int(item["checksum"], 16) for item in answer["ranges"])
            self.assertEqual("%032x" % (total % (1 << 128)), bundle["checksum"])
            self.assertEqual(sum(item["recordCount"] for item in answer["ranges"]), 60)
            self.assertEqual(answer["cursor"], bundle["cursor"])
        self.assertEqual(len(self.audit()["ranges"]), 4)
        self.assertLessEqual(len(self.audit(dataType="trip")["ranges"]), 16)

    def test_both_ends_are_kept(self):
        self.send("trip", range(10))
        answer = self.audit(dataType="trips", fromDataId="t-3", toDataId="t-7", parts=256,
                            includeRecords="true")
        self.assertEqual([item["record"]["dataId"] for item in answer["ranges"]],
                         ["t-3", "t-4", "t-5", "t-6"])
        self.assertEqual(answer["ranges"][-1]["toDataId"], "t-7")

    def test_only_own_data_are_seen(self):
        self.send("trip", range(3))
        phone = self.phone
        self.become("another")
        self.assertEqual({item["recordCount"] for item in self.audit()["ranges"]}, {0})
        self.expect_error(self.get(PATH, deviceId=phone), 403, "PERMISSION_DENIED",
                          "DEVICE_OF_ANOTHER_USER")
        self.bearer = harness.token(self.user, device=self.tablet)
        self.audit()
        self.expect_error(self.get(PATH, deviceId=self.phone), 403, "PERMISSION_DENIED",
                          "DEVICE_NOT_OF_TOKEN")

    def test_faults_are_named_together(self):
        error = self.expect_error(self.get(PATH, parts=257, fromDataId="b", toDataId="a"), 400,
                                  "INVALID_ARGUMENT")
        self.assertEqual(set(self.violations(error)), {"dataType", "parts", "toDataId"})
        error = self.expect_error(self.get(PATH, dataType="trip", fromDataId="x" * 257), 400,
                                  "INVALID_ARGUMENT")
        self.assertEqual(self.violations(error), ["fromDataId"])


if __name__ == "__main__":
    harness.main()
