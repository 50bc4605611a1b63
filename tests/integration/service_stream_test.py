#!/usr/bin/env python3
"""RecordService.WatchRecords and ApplyChanges: the streams of other services."""
import itertools
import json
import time

import harness
from harness import Case, change
from stream_device import Talk, sequence_of

WATCH = "travelsense.sync.v1.RecordService/WatchRecords"
APPLY = "travelsense.sync.v1.RecordService/ApplyChanges"
PUT = "travelsense.sync.v1.RecordService/PutRecords"
LIST = "travelsense.sync.v1.RecordService/ListRecords"
PAGE_BYTES = 256 << 10
PAGE_RECORDS = 1000


class ServiceStream(Case):
    def setUp(self):
        super().setUp()
        self.service = harness.token("trip-service", role="service")

    def talk(self, method, *flags, bearer=None, stack=None):
        talk = Talk((stack or self.stack).grpc_target, bearer or self.service,
                    method, flags)
        self.addCleanup(talk.close)
        return talk

    def unary(self, method, message, stack=None):
        """The answer to one call that succeeds."""
        with self.talk(method, stack=stack) as talk:
            talk.send(message)
            talk.done()
            answer = talk.receive()
            self.assertEqual(talk.finish()["status"], "OK", talk.ending)
        return answer

    def put(self, *records, user=None, stack=None):
        return self.unary(PUT, {"userId": user or self.user, "records": list(records)}, stack)

    def list_cursor(self):
        return self.unary(LIST, {"userId": self.user})["cursor"]

    def refusal(self, talk, status):
        """The words of a call that ends with this status."""
        self.assertEqual(talk.finish()["status"], status, talk.ending)
        return json.dumps(talk.ending)


def record(number, data_type="booking", data=None):
    return {"dataType": data_type, "dataId": "r%s" % number, "data": data or {"n": str(number)}}


class Watch(ServiceStream):
    def watch(self, *flags, bearer=None, stack=None, **request):
        talk = self.talk(WATCH, *flags, bearer=bearer, stack=stack)
        talk.send(dict({"userId": self.user}, **request))
        if "--slow-read" not in flags:  # whose commands are still to come
            talk.done()
        return talk

    def answer(self, talk):
        answer = talk.receive()
        self.assertIsNotNone(answer, talk.ending)
        return answer

    def begun(self, **request):
        """A watch that has told its first cursor, and that."""
        talk = self.watch(**request)
        answer = self.answer(talk)
        self.assertEqual(answer.get("records", []), [])
        return talk, answer["cursor"]

    def follow(self, talk, want):
        """The newest state by key, read until `want` of it is true; checks what every answer
        promises."""
        state, version = {}, 0
        while not want(state):
            answer = self.answer(talk)
            for one in answer.get("records", []):
                self.assertGreater(int(one["version"]), version)
                version = int(one["version"])
                state[one["dataId"]] = one
            self.assertLessEqual(version, sequence_of(answer["cursor"]))
            self.assertLessEqual(len(answer.get("records", [])), PAGE_RECORDS)
        return state

    def test_what_a_device_commits_reaches_a_service(self):
        talk, _ = self.begun()
        self.upload([change(1, data={"seat": "3C"})])
        one, = self.answer(talk)["records"]
        self.assertEqual((one["dataType"], one["dataId"], one["data"], one["version"]),
                         ("booking", "r1", {"seat": "3C"}, "1"))
        self.upload([change(2, "update", {"seat": "4A"}, dataId="r1")])
        one, = self.answer(talk)["records"]
        self.assertEqual((one["data"], one["version"]), ({"seat": "4A"}, "2"))
        self.upload([change(3, "delete", dataId="r1")])
        one, = self.answer(talk)["records"]
        self.assertTrue(one["deleted"])

    def test_commits_of_others_are_not_heard(self):
        talk, _ = self.begun()
        self.put(record(1), user=self.user + "-other")
        self.put(record(2))
        self.assertEqual([one["dataId"] for one in self.answer(talk)["records"]], ["r2"])

    def test_a_watch_begins_behind_its_cursor_and_misses_nothing(self):
        start = self.list_cursor()
        self.put(*[record(n) for n in range(10)])
        talk = self.watch(cursor=start)
        first = self.answer(talk)
        self.assertEqual([one["dataId"] for one in first["records"]],
                         ["r%d" % n for n in range(10)])
        self.put(record(3, data={"again": True}), record(11))
        self.assertEqual([one["dataId"] for one in self.answer(talk)["records"]], ["r3", "r11"])
        later = self.watch(cursor=first["cursor"])
        self.assertEqual([one["dataId"] for one in self.answer(later)["records"]], ["r3", "r11"])

    def test_a_record_changed_often_comes_as_it_is_now(self):
        start = self.list_cursor()
        for n in range(20):
            self.put(record(1, data={"n": n}), record("other%d" % n))
        state = self.follow(self.watch(cursor=start), lambda state: len(state) == 21)
        self.assertEqual(state["r1"]["data"], {"n": 19})
        self.assertEqual(state["r1"]["version"], "39")

    def test_many_records_come_in_pages(self):
        start = self.list_cursor()
        for begin in range(0, 3000, 1000):
            self.put(*[record(n) for n in range(begin, begin + 1000)])
        talk, counts = self.watch(cursor=start), []
        while sum(counts) < 3000:
            counts.append(len(self.answer(talk)["records"]))
        self.assertLessEqual(max(counts), PAGE_RECORDS)
        wide = {"text": "x" * 100000}
        self.put(*[record("wide%d" % n, data=wide) for n in range(30)])
        seen = 0
        while seen < 30:
            count = len(self.answer(talk)["records"])
            self.assertLessEqual(count * 100000, PAGE_BYTES + 100000)
            seen += count

    def test_only_the_kinds_asked_for_come_and_the_cursor_passes_the_rest(self):
        talk, start = self.begun(dataTypes=["trip"])
        self.put(record(1), record(2, "trip"))
        answer = self.answer(talk)
        self.assertEqual([one["dataId"] for one in answer["records"]], ["r2"])
        for begin in (10, 1010):
            self.put(*[record(n) for n in range(begin, begin + 1000)])
        passed = self.answer(talk)
        self.assertEqual(passed.get("records", []), [])
        self.assertGreaterEqual(sequence_of(passed["cursor"]), sequence_of(start) + 1000)
        self.put(record(3, "trip"))
        while not answer.get("records") or answer["records"][0]["dataId"] != "r3":
            answer = self.answer(talk)
        self.assertEqual(sequence_of(answer["cursor"]), sequence_of(self.list_cursor()))

    def test_a_slow_reader_gets_the_newest_of_what_it_missed(self):
        talk = self.watch("--slow-read")
        talk.say("!read 1")
        self.answer(talk)
        wide = "y" * 50000
        for n in range(40):
            self.put(*[record(k, data={"round": n, "text": wide}) for k in range(20)])
        talk.say("!read 10000")
        state = self.follow(talk, lambda state: len(state) == 20 and all(
            one["data"]["round"] == 39 for one in state.values()))
        self.assertEqual(len(state), 20)

    def test_writers_and_watchers_at_once_agree(self):
        talks = [self.begun()[0] for _ in range(5)]
        for n in range(60):
            self.upload([change(n, "update" if n >= 7 else "create", {"n": n},
                                dataId="r%d" % (n % 7))])
        for talk in talks:
            state = self.follow(talk, lambda state: "r3" in state and
                                state["r3"]["version"] == "60")
            self.assertEqual({key: one["data"]["n"] for key, one in state.items()},
                             {"r%d" % (n % 7): n for n in range(53, 60)})

    def test_wrong_requests_are_refused_by_name(self):
        words = self.refusal(self.watch(cursor="nonsense"), "INVALID_ARGUMENT")
        self.assertIn('"field": "cursor"', words)
        words = self.refusal(self.watch(userId=""), "INVALID_ARGUMENT")
        self.assertIn('"field": "userId"', words)
        self.put(record(1))
        ahead = self.list_cursor()
        self.user += "-new"
        words = self.refusal(self.watch(cursor=ahead), "INVALID_ARGUMENT")
        self.assertIn('"field": "cursor"', words)

    def test_travellers_may_not_watch(self):
        self.refusal(self.watch(bearer=self.bearer), "PERMISSION_DENIED")

    def test_a_cursor_of_another_store_asks_for_a_resync(self):
        other = harness.Stack()
        self.addCleanup(other.discard)
        other.start_service()
        talk = self.watch(stack=other)
        cursor = self.answer(talk)["cursor"]
        talk = self.watch(cursor=cursor)
        self.assertEqual(talk.reason(), "RESYNC_REQUIRED")
        self.assertEqual(talk.ending["status"], "FAILED_PRECONDITION")

    def test_a_cursor_that_the_log_no_longer_reaches_asks_for_a_resync(self):
        stack = harness.Stack(("--no-limits", "--log-retention", "1"))
        self.addCleanup(stack.discard)
        stack.start_service()
        cursor = self.answer(self.watch(stack=stack))["cursor"]
        self.put(record(1), stack=stack)
        time.sleep(1)
        stack.kill_service()  # the logs are trimmed soon after a start, and then once an hour
        stack.start_service()
        deadline = time.monotonic() + harness.START_SECONDS
        while True:
            with self.watch(cursor=cursor, stack=stack) as talk:
                if not talk.receive():
                    self.assertEqual(talk.reason(), "RESYNC_REQUIRED")
                    self.assertEqual(talk.ending["status"], "FAILED_PRECONDITION")
                    return
            self.assertLess(time.monotonic(), deadline, "the log was never trimmed")
            time.sleep(0.5)

    def test_a_token_that_expires_ends_the_watch(self):
        short = harness.token("trip-service", role="service", ttl=2)
        talk = self.watch(bearer=short)
        self.answer(talk)
        self.assertEqual(talk.reason(), "TOKEN_EXPIRED")
        self.assertEqual(talk.ending["status"], "UNAUTHENTICATED")

    def test_a_stopping_service_ends_watches_at_once_even_of_those_who_do_not_read(self):
        stack = harness.Stack()
        self.addCleanup(stack.discard)
        stack.start_service()
        idle = [self.watch(stack=stack) for _ in range(5)]
        for talk in idle:
            self.answer(talk)
        deaf = self.watch("--slow-read", stack=stack)
        deaf.say("!read 1")
        self.answer(deaf)
        wide = "z" * 200000
        for n in range(5):
            self.put(*[record("%d-%d" % (n, k), data={"text": wide}) for k in range(20)],
                     stack=stack)
        for talk in idle:  # they have read all before the service stops, however slow they are
            left = 100
            while left > 0:
                left -= len(self.answer(talk).get("records", []))
        stack.service.terminate()
        for talk in idle:
            self.assertEqual(talk.reason(), "DRAINING", talk.ending)
            self.assertEqual(talk.ending["status"], "UNAVAILABLE")
        self.assertEqual(stack.service.wait(timeout=harness.START_SECONDS), 0)
        self.assertNotIn("did not end in time", stack.log())

    def test_who_reads_late_as_the_service_stops_is_told_why_it_ends(self):
        stack = harness.Stack()
        self.addCleanup(stack.discard)
        stack.start_service()
        late = self.watch("--slow-read", stack=stack)
        late.say("!read 1")
        self.answer(late)
        wide = "z" * 200000
        for n in range(5):
            self.put(*[record("%d-%d" % (n, k), data={"text": wide}) for k in range(20)],
                     stack=stack)
        stack.service.terminate()
        time.sleep(2)
        late.say("!read 1000")
        self.assertEqual(late.reason(), "DRAINING", late.ending)
        self.assertEqual(stack.service.wait(timeout=harness.START_SECONDS), 0)


class Apply(ServiceStream):
    def batch(self, number, *changes, user=None):
        return {"userId": user or self.user, "batchId": number, "changes": list(changes)}

    def answer(self, talk):
        answer = talk.receive()
        self.assertIsNotNone(answer, talk.ending)
        return answer

    def outcomes(self, answer):
        return [result["outcome"] for result in answer["results"]]

    def test_batches_are_answered_in_their_order(self):
        talk = self.talk(APPLY)
        for number in range(20):
            talk.send(self.batch(number, change(2 * number), change(2 * number + 1)))
        cursor = 0
        for number in range(20):
            answer = self.answer(talk)
            self.assertEqual(int(answer.get("batchId", 0)), number)
            self.assertEqual(self.outcomes(answer), ["applied", "applied"])
            self.assertGreater(sequence_of(answer["writeCheckpoint"]), cursor)
            cursor = sequence_of(answer["writeCheckpoint"])
        talk.done()
        self.assertEqual(talk.finish()["status"], "OK")
        self.assertEqual(len(self.records()), 40)

    def test_each_batch_names_its_user(self):
        talk, users = self.talk(APPLY), [self.user, self.user + "-b", self.user]
        for number, user in enumerate(users, 7):
            talk.send(self.batch(number, change(number), user=user))
            answer = self.answer(talk)
            self.assertEqual((answer["batchId"], self.outcomes(answer)),
                             (str(number), ["applied"]))
        self.assertEqual(sorted(self.records()), [("booking", "r7"), ("booking", "r9")])

    def test_the_same_changes_again_are_duplicates(self):
        for duplicate in (False, True):
            with self.talk(APPLY) as talk:
                talk.send(self.batch(1, change(1)))
                result, = self.answer(talk)["results"]
                self.assertEqual((result["outcome"], result.get("duplicate", False)),
                                 ("applied", duplicate))
        self.assertEqual(len(self.records()), 1)

    def test_a_change_that_cannot_be_applied_is_told_and_the_stream_goes_on(self):
        talk = self.talk(APPLY)
        talk.send(self.batch(1, change(1, "update", {"a": 1}), change(2)))
        results = self.answer(talk)["results"]
        self.assertEqual(results[0]["outcome"], "rejected")
        self.assertTrue(results[0]["error"]["field"].startswith("changes[0]"), results)
        self.assertEqual(results[1]["outcome"], "applied")
        talk.send(self.batch(2, change(3)))
        self.assertEqual(self.outcomes(self.answer(talk)), ["applied"])

    def test_a_batch_out_of_turn_ends_the_stream_and_stores_nothing(self):
        for wrong in (1, 3, 0, 9007199254740993):
            self.become("turn%d" % wrong)
            talk = self.talk(APPLY)
            talk.send(self.batch(1, change(1)))
            self.answer(talk)
            talk.send(self.batch(wrong, change(2)))
            self.assertIn('"field": "batchId"', self.refusal(talk, "INVALID_ARGUMENT"))
            self.assertEqual(list(self.records()), [("booking", "r1")])
        talk = self.talk(APPLY)
        talk.send(self.batch(-1, change(1)))
        self.assertIn('"field": "batchId"', self.refusal(talk, "INVALID_ARGUMENT"))

    def test_faults_of_a_batch_are_named_and_nothing_of_it_is_stored(self):
        talk = self.talk(APPLY)
        talk.send(self.batch(1, change(1)))
        self.answer(talk)
        talk.send(self.batch(2, change(2), change(3, timestamp=None),
                             dict(change(4), id="x" * 129)))
        words = self.refusal(talk, "INVALID_ARGUMENT")
        self.assertIn('"field": "changes[1].timestamp"', words)
        self.assertIn('"field": "changes[2].id"', words)
        self.assertEqual(list(self.records()), [("booking", "r1")])
        talk = self.talk(APPLY)
        talk.send(self.batch(1, user=""))
        words = self.refusal(talk, "INVALID_ARGUMENT")
        self.assertIn('"field": "changes"', words)

    def test_bytes_that_are_no_message_are_refused(self):
        talk = self.talk(APPLY)
        talk.say("!raw ff")
        self.refusal(talk, "INVALID_ARGUMENT")

    def test_a_service_and_a_device_merge(self):
        self.upload([change(1, data={"seat": "3C", "meal": "none"})])
        talk = self.talk(APPLY)
        talk.send(self.batch(1, change("s", "update", {"gate": "B7"}, dataId="r1")))
        self.assertIn(self.outcomes(self.answer(talk))[0], ("applied", "merged"))
        self.assertEqual(self.records()[("booking", "r1")]["gate"], "B7")

    def test_a_change_without_a_base_is_made_on_the_record_as_it_is(self):
        self.configure(conflictResolution="manual")
        self.upload([change(1, data={"seat": "3C"})])
        for number in range(3):
            self.upload([change("u%d" % number, "update", {"seat": "%dA" % number}, dataId="r1")])
        talk = self.talk(APPLY)
        talk.send(self.batch(1, change("s", "update", {"seat": "9F"}, dataId="r1")))
        self.assertEqual(self.outcomes(self.answer(talk)), ["applied"])
        self.assertEqual(self.records()[("booking", "r1")], {"seat": "9F"})
        # One that says its base is judged by it.
        talk.send(self.batch(2, change("t", "update", {"seat": "1B"}, dataId="r1", baseVersion=1)))
        self.assertEqual(self.outcomes(self.answer(talk)), ["conflict"])

    def test_travellers_may_not_apply(self):
        self.refusal(self.talk(APPLY, bearer=self.bearer), "PERMISSION_DENIED")

    def test_a_client_that_leaves_keeps_what_was_answered(self):
        for number in itertools.count():
            talk = self.talk(APPLY)
            talk.send(self.batch(1, change("a%d" % number)))
            self.answer(talk)
            talk.send(self.batch(2, change("b%d" % number)))
            talk.say("!cancel")
            self.assertEqual(talk.finish()["status"], "CANCELLED")
            self.assertIn(("booking", "ra%d" % number), self.records())
            if number == 10:
                break

    def test_a_token_that_expires_ends_the_stream(self):
        talk = self.talk(APPLY, bearer=harness.token("trips", role="service", ttl=2))
        talk.send(self.batch(1, change(1)))
        self.answer(talk)
        self.assertEqual(talk.reason(), "TOKEN_EXPIRED")

    def test_a_stopping_service_ends_idle_streams_at_once(self):
        stack = harness.Stack()
        self.addCleanup(stack.discard)
        stack.start_service()
        talk = self.talk(APPLY, stack=stack)
        talk.send(self.batch(1, change(1)))
        self.answer(talk)
        stack.service.terminate()
        self.assertEqual(talk.reason(), "DRAINING")
        self.assertEqual(talk.ending["status"], "UNAVAILABLE")
        self.assertEqual(stack.service.wait(timeout=harness.START_SECONDS), 0)


if __name__ == "__main__":
    harness.main()
