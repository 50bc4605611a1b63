#!/usr/bin/env python3
"""Every fault that is planted in the core is caught by the simulation within 1,000 seeds, and the
seeds of regressions.txt still catch what they once did: planted again."""
import os
import re
import subprocess
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SEEDS_MAX, SECONDS_MAX = 1000, 300


class Mutants(unittest.TestCase):
    def caught_at(self, program, *arguments):
        """The seed that catches it, and how."""
        run = subprocess.run([program, "--quick", *arguments], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True, check=False,
                             timeout=SECONDS_MAX)
        found = re.match(r"seed (\d+) at step \d+: (.*)", run.stdout)
        self.assertTrue(found, "%s is not caught by %s:\n%s" %
                        (os.path.basename(program), " ".join(arguments), run.stdout))
        self.assertEqual(run.returncode, 1)
        return int(found.group(1)), found.group(2)

    def test_every_planted_fault_is_caught(self):
        programs = sorted(name for name in os.listdir(HERE) if name.startswith("mutant_"))
        self.assertGreaterEqual(len(programs), 10)
        for name in programs:
            with self.subTest(name):
                seed, how = self.caught_at(os.path.join(HERE, name), "--seeds",
                                           "1..%d" % SEEDS_MAX)
                print("%-46s seed %4d: %s" % (name, seed, how))

    def test_regressions_would_be_caught_again(self):
        with open(os.path.join(HERE, "regressions.txt"), encoding="utf-8") as file:
            lines = [line.split(None, 3) for line in file if line[0] != "#" and line.strip()]
        self.assertGreaterEqual(len(lines), 4)
        for seed, steps, name, what in lines:
            with self.subTest(what):
                self.caught_at(os.path.join(HERE, "mutant_" + name), "--seed", seed,
                               "--steps", steps)


if __name__ == "__main__":
    unittest.main()
