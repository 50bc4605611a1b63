#!/usr/bin/env python3
"""Every fault that is planted in the core is caught by the simulation within 1,000 seeds."""
import os
import re
import subprocess
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SEEDS_MAX, SECONDS_MAX = 1000, 300


class Mutants(unittest.TestCase):
    def caught_at(self, program):
        """The seed that catches it, and how."""
        run = subprocess.run([program, "--seeds", "1..%d" % SEEDS_MAX, "--quick"],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                             check=False, timeout=SECONDS_MAX)
        found = re.match(r"seed (\d+) at step \d+: (.*)", run.stdout)
        self.assertTrue(found, "%s is not caught within %d seeds:\n%s" %
                        (os.path.basename(program), SEEDS_MAX, run.stdout))
        self.assertEqual(run.returncode, 1)
        return int(found.group(1)), found.group(2)

    def test_every_planted_fault_is_caught(self):
        programs = sorted(name for name in os.listdir(HERE) if name.startswith("mutant_"))
        self.assertGreaterEqual(len(programs), 10)
        for name in programs:
            with self.subTest(name):
                seed, how = self.caught_at(os.path.join(HERE, name))
                print("%-46s seed %4d: %s" % (name, seed, how))


if __name__ == "__main__":
    unittest.main()
