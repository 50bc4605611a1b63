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
    def story(self, cut=None, **hello):
        """A story told through a proxy that cuts once; the story, the proxy and its counts."""
        with FrameProxy(self.stack.path("proxy.sock"), self.stack.path("sync.sock"), cut) as proxy:
            story = Story(self.stack, lambda: proxy.address, **hello)
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

    def cut_at(self, wheres, most, **hello):
        """Tells the story once uncut, and once for each place; the uncut one."""
        uncut, _, counts = self.story(**hello)
        chosen = places(counts, wheres, most, SEED)
        print("CUT_SEED=%d: %d messages up and %d down, %d places" % (
            SEED, counts["up"], counts["down"], len(chosen)))
        reached = 0
        for place in chosen:
            cut = Cut(*place)
            with self.subTest(cut=repr(cut), **hello):
                story, proxy, _ = self.story(cut, **hello)
                self.assertEqual(story.sessions > 1, proxy.has_cut.is_set())
                self.assertEqual(story.phone.again, 0, story.phone)
                reached += proxy.has_cut.is_set()
        # The last messages of a session vary: an acknowledgement less, a progress more.
        self.assertGreaterEqual(reached, len(chosen) * 3 // 4)
        return uncut

    def test_a_session_cut_at_any_message_resumes_and_loses_nothing(self):
        self.cut_at((BEFORE, INSIDE, AFTER), PLACES)

    def test_a_session_of_patches_cut_anywhere_loses_nothing(self):
        story = self.cut_at((BEFORE, AFTER), PLACES // 8, syncType="delta")
        self.assertGreater(story.phone.patches, 0)

    def test_a_session_of_some_types_of_data_cut_anywhere_loses_nothing(self):
        self.cut_at((BEFORE, AFTER), PLACES // 8, dataTypes=["booking", "preference"])

    def test_a_session_of_a_record_a_page_cut_anywhere_loses_nothing(self):
        self.cut_at((BEFORE, AFTER), PLACES // 8, batchesInFlightMax=1, unacknowledgedBytesMax=1)


if __name__ == "__main__":
    harness.main()
