#!/usr/bin/env python3
"""Tests what tools/bench makes of its figures."""
import gzip
import json
import os
import sys
import unittest
from xml.etree import ElementTree

ROOT = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..")
sys.path += [os.path.join(ROOT, "tests", "integration"), os.path.join(ROOT, "tools")]
import harness  # noqa: E402
from benchmark import gateway_benches, growth_benches, machine, pull_benches, report  # noqa: E402
from benchmark import stack, upload_benches  # noqa: E402


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

    def test_a_picture_has_a_line_for_each_kind_of_pull(self):
        figures = {(records, changed, times): 50.0 * changed
                   for records in growth_benches.RECORDS for changed in growth_benches.CHANGED
                   for times in growth_benches.TIMES if changed <= records}
        drawn = ElementTree.fromstring(growth_benches.picture(figures))
        lines = [item for item in drawn if item.tag.endswith("polyline")]
        self.assertEqual([len(line.get("points").split()) for line in lines], 6 * [5] + 3 * [4])
        for line in lines:  # the same at all sizes: a level line
            self.assertEqual(len({point.split(",")[1] for point in line.get("points").split()}), 1)

    def test_much_in_flight_is_measured_longer(self):
        class Options:
            seconds = 10
        short = upload_benches.sweep_times(Options, 16)["measure_ms"]
        self.assertEqual(short, 2500)
        self.assertGreater(upload_benches.sweep_times(Options, 64000)["measure_ms"], 4 * short)

    def test_the_bodies_of_the_gateways_are_as_large_as_they_say(self):
        self.assertEqual(len(gateway_benches.small_body()), 200)
        batch = gateway_benches.batch_body()
        self.assertEqual(len(json.loads(batch)["changes"]), 100)
        self.assertTrue(45000 < len(batch) < 55000, len(batch))
        for body, notes in ((gateway_benches.small_body(), 1), (batch, 100)):
            self.assertEqual(body.count('"notes"'), notes)

    def test_what_h2load_prints_is_read(self):
        text = ("finished in %s, 1.00 req/s, 1KB/s\n"
                "requests: 10 total, 10 started, 9 done, 9 succeeded, 0 failed, 0 errored\n"
                "status codes: %d 2xx, %d 3xx, %d 4xx, %d 5xx\n")
        self.assertEqual(gateway_benches.h2load_figures(text % ("1.50s", 9, 0, 0, 0)), (9, 1.5))
        self.assertEqual(gateway_benches.h2load_figures(text % ("500ms", 9, 0, 0, 0)), (9, 0.5))
        for codes in ((8, 0, 1, 0), (8, 0, 0, 1), (0, 0, 0, 0)):
            with self.assertRaises(stack.BenchError):
                gateway_benches.h2load_figures(text % (("1s",) + codes))
        with self.assertRaises(stack.BenchError):
            gateway_benches.h2load_figures("h2load: no such option")

    def test_without_h2load_only_http1_is_measured(self):
        self.assertEqual(len(gateway_benches.kinds(True)), 4)
        self.assertTrue(all("HTTP/1.1" in name
                            for name, _, _, _ in gateway_benches.kinds(False)))

    def test_a_peer_that_is_not_installed_is_left_out(self):
        class Options:
            root = "/nowhere"
            rounds, seconds = 1, 2
        self.assertIsNone(gateway_benches.peers_of(Options))
        found, loads = report.Report("x", "X"), gateway_benches.kinds(False)
        runs = {(name, gateway_benches.OURS): [(100.0, 20.0)] for name, _, _, _ in loads}
        gateway_benches.tables(found, Options, runs, loads, False)
        self.assertEqual((len(found.tables[0]["rows"]), found.checks), (2, []))

    def test_gateways_are_compared_round_by_round(self):
        class Options:
            rounds, seconds = 2, 2
        loads = gateway_benches.kinds(False)[:1]
        name = loads[0][0]
        runs = {(name, gateway_benches.OURS): [(100.0, 10.0), (50.0, 20.0)],
                (name, "grpc-gateway"): [(10.0, 90.0), (10.0, 180.0)],
                (name, "Vanguard"): [(20.0, 70.0), (20.0, 160.0)]}
        found = report.Report("x", "X")
        gateway_benches.tables(found, Options, runs, loads, True)
        rows = found.tables[0]["rows"]
        self.assertEqual([row[-2:] for row in rows], [["", ""], [7.5, 9.0], [3.75, 7.5]])
        # The better of them counts.
        self.assertEqual([(check["value"], check["holds"]) for check in found.checks],
                         [(7.5, False)])

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
