#!/usr/bin/env python3
"""Tests of ./dev: what its command line takes, what it reads of reports, and what ./dev new writes."""

import contextlib
import importlib.machinery
import importlib.util
import io
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("dev", str(ROOT / "dev"))
dev = importlib.util.module_from_spec(importlib.util.spec_from_loader("dev", loader))
loader.exec_module(dev)


class Dev(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        self.kept = (dev.ROOT, dev.BUILD)
        dev.ROOT, dev.BUILD = self.root, self.root / "build"

    def tearDown(self):
        dev.ROOT, dev.BUILD = self.kept
        self.folder.cleanup()

    def call(self, *arguments):
        """(exit status, what was said on both streams)."""
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            try:
                status = dev.main(list(arguments))
            except SystemExit as end:
                status = end.code
        return status, said.getvalue()

    def test_every_verb_has_help_with_an_example(self):
        for verb in "build test fast sim fuzz bench tidy format run ci new".split():
            status, said = self.call(verb, "--help")
            self.assertEqual(status, 0)
            self.assertIn(f"example: ./dev {verb.split()[0]}", said)

    def test_an_unknown_name_is_refused_with_those_that_there_are(self):
        (self.root / "bench").mkdir()
        (self.root / "bench" / "speed.py").touch()
        (self.root / "bench" / "harness.py").touch()
        self.assertEqual(self.call("bench")[1].split(), ["micro", "speed"])
        status, said = self.call("bench", "sped", "--rounds", "7")
        self.assertEqual(status, 1)
        self.assertIn("no such bench; there are: all, micro, speed", said)
        self.assertIn("no such target", self.call("fuzz", "jsn")[1])
        self.assertIn("no such stage; there are: tidy, format", self.call("ci", "tdy")[1])

    def test_the_stages_of_ci_are_stages_and_are_told(self):
        named = dev.stages_of_ci()
        self.assertIn("dev", named)
        self.assertEqual([name for name in named if name not in dev.STAGES], [])
        contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
        left_out = ", ".join(f"`{name}`" for name in dev.STAGES if name not in named)
        self.assertIn(f"({left_out})", contributing)
        said = self.call("ci", "--help")[1]
        self.assertIn(f".ci/run runs: {' '.join(named)}.", said)
        for name in dev.STAGES:
            self.assertRegex(said, rf"(?m)^  {name} +\w")

    def test_fuzz_targets_are_found_in_the_sources(self):
        (self.root / "src" / "a").mkdir(parents=True)
        (self.root / "src" / "a" / "x_fuzz.cpp").write_text("FUZZ(one) {\n}\nFUZZ(two) {\n}\n// FUZZ(three)\n")
        self.assertEqual(self.call("fuzz")[1].split(), ["one", "two"])

    def test_what_was_skipped_is_read_with_its_reason(self):
        report = self.root / "ctest.xml"
        report.write_text('<testsuite><testcase name="a"/><testcase name="b"><skipped message="SKIP"/><system-out>'
                          "Running main() from x\n[ RUN      ] b\n/p/q.cpp:8: Skipped\nDATA is not set\n"
                          "</system-out></testcase></testsuite>")
        self.assertEqual(dev.skipped_tests(report), [("b", "DATA is not set")])
        self.assertEqual(dev.skipped_tests(self.root / "gone.xml"), [])

    def test_the_cache_of_clang_tidy_knows_headers_through_headers(self):
        for name, text in (("base/a.h", ""), ("base/b.h", '#include "base/a.h"\n'), ("wire/c.cpp", '#include "base/b.h"\n')):
            path = self.root / "src" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        found = dev.Includes().of(self.root / "src" / "wire" / "c.cpp")
        self.assertEqual([path.name for path in found], ["a.h", "b.h", "c.cpp"])

    def test_a_preset_says_what_it_was_configured_with(self):
        (self.root / "build" / "dev").mkdir(parents=True)
        (self.root / "build" / "dev" / "CMakeCache.txt").write_text("LARES_TESTS:BOOL=ON\nLARES_ENGINE:PATH=/x y\n")
        self.assertEqual(dev.cached("dev", "LARES_ENGINE"), "/x y")
        self.assertEqual(dev.cached("dev", "LARES_TEST"), "")
        self.assertEqual(dev.cached("release", "LARES_ENGINE"), "")

    def test_new_writes_a_part_and_its_case_once(self):
        (self.root / "src" / "api").mkdir(parents=True)
        status, said = self.call("new", "endpoint", "token_budget")
        self.assertEqual(status, 0, said)
        source = (self.root / "src" / "api" / "endpoints" / "token_budget.cpp").read_text()
        self.assertIn('"GET /lares/v1/token_budget"', source)
        self.assertTrue((self.root / "tests" / "cases" / "token_budget.case").exists())
        self.assertIn("it exists", self.call("new", "endpoint", "token_budget")[1])
        self.assertIn("src/agent does not exist yet", self.call("new", "tool", "clock")[1])

    def test_new_takes_no_name_that_is_a_path_or_would_be_changed(self):
        (self.root / "src" / "engine").mkdir(parents=True)
        for name in ("../x", "a/b", "7", "_x", "Token budget", "token-budget", "x.cpp", "é", ""):
            status, said = self.call("new", "backend", name)
            self.assertEqual((status, said.split(":")[1].strip()), (1, f"naming '{name}'"))
        self.assertEqual([path for path in self.root.rglob("*") if path.is_file()], [])

    @unittest.skipUnless(shutil.which("clang-format-19"), "clang-format-19 is not here")
    def test_what_new_writes_is_formatted(self):
        for kind, (pattern, text) in dev.TEMPLATES.items():
            source = text.format(name="the name", word="name", title="name", file="name")
            done = subprocess.run(["clang-format-19", "--dry-run", "-Werror", f"--style=file:{ROOT / '.clang-format'}"],
                                  input=source, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, f"{kind}: {done.stderr}")


if __name__ == "__main__":
    unittest.main()
