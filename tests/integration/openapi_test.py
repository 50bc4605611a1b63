#!/usr/bin/env python3
"""/openapi.json keeps its word: it is valid OpenAPI, and Schemathesis finds no call that is
answered otherwise than it says. Both tools come by tools/setup --ci.

SCHEMATHESIS_EXAMPLES (10) says how many requests are made up for each operation,
SCHEMATHESIS_SEED which; the seed is printed."""
import os
import random
import subprocess
import sys
import unittest

import harness
from harness import Case

TOOLS = os.path.join(harness.ROOT, ".cache", "schemathesis")
HERE = os.path.dirname(os.path.realpath(__file__))
SECONDS_MAX = 600


@unittest.skipUnless(os.path.exists(os.path.join(TOOLS, "bin", "schemathesis")),
                     "Schemathesis is not in .cache (tools/setup --ci)")
class OpenApi(Case):
    def run_tool(self, name, *arguments, **environment):
        run = subprocess.run([sys.executable, os.path.join(TOOLS, "bin", name), *arguments],
                             cwd=self.stack.folder, timeout=SECONDS_MAX, check=False,
                             env=dict(os.environ, PYTHONPATH=TOOLS, **environment),
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return run.returncode, run.stdout.decode("utf-8", "replace")

    def test_the_document_is_valid(self):
        path = self.stack.path("openapi.json")
        with open(path, "wb") as file:
            file.write(self.stack.call("GET", "/openapi.json").body)
        status, text = self.run_tool("openapi-spec-validator", path)
        self.assertEqual(status, 0, text)

    def test_every_answer_in_json_has_an_example(self):
        document = self.stack.call("GET", "/openapi.json").json
        for path, operations in document["paths"].items():
            for verb, operation in operations.items():
                for status, answer in operation["responses"].items():
                    if "$ref" in answer:
                        answer = document["components"]["responses"][answer["$ref"].split("/")[-1]]
                    for form, content in answer.get("content", {}).items():
                        if form == "application/json" and status != "default":
                            self.assertIn("example", content, (path, verb, status))

    def test_all_calls_are_answered_as_documented(self):
        seed = os.environ.get("SCHEMATHESIS_SEED") or str(random.randrange(1 << 31))
        print("SCHEMATHESIS_SEED=" + seed)
        arguments = ["run", "http://127.0.0.1:%d/openapi.json" % self.stack.http_port,
                     "--header", "Authorization: Bearer " + self.bearer, "--checks", "all",
                     "--max-examples", os.environ.get("SCHEMATHESIS_EXAMPLES", "10"),
                     "--seed", seed, "--no-color"]
        status, text = self.run_tool("schemathesis", *arguments, SCHEMATHESIS_HOOKS=os.path.join(
            HERE, "schemathesis_hooks.py"))
        self.assertEqual(status, 0, text)


if __name__ == "__main__":
    harness.main()
