#!/usr/bin/env python3
"""What goes into packages, as far as it can be looked at without making one: lists, licences, desktop entry, metainfo, icon,
units, scripts, manual pages, completions. Tools that are not installed are named as skipped.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "packaging"
sys.path.insert(0, str(PACKAGING))
sys.path.insert(0, str(ROOT / "tools"))
import licences  # noqa: E402
from house import programs  # noqa: E402

VERSION = (ROOT / "VERSION").read_text(encoding="utf-8").split()[0]
PAGES = {"lares": "lares.1", "laresd": "laresd.8", "lares.toml": "lares.toml.5"}


def run(*command, **more):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120, **more)


class Case(unittest.TestCase):
    def tool(self, name):
        if not shutil.which(name):
            self.skipTest(f"{name} is not installed")
        return name

    def clean(self, *command, **more):
        done = run(*command, **more)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))


class Licences(Case):
    PLACES = {"root": "/clone", "build": "/clone/build/package", "llama": "/src/llama", "boost": "/src/boost", "engine": "/engine",
              "sqlite": "/src/sqlite", "media": "/media", "mtmd": "/src/mtmd"}

    def setUp(self):
        self.parts = licences.components()

    def test_each_component_has_its_licence_text(self):
        for part in self.parts:
            self.assertTrue((PACKAGING / "licences" / part["licence"]).is_file(), part["name"])
            self.assertTrue(part["copyright"] and (part.get("compiled") or part.get("bundled")), part["name"])
        unused = {path.name for path in (PACKAGING / "licences").iterdir()} - {part["licence"] for part in self.parts}
        self.assertFalse(unused)

    def test_a_file_belongs_to_the_component_with_the_longest_path(self):
        for path, name in (("/clone/src/app/home.cpp", "Lares"), ("/src/llama/src/llama.cpp", "llama.cpp with ggml"),
                           ("/src/llama/ggml/src/ggml-cpu/llamafile/sgemm.cpp", "llamafile's matrix products, as in ggml"),
                           ("/clone/build/package/include/json/nlohmann/json.hpp", "nlohmann JSON"),
                           ("/usr/include/fmt/format.h", "fmt")):
            self.assertEqual(licences.compiled_by(path, self.parts, self.PLACES)["name"], name)
        self.assertIsNone(licences.compiled_by("/src/llama/vendor/cpp-httplib/httplib.h", self.parts, self.PLACES))

    def test_a_library_without_a_line_is_named_compiled_or_linked(self):
        said = licences.unlisted({"/src/llama/vendor/cpp-httplib/httplib.h"}, {"libfoo.so.4", "libc.so.6"}, self.parts, self.PLACES)
        self.assertIn("'/src/llama/vendor/cpp-httplib/httplib.h' is compiled in", said)
        self.assertIn("'libfoo.so.4' is linked", said)
        self.assertFalse([line for line in said if "libc.so" in line])

    def test_a_line_without_its_library_is_named(self):
        said = licences.unlisted(set(), set(), self.parts, self.PLACES)
        self.assertIn("'Boost' is listed, but neither compiled in nor linked", said)

    def test_a_holder_of_copyright_that_is_not_listed_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            places = {**self.PLACES, "llama": folder}
            for name, line in (("a.c", "// Copyright (c) 2024 Somebody Else"), ("b.c", "// Copyright (c) 2023-2026 The ggml authors"),
                               ("c.c", "// SPDX-FileCopyrightText: Copyright 2025 Arm Limited and/or its affiliates <a@b>")):
                path = pathlib.Path(folder) / "src" / name
                path.parent.mkdir(exist_ok=True)
                path.write_text(line + "\n")
            said = licences.unnamed_holders([f"{folder}/src/{name}" for name in ("a.c", "b.c", "c.c")], self.parts, places)
        self.assertEqual(len(said), 1, said)
        self.assertIn("Somebody Else", said[0])

    def test_the_file_is_in_debians_form_and_names_everyone(self):
        text = licences.copyright_text(self.parts)
        self.assertTrue(text.startswith("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"))
        for paragraph in text.strip().split("\n\n"):
            for line in paragraph.splitlines():
                self.assertRegex(line, r"^([A-Z][A-Za-z-]+: ?|[A-Z][A-Za-z-]+:$| )", line)
        for part in self.parts:
            for holder in part["copyright"]:
                self.assertIn(holder, text)
        for licence in {part["licence"] for part in self.parts}:
            self.assertEqual(len(re.findall(rf"^License: {re.escape(licence)}\n ", text, re.M)), 1, licence)

    def test_the_table_of_dependencies_has_them_all(self):
        table = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
        for name in ("llama.cpp", "nlohmann JSON", "Boost", "spdlog", "fmt", "toml++", "CLI11", "libedit", "libseccomp", "libsodium", "libcurl", "OpenSSL"):
            self.assertIn(name, table)


class Lists(Case):
    def test_the_programs_are_listed_once_and_built(self):
        text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
        names = re.search(r"^set\(LARES_PROGRAMS (.+)\)$", text, re.M).group(1).split()
        rooms = (ROOT / "src" / "CMakeLists.txt").read_text(encoding="utf-8")
        for name in names:
            self.assertRegex(rooms, rf"lares_program\({name} ", name)

    def test_the_documents_name_every_program_and_library_of_a_package(self):
        packaging = (ROOT / "docs" / "packaging.md").read_text(encoding="utf-8")
        programs = re.search(r"^set\(LARES_PROGRAMS (.+)\)$", (ROOT / "CMakeLists.txt").read_text(encoding="utf-8"), re.M).group(1)
        for name in programs.split():
            self.assertIn(f"`{name.removesuffix('-program')}`".replace("`lares`", "`bin/lares`"), packaging)
        linked = {one for part in licences.components() for one in part.get("linked", ())}
        for package, library in {"libcurl4": "libcurl.so.4", "libedit2": "libedit.so.2", "libseccomp2": "libseccomp.so.2", "libsodium23": "libsodium.so.23", "libssl3": "libssl.so.3"}.items():
            self.assertIn(library, linked)
            for document in ("docs/packaging.md", "README.md"):
                self.assertIn(f"`{package}`", (ROOT / document).read_text(encoding="utf-8"), document)

    def test_each_file_that_is_installed_exists(self):
        text = (ROOT / "cmake" / "packaging.cmake").read_text(encoding="utf-8")
        for name in re.findall(r"\b((?:packaging|tools)/[\w./-]+)", text):
            if name != "tools/package":
                self.assertTrue((ROOT / name).exists(), name)


class Desktop(Case):
    def test_the_entry_is_as_freedesktop_wants_it(self):
        self.clean(self.tool("desktop-file-validate"), PACKAGING / "lares.desktop")

    def test_the_metainfo_fits_version_entry_and_licence(self):
        top = xml.etree.ElementTree.parse(PACKAGING / "lares.metainfo.xml").getroot()
        self.assertEqual(top.findtext("project_license"), "Apache-2.0")
        self.assertEqual(top.find("launchable").text, "lares.desktop")
        self.assertEqual(top.find("releases")[0].get("version"), VERSION)

    def test_the_metainfo_is_as_appstream_wants_it(self):
        done = run(self.tool("appstreamcli"), "validate", "--no-net", PACKAGING / "lares.metainfo.xml")
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_the_icon_is_a_small_square_that_loads_nothing(self):
        text = (PACKAGING / "lares.svg").read_text(encoding="utf-8")
        top = xml.etree.ElementTree.fromstring(text)
        self.assertEqual(top.get("viewBox"), "0 0 64 64")
        self.assertLess(len(text), 4096)
        self.assertNotRegex(text, r"href|<script|<image|<style|url\(")


class Units(Case):
    def test_systemd_takes_them(self):
        analyze = self.tool("systemd-analyze")
        with tempfile.TemporaryDirectory() as folder:
            service = (PACKAGING / "systemd" / "lares.service.in").read_text(encoding="utf-8")
            path = pathlib.Path(folder) / "lares.service"
            path.write_text(service.replace("@LARES_DAEMON@", "/bin/true").replace("man:laresd(8) man:lares(1)", ""))
            socket = (PACKAGING / "systemd" / "lares.socket").read_text(encoding="utf-8").replace("Documentation=man:laresd(8)\n", "")
            (pathlib.Path(folder) / "lares.socket").write_text(socket)
            done = run(analyze, "--user", "verify", path, path.with_suffix(".socket"),
                       env={**os.environ, "XDG_RUNTIME_DIR": folder, "SYSTEMD_LOG_LEVEL": "warning"})
        said = [line for line in (done.stdout + done.stderr).splitlines() if "lares" in line]
        self.assertEqual((done.returncode, said), (0, []))

    def test_the_sockets_are_the_three_that_the_daemon_takes(self):
        text = (PACKAGING / "systemd" / "lares.socket").read_text(encoding="utf-8")
        self.assertEqual(re.findall(r"^ListenStream=(.+)$", text, re.M), ["%t/lares/api.sock", "127.0.0.1:5273", "[::1]:5273"])

    def test_the_service_leaves_workers_what_they_lock_themselves_up_with(self):
        text = re.sub(r"^#.*$", "", (PACKAGING / "systemd" / "lares.service.in").read_text(encoding="utf-8"), flags=re.M)
        self.assertNotRegex(text, r"RestrictNamespaces|PrivateUsers|ProtectProc|ProtectSystem|PrivateTmp|PrivateDevices|SystemCallFilter")
        self.assertIn("Type=notify", text)

    def test_statuses_that_do_not_get_better_are_not_tried_again(self):
        text = (PACKAGING / "systemd" / "lares.service.in").read_text(encoding="utf-8")
        self.assertIn("RestartPreventExitStatus=2 3 4 6 9 10", text)


class Scripts(Case):
    def test_the_maintainer_scripts_are_shell(self):
        for name in ("postinst", "prerm"):
            path = PACKAGING / "debian" / name
            self.clean("sh", "-n", path)
            self.assertEqual(path.stat().st_mode & 0o777, 0o755)

    def test_completions_are_read_by_their_shells(self):
        for shell in ("bash", "zsh", "fish"):
            done = run(programs() / "lares", "completion", shell)
            self.assertEqual(done.returncode, 0, done.stderr)
            if shutil.which(shell):
                self.assertEqual(run(shell, "-n", "/dev/stdin", input=done.stdout).stderr, "", shell)


class Manual(Case):
    def pages(self):
        for name, file in PAGES.items():
            done = run(programs() / "lares", "man", name, "--date", "2026-01-02")
            self.assertEqual(done.returncode, 0, done.stderr)
            yield file, done.stdout

    def test_mandoc_has_nothing_to_say(self):
        mandoc = self.tool("mandoc")
        for file, text in self.pages():
            done = run(mandoc, "-Tlint", "-Wwarning", input=text)
            self.assertEqual((done.returncode, done.stdout), (0, ""), file)

    def test_groff_has_nothing_to_say(self):
        groff = self.tool("groff")
        for file, text in self.pages():
            done = run(groff, "-man", "-Tutf8", "-ww", "-z", "-K", "utf8", input=text)
            self.assertEqual((done.returncode, done.stderr), (0, ""), file)

    def test_they_name_every_verb_option_and_setting(self):
        pages = dict(self.pages())
        shown = {name: text.replace("\\-", "-") for name, text in pages.items()}
        for name in re.findall(r"^## lares (.+)$", (ROOT / "docs" / "commands.md").read_text(encoding="utf-8"), re.M):
            self.assertRegex(shown["lares.1"], rf"(?m)^\.SS lares {re.escape(name)}( |$)", name)
        for name in re.findall(r"^\| `([\w.]+)` \|", (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8"), re.M):
            self.assertIn(name, shown["lares.toml.5"])
        for option in ("--port N", "--self-test", "--engine=fake"):
            self.assertIn(option, shown["laresd.8"])
        for file, text in pages.items():
            self.assertIn(f'"2026-01-02" "Lares {VERSION}"', text, file)

    def test_a_page_that_is_none_and_a_date_that_is_none_are_refused(self):
        done = run(programs() / "lares", "man", "lares.tml")
        self.assertEqual(done.returncode, 2)
        self.assertIn("lares.toml", done.stderr)
        self.assertEqual(run(programs() / "lares", "man", "lares", "--date", "yesterday").returncode, 2)


if __name__ == "__main__":
    assert json.loads((PACKAGING / "components.json").read_text(encoding="utf-8"))
    unittest.main(verbosity=2)
