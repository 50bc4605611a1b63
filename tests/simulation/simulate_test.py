#!/usr/bin/env python3
"""Seeds of the simulation hold: 1,000 in memory, some on RocksDB, and those that once did not."""
import os
import re
import subprocess
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SIMULATE = os.path.join(HERE, "simulate")
SECONDS_MAX = 600


def simulate(*arguments):
    run = subprocess.run([SIMULATE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         text=True, check=False, timeout=SECONDS_MAX)
    return run.returncode, run.stdout


class Simulate(unittest.TestCase):
    def check(self, seeds, *arguments):
        status, text = simulate(*arguments)
        self.assertEqual(status, 0, text)
        last = re.fullmatch(r"(\d+) seeds, 0 violations, (\d+) states", text.splitlines()[-1])
        self.assertTrue(last, text)
        self.assertEqual(int(last.group(1)), seeds)
        return int(last.group(2))

    def test_seeds_hold(self):
        first = int(os.environ.get("SIMULATE_FIRST", "1"))
        seeds = int(os.environ.get("SIMULATE_SEEDS", "1000"))
        self.assertGreater(self.check(seeds, "--seeds", "%d..%d" % (first, first + seeds - 1)),
                           100 * seeds)

    def test_seeds_hold_on_rocksdb(self):
        with tempfile.TemporaryDirectory() as folder:
            self.check(15, "--seeds", "1..15", "--steps", "300", "--rocks", folder)

    def test_what_once_failed_holds(self):
        path = os.path.join(HERE, "regressions.txt")
        with open(path, encoding="utf-8") as file:
            seeds = sum(not line.startswith("#") and bool(line.strip()) for line in file)
        self.check(seeds, "--regressions", path)

    def test_a_seed_is_the_same_every_time(self):
        first, second = (simulate("--seed", "7", "--verbose") for _ in range(2))
        self.assertEqual(first, second)

    def test_bad_options_are_refused(self):
        for arguments in (["--steps", "0"], ["--seeds", "5"], ["--hours", "-1"], ["more"]):
            status, text = simulate(*arguments)
            self.assertEqual(status, 2, arguments)
            self.assertIn("usage: tools/simulate", text)


if __name__ == "__main__":
    unittest.main()
