"""Tests of tools/bootstrap.d/page.py that need no Node and no network."""

import gzip
import json
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "bootstrap.d"))
import page  # noqa: E402
from screen import Stop  # noqa: E402


class Nodes(unittest.TestCase):
    def test_only_what_vite_takes_is_new_enough(self):
        for version, fits in (("v18.20.4", False), ("v20.18.9", False), ("v20.19.0", True), ("v21.7.0", False), ("v22.11.0", False),
                              ("v22.12.0", True), ("v24.0.1", True), ("", False), ("node", False)):
            self.assertEqual(page.new_enough(version), fits, version)


class Lists(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.dist = pathlib.Path(holder.name)
        for name, value in (("DIST", self.dist), ("LIST", self.dist / "files.txt")):
            patch = mock.patch.object(page, name, value)
            patch.start()
            self.addCleanup(patch.stop)

    def test_each_file_has_a_line_and_its_compressed_twin(self):
        (self.dist / "assets").mkdir()
        (self.dist / "index.html").write_bytes(b"<!doctype html>")
        (self.dist / "assets" / "a.js").write_bytes(b"1;")
        page.write_list()
        rows = [line.split("\t") for line in (self.dist / "files.txt").read_text().splitlines()]
        self.assertEqual([(row[0], row[1], row[3]) for row in rows],
                         [("/assets/a.js", "text/javascript;charset=utf-8", "assets/a.js"), ("/", "text/html;charset=utf-8", "index.html")])
        self.assertEqual(gzip.decompress((self.dist / "assets" / "a.js.gz").read_bytes()), b"1;")

    def test_the_same_page_is_the_same_bytes(self):
        (self.dist / "index.html").write_bytes(b"<!doctype html>")
        page.write_list()
        first = (self.dist / "index.html.gz").read_bytes(), (self.dist / "files.txt").read_bytes()
        page.write_list()
        self.assertEqual(first, ((self.dist / "index.html.gz").read_bytes(), (self.dist / "files.txt").read_bytes()))

    def test_a_file_of_a_kind_nobody_can_serve_stops_the_build(self):
        (self.dist / "a.wasm").write_bytes(b"\0asm")
        with self.assertRaisesRegex(Stop, "a.wasm"):
            page.write_list()


class Locks(unittest.TestCase):
    def test_the_lock_names_no_host_and_every_package_has_its_hash(self):
        text = (page.SOURCES / "package-lock.json").read_text()
        self.assertNotIn("://", text)
        packages = json.loads(text)["packages"]
        self.assertEqual([name for name, one in packages.items() if name and not one.get("integrity", "").startswith("sha512-")], [])


if __name__ == "__main__":
    unittest.main()
