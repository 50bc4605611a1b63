#!/usr/bin/env python3
"""kill -9 of the service at each message of a Sync session; the phone resumes after the restart.

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
    def restart(self):
        self.stack.kill_service()
        self.stack.start_service()

    def story(self, cut=None):
        """A story told through a proxy that kills the service once; whether, and the counts."""
        with FrameProxy(self.stack.path("proxy.sock"), self.stack.path("sync.sock"), cut,
                        self.restart) as proxy:
            story = Story(self.stack, lambda: proxy.address)
            story.tell()
            counts = proxy.counts()
            story.verify()
            return proxy.has_cut.is_set(), counts

    def test_a_service_killed_at_any_message_loses_nothing_that_it_acknowledged(self):
        _, counts = self.story()
        chosen = places(counts, (BEFORE, AFTER), PLACES, SEED)
        print("KILL_SEED=%d: %d messages up and %d down, %d places" % (
            SEED, counts["up"], counts["down"], len(chosen)))
        reached = 0
        for place in chosen:
            cut = Cut(*place)
            with self.subTest(cut=repr(cut)):
                has_cut, _ = self.story(cut)
                reached += has_cut
        self.assertGreaterEqual(reached, len(chosen) * 3 // 4)


if __name__ == "__main__":
    harness.main()
