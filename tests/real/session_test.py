#!/usr/bin/env python3
"""README's recorded session with the real model: each prompt of docs/session.json is asked five times as a person types
it, and its word must come in four of them; the recording that README shows must be of these prompts.

Run by ctest and by hand: `LARES_BIN=build/release/bin LARES_TEST_MODELS=FOLDER tests/real/session_test.py`.
"""

import json
import os
import pathlib
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from house import House, default_model, programs  # noqa: E402

SESSION = json.loads((ROOT / "docs" / "session.json").read_text())
TIMES, ENOUGH = 5, 4


class Session(unittest.TestCase):
    def test_each_prompt_is_answered_well(self):
        with House([default_model()], settings="[api]\nport = 0\n") as house:
            environment = {**house.environment, "PATH": f"{programs()}:{os.environ['PATH']}"}
            for step in SESSION:
                with self.subTest(type=step["type"]):
                    answers = [subprocess.run(["sh", "-c", step["type"]], capture_output=True, text=True, timeout=300,
                                              env=environment, stdin=subprocess.DEVNULL).stdout for _ in range(TIMES)]
                    good = sum(step["expect"].lower() in answer.lower() for answer in answers)
                    self.assertGreaterEqual(good, ENOUGH, answers)

    def test_the_recording_is_of_these_prompts(self):
        picture = (ROOT / "docs" / "session.svg").read_text()
        for step in SESSION:
            for word in step["type"].replace('"', " ").replace("'", " ").replace("|", " ").split():
                self.assertIn(word, picture)
        self.assertIn("docs/session.svg", (ROOT / "README.md").read_text())


if __name__ == "__main__":
    unittest.main()
