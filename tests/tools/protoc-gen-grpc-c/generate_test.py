#!/usr/bin/env python3
"""protoc with the plugin over small, odd and random protos: what it writes compiles without a
warning, is as clang-format would have it, and for greeter.proto is what greeter.*.golden say
(GOLDEN_UPDATE=1 writes those anew)."""
import glob
import os
import random
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.append(os.path.join(HERE, "..", "..", "integration"))
import harness  # noqa: E402 pylint: disable=C0413

PLUGIN = harness.binary("tools/protoc-gen-grpc-c/protoc-gen-grpc-c")
COMPILE = ["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-fsyntax-only", "-Wall", "-Wextra", "-Werror"]
FORMAT = shutil.which("clang-format")
SEED = int(os.environ.get("GENERATE_SEED", random.SystemRandom().randrange(1 << 32)))
LONG_CALL_SEED = 569247275  # names so long that a call has to be broken


class Generate(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="generate-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.folder)
        shutil.copy(os.path.join(harness.ROOT, ".clang-format"), self.folder)

    def protoc(self, names, option="server", source=HERE):
        return subprocess.run(
            ["protoc", "-I" + source, "-I/usr/include", "--plugin=" + PLUGIN,
             "--grpc-c_out=%s:%s" % (option, self.folder)] + names,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)

    def generate(self, names, messages=(), **more):
        run = self.protoc(names, **more)
        self.assertEqual(run.returncode, 0, run.stdout)
        if messages:
            subprocess.run(["protoc-c", "-I" + HERE, "-I/usr/include", "--c_out=" + self.folder]
                           + list(messages), check=True)
        return sorted(glob.glob(os.path.join(self.folder, "**", "*.grpc-*"), recursive=True))

    def check_compiles(self, files):
        for path in files:
            language = ["-x", "c"] if path.endswith(".h") else []
            run = subprocess.run(COMPILE + ["-I" + self.folder, "-I" + harness.ROOT] + language
                                 + [path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 text=True, check=False)
            self.assertEqual(run.returncode, 0, run.stdout)

    def check_format(self, files):
        if FORMAT is None:
            return
        run = subprocess.run([FORMAT, "--dry-run", "-Werror"] + files, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual(run.returncode, 0, "seed %d\n%s" % (SEED, run.stdout))

    def test_a_small_proto_is_as_its_golden_files(self):
        files = self.generate(["greeter.proto"], ["greeter.proto"])
        self.assertEqual(len(files), 4)
        for path in files:
            with open(path, encoding="utf-8") as file:
                text = file.read()
            golden = os.path.join(HERE, os.path.basename(path) + ".golden")
            if os.environ.get("GOLDEN_UPDATE"):
                with open(golden, "w", encoding="utf-8") as file:
                    file.write(text)
            with open(golden, encoding="utf-8") as file:
                self.assertEqual(text, file.read(), golden)
        self.check_compiles(files)
        self.check_format(files)

    def test_odd_protos_compile(self):
        files = self.generate(["odd.proto", "odd_types.proto"],
                              ["odd.proto", "odd_types.proto", "odd_more.proto"])
        self.check_compiles(files)
        self.check_format(files)

    def test_methods_called_as_words_of_c_compile(self):
        files = self.generate(["keyword.proto"], ["odd_types.proto", "odd_more.proto"])
        self.check_compiles(files)
        self.check_format(files)

    def test_a_prefix_parts_what_would_clash(self):
        run = self.protoc(["clash/a.proto", "clash/b.proto"])
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("clash.a.Foo and clash.b.FooBar", run.stdout)
        self.generate(["clash/a.proto"])
        files = self.generate(["clash/b.proto"], ["clash/a.proto", "clash/b.proto"],
                              option="server,prefix=other_")
        self.check_compiles(files)
        with open(os.path.join(self.folder, "clash", "b.grpc-c.h"), encoding="utf-8") as header:
            self.assertIn("enum stub_code other_foo_bar_baz(", header.read())

    def test_the_same_proto_gives_the_same_files(self):
        texts = []
        for _ in range(2):
            texts.append([open(path, "rb").read() for path in self.generate(["odd.proto"])])
        self.assertEqual(texts[0], texts[1])

    def test_an_unknown_parameter_is_an_error(self):
        run = self.protoc(["greeter.proto"], option="sever")
        self.assertNotEqual(run.returncode, 0)
        self.assertIn('unknown parameter "sever"', run.stdout)

    def test_comments_in_another_encoding_are_refused(self):
        with open(os.path.join(self.folder, "latin.proto"), "wb") as file:
            file.write(b'syntax = "proto3"; message M {}\nservice S {\n'
                       b'  // Gr\xfc\xdfe\n  rpc Call(M) returns (M);\n}\n')
        run = self.protoc(["latin.proto"], source=self.folder)
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("UTF-8", run.stdout)

    def test_what_is_no_request_is_refused(self):
        for request in (b"\xff", b"\x0a\x05abc", random.Random(SEED).randbytes(1000)):
            run = subprocess.run([PLUGIN], input=request, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, check=False)
            self.assertEqual((run.returncode, run.stdout), (1, b""))
            self.assertIn(b"protoc-gen-grpc-c: ", run.stderr)

    def check_names(self, seed):
        """Makes a service with names of any length, and its files."""
        source = random.Random(seed)

        def name(syllables):
            return "".join(source.choice(("Ba", "Cede", "Fig", "Holopu", "Jik", "Lom"))
                           for _ in range(source.randint(1, syllables)))

        lines = ['syntax = "proto3";', "package %s.v1;" % name(4).lower()]
        messages = ["M%d%s" % (number, name(9)) for number in range(40)]
        lines += ["message %s {}" % message for message in messages]
        lines.append("// %s\nservice Service%s {" % (" ".join([name(3)] * 60), name(3)))
        for number in range(120):
            words = " ".join(name(3) for _ in range(source.randint(1, 60)))
            streams = [source.choice(("", "stream ")) for _ in range(2)]
            deprecated = source.choice((";", " { option deprecated = true; }"))
            lines.append("// %s\nrpc R%d%s(%s%s) returns (%s%s)%s" % (
                words, number, name(3), streams[0], source.choice(messages), streams[1],
                source.choice(messages), deprecated))
        lines.append("}")
        with open(os.path.join(self.folder, "random.proto"), "w", encoding="utf-8") as file:
            file.write("\n".join(lines))
        self.check_format(self.generate(["random.proto"], source=self.folder))

    @unittest.skipIf(FORMAT is None, "clang-format is not there")
    def test_names_of_any_length_are_laid_out_as_by_clang_format(self):
        for seed in (LONG_CALL_SEED, SEED):
            with self.subTest(seed=seed):
                self.check_names(seed)


if __name__ == "__main__":
    harness.main()
