"""A device on a Sync stream: the talk to the service, and a model that keeps records.

The model does what docs/protocol.md asks of a device and checks what it promises: cursors never go
back, records never grow older, each change has one outcome, and checksums agree.
"""
import base64
import datetime
import json
import os
import queue
import subprocess
import sys
import threading
import time

import harness
import operations

sys.path.append(os.path.join(harness.ROOT, "tools", "sample"))
from state import checksum, merge_patch  # noqa: E402 pylint: disable=C0413

SYNC = "travelsense.sync.v1.SyncService/Sync"
# Long enough for a sanitizer on a busy machine; nothing is measured by it.
WAIT_SECONDS = 60
# A talk whose connection has stalled cannot end by itself.
CLOSE_SECONDS = 10
PLAIN, PLAIN_OF_SOME_TYPES = 2, range(129, 143)
SEQUENCE_AT, SUM_BYTES = 9, 4


def now():
    """The device's clock."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def sequence_of(cursor):
    """The sequence of a plain cursor; None of a cursor inside a lap."""
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    if raw[0] != PLAIN and raw[0] not in PLAIN_OF_SOME_TYPES:
        return None
    digits = raw[SEQUENCE_AT:-SUM_BYTES]  # a varint
    assert [byte >> 7 for byte in digits] == [1] * (len(digits) - 1) + [0], raw
    return sum((byte & 127) << 7 * place for place, byte in enumerate(digits))


def checksum_text(encoded):
    """32 hexadecimal digits of what JSON shows in base64."""
    return base64.b64decode(encoded).hex()


class Talk:
    """One call by the program of that name: lines in, lines out, and how it ended."""

    def __init__(self, target, bearer, method=SYNC, flags=()):
        command = [harness.binary("tests/integration/talk"), "--target", target, "--method", method]
        if bearer:
            command += ["--token", bearer]
        self.process = subprocess.Popen(command + list(flags), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.said, self.heard = queue.Queue(), queue.Queue()
        self.ending = None
        self.threads = [threading.Thread(target=body, daemon=True)
                        for body in (self._speak, self._listen)]
        for thread in self.threads:
            thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _speak(self):
        try:
            for line in iter(self.said.get, None):
                self.process.stdin.write(line.encode() + b"\n")
                self.process.stdin.flush()
        except OSError:
            pass  # the call has ended
        try:
            self.process.stdin.close()
        except OSError:
            pass

    def _listen(self):
        for line in self.process.stdout:
            self.heard.put(json.loads(line))
        self.heard.put(None)

    def send(self, message):
        self.say(json.dumps(message))

    def say(self, line):
        """Sends a line as it is, such as a command."""
        self.said.put(line)

    def done(self):
        """Half-closes once everything is sent."""
        self.said.put(None)

    def receive(self, seconds=WAIT_SECONDS):
        """The next message; None when none comes in time, or the call has ended (`ending`)."""
        if self.ending:
            return None
        try:
            message = self.heard.get(timeout=seconds)
        except queue.Empty:
            return None
        if message is None:
            self.ending = {"status": "TALK_BROKE", "message": "", "details": []}
        elif set(message) == {"status", "message", "details"}:
            self.ending = message
        else:
            return message
        return None

    def expect(self, kind, seconds=WAIT_SECONDS):
        """The next message of this kind; others are passed over."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            message = self.receive(0.05)
            if message and kind in message:
                return message[kind]
            if self.ending:
                break
        raise AssertionError("no %s: the call ended with %s" % (kind, self.ending))

    def finish(self, seconds=WAIT_SECONDS):
        """How the call ended; messages are passed over."""
        deadline = time.monotonic() + seconds
        while not self.ending:
            if time.monotonic() > deadline:
                raise AssertionError("the call does not end")
            self.receive(0.05)
        return self.ending

    def reason(self):
        """The stable cause of the end."""
        for detail in self.finish()["details"]:
            if "reason" in detail and "domain" in detail:
                return detail["reason"]
        return None

    def close(self):
        """Cancels what is still open."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(timeout=CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.said.put(None)
        for thread in self.threads:
            thread.join()
        self.process.stdout.close()


class Device:
    """What a device holds and does. `session` is its Talk while it has one.

    Each message is taken wholly or not at all, as if by one transaction; what a device keeps over a
    restart is everything but `session` and what begins with it.
    """

    def __init__(self, name, bearer, **hello):
        self.name, self.bearer, self.hello = name, bearer, hello
        self.records = {}     # (type, id): (version, data)
        self.tombstones = {}  # (type, id): version
        self.cursor, self.position = "", 0
        self.unsent = []
        self.results = {}     # change id: (change, result)
        self.refused = []     # (changes, error) of whole batches
        self.conflicts = {}
        self.notices = []
        self.seen = None      # keys of a snapshot that replaces what is held
        self.next_batch, self.batch_size, self.next_change = 1, 1000, 1
        self.acknowledged = 0
        self.again = 0        # records that came though they were held
        self.patches = self.operations = 0
        self.messages = []    # kinds, over all sessions
        self.session = self.welcome = None
        self.in_flight, self.percent, self.is_complete = {}, 0, False

    # ---- changes of its own

    def change(self, kind, key, data=None, **more):
        """Makes a change offline; returns it."""
        made = harness.change("%s-%d" % (self.name, self.next_change), kind, data, key[0],
                              timestamp=now(), **more)
        made["dataId"] = key[1]
        self.next_change += 1
        self.unsent.append(made)
        return made

    def data(self, key):
        return self.records[key][1]

    def version(self, key):
        return self.records[key][0] if key in self.records else self.tombstones.get(key, 0)

    def wants(self, key):
        """Whether records of that type come at all."""
        return key[0] in self.hello.get("dataTypes", [key[0]])

    def has_sent_all(self):
        return not self.unsent and not self.in_flight

    # ---- the stream

    def connect(self, target, **more):
        """Opens a session from the cursor held."""
        self.disconnect()
        self.session, self.welcome = Talk(target, self.bearer), None
        self.percent, self.is_complete = 0, False
        hello = dict({"deviceId": self.name, "cursor": self.cursor, "sentAt": now(),
                      "changesPending": len(self.unsent), "live": True}, **self.hello)
        hello.update(more)
        self.session.send({"hello": hello})

    def disconnect(self):
        """Ends the session, if there is one; what was not answered is unsent again."""
        if self.session:
            self.session.close()
        self.session = self.welcome = None
        self.unsent = [one for batch in self.in_flight.values() for one in batch] + self.unsent
        self.in_flight = {}

    def send_batches(self):
        most = self.welcome["batchesInFlightMax"] if self.welcome else 0
        while self.unsent and len(self.in_flight) < most:
            batch, self.unsent = self.unsent[:self.batch_size], self.unsent[self.batch_size:]
            self.in_flight[self.next_batch] = batch
            self.session.send({"batch": {"batchId": self.next_batch, "changes": batch,
                                         "sentAt": now()}})
            self.next_batch += 1

    def run(self, until, seconds=WAIT_SECONDS):
        """Sends and takes until `until()` is true. False when the session ended before."""
        deadline = time.monotonic() + seconds
        while not until():
            if time.monotonic() > deadline:
                raise AssertionError("%s waits in vain: %r" % (self.name, self))
            self.send_batches()
            message = self.session.receive(0.05)
            if message:
                self.take(message)
            elif self.session.ending:
                return False
        return True

    def bye(self):
        """Leaves in order; returns how the call ended."""
        self.session.send({"bye": {}})
        self.session.done()
        self.run(lambda: self.session.ending)
        return self.session.ending

    def __repr__(self):
        return "%s at %s, %d records, unsent %d, in flight %s, complete %s, ending %s, last %s" % (
            self.name, self.position, len(self.records), len(self.unsent), list(self.in_flight),
            self.is_complete, self.session and self.session.ending, self.messages[-10:])

    # ---- what comes

    def take(self, message):
        (kind, content), = message.items()
        self.messages.append(kind)
        assert self.welcome or kind == "welcome", "%s before the welcome" % kind
        getattr(self, "take_" + kind)(content)

    def take_welcome(self, welcome):
        assert not self.welcome, "a second welcome"
        held = welcome.get("acknowledgedCursor")
        if held:
            assert sequence_of(held) <= self.acknowledged, "acknowledged what the device did not"
        self.welcome = welcome

    def take_progress(self, progress):
        percent = progress.get("percent", 0)
        assert self.percent <= percent <= 100, "progress goes from %d to %d" % (self.percent,
                                                                                percent)
        self.percent = percent

    def take_notice(self, notice):
        self.notices.append(notice)
        if notice["kind"] == "resync-required":
            self.seen, self.position = set(), 0
        if notice["kind"] == "drain":
            assert notice.get("resumeCursor", "") in (self.cursor, ""), "not where the device is"

    def take_conflict(self, conflict):
        self.conflicts[conflict["conflictId"]] = conflict

    def take_records(self, page):
        for record in page.get("records", []):
            self.take_record(record)
        self.move(page["cursor"], page.get("checksum"))

    def take_record(self, record):
        key, version = (record["dataType"], record["dataId"]), int(record["version"])
        held = self.version(key)
        assert self.wants(key), "%s was not asked for" % (key,)
        assert version >= held, "%s goes from version %d to %d" % (key, held, version)
        self.again += version == held
        if self.seen is not None:
            self.seen.add(key)
        if record.get("deleted"):
            self.records.pop(key, None)
            self.tombstones[key] = version
            return
        if "patch" in record:
            data = merge_patch(self.data(key), record["patch"])
            self.patches += 1
        elif "operations" in record:
            data = operations.apply(self.data(key), record["operations"])
            self.operations += 1
        else:
            data = record["data"]
        self.tombstones.pop(key, None)
        self.records[key] = (version, data)

    def take_outcomes(self, outcomes):
        batch = self.in_flight.pop(int(outcomes["batchId"]))
        if "error" in outcomes:
            assert not outcomes.get("results"), "results of a batch that was refused"
            self.refused.append((batch, outcomes["error"]))
            return
        results = outcomes.get("results", [])
        assert [one["id"] for one in batch] == [result["changeId"] for result in results], outcomes
        for one, result in zip(batch, results):
            assert one["id"] not in self.results, "a second outcome of " + one["id"]
            self.results[one["id"]] = (one, result)
        if "cursor" in outcomes:
            for one, result in zip(batch, results):
                self.apply(one, result)
            self.move(outcomes["cursor"], outcomes.get("checksum"))

    def apply(self, one, result):
        """A change of its own took effect as sent: its record does not come."""
        assert result["outcome"] == "applied" and not result["duplicate"], result
        key, version = (result["dataType"], result["dataId"]), int(result["version"])
        if not self.wants(key):
            return
        assert version > self.version(key), "%s did not move" % (key,)
        if one["type"] == "delete":
            self.records.pop(key, None)
            self.tombstones[key] = version
            return
        held = self.data(key) if key in self.records else {}
        self.tombstones.pop(key, None)
        self.records[key] = (version, one["data"] if one["type"] == "create"
                             else merge_patch(held, one["data"]))

    def take_complete(self, complete):
        assert complete["cursor"] == self.cursor, "complete at a cursor that was not sent"
        if "checksum" in complete:
            self.check(complete["checksum"])
        self.is_complete = True

    def move(self, cursor, expected):
        """Stores the cursor and tells the service."""
        position = sequence_of(cursor)
        if position is not None:
            assert position >= self.position, "the cursor goes from %d back to %d" % (
                self.position, position)
            self.position = position
            self.end_snapshot()
            self.acknowledged = max(self.acknowledged, position)
        self.cursor = cursor
        if expected:
            self.check(expected)
        self.session.send({"acknowledgement": {"cursor": cursor}})

    def end_snapshot(self):
        if self.seen is not None:
            self.records = {key: held for key, held in self.records.items() if key in self.seen}
            self.seen = None

    def state(self):
        """The live records alone."""
        return {key: data for key, (_, data) in self.records.items()}

    def check(self, expected):
        found = checksum(self.state())
        assert found == checksum_text(expected), "checksum %s at %d of %s" % (
            found, self.position, self.name)
