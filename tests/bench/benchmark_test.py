#!/usr/bin/env python3
"""Tests what tools/bench makes of its figures."""
import gzip
import json
import os
import sys
import unittest

ROOT = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..")
sys.path += [os.path.join(ROOT, "tests", "integration"), os.path.join(ROOT, "tools")]
import harness  # noqa: E402
from benchmark import machine, pull_benches, report, stack, upload_benches  # noqa: E402


def varint(number):
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


class BenchmarkTest(unittest.TestCase):
    def test_figures_show_about_three_digits(self):
        shown = [report.human(value) for value in (41230.4, 123.4, 12.34, 1.234, 0.1234, 1000, "a")]
        self.assertEqual(shown, ["41,230", "123", "12.3", "1.23", "0.123", "1,000", "a"])

    def test_a_spread_is_median_lowest_highest(self):
        self.assertEqual(report.spread([3, 9, 1]), [3.0, 1.0, 9.0])

    def test_a_bound_holds_on_its_own_side(self):
        found = report.Report("x", "X")
        found.check("rate", 40000, "/s", at_least=40000)
        found.check("rate", 39999, "/s", at_least=40000)
        found.check("cost", 25, "us", at_most=25)
        found.check("cost", 25.1, "us", at_most=25)
        self.assertEqual([check["holds"] for check in found.checks], [True, False, True, False])
        self.assertEqual(report.plain(found.data()).count("MISSED"), 2)
        self.assertEqual(report.markdown(found.data()).count("**missed**"), 2)

    def test_a_table_keeps_its_columns_in_both_forms(self):
        found = report.Report("x", "X")
        found.table("T", ["", "a", "b"]).append(["row", 1, 2.5])
        self.assertIn("| row | 1 | 2.50 |", report.markdown(found.data()))
        self.assertEqual(report.plain(found.data()).splitlines()[-1].split(), ["row", "1", "2.50"])

    def test_a_container_tells_its_records(self):
        header = b"\x08\x01" + b"\x12\x02id" + b"\x50" + varint(10000)
        container = b"\x0a" + varint(len(header)) + header + b"\x12\x00"
        self.assertEqual(pull_benches.header_of(container)[10], 10000)

    def test_a_compressed_answer_tells_its_records(self):
        body = json.dumps({"records": [1, 2, 3]}).encode()
        self.assertEqual(pull_benches.records_in(body, "identity"), 3)
        self.assertEqual(pull_benches.records_in(gzip.compress(body), "gzip"), 3)

    def test_much_in_flight_is_measured_longer(self):
        class Options:
            seconds = 10
        short = upload_benches.sweep_times(Options, 16)["measure_ms"]
        self.assertEqual(short, 2500)
        self.assertGreater(upload_benches.sweep_times(Options, 64000)["measure_ms"], 4 * short)

    def test_a_counter_is_the_sum_of_its_series(self):
        page = "# TYPE a counter\na{b=\"c d\"} 2\na{b=\"e\"} 3.5\na_more 7\n"
        self.assertEqual(stack.counter_of(page, "a"), 5.5)
        with self.assertRaises(stack.BenchError):
            stack.counter_of(page, "b")

    def test_a_file_system_in_memory_is_known(self):
        self.assertNotEqual(machine.file_system("/")[0], "unknown")
        self.assertIn(machine.file_system("/proc")[0], ("proc", machine.file_system("/")[0]))


if __name__ == "__main__":
    harness.main()
