#!/usr/bin/env python3
"""kill -9 of the service at random moments, while several devices upload.

What was acknowledged must be there once after the restart; what was not, wholly or not at all. The
seed is printed; KILL_SEED repeats a run, KILL_ROUNDS says how many kills it has.
"""
import http.client
import os
import random
import sys
import threading
import time

sys.path.append(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "integration"))
import harness  # noqa: E402 pylint: disable=C0413
from harness import Case, change, token  # noqa: E402 pylint: disable=C0413

ROUNDS = int(os.environ.get("KILL_ROUNDS", "12"))
SEED = int(os.environ.get("KILL_SEED", random.SystemRandom().randrange(1 << 32)))
UPLOADERS = 4
WAIT_MS_MAX = 400


class Uploader:
    """One user's device: uploads until it is told to stop, and remembers what it was answered."""

    def __init__(self, stack, number, seed):
        self.stack, self.random = stack, random.Random(seed)
        self.user = "user-%08x-%d" % (seed, number)
        self.device = "device-%08x-%d" % (seed, number)
        self.bearer = token(self.user)
        self.count = 0
        self.results = {}
        self.unanswered = []
        self.faults = []
        self.halt = threading.Event()

    def next_batch(self):
        batch = []
        for _ in range(self.random.choice((1, 1, 5, 20, 200))):
            self.count += 1
            data = {"number": self.count, "text": "x" * self.random.randrange(600)}
            batch.append(change(self.count, data=data, dataId="r%d" % self.count))
        return batch

    def send(self, batch):
        """The results of a batch, or None when nobody answered."""
        try:
            answer = self.stack.call("POST", "/api/offline/changes",
                                     {"changes": batch, "deviceId": self.device}, self.bearer)
        except (OSError, http.client.HTTPException):
            return None
        if answer.status == 202:
            return answer.json["results"]
        if answer.status not in (503, 504):
            self.faults.append(repr(answer))
        return None

    def upload(self):
        """Until it is told to halt, or gets no answer."""
        while not self.halt.is_set():
            batch = self.next_batch()
            results = self.send(batch)
            if results is None:
                self.unanswered.append(batch)
                return
            for one, result in zip(batch, results):
                self.results[one["id"]] = (one, result)


class Kill(Case):
    def setUp(self):
        super().setUp()
        print("KILL_SEED=%d" % SEED)
        self.random = random.Random(SEED)

    def test_what_was_acknowledged_survives_and_nothing_is_there_in_part(self):
        uploaders = [Uploader(self.stack, number, self.random.randrange(1 << 32))
                     for number in range(UPLOADERS)]
        for number in range(ROUNDS):
            threads = [threading.Thread(target=uploader.upload) for uploader in uploaders]
            for thread in threads:
                thread.start()
            time.sleep(self.random.randrange(20, WAIT_MS_MAX) / 1000)
            self.stack.kill_service()
            for uploader in uploaders:
                uploader.halt.set()
            for thread, uploader in zip(threads, uploaders):
                thread.join()
                uploader.halt.clear()
            self.stack.start_service()
            for uploader in uploaders:
                with self.subTest(round=number, user=uploader.user):
                    self.examine(uploader)
        print("%d changes acknowledged" % sum(len(one.results) for one in uploaders))

    def stored(self, uploader):
        """The user's records after a restart; the gateway may need a moment to connect again."""
        deadline = time.monotonic() + harness.START_SECONDS
        while True:
            answer = self.stack.call("GET", "/api/offline/bundle", bearer=uploader.bearer)
            if answer.status == 200:
                return {record["dataId"]: record for record in answer.json["records"]}
            self.assertEqual(answer.status, 503, answer)
            self.assertLess(time.monotonic(), deadline, "the gateway does not connect again")
            time.sleep(0.05)

    def examine(self, uploader):
        self.assertEqual(uploader.faults, [])
        stored = self.stored(uploader)
        for one, result in uploader.results.values():
            self.assertEqual(result["outcome"], "applied")
            record = stored.pop(one["dataId"])
            self.assertEqual(record["data"], one["data"])
            self.assertEqual(record["version"], result["version"])
        self.examine_unanswered(uploader, stored)

    def examine_unanswered(self, uploader, stored):
        """What else is stored is of these, and whole; sent again, each is there once."""
        for batch in uploader.unanswered:
            found = [stored.pop(one["dataId"], None) for one in batch]
            self.assertIn(sum(record is not None for record in found), (0, len(batch)),
                          "a batch is there in part")
            for one, record in zip(batch, found):
                if record is not None:
                    self.assertEqual(record["data"], one["data"])
            results = uploader.send(batch)
            self.assertIsNotNone(results, "the batch was refused after the restart")
            for one, record, result in zip(batch, found, results):
                self.assertEqual(result["outcome"], "applied")
                self.assertEqual(result["duplicate"], record is not None)
                if record is not None:
                    self.assertEqual(result["version"], record["version"])
                uploader.results[one["id"]] = (one, result)
        uploader.unanswered = []
        self.assertEqual(stored, {}, "records that nobody sent")
        versions = sorted(int(result["version"]) for _, result in uploader.results.values())
        self.assertEqual(versions, list(range(1, len(versions) + 1)), "a gap in the sequence")


if __name__ == "__main__":
    harness.main()
