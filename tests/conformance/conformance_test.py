#!/usr/bin/env python3
"""protobuf's own conformance suite, required and recommended cases, against `transcode`. The suite
comes by tools/setup --ci; without it the cases are skipped."""
import os
import re
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.append(os.path.join(HERE, "..", "integration"))
import harness  # noqa: E402 pylint: disable=C0413

SUITE = os.path.join(harness.ROOT, ".cache", "conformance")
RUNNER = os.path.join(SUITE, "runner")
PROTOC = os.path.join(SUITE, "protoc", "_bin", "protoc")
INCLUDE = os.path.join(SUITE, "protoc", "include")
MESSAGES = os.path.join(INCLUDE, "conformance", "messages")
PROTOS = ("proto2", "proto3", "proto2_editions", "proto3_editions", "edition2023")
CASES_MIN = 5600  # fewer would mean that part of the suite did not run
SECONDS_MAX = 300


@unittest.skipUnless(os.path.exists(RUNNER), "protobuf's conformance suite is not in "
                     ".cache/conformance (tools/setup --ci)")
class Conformance(unittest.TestCase):
    def run_suite(self, folder):
        descriptor_set = os.path.join(folder, "messages.binpb")
        protos = [os.path.join(MESSAGES, "test_messages_%s.proto" % proto) for proto in PROTOS]
        subprocess.run([PROTOC, "-I", MESSAGES, "-I", INCLUDE, "--include_imports",
                        "--descriptor_set_out=" + descriptor_set] + protos, check=True)
        run = subprocess.run(
            [RUNNER, "--enforce_recommended", "--maximum_edition", "2023", "--output_dir", folder,
             "--failure_list", os.path.join(HERE, "failures.txt"),
             os.path.join(HERE, "testee.py"), harness.binary("gateway/transcode"),
             descriptor_set],
            env=dict(os.environ, LD_PRELOAD=os.path.join(SUITE, "older_libc.so")),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS_MAX, check=False)
        return run.returncode, run.stdout.decode("utf-8", "replace")

    def test_no_case_of_the_official_suite_fails(self):
        with tempfile.TemporaryDirectory(prefix="conformance-", dir="/tmp") as folder:
            status, text = self.run_suite(folder)
        self.assertEqual(status, 0, text)
        counts = [int(count) for count in re.findall(r"(\d+) successes", text)]
        self.assertGreaterEqual(max(counts, default=0), CASES_MIN, text)
        print("\n".join(line for line in text.splitlines() if "successes" in line))


if __name__ == "__main__":
    harness.main()
