#!/usr/bin/env python3
"""A Sync session cut at each of its messages, in both directions, and resumed.

The seed of the sample is printed; CUT_SEED repeats it, CUT_PLACES says how many places are tried.
"""
import os
import random

import harness
from frame_proxy import AFTER, BEFORE, INSIDE, Cut, FrameProxy
from harness import Case
from stream_story import Story, places

SEED = int(os.environ.get("CUT_SEED", random.SystemRandom().randrange(1 << 32)))
PLACES = int(os.environ.get("CUT_PLACES", "180"))


class CutSession(Case):
    def story(self, cut=None):
        """A story told through a proxy that cuts once; the story and the proxy."""
        with FrameProxy(self.stack.path("proxy.sock"), self.stack.path("sync.sock"), cut) as proxy:
            story = Story(self.stack, lambda: proxy.address)
            story.tell()
            counts = proxy.counts()
            story.verify()
            return story, proxy, counts

    def test_an_uncut_session_brings_each_record_once(self):
        story, _, counts = self.story()
        self.assertEqual(story.sessions, 1)
        self.assertEqual(story.phone.again, 0, story.phone)
        self.assertEqual(len(story.phone.conflicts), 1)
        for kind in ("records", "outcomes", "conflict", "complete", "progress"):
            self.assertIn(kind, story.phone.messages)
        self.assertGreaterEqual(story.phone.messages.index("complete"), 3, "no pages")
        self.assertEqual(counts["down"], len(story.phone.messages))

    def test_a_session_cut_at_any_message_resumes_and_loses_nothing(self):
        _, _, counts = self.story()
        chosen = places(counts, (BEFORE, INSIDE, AFTER), PLACES, SEED)
        print("CUT_SEED=%d: %d of %d messages up and %d down, %d places" % (
            SEED, counts["up"] + counts["down"], counts["up"], counts["down"], len(chosen)))
        reached = 0
        for place in chosen:
            cut = Cut(*place)
            with self.subTest(cut=repr(cut)):
                story, proxy, _ = self.story(cut)
                self.assertEqual(story.sessions > 1, proxy.has_cut.is_set())
                self.assertEqual(story.phone.again, 0, story.phone)
                reached += proxy.has_cut.is_set()
        # The last messages of a session vary: an acknowledgement less, a progress more.
        self.assertGreaterEqual(reached, len(chosen) * 3 // 4)


if __name__ == "__main__":
    harness.main()
