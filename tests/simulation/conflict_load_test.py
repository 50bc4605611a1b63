#!/usr/bin/env python3
"""The conflict workload: what it prints, what its JSON says, and how many conflicts wait."""
import json
import os
import re
import subprocess
import tempfile
import unittest

LOAD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "conflict_load")
SECONDS_MAX, TRAVELLERS, AUTOMATIC_PERCENT_MIN = 120, 50, 95


def load(*arguments):
    run = subprocess.run([LOAD, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         text=True, check=False, timeout=SECONDS_MAX)
    return run.returncode, run.stdout


class ConflictLoad(unittest.TestCase):
    def run_json(self, *arguments):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "out.json")
            status, text = load("--travellers", str(TRAVELLERS), "--json", path, *arguments)
            self.assertEqual(status, 0, text)
            with open(path, encoding="utf-8") as file:
                return text, json.load(file)

    def test_most_conflicts_settle_themselves(self):
        text, found = self.run_json()
        last = re.fullmatch(r"(\d+) true conflicts, (\d+) automatic \((\d+\.\d+)%\)",
                            text.splitlines()[-1])
        self.assertTrue(last, text)
        self.assertEqual([int(last.group(1)), int(last.group(2)), float(last.group(3))],
                         [found["trueConflicts"], found["automatic"], found["percent"]])
        self.assertGreater(found["trueConflicts"], 20 * TRAVELLERS)
        self.assertGreaterEqual(found["percent"], AUTOMATIC_PERCENT_MIN)

    def test_what_is_settled_can_be_seen_and_taken_back(self):
        _, found = self.run_json()
        decisions = found["decisions"]
        self.assertEqual(found["lost"], 0)
        self.assertEqual(decisions["faults"], 0)
        self.assertEqual(found["recorded"] + found["joined"], found["automatic"])
        self.assertEqual(decisions["undone"] + decisions["builtOn"], decisions["seen"])
        self.assertGreater(decisions["undone"], 10 * TRAVELLERS)

    def test_the_json_names_each_kind(self):
        _, found = self.run_json()
        kinds = found["conflicts"]
        self.assertEqual(sum(kind["count"] for kind in kinds), found["trueConflicts"])
        self.assertEqual(sum(kind["count"] for kind in kinds if kind["outcome"] == "automatic"),
                         found["automatic"])
        self.assertEqual({kind["type"] for kind in kinds},
                         {"update-update", "update-delete", "delete-update"})
        self.assertGreater(found["recreates"], 0)

    def test_a_seed_gives_the_same_days(self):
        self.assertEqual(self.run_json("--seed", "3"), self.run_json("--seed", "3"))
        self.assertNotEqual(self.run_json("--seed", "3"), self.run_json("--seed", "4"))

    def test_bad_options_are_refused(self):
        for arguments in (["--travellers", "0"], ["--seed", "x"], ["more"]):
            status, text = load(*arguments)
            self.assertEqual(status, 2, arguments)
            self.assertIn("usage: tools/load conflicts", text)


if __name__ == "__main__":
    unittest.main()
