#!/usr/bin/env python3
"""The proxy's reading of HTTP/2: what it counts, and where it cuts."""
import threading
import unittest

import harness
from frame_proxy import AFTER, BEFORE, INSIDE, PREFACE, Cut, _Direction

SETTINGS, HEADERS, DATA = 4, 1, 0


class Proxy:
    """What a direction asks of its proxy."""

    def __init__(self, cut=None):
        self.cut, self.has_cut = cut, threading.Event()


def frame(kind, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, 0]) + stream.to_bytes(4, "big") + payload


def message(size, letter):
    return b"\0" + size.to_bytes(4, "big") + letter * size


# Messages of two streams: whole in a frame, over frames, two in a frame, empty, split in the head.
FIRST, SECOND, THIRD = message(10, b"a"), message(300, b"b"), message(0, b"")
FOURTH, FIFTH = message(1, b"d"), message(7, b"e")
PIECES = [
    PREFACE + frame(SETTINGS, 0, b"") + frame(HEADERS, 1, b"compressed"),
    frame(DATA, 1, FIRST),
    frame(DATA, 1, SECOND[:100]),
    frame(HEADERS, 3, b"\0\0\0\0\5hello") + frame(DATA, 3, THIRD),
    frame(DATA, 1, SECOND[100:] + FOURTH + FIFTH[:3]),
    frame(DATA, 1, FIFTH[3:]) + frame(DATA, 1, b""),
]
WHOLE = b"".join(PIECES)


def passed(cut=None, step=1 << 20):
    """What passes when bytes come in such steps; the count; whether it was cut."""
    direction = _Direction("up", Proxy(cut))
    out = b""
    for at in range(0, len(WHOLE), step):
        for piece, _ in direction.feed(WHOLE[at:at + step]):
            if piece is None:
                return out, direction.count, True
            out += piece
    return out, direction.count, False


class Frames(unittest.TestCase):
    def test_everything_passes_unchanged_in_steps_of_any_size(self):
        for step in (1, 2, 5, 9, 13, 64, 1 << 20):
            self.assertEqual(passed(step=step), (WHOLE, 5, False), step)

    def place(self, number, where):
        """What passes before that cut, whatever the steps."""
        found = {passed(Cut("up", number, where), step) for step in (1, 3, 7, 100, 1 << 20)}
        self.assertEqual(len(found), 1, "the place depends on how the bytes come")
        (out, _, was_cut), = found
        self.assertTrue(was_cut)
        self.assertTrue(WHOLE.startswith(out))
        return out

    def test_a_cut_before_a_message_passes_nothing_of_its_frame(self):
        self.assertEqual(self.place(1, BEFORE), PIECES[0])
        self.assertEqual(self.place(2, BEFORE), b"".join(PIECES[:2]))

    def test_a_cut_after_a_message_passes_its_last_byte(self):
        self.assertEqual(self.place(1, AFTER), b"".join(PIECES[:2]))
        self.assertEqual(self.place(3, AFTER), b"".join(PIECES[:4]))
        self.assertTrue(self.place(2, AFTER).endswith(b"b" * 205))
        self.assertEqual(self.place(5, AFTER) + frame(DATA, 1, b""), WHOLE)

    def test_a_cut_inside_a_message_passes_half_of_it(self):
        self.assertTrue(self.place(1, INSIDE).endswith(FIRST[:10]))
        self.assertEqual(self.place(2, INSIDE).count(b"b"), 150)
        self.assertTrue(self.place(4, INSIDE).endswith(FOURTH[:5]))

    def test_cuts_of_one_message_follow_each_other(self):
        for number in range(1, 6):
            sizes = [len(self.place(number, where)) for where in (BEFORE, INSIDE, AFTER)]
            self.assertEqual(sizes, sorted(sizes), number)
            self.assertLess(sizes[0], sizes[2])

    def test_a_place_that_does_not_come_cuts_nothing(self):
        self.assertEqual(passed(Cut("up", 6, BEFORE)), (WHOLE, 5, False))
        self.assertEqual(passed(Cut("down", 1, BEFORE)), (WHOLE, 5, False))


if __name__ == "__main__":
    harness.main()
