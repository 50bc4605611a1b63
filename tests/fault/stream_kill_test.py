#!/usr/bin/env python3
"""The service killed, or stopped in order, at each message of a Sync session; the phone resumes.

The seed of the sample is printed; KILL_SEED repeats it, KILL_PLACES says how many places are tried.
"""
import os
import random
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "integration"))
import harness  # noqa: E402 pylint: disable=C0413
from frame_proxy import AFTER, BEFORE, Cut, FrameProxy  # noqa: E402 pylint: disable=C0413
from harness import Case  # noqa: E402 pylint: disable=C0413
from stream_story import Story, places  # noqa: E402 pylint: disable=C0413

SEED = int(os.environ.get("KILL_SEED", random.SystemRandom().randrange(1 << 32)))
PLACES = int(os.environ.get("KILL_PLACES", "120"))


class StreamKill(Case):
    def kill(self):
        self.stack.kill_service()
        self.stack.start_service()

    def stop(self):
        """As an operator does; streams are told to come back."""
        service = self.stack.service
        service.terminate()
        self.codes.append(service.wait(timeout=harness.START_SECONDS))
        self.stack.start_service()

    def setUp(self):
        super().setUp()
        self.codes = []

    def story(self, cut, end):
        """A story told through a proxy that ends the service once; the phone, if so, and counts."""
        with FrameProxy(self.stack.path("proxy.sock"), self.stack.path("sync.sock"), cut,
                        end) as proxy:
            story = Story(self.stack, lambda: proxy.address)
            story.tell()
            counts = proxy.counts()
            story.verify()
            self.assertEqual(story.phone.again, 0, story.phone)
            return story.phone, proxy.has_cut.is_set(), counts

    def end_at(self, end, most):
        """Tells the story once for each place; the phones."""
        _, _, counts = self.story(None, end)
        chosen = places(counts, (BEFORE, AFTER), most, SEED)
        print("KILL_SEED=%d: %d messages up and %d down, %d places" % (
            SEED, counts["up"], counts["down"], len(chosen)))
        phones, reached = [], 0
        for place in chosen:
            cut = Cut(*place)
            with self.subTest(cut=repr(cut)):
                phone, has_cut, _ = self.story(cut, end)
                phones.append(phone)
                reached += has_cut
        self.assertGreaterEqual(reached, len(chosen) * 3 // 4)
        return phones

    def test_a_service_killed_at_any_message_loses_nothing_that_it_acknowledged(self):
        self.end_at(self.kill, PLACES)

    def test_a_service_stopped_at_any_message_sends_its_streams_away_with_their_cursors(self):
        phones = self.end_at(self.stop, PLACES // 8)
        self.assertEqual(set(self.codes), {0})
        notices = [notice["kind"] for phone in phones for notice in phone.notices]
        self.assertIn("drain", notices)


if __name__ == "__main__":
    harness.main()
