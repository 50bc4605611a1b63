"""A session to be cut at any message: what two devices of a user do, and how it must end.

A phone syncs by stream: a snapshot in pages, batches, a conflict, and what a tablet commits
meanwhile by REST. Whoever drives it may end the phone's connection, or the service, whenever he
likes; the story goes on from what the phone holds.
"""
import http.client
import random
import time

import harness
from stream_device import WAIT_SECONDS, Device, checksum, sequence_of

RECORDS = 40
PAGE_BYTES = 8 << 10


def real_records():
    """Records of real shape: the project's sample, and foreign ones where they are at hand."""
    found = harness.own_records()
    found += [line["data"] for line in harness.shared_records() or []]
    while len(found) < RECORDS:
        found = found + found
    # Ids are the story's own.
    return [{name: value for name, value in record.items() if name != "id"}
            for record in found[:RECORDS]]


class Story:
    """One user's. `address()` says where the next session connects; `hello` is how."""

    def __init__(self, stack, address, **hello):
        mark = "%08x" % random.getrandbits(32)
        self.stack, self.address = stack, address
        self.user = "story-" + mark
        self.bearer = harness.token(self.user)
        self.tablet = "tablet-" + mark
        self.phone = Device("phone-" + mark, self.bearer,
                            **dict({"unacknowledgedBytesMax": PAGE_BYTES}, **hello))
        self.phone.batch_size = 3
        self.versions = []  # of what the tablet did
        self.number = 0
        self.head = 0
        self.sessions = 0

    # ---- the tablet, by REST

    def call(self, method, path, body=None):
        """The JSON of an answer; asks again while nobody is there to answer."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                answer = self.stack.call(method, path, body, self.bearer)
                if answer.status < 300:
                    return answer.json
                assert answer.status in (503, 504), answer
            except (OSError, http.client.HTTPException) as fault:
                answer = fault
            assert time.monotonic() < deadline, answer
            time.sleep(0.02)

    def upload(self, *changes):
        """The tablet's changes take effect; sent until they are answered."""
        for one in changes:
            one["id"] = "t%d" % self.number
            self.number += 1
        answer = self.call("POST", "/api/offline/changes",
                           {"changes": list(changes), "deviceId": self.tablet})
        for result in answer["results"]:
            assert result["outcome"] in ("applied", "merged"), result
            self.versions.append(int(result["version"]))
        self.head = max(self.versions)

    def change(self, kind, key, data=None):
        return harness.change(0, kind, data, key[0], dataId=key[1])

    # ---- the steps: what is done once, and what is then waited for

    def steps(self):
        return (self.catch_up, self.edit, self.quarrel, self.watch, self.merge, self.delete)

    def catch_up(self):
        wanted = [key for key in self.keys if self.phone.wants(key)]
        return lambda: self.phone.is_complete and len(self.phone.records) == len(wanted)

    def edit(self):
        """Four changes in two batches, of old records and new ones."""
        for number in (0, 1):
            self.phone.change("update", self.keys[number], {"note": "phone %d" % number})
        for number in (0, 1):
            self.phone.change("create", ("trip", "new%d" % number), {"name": "trip %d" % number})
        return self.phone.has_sent_all

    def quarrel(self):
        """Both change one field; the user has to decide."""
        key = self.keys[2]
        base = self.phone.version(key)
        self.upload(self.change("update", key, {"note": "the tablet's"}))
        made = self.phone.change("update", key, {"note": "the phone's"}, baseVersion=str(base))
        self.disputed = made["id"]
        return self.phone.has_sent_all

    def watch(self):
        """The tablet's changes come by themselves."""
        self.upload(self.change("update", self.keys[3], {"gate": "B7"}),
                    self.change("delete", self.keys[4]))
        self.upload(self.change("create", ("booking", "late"), {"seat": "12F"}))
        return lambda: self.phone.position >= self.head

    def merge(self):
        """Both change one record in different fields."""
        key = self.keys[5]
        self.upload(self.change("update", key, {"tablet": 1}))
        self.phone.change("update", key, {"phone": 2})
        return lambda: self.phone.has_sent_all() and self.phone.position >= self.head

    def delete(self):
        self.phone.change("delete", self.keys[6])
        self.phone.change("update", self.keys[0], {"note": "at last"})
        return lambda: self.phone.has_sent_all() and self.is_abreast()

    def is_abreast(self):
        return self.phone.position >= max(self.all_versions())

    def all_versions(self):
        return self.versions + [
            int(result["version"]) for _, result in self.phone.results.values()
            if result["outcome"] in ("applied", "merged")]

    # ---- the whole

    def prepare(self):
        self.call("PATCH", "/api/offline/config", {"conflictResolution": "manual"})
        types = ("booking", "trip", "booking", "preference", "booking")
        self.keys = [(types[number % len(types)], "k%d" % number) for number in range(RECORDS)]
        self.upload(*(self.change("create", key, data)
                      for key, data in zip(self.keys, real_records())))

    def tell(self):
        """From the snapshot to the goodbye, over as many sessions as it takes."""
        self.prepare()
        self.connect()
        for step in self.steps():
            until = step()
            while not self.phone.run(until):
                self.reconnect()
        ending = self.phone.bye()
        while ending["status"] != "OK":
            self.reconnect()
            ending = self.phone.bye()
        self.phone.disconnect()

    def connect(self):
        self.sessions += 1
        self.phone.connect(self.address())

    def reconnect(self):
        """After an end that nobody asked for; the service must not have been at fault."""
        ending = self.phone.session.ending
        assert ending["status"] == "UNAVAILABLE", ending
        assert self.sessions < 50, "the phone does not get through: %s" % ending
        if self.sessions > 1:  # no client would come back at once to a service that is away
            time.sleep(0.2 if "failed to connect" in ending["message"] else 0.02)
        self.connect()

    def verify(self):
        """What must hold at the end, whatever happened on the way."""
        bundle = self.call("GET", "/api/offline/bundle")
        served = {(record["dataType"], record["dataId"]): record
                  for record in bundle["records"] if not record.get("deleted")}
        assert checksum({key: one["data"] for key, one in served.items()}) == bundle["checksum"]
        held = {key: (int(one["version"]), one["data"]) for key, one in served.items()
                if self.phone.wants(key)}
        assert self.phone.records == held
        head = sequence_of(bundle["cursor"])
        assert self.phone.position == head, (self.phone.position, head)
        # One number for each change that took effect: none is lost, none was applied twice.
        assert sorted(self.all_versions()) == list(range(1, head + 1)), self.all_versions()
        self.verify_changes()

    def verify_changes(self):
        state, results = self.phone.state(), self.phone.results
        assert len(results) == self.phone.next_change - 1, "a change without an outcome"
        outcomes = {one: result["outcome"] for one, (_, result) in results.items()}
        assert outcomes.pop(self.disputed) == "conflict", outcomes
        assert set(outcomes.values()) <= {"applied", "merged"}, outcomes
        expected = {self.keys[0]: {"note": "at last"}, self.keys[1]: {"note": "phone 1"},
                    self.keys[2]: {"note": "the tablet's"}, self.keys[3]: {"gate": "B7"},
                    self.keys[5]: {"tablet": 1, "phone": 2}, ("booking", "late"): {"seat": "12F"},
                    ("trip", "new0"): {"name": "trip 0"}, ("trip", "new1"): {"name": "trip 1"}}
        for key, fields in expected.items():
            if self.phone.wants(key):
                assert {name: state[key][name] for name in fields} == fields, (key, state[key])
        assert self.keys[4] not in state and self.keys[6] not in state


def places(counts, wheres, most, seed):
    """Where to cut sessions of so many messages: all places, or an even sample of them."""
    every = [(direction, number, where) for direction in ("up", "down")
             for number in range(1, counts[direction] + 1) for where in wheres]
    if len(every) <= most:
        return every
    step = len(every) / most
    start = random.Random(seed).random() * step
    return [every[int(start + step * index)] for index in range(most)]
