#!/usr/bin/env python3
"""Two devices and a service edit one record at once, live, while connections are cut at random.

The seed is printed; LIVE_SEED repeats it (as far as threads allow), LIVE_SECONDS says how long.
"""
import json
import os
import random
import threading
import time

import harness
from frame_proxy import FrameProxy
from harness import Case, token
from stream_device import WAIT_SECONDS, Device, Talk, checksum, now, sequence_of

SEED = int(os.environ.get("LIVE_SEED", random.SystemRandom().randrange(1 << 32)))
SECONDS = float(os.environ.get("LIVE_SECONDS", "10"))
KEY = ("booking", "shared")
RECORDS = "travelsense.sync.v1.RecordService/"
SLOTS = 32
CUT_MS = (30, 600)


class Writer(threading.Thread):
    """Edits the record until told to stop; each edit leaves its number in three places."""

    def __init__(self, name, seed):
        super().__init__(daemon=True)
        self.name, self.random = name, random.Random(seed)
        self.halt = threading.Event()
        self.number, self.fault = 0, None

    def edit(self):
        """A field of its own, one of its slots, and the field that all fight for."""
        self.number += 1
        return {"last-" + self.name: self.number,
                "slots": {"%s-%d" % (self.name, self.number % SLOTS): self.number},
                "title": "%s %d" % (self.name, self.number)}

    def expected(self):
        """What the record must hold of its edits, all of which were acknowledged."""
        slots = {}
        for number in range(1, self.number + 1):
            slots["%s-%d" % (self.name, number % SLOTS)] = number
        return slots

    def run(self):
        try:
            while not self.halt.is_set():
                self.write()
            self.end()
        except Exception as fault:  # pylint: disable=W0718
            self.fault = fault

    def write(self):
        raise NotImplementedError

    def end(self):
        """Brings to the end what was begun."""


class DeviceWriter(Writer):
    """A device with a live session."""

    def __init__(self, name, bearer, proxy, seed):
        super().__init__(name, seed)
        self.device, self.proxy, self.sessions = Device(name, bearer), proxy, 0

    def run_until(self, until):
        while not (self.device.session and self.device.run(until)):
            self.connect()

    def connect(self):
        if self.device.session:
            ending = self.device.session.ending
            assert ending["status"] == "UNAVAILABLE", ending
        self.sessions += 1
        self.device.connect(self.proxy.address)

    def write(self):
        for _ in range(self.random.choice((1, 1, 2, 5))):
            self.device.change("update", KEY, self.edit())
        if self.random.random() < 0.7:
            self.run_until(self.device.has_sent_all)
        else:
            until = time.monotonic() + self.random.random() / 10
            self.run_until(lambda: time.monotonic() > until)

    def end(self):
        self.run_until(self.device.has_sent_all)

    def versions(self):
        results = [result for _, result in self.device.results.values()]
        assert {result["outcome"] for result in results} <= {"applied", "merged"}, results
        return [int(result["version"]) for result in results]


class ServiceWriter(Writer):
    """A service that streams changes, and now and then puts the whole record."""

    def __init__(self, name, user, address, seed):
        super().__init__(name, seed)
        self.user, self.address = user, address
        self.bearer = token(name, role="service")
        self.stream, self.batch = None, 0
        self.done = []

    def write(self):
        if self.random.random() < 0.5:
            self.put()
        else:
            self.apply()
        time.sleep(self.random.random() / 20)

    def call(self, method, request):
        """The answer of a unary call, or None when the record had moved on."""
        with Talk(self.address, self.bearer, RECORDS + method) as talk:
            talk.send(request)
            talk.done()
            answer = talk.receive()
            ending = talk.finish()
        assert ending["status"] in ("OK", "ABORTED", "FAILED_PRECONDITION"), ending
        return answer

    def put(self):
        """Reads the record, changes it and puts it back, if nobody else was there between."""
        key = {"dataType": KEY[0], "dataId": KEY[1]}
        found = self.call("GetRecords", {"userId": self.user, "keys": [key]})["records"][0]
        edit, data = self.edit(), found["data"]
        data.setdefault("slots", {}).update(edit.pop("slots"))
        data.update(edit)
        answer = self.call("PutRecords", {"userId": self.user, "records": [
            dict(key, data=data, baseVersion=found["version"])]})
        if answer is None:
            self.number -= 1
            return
        self.done.append(int(answer["records"][0]["version"]))

    def apply(self):
        if self.stream is None:
            self.stream = Talk(self.address, self.bearer, RECORDS + "ApplyChanges")
        self.batch += 1
        change = harness.change("%s-%d" % (self.name, self.number + 1), "update", self.edit(),
                                KEY[0], dataId=KEY[1], timestamp=now())
        self.stream.send({"userId": self.user, "batchId": self.batch, "changes": [change]})
        answer = self.stream.receive()
        assert answer, self.stream.finish()
        assert int(answer["batchId"]) == self.batch, answer
        result, = answer["results"]
        assert result["outcome"] in ("applied", "merged"), result
        self.done.append(int(result["version"]))

    def end(self):
        if self.stream:
            self.stream.done()
            assert self.stream.finish()["status"] == "OK", self.stream.ending
            self.stream.close()

    def versions(self):
        return self.done


class Live(Case):
    def setUp(self):
        super().setUp()
        print("LIVE_SEED=%d LIVE_SECONDS=%g" % (SEED, SECONDS))
        self.random = random.Random(SEED)

    def proxy(self, name):
        proxy = FrameProxy(self.stack.path(name), self.stack.path("sync.sock"))
        self.addCleanup(proxy.close)
        return proxy

    def seed(self):
        return self.random.randrange(1 << 32)

    def test_two_devices_and_a_service_that_edit_one_record_end_equal(self):
        self.upload([harness.change(0, data={"title": "at first"}, dataId=KEY[1])], "desk-" +
                    self.phone)
        proxies = [self.proxy("a.sock"), self.proxy("b.sock")]
        devices = [DeviceWriter(name, self.bearer, proxy, self.seed())
                   for name, proxy in zip((self.phone, self.tablet), proxies)]
        service = ServiceWriter("booking-service", self.user,
                                "unix:" + self.stack.path("sync.sock"), self.seed())
        writers = devices + [service]
        self.let_write(writers, proxies)
        print("%s edits, %s sessions" % ([writer.number for writer in writers],
                                         [device.sessions for device in devices]))
        self.examine(writers, devices)

    def let_write(self, writers, proxies):
        """Runs the writers and cuts now this connection, now that."""
        for writer in writers:
            writer.start()
        until = time.monotonic() + SECONDS
        while time.monotonic() < until and not any(writer.fault for writer in writers):
            time.sleep(self.random.randrange(*CUT_MS) / 1000)
            self.random.choice(proxies).break_connections()
        for writer in writers:
            writer.halt.set()
        for writer in writers:
            writer.join(2 * WAIT_SECONDS)
            if writer.fault:
                raise writer.fault
            self.assertFalse(writer.is_alive(), writer.name)

    def examine(self, writers, devices):
        versions = sorted(version for writer in writers for version in writer.versions())
        head = versions[-1]
        self.assertEqual(versions, list(range(2, head + 1)), "a change was lost, or applied twice")
        for device in devices:
            device.run_until(lambda device=device: device.device.position >= head)
            device.device.disconnect()
        bundle = self.bundle()
        self.assertEqual(sequence_of(bundle["cursor"]), head)
        record = self.records()[KEY]
        for device in devices:
            self.assertEqual(device.device.state(), {KEY: record}, device.name)
            self.assertEqual(checksum(device.device.state()), bundle["checksum"])
        for writer in writers:
            self.assertEqual(record.get("last-" + writer.name, 0), writer.number)
        slots = {}
        for writer in writers:
            slots.update(writer.expected())
        self.assertEqual(record["slots"], slots, json.dumps(record))


if __name__ == "__main__":
    harness.main()
