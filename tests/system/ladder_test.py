#!/usr/bin/env python3
"""Models that share a budget too small for both: they change places in memory without a new process, what they hold stays
within it, and their conversations go on. Against the real daemon and real workers, with real models.

Needs two models in LARES_TEST_MODELS; without them all is skipped. Run by ctest and by hand:
`LARES_BIN=build/dev/bin tests/system/ladder_test.py [-v] [Class.test]`.
"""

import os
import pathlib
import subprocess
import threading
import time
import unittest

from client import ask, chat, owner, run_tests, wait_until  # noqa: I001
from house import House, default_model, other_model  # found by client

MIB = 1 << 20


def resident(pid):
    """Bytes of a process in memory, as the kernel shares them out, and of these what is mapped from files."""
    fields = {}
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, number = line.split()[:2]
        fields[name.rstrip(":")] = int(number) * 1024
    return fields


class Ladder(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        try:
            models = [default_model()]
            models.append(other_model(models[0]))
        except SystemExit as missing:
            raise unittest.SkipTest(str(missing)) from None
        cls.models = models

    def house(self, budget_mib, **more):
        house = House(models=self.models, settings=f'[memory]\nbudget = "{budget_mib} MiB"\n[models]\npreload = false\ncontext = 2048\n[compute]\nbeside_others = false\n',
                      **more)
        self.addCleanup(house.stop)
        return house

    def names(self, house):
        return [model["id"] for model in owner(house, "GET", "/lares/v1/models") if model["use"] != "embedding"]

    def row(self, house, model):
        return next((row for row in owner(house, "GET", "/lares/v1/ps") if row["model"] == model), None)

    def asked(self, house, model, prompt, tokens=8):
        """What follows it, and how much of it was not computed again. The second model has no template for chats."""
        body = {"model": model, "prompt": prompt, "max_tokens": tokens, "temperature": 0, "seed": 1, "ignore_eos": True}
        status, answer = ask(house.port, body, "/v1/completions")
        self.assertEqual(status, 200, answer)
        return answer["choices"][0]["text"], answer["usage"]["prompt_tokens_details"]["cached_tokens"]

    def both_need(self):
        """What each holds when it is hot; and the most that one is thought to before it has been."""
        house = self.house(8000)
        needs = {}
        thought = {model["id"]: model["needs_bytes"] for model in owner(house, "GET", "/lares/v1/models")}
        for name in self.names(house):
            self.asked(house, name, "Once upon a time")
            needs[name] = self.row(house, name)["memory_bytes"]
        house.stop()
        return needs, max(thought[name] for name in needs)

    def test_they_change_places_and_conversations_go_on(self):
        needs, most = self.both_need()
        budget = max(most + 16 * MIB, int(max(needs.values()) * 1.3))
        self.assertLess(budget, sum(needs.values()), "both fit: nothing would be tested")
        house = self.house(budget // MIB)
        stays = self.house(8000)
        talks = {name: f"This is about number {i} and its friends. " * 30 for i, name in enumerate(needs)}
        pids, over, most_kept, done = {}, [], 0, threading.Event()

        def watch():
            while not done.is_set():
                held = owner(house, "GET", "/lares/v1/status")["memory_bytes"]
                if held > budget:
                    over.append(held)
                time.sleep(0.01)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            for turn in range(5):
                for name in list(talks):
                    said, cached = self.asked(house, name, talks[name])
                    twin, kept = self.asked(stays, name, talks[name])
                    self.assertEqual(said, twin, f"turn {turn} of {name}")
                    most_kept = max(most_kept, cached)
                    if turn > 1:
                        self.assertEqual(cached, kept, f"turn {turn} of {name}: more was computed again than by one that stayed")
                    row = self.row(house, name)
                    self.assertEqual(row["rung"], "hot")
                    if turn > 0:  # before all is measured one may have to go whole
                        self.assertEqual(pids.setdefault(name, row["pid"]), row["pid"], f"{name} was started again")
                    others = [self.row(house, other)["rung"] for other in talks if other != name and other in pids]
                    self.assertNotIn("hot", others)
                    talks[name] += said + " And then?"
        finally:
            done.set()
            watcher.join()
        self.assertEqual(over, [])
        self.assertGreater(most_kept, 100, "no conversation went on")

    def test_a_parked_model_gives_its_weights_back(self):
        house = self.house(8000)
        name = default_model().stem.lower()
        name = next(each for each in self.names(house) if each.startswith(name[:12]))
        said, _ = self.asked(house, name, "The colour of the sky is")
        pid = self.row(house, name)["pid"]
        hot = resident(pid)["Rss"]
        lares = [str(house.bin / "lares"), "models", "evict", name, "--to", "parked"]
        told = subprocess.run(lares, env=house.environment, capture_output=True, text=True, timeout=60)
        self.assertEqual(told.returncode, 0, told.stderr)
        self.assertIn("goes from hot to parked", told.stdout)
        wait_until(lambda: self.row(house, name)["rung"] == "parked", "it is parked")
        self.assertLess(resident(pid)["Rss"] + self.models[0].stat().st_size * 0.6, hot)
        shown = subprocess.run([str(house.bin / "lares"), "ps"], env=house.environment, capture_output=True, text=True, timeout=60)
        self.assertRegex(shown.stdout, rf"{name}.*parked")
        self.assertRegex(shown.stdout, r"memory  #*-+  [\d.]+ \w+ of [\d.]+ \w+")
        again, _ = self.asked(house, name, "The colour of the sky is")
        self.assertEqual(again, said)
        self.assertEqual(self.row(house, name)["pid"], pid)

    def test_a_file_that_was_cut_while_it_is_parked_is_said_so(self):
        house = self.house(8000)
        name = next(each for each in self.names(house) if each.startswith("smollm2"))
        copy = pathlib.Path(house.home) / "cut.gguf"
        copy.write_bytes(self.models[0].read_bytes())
        copy.chmod(0o600)
        added = owner(house, "POST", "/lares/v1/models", {"file": str(copy), "name": "cut"})
        self.assertEqual(added["id"], "cut")
        self.asked(house, "cut", "Once upon a time")
        owner(house, "POST", "/lares/v1/models/cut/evict", {"rung": "parked"})
        wait_until(lambda: self.row(house, "cut")["rung"] == "parked", "it is parked")
        os.truncate(copy, copy.stat().st_size // 2)
        status, answer = ask(house.port, chat("hi", model="cut", max_tokens=4))
        self.assertGreaterEqual(status, 400, answer)
        self.assertRegex(answer["error"]["message"], "shorter|cut short|ends|changed")
        status, answer = ask(house.port, chat("hi", model=name, max_tokens=4))  # the daemon, and others, go on
        self.assertEqual(status, 200, answer)

    def test_a_budget_for_nothing_says_so(self):
        house = self.house(64)
        name = next(each for each in self.names(house) if each.startswith("smollm2"))
        status, answer = ask(house.port, chat("hi", model=name, max_tokens=4))
        self.assertEqual(status, 507, answer)
        self.assertIn("memory.budget", answer["error"]["message"])


if __name__ == "__main__":
    run_tests()
