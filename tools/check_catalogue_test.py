#!/usr/bin/env python3
"""The catalogue's checker, and the catalogue."""

import importlib.util
import json
import pathlib
import unittest

TOOLS = pathlib.Path(__file__).resolve().parent
spec = importlib.util.spec_from_file_location("check_catalogue", TOOLS / "check-catalogue.py")
checker = importlib.util.module_from_spec(spec)
spec.loader.exec_module(checker)


class Catalogue(unittest.TestCase):
    def setUp(self):
        self.catalogue = json.loads(checker.FILE.read_text(encoding="utf-8"))

    def wrong(self):
        return "\n".join(checker.check(json.dumps(self.catalogue)))

    def test_what_ships_is_as_it_should_be(self):
        self.assertEqual(self.wrong(), "")

    def test_each_missing_field_is_named(self):
        for field in checker.FIELDS:
            with self.subTest(field=field):
                kept = self.catalogue["models"][0].pop(field)
                self.assertIn(f"has no '{field}'", self.wrong())
                self.catalogue["models"][0][field] = kept

    def test_facts_without_an_address_are_named(self):
        self.catalogue["models"][0]["read"] = [{"url": "https://example.org/main/list", "gave": ["file"]}]
        wrong = self.wrong()
        self.assertIn("no address of a fixed version", wrong)
        for fact in ("repository", "size_bytes", "licence", "shape"):
            self.assertIn(f"'{fact}' that no address gave", wrong)

    def test_a_digest_of_another_entry_is_named(self):
        one, other = [m for m in self.catalogue["models"] if m["sha256"]][:2]
        other["sha256"] = one["sha256"]
        self.assertIn(f"has the digest of {one['id']}", self.wrong())

    def test_what_is_no_catalogue_says_so(self):
        self.assertIn("no JSON", checker.check("{")[0])
        self.assertIn("has no models", "\n".join(checker.check('{"format": 1, "models": []}')))


if __name__ == "__main__":
    unittest.main()
