#!/usr/bin/env python3
"""Shell completion as a shell runs it: bash with the script of the real `lares` sourced, by COMP_WORDS and by the Tab
key on a terminal; zsh and fish read theirs, where they are installed. No daemon: a stand-in lists the models.

Run by ctest and by hand: `LARES_BIN=build/dev/bin tests/cli/completion_test.py [-v] [Class.test]`.
"""

import os
import pathlib
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
from house import programs  # noqa: E402

LIMIT_S = 60  # for what takes milliseconds: a loaded machine, a build with sanitizers
MODELS = ["smollm2-135m-instruct.q4_1", "llama3:8b", "llama3:70b"]


def cut(words):
    """The words of a line as bash puts them into COMP_WORDS: cut at ':' and '=' too."""
    return [piece for word in words for piece in re.split(r"([:=]+)", word) if piece or not word]


def stand_in(folder):
    """A `lares` that knows the models' names only, as the scripts ask for them; its folder."""
    file = folder / "bin" / "lares"
    file.parent.mkdir()
    file.write_text("#!/bin/sh\n[ \"$*\" = 'models list --names' ] || exit 9\nprintf '%s\\n' "
                    + " ".join(MODELS) + "\n")
    file.chmod(0o755)
    return file.parent


class Bash(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not shutil.which("bash"):
            raise unittest.SkipTest("bash is not installed: its completion is not tested")
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="lares-completion-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        programs_first = f"{stand_in(cls.folder)}:{os.environ['PATH']}"
        (cls.folder / "a model.gguf").touch()
        (cls.folder / "b.gguf").touch()
        cls.script = cls.folder / "completion.bash"
        cls.script.write_text(script_for("bash"))
        cls.environment = {**os.environ, "PATH": programs_first, "TERM": "dumb",
                           "LC_ALL": "C.UTF-8", "PS1": "$ "}

    def completed(self, *words):
        """What bash would put in place of the last word, or of what follows its last ':' or '='."""
        pieces = cut(("lares",) + words)
        code = (f"source {shlex.quote(str(self.script))}; COMP_WORDS=({' '.join(map(shlex.quote, pieces))}); "
                f"COMP_CWORD={len(pieces) - 1}; _lares; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
        done = subprocess.run(["bash", "--norc", "-c", code], capture_output=True, text=True, env=self.environment,
                              cwd=self.folder, timeout=LIMIT_S)
        self.assertEqual((done.returncode, done.stderr), (0, ""), words)
        return done.stdout.split()

    def test_an_options_value_is_no_verb(self):
        for words in (["chat", "-m", "foo"], ["-m", "foo"], ["--model=foo"], ["--model", "llama3:8b"],
                      ["-s", "Be brief."]):
            self.assertIn("--temperature", self.completed(*words, "--"), words)
        self.assertEqual(self.completed("bench", "--rounds", "3", "--j"), ["--json"])
        self.assertEqual(self.completed("uninstall", "--prefix", "/x", "--p"), ["--prefix", "--purge"])
        self.assertEqual(self.completed("chat", "-m", "models", "--nam"), [])

    def test_verbs_and_their_second_words(self):
        self.assertIn("models", self.completed("mo"))
        self.assertEqual(self.completed("models", "fi"), ["find"])
        self.assertEqual(self.completed("completion", "z"), ["zsh"])
        self.assertEqual(self.completed("ps", "--js"), ["--json"])

    def test_a_question_takes_the_options_of_asking(self):
        self.assertEqual(self.completed("Why is the sky blue?", "--te"), ["--temperature"])
        self.assertEqual(self.completed("--", "--te"), [])

    def test_models(self):
        self.assertEqual(self.completed("-m", "smol"), MODELS[:1])
        self.assertEqual(self.completed("chat", "--model", "smol"), MODELS[:1])
        self.assertEqual(self.completed("models", "show", "smol"), MODELS[:1])
        self.assertEqual(self.completed("--model=smol"), MODELS[:1])
        self.assertEqual(self.completed("--model="), MODELS)

    def test_a_colon_in_a_name(self):
        self.assertEqual(self.completed("-m", "llama3"), MODELS[1:])
        self.assertEqual(self.completed("-m", "llama3:"), ["8b", "70b"])
        self.assertEqual(self.completed("-m", "llama3:8"), ["8b"])
        self.assertEqual(self.completed("models", "rm", "llama3:7"), ["70b"])
        self.assertEqual(self.completed("--model=llama3:7"), ["70b"])

    def test_values_that_nobody_can_list(self):
        self.assertEqual(self.completed("bench", "--rounds", ""), [])
        self.assertEqual(self.completed("install", "--prefix", "b"), ["b.gguf", "bin"])

    def test_the_tab_key(self):
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.folder)
            os.execvpe("bash", ["bash", "--norc", "-i"], self.environment)
        self.addCleanup(os.waitpid, pid, 0)
        self.addCleanup(os.close, terminal)
        os.write(terminal, f"source {shlex.quote(str(self.script))}; echo rea''dy\n".encode())
        seen = self._read_until(terminal, "", "ready")
        for typed, wanted in (("lares bench --rounds 3 --j\t", "--rounds 3 --json "),
                              ("\x15lares -m llama3:8\t", "-m llama3:8b "),
                              ("\x15lares models show smo\t", "show smollm2-135m-instruct.q4_1 "),
                              ("\x15lares models add a\t", "add a\\ model.gguf ")):
            os.write(terminal, typed.encode())
            seen = self._read_until(terminal, "", wanted)
        self.assertTrue(seen)

    def _read_until(self, terminal, seen, wanted):
        until = time.monotonic() + LIMIT_S
        while wanted not in seen:
            if not select.select([terminal], [], [], max(0, until - time.monotonic()))[0]:
                self.fail(f"no {wanted!r} in {seen!r}")
            seen += os.read(terminal, 65536).decode(errors="replace").replace("\x08", "").replace("\x07", "")
        return seen


class Others(unittest.TestCase):
    def test_zsh_takes_its_script(self):
        self._check("zsh", ["-n"])

    def test_fish_takes_its_script(self):
        self._check("fish", ["--no-execute"])

    def test_fish_completes_what_follows_an_options_value(self):
        if not shutil.which("fish"):
            self.skipTest("fish is not installed: its completion is not tested")
        folder = pathlib.Path(tempfile.mkdtemp(prefix="lares-completion-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        (folder / "lares.fish").write_text(script_for("fish"))
        environment = {**os.environ, "HOME": str(folder), "PATH": f"{stand_in(folder)}:{os.environ['PATH']}"}
        for line, wanted in (("lares -m foo --te", ["--temperature"]), ("lares hello --te", ["--temperature"]),
                             ("lares chat -m foo --te", ["--temperature"]), ("lares bench --rounds 3 --j", ["--json"]),
                             ("lares models fi", ["find"]), ("lares models show smo", MODELS[:1])):
            done = subprocess.run(["fish", "--private", "-c", f"source lares.fish; complete -C '{line}'"], text=True,
                                  cwd=folder, capture_output=True, env=environment, timeout=LIMIT_S)
            self.assertEqual([said.split("\t")[0] for said in done.stdout.splitlines()], wanted, (line, done.stderr))

    def test_bash_takes_its_script(self):
        self._check("bash", ["-n"])

    def _check(self, shell, options):
        if not shutil.which(shell):
            self.skipTest(f"{shell} is not installed: its completion is not checked")
        with tempfile.NamedTemporaryFile("w", suffix=f".{shell}") as file:
            file.write(script_for(shell))
            file.flush()
            done = subprocess.run([shell, *options, file.name], capture_output=True, text=True, timeout=LIMIT_S)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))


def script_for(shell):
    done = subprocess.run([str(programs() / "lares"), "completion", shell], env={"PATH": os.environ["PATH"]},
                          capture_output=True, text=True, timeout=LIMIT_S, check=True)
    return done.stdout


if __name__ == "__main__":
    unittest.main(verbosity=2)  # a shell that is not here is named
