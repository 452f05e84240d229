#!/usr/bin/env python3
"""The command line as a person uses it: the real `lares` on a real terminal (a pty), which starts the real `laresd`,
which answers with fake workers. What only a terminal, a pipe or a signal shows is tested here; texts and tables are
tested beside the code (src/app/cli/*_test.cpp).

Run by ctest and by hand: `LARES_BIN=build/dev/bin tests/cli/command_line_test.py [-v] [Class.test]`.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import pty
import re
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
from house import alive, programs  # noqa: E402

LIMIT_S = 60  # for what takes milliseconds: a loaded machine, a build with sanitizers
MODEL = "smollm2-135m-instruct.q4_1.gguf"


class Home:
    """A home with one model, and beside it a `lares` whose laresd has fake workers with these options."""

    def __init__(self, fake=(), model=True):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lares-cli-"))
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        built = programs().resolve()
        # a copy, because lares looks for laresd beside its own file
        try:
            os.link(built / "lares", self.bin / "lares")
        except OSError:
            shutil.copy2(built / "lares", self.bin / "lares")
        daemon = self.bin / "laresd"
        options = " ".join(f"--fake={option}" for option in fake)
        daemon.write_text(f"#!/bin/sh\nexec '{built / 'laresd'}' --engine=fake --port 0 {options} \"$@\"\n")
        daemon.chmod(0o755)
        self.home = self.folder / "home"
        models = self.home / "share" / "models"
        models.mkdir(parents=True, mode=0o700)
        if model:
            (models / MODEL).write_bytes(b"GGUF\x03\0\0\0" + bytes(64))
        self.environment = {**os.environ, "LARES_HOME": str(self.home), "HOME": str(self.folder), "TERM": "xterm",
                            "LC_ALL": "C.UTF-8"}

    def lares(self, *words, stdin=b"", **more):
        """(exit status, stdout, stderr) of a lares with pipes all around."""
        done = subprocess.run([str(self.bin / "lares"), *words], input=stdin, capture_output=True, timeout=LIMIT_S,
                              env=self.environment, **more)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def start(self, *words, **more):
        return subprocess.Popen([str(self.bin / "lares"), *words], env=self.environment, **more)

    def json(self, *words):
        status, out, err = self.lares(*words, "--json")
        assert status == 0, err
        return json.loads(out)

    def close(self):
        self.lares("stop")
        shutil.rmtree(self.folder, ignore_errors=True)


class Terminal:
    """A lares on a pty: what it wrote so far is in self.seen."""

    def __init__(self, home, *words, columns=80, environment=None):
        self.seen = ""
        pid, self.fd = pty.fork()
        if pid == 0:
            os.execve(str(home.bin / "lares"), ["lares", *words], {**home.environment, **(environment or {})})
        self.pid = pid
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.status = None

    def read_until(self, wanted, limit_s=LIMIT_S):
        """Reads until the text matches `wanted` (a regular expression); what matched. None: until it ends."""
        until = time.monotonic() + limit_s
        while True:
            match = wanted and re.search(wanted, self.seen)
            if match:
                self.seen = self.seen[match.end():]
                return match.group(0)
            left = until - time.monotonic()
            if left <= 0:
                raise AssertionError(f"no {wanted!r} in {limit_s} s; there is {self.seen!r}")
            if not select.select([self.fd], [], [], left)[0]:
                continue
            try:
                piece = os.read(self.fd, 65536)
            except OSError:  # a pty whose other end closed
                piece = b""
            if not piece:
                if wanted:
                    raise AssertionError(f"it ended without {wanted!r}; there is {self.seen!r}")
                return self.seen
            self.seen += piece.decode(errors="replace")

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        """The exit status, once it has written all."""
        if self.status is None:
            self.read_until(None)
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self.fd)
        return self.status


def wait_until(true, what, limit_s=LIMIT_S):
    until = time.monotonic() + limit_s
    while not true():
        if time.monotonic() > until:
            raise AssertionError(f"not within {limit_s} s: {what}")
        time.sleep(0.01)


class Case(unittest.TestCase):
    fake = ()

    def setUp(self):
        self.house = Home(self.fake)
        self.addCleanup(self.house.close)

    def no_request_is_left(self):
        wait_until(lambda: self.house.json("status")["requests"] == 0, "the daemon computes nothing", 10)


class Asking(Case):
    def test_a_question_starts_the_daemon_and_is_answered(self):
        self.assertEqual(self.house.lares("status")[0], 3)
        status, out, err = self.house.lares("How are", "you?")
        self.assertEqual((status, out), (0, "The prompt has 3 words.\n"), err)
        self.assertEqual(self.house.lares("status")[0], 0)

    def test_the_first_answer_ends_with_one_line_once(self):
        first = self.house.lares("hi")[2]
        self.assertIn("often wrong", first)  # whether it names a better one depends on this machine (cli_test.cpp)
        self.assertEqual(first.count("\n"), 1)
        self.assertEqual(self.house.lares("hi")[2], "")

    def test_on_a_terminal_the_line_stands_below_the_answer(self):
        terminal = Terminal(self.house, "hi")
        self.assertEqual(terminal.end(), 0)
        text = re.sub(r"\x1b\[\d*m", "", terminal.seen)
        self.assertRegex(text, r"^The prompt has 1 words\.\r\n\r\nThis was smollm2")

    def test_a_pipe_is_part_of_the_question(self):
        self.assertEqual(self.house.lares("repeat: above", stdin=b"below\n")[1], "above\n\nbelow\n")
        self.assertEqual(self.house.lares(stdin=b"one two three\n")[1], "The prompt has 3 words.\n")

    def test_what_is_no_text_is_refused(self):
        for data, part in ((b"\x7fELF\0\0", "zero"), (b"caf\xe9", "byte 3"), (b"\xff\xfeh\0", "UTF-16")):
            status, out, err = self.house.lares("explain", stdin=data)
            self.assertEqual((status, out), (2, ""))
            self.assertIn(part, err)

    def test_a_folder_as_standard_input_is_said_to_be_one(self):
        with contextlib.ExitStack() as stack:
            folder = os.open(self.house.folder, os.O_RDONLY)
            stack.callback(os.close, folder)
            for words in (["-"], ["what", "is", "this?"], []):
                done = subprocess.run([str(self.house.bin / "lares"), *words], stdin=folder, capture_output=True, text=True,
                                      timeout=LIMIT_S, env=self.house.environment)
                self.assertEqual((done.returncode, done.stdout), (2, ""), words)
                self.assertIn("standard input: it is a folder", done.stderr)

    def test_too_much_is_refused_with_the_limit(self):
        status, _, err = self.house.lares(stdin=b"word " * 2_000_000)
        self.assertEqual(status, 2)
        self.assertIn("3 MiB", err)

    def test_nothing_is_asked_by_nothing(self):
        status, _, err = self.house.lares(stdin=b"")
        self.assertEqual(status, 2)
        self.assertIn("there is no question", err)

    def test_an_open_pipe_is_waited_for_and_the_person_told(self):
        process = self.house.start("repeat: above", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        self.assertIn(b"reading standard input", process.stderr.readline())
        out, _ = process.communicate(b"below", timeout=LIMIT_S)
        self.assertEqual(out, b"above\n\nbelow\n")

    def test_an_unknown_model_names_the_nearest(self):
        status, _, err = self.house.lares("-m", "smollm3-135m-instruct.q4_1", "hi")
        self.assertEqual(status, 3)
        self.assertIn("smollm2-135m-instruct", err)

    def test_without_a_model_it_says_how_to_get_one(self):
        house = Home(["models=0"], model=False)
        self.addCleanup(house.close)
        status, _, err = house.lares("hi")
        self.assertEqual(status, 3)
        self.assertIn("lares models add FILE", err)

    def test_a_full_disk_is_an_error(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([str(self.house.bin / "lares"), "hi"], stdin=subprocess.DEVNULL, stdout=full,
                                  stderr=subprocess.PIPE, env=self.house.environment, timeout=LIMIT_S)
        self.assertEqual(done.returncode, 5)
        self.assertIn(b"standard output", done.stderr)
        self.no_request_is_left()

    def test_json_is_one_object(self):
        answer = self.house.json("hi")
        self.assertEqual(answer["choices"][0]["message"]["content"], "The prompt has 1 words.")
        self.assertEqual(self.house.json("why", answer["lares"]["id"])["outcome"], "stop")


class SlowAnswers(Case):
    fake = ("tokens-per-s=20",)
    question = "count: 2000"

    def test_ctrl_c_ends_the_answer_and_the_computing(self):
        terminal = Terminal(self.house, self.question)
        terminal.read_until(r"1 2")
        terminal.type("\x03")
        self.assertEqual(terminal.end(), 130)
        self.no_request_is_left()

    def test_the_first_ctrl_c_ends_the_thinking_and_the_second_the_answer(self):
        thinks = "repeat: <think>" + "hm " * 500 + "</think>"
        terminal = Terminal(self.house, thinks + "four")
        terminal.read_until(r"thinking … \d+ s, Ctrl-C ends that")
        terminal.type("\x03")
        terminal.read_until(r"four")
        self.assertEqual(terminal.end(), 0)
        self.assertNotIn("hm", terminal.seen)
        self.no_request_is_left()
        terminal = Terminal(self.house, thinks + "count " * 2000)
        terminal.read_until(r"thinking … \d+ s")
        terminal.type("\x03")
        terminal.read_until(r"count count")
        terminal.type("\x03")
        self.assertEqual(terminal.end(), 130)
        self.no_request_is_left()

    def test_thoughts_are_shown_where_they_are_asked_for_and_never_in_a_pipe(self):
        question = "repeat: <think>hm, so</think>four"
        status, out, err = self.house.lares(question)
        self.assertEqual((status, out), (0, "four\n"))
        self.assertNotIn("hm", err)
        status, out, err = self.house.lares("--thoughts", question)
        self.assertEqual((status, out), (0, "four\n"))
        self.assertIn("hm, so\n\n", err)

    def test_a_reader_that_leaves_ends_it_quietly(self):
        process = self.house.start(self.question, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        self.assertTrue(process.stdout.read(3))
        process.stdout.close()
        self.assertIn(process.wait(LIMIT_S), (-signal.SIGPIPE, 141))
        self.assertNotIn(b"Traceback", process.stderr.read())
        process.stderr.close()
        self.no_request_is_left()

    def test_an_answer_comes_as_it_is_written(self):
        process = self.house.start(self.question, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        began = time.monotonic()
        process.stdout.read(1)
        first = time.monotonic() - began
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(LIMIT_S), 130)
        process.stdout.close()
        self.assertLess(first, 30, "2,000 tokens take 100 s")

    def test_ctrl_c_ends_json_too(self):
        process = self.house.start("--json", self.question, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        wait_until(lambda: (self.house.home / "run" / "api.sock").exists() and
                   self.house.json("status")["requests"] == 1, "the request has begun")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.communicate(timeout=LIMIT_S)[0], b"")
        self.assertEqual(process.returncode, 130)
        self.no_request_is_left()

    def test_chat_goes_on_after_ctrl_c(self):
        terminal = Terminal(self.house, "chat")
        terminal.read_until(r"> ")
        terminal.type(self.question + "\n")
        terminal.read_until(r"\r\n1 2")
        terminal.type("\x03")
        terminal.read_until(r"stopped")
        self.no_request_is_left()
        terminal.type("/quit\n")
        self.assertEqual(terminal.end(), 0)


class SlowLoading(Case):
    fake = ("load-ms=2500",)

    def test_a_terminal_says_what_is_waited_for_and_wipes_it(self):
        terminal = Terminal(self.house, "hi")
        terminal.read_until(r"loading smollm2-135m-instruct\.q4_1 … \d s")
        terminal.read_until(r"\r\x1b\[KThe prompt has 1 words")
        self.assertEqual(terminal.end(), 0)

    def test_a_pipe_is_not_told(self):
        status, out, err = self.house.lares("hi")
        self.assertEqual((status, out), (0, "The prompt has 1 words.\n"))
        self.assertNotIn("loading", err)


class Chatting(Case):
    def test_a_conversation_on_a_terminal(self):
        terminal = Terminal(self.house, "chat")
        terminal.read_until(r"/help lists")
        terminal.read_until(r"> ")
        terminal.type("grüße dich\n")
        terminal.read_until(r"The prompt has 2 words\.")
        terminal.read_until(r"> ")
        terminal.type("one \\\n")
        terminal.read_until(r"\. ")
        terminal.type("two three\n")
        terminal.read_until(r"The prompt has 3 words\.")
        terminal.read_until(r"> ")
        terminal.type("/hlp\n")
        terminal.read_until(r"did you mean '/help'")
        terminal.read_until(r"> ")
        terminal.type("abandoned\x03")
        terminal.read_until(r"\^C\r\n")
        terminal.read_until(r"> ")
        terminal.type("\x1b[A\x1b[A\n")  # the history: two back
        terminal.read_until(r"The prompt has \d+ words?\.")
        terminal.read_until(r"> ")
        terminal.type("\x04")
        self.assertEqual(terminal.end(), 0)

    def test_a_ctrl_c_that_comes_a_moment_too_late_ends_nothing(self):
        terminal = Terminal(self.house, "chat")
        terminal.read_until(r"> ")
        for _ in range(10):
            terminal.type("hi\n")
            terminal.read_until(r"The prompt has 1 words\.")
            os.kill(terminal.pid, signal.SIGINT)
            for left in range(10, 0, -1):  # where it came at the prompt already, it may throw the next line away
                terminal.type("one two\n")
                try:
                    terminal.read_until(r"The prompt has 2 words\.", 5)
                    break
                except AssertionError:
                    if left == 1 or not os.path.exists(f"/proc/{terminal.pid}/exe"):
                        raise
            terminal.read_until(r"> ")
        terminal.type("\x04")
        self.assertEqual(terminal.end(), 0)

    def test_lares_alone_on_a_terminal_is_a_conversation(self):
        terminal = Terminal(self.house)
        terminal.read_until(r"> ")
        terminal.type("\x04")
        self.assertEqual(terminal.end(), 0)

    def test_a_pipe_takes_one_message_a_line(self):
        status, out, _ = self.house.lares("chat", stdin=b"hi\n\none two\n/quit\nnever\n")
        self.assertEqual((status, out), (0, "The prompt has 1 words.\nThe prompt has 2 words.\n"))

    def test_saving_and_forgetting(self):
        status, _, err = self.house.lares("chat", stdin=b"hi\n/save ~/kept.md\n/new\n/retry\n/save ~/kept.md\n")
        self.assertEqual(status, 0, err)
        self.assertEqual((self.house.folder / "kept.md").read_text(),
                         "## You\n\nhi\n\n## Lares\n\nThe prompt has 1 words.\n\n")
        self.assertIn("there is no question", err)
        self.assertIn("exists already", err)


class Continuing(Case):
    def test_a_conversation_goes_on_where_it_ended(self):
        self.assertEqual(self.house.lares("chat", stdin=b"repeat: axolotl\n")[1], "axolotl\n")
        listed = self.house.json("chat", "--list")
        self.assertEqual([one["title"] for one in listed], ["repeat: axolotl"])
        self.house.lares("stop")
        terminal = Terminal(self.house, "chat", "--continue")
        terminal.read_until(r"going on with 'repeat: axolotl', 2 messages")
        terminal.read_until(r"axolotl")
        terminal.read_until(r"> ")
        terminal.type("repeat: newt\n")
        terminal.read_until(r"newt\r\n")
        terminal.read_until(r"> ")
        terminal.type("\x04")
        self.assertEqual(terminal.end(), 0)
        status, out, _ = self.house.lares("chat", "--list", "newt")
        self.assertEqual(status, 0)
        self.assertRegex(out, r"c-[0-9a-f]{16}.* 4 .*repeat: axolotl")

    def test_one_is_named_deleted_and_private_ones_are_nowhere(self):
        self.house.lares("chat", stdin=b"repeat: first\n")
        self.house.lares("chat", stdin=b"repeat: second\n")
        self.house.lares("chat", "--private", stdin=b"repeat: third\n")
        listed = self.house.json("chat", "--list")
        self.assertEqual([one["title"] for one in listed], ["repeat: second", "repeat: first"])
        status, out, err = self.house.lares("chat", "--continue", listed[1]["id"], stdin=b"repeat: more\n")
        self.assertEqual((status, out), (0, "more\n"), err)
        self.assertIn("'repeat: first'", err)
        status, out, _ = self.house.lares("chat", "--delete", listed[1]["id"])
        self.assertIn("deleted 'repeat: first', 4 messages", out)
        self.assertEqual([one["title"] for one in self.house.json("chat", "--list")], ["repeat: second"])
        self.assertEqual(self.house.lares("chat", "--delete", listed[1]["id"])[0], 3)

    def test_what_ctrl_c_stopped_is_part_of_it(self):
        terminal = Terminal(self.house, "chat")
        terminal.read_until(r"> ")
        terminal.type("count: 100\n")
        terminal.read_until(r"1 2")
        terminal.type("\x03")
        terminal.read_until(r"> ")
        terminal.type("repeat: after\n")
        terminal.read_until(r"after\r\n")
        terminal.read_until(r"> ")
        terminal.type("\x04")
        self.assertEqual(terminal.end(), 0)

    def test_a_full_context_becomes_a_summary_in_one_line(self):
        (self.house.home / "config").mkdir(mode=0o700, exist_ok=True)
        (self.house.home / "config" / "lares.toml").write_text("[models]\ncontext = 1500\n")
        lines = "".join(f"repeat: {'a' * 250}{i}\n" for i in range(6))
        status, _, err = self.house.lares("chat", stdin=lines.encode())
        self.assertEqual(status, 0, err)
        self.assertIn("now a summary; /undo takes that back", err)
        self.assertNotIn("the prompt has", err)


class Hostile(Case):
    def test_no_escape_sequence_of_a_model_reaches_the_terminal(self):
        self.house.lares("hi")  # or it says how long the daemon takes to start, in a line that it writes over
        said = b"\x1b]0;owned\x07\x1b[2J\xc2\x9b31mtext\x7f\r\x08end"
        terminal = Terminal(self.house, "bytes: " + said.hex())
        self.assertEqual(terminal.end(), 0)
        seen = re.sub(r"\x1b\[\d*m", "", terminal.seen).replace("\r\n", "\n")  # our own shade, the terminal's own \r
        self.assertIn("]0;owned[2J31mtextend", seen)
        self.assertNotRegex(seen, r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

    def test_nor_by_a_pipe_to_one(self):
        self.assertEqual(self.house.lares("bytes: 1b5b324a74657874")[1], "[2Jtext\n")


class Daemon(Case):
    def test_start_status_stop(self):
        status, out, _ = self.house.lares("start")
        self.assertEqual(status, 0)
        self.assertIn("api.sock", out)
        self.assertIn("runs already", self.house.lares("start")[2])
        told = self.house.json("status")
        self.assertTrue(told["running"])
        log = self.house.home / "cache" / "laresd.log"
        self.assertEqual(log.stat().st_mode & 0o777, 0o600)
        # of its own session, with nothing of ours
        self.assertEqual(os.getsid(told["pid"]), told["pid"])
        self.assertEqual(os.readlink(f"/proc/{told['pid']}/cwd"), "/")
        self.assertEqual(os.readlink(f"/proc/{told['pid']}/fd/0"), "/dev/null")
        self.assertEqual(self.house.lares("stop")[0], 0)
        self.assertFalse(alive(told["pid"]))  # whoever is its parent by now may not have asked for its status yet
        self.assertEqual(self.house.lares("status")[0], 3)

    def test_the_daemon_keeps_no_pipe_of_ours_open(self):
        read, write = os.pipe()
        os.set_inheritable(write, True)
        self.house.lares("start", pass_fds=(write,))
        os.close(write)
        ready, _, _ = select.select([read], [], [], LIMIT_S)
        self.assertTrue(ready)
        self.assertEqual(os.read(read, 1), b"")
        os.close(read)

    def test_many_at_once_start_one_daemon(self):
        results = []
        threads = [threading.Thread(target=lambda: results.append(self.house.lares("hi"))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([(status, out) for status, out, _ in results], [(0, "The prompt has 1 words.\n")] * 8)

    def test_a_daemon_that_does_not_start_says_why(self):
        (self.house.home / "config").mkdir(mode=0o700, exist_ok=True)
        (self.house.home / "config" / "lares.toml").write_text("[memory]\nbugdet = 3\n")
        status, _, err = self.house.lares("hi")
        self.assertEqual(status, 2)
        self.assertIn("did you mean 'memory.budget'", err)
        status, out, _ = self.house.lares("doctor")
        self.assertEqual(status, 2)
        self.assertIn("FAIL  daemon", out)

    def test_a_port_that_is_taken_is_said_by_each_of_many(self):
        """No command gets through to a daemon that is about to end for want of its port."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            daemon = self.house.bin / "laresd"
            daemon.write_text(daemon.read_text().replace("--port 0", f"--port {port}"))
            asked = [self.house.start("hello", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
            for one in asked:
                out, err = one.communicate(timeout=LIMIT_S)
                self.assertEqual((one.returncode, out), (4, b""), err)
                self.assertIn(f":{port}: the port is taken by '", err.decode())

    def test_a_daemon_that_cannot_keep_its_port_is_said_by_each_of_many(self):
        (self.house.home / "run" / "port" / "in the way").mkdir(parents=True)
        asked = [self.house.start("hello", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
        for one in asked:
            out, err = one.communicate(timeout=LIMIT_S)
            self.assertEqual((one.returncode, out), (12, b""), err)
            self.assertIn("/run/port'", err.decode())

    def test_a_question_while_the_daemon_ends_is_answered_by_the_next(self):
        whole = (0, "The prompt has 1 words.\n")
        self.house.lares("hi")
        for how in ("TERM", "lares stop", "lares stop after the question") * 3:
            pid = self.house.json("status")["pid"]
            if how == "TERM":
                os.kill(pid, signal.SIGTERM)
            ends = None if how == "TERM" else self.house.start("stop", stderr=subprocess.DEVNULL)
            if how == "lares stop":
                time.sleep(0.02)
            for _ in range(3):
                status, said, err = self.house.lares("hi")
                if status != 0:  # what was said already cannot be taken back
                    self.assertEqual(status, 7, (how, err))
                    self.assertIn("is stopping", err)
                    self.assertTrue(said.strip() and whole[1].startswith(said.rstrip("\n")), said)
                    continue
                self.assertEqual((status, said), whole, (how, err))
            if ends:
                self.assertEqual(ends.wait(LIMIT_S), 0)
            self.house.lares("start")
            self.assertNotEqual(self.house.json("status")["pid"], pid)

    def test_a_daemon_that_ends_is_waited_for_by_every_stop(self):
        self.house.lares("hi")
        pid = self.house.json("status")["pid"]
        for one in [self.house.start("stop", stderr=subprocess.DEVNULL) for _ in range(3)]:
            self.assertEqual(one.wait(LIMIT_S), 0)
            self.assertFalse(alive(pid))
        self.assertEqual(self.house.lares("status")[0], 3)

    def test_a_suspended_daemon_is_said_to_be(self):
        self.house.lares("hi")
        pid = self.house.json("status")["pid"]
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(os.kill, pid, signal.SIGCONT)
        for words in (["hi"], ["status"], ["stop"], ["models", "list"]):
            status, _, err = self.house.lares(*words)
            self.assertEqual(status, 8, words)
            self.assertIn(f"kill -CONT {pid}", err, words)
        os.kill(pid, signal.SIGCONT)
        self.assertEqual(self.house.lares("hi")[:2], (0, "The prompt has 1 words.\n"))

    def test_a_daemon_that_is_killed_is_started_anew(self):
        self.house.lares("hi")
        pid = self.house.json("status")["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not os.path.exists(f"/proc/{pid}") or
                   pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z", "it is dead")
        self.assertEqual(self.house.lares("hi")[:2], (0, "The prompt has 1 words.\n"))

    def test_a_home_that_cannot_be_written_is_named(self):
        if os.geteuid() == 0:
            self.skipTest("root writes everywhere")
        os.chmod(self.house.home, 0o500)
        self.addCleanup(os.chmod, self.house.home, 0o700)
        status, _, err = self.house.lares("hi")
        self.assertIn(status, (4, 12))
        self.assertIn(str(self.house.home), err)

    def test_on_a_read_only_disk_each_says_so_and_doctor_looks_at_all(self):
        self.house.lares("hi")
        self.house.lares("stop")
        mount = 'mount --bind "$LARES_HOME" "$LARES_HOME" && mount -o remount,ro,bind "$LARES_HOME"'
        become = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]

        def lares(*words):
            done = subprocess.run([*become, "sh", "-c", f'{mount} && exec "$0" "$@"', str(self.house.bin / "lares"), *words],
                                  env=self.house.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=LIMIT_S)
            return done.returncode, done.stdout, done.stderr

        if not shutil.which("unshare") or subprocess.run([*become, "sh", "-c", mount], env=self.house.environment,
                                                         stderr=subprocess.DEVNULL).returncode:
            self.skipTest("mounting is not allowed here")
        for words in (["hi"], ["models", "list"], ["config"], ["models", "add", "x.gguf"]):
            status, out, err = lares(*words)
            self.assertEqual((status, out), (12, ""), words)
            for part in ("starting laresd: ", str(self.house.home), "ead-only file system; set LARES_HOME", "`lares doctor`"):
                self.assertIn(part, err, words)
        status, out, _ = lares("doctor", "--json")
        self.assertEqual(status, 12)
        lines = {line["check"]: line for line in json.loads(out)}
        self.assertIs(lines["daemon"]["ok"], False)
        for folder in ("share", "cache", "run"):
            line = lines[f"folder {self.house.home / folder}"]
            self.assertEqual((line["ok"], line["detail"]), (False, "cannot be written to: Read-only file system"))
            self.assertIn("set LARES_HOME", line["next"])
        self.assertIs(lines["sandbox"]["ok"], True)
        self.assertIs(lines[f"model {MODEL.removesuffix('.gguf')}"]["ok"], True)

    def test_what_was_damaged_is_said_by_the_log_and_by_doctor(self):
        self.house.lares("hi")
        self.house.lares("stop")
        for file in ("receipts.log", "models/models.json"):
            (self.house.home / "share" / file).write_text("rubbish")
        self.house.lares("hi")
        log = (self.house.home / "cache" / "laresd.log").read_text()
        lines = {line["check"]: line for line in json.loads(self.house.lares("doctor", "--json")[1])}
        for file in ("receipts.log", "models/models.json"):
            [aside] = (self.house.home / "share").glob(f"{file}.damaged-*")
            self.assertIn(aside.name, log)
            line = lines[f"damaged {file.split('/')[-1]}"]
            self.assertIs(line["ok"], False)
            self.assertIn(f"set aside as '{aside}'", line["detail"])
            aside.unlink()
        self.assertNotIn("damaged", self.house.lares("doctor")[1])

    def test_a_path_too_long_for_a_socket_is_refused(self):
        self.house.environment["LARES_HOME"] = "/" + "x" * 200
        status, _, err = self.house.lares("hi")
        self.assertEqual(status, 2)
        self.assertIn("LARES_HOME", err)
        self.house.environment["LARES_HOME"] = str(self.house.home)


class Tables(Case):
    def test_every_table_has_json(self):
        self.house.lares("hi")
        for words in (["models"], ["models", "list"], ["models", "show", "smollm2"], ["models", "find"], ["ps"],
                      ["why"], ["why", "--list"], ["doctor"], ["config"], ["config", "api.port"], ["status"],
                      ["start"], ["version"], ["stop"]):
            done = self.house.lares(*words, "--json")
            self.assertIn(done[0], (0, 1), (words, done[2]))
            json.loads(done[1])

    def test_tables_fit_a_narrow_terminal(self):
        self.house.lares("hi")
        for words in (["models"], ["ps"], ["config"], ["why", "--list"]):
            terminal = Terminal(self.house, *words, columns=60)
            self.assertEqual(terminal.end(), 0)
            if words == ["config"]:
                lines = terminal.seen.replace("\r", "").split("\n")
                self.assertTrue(any("…" in line for line in lines), lines)

    def test_colours_only_on_a_terminal_that_wants_them(self):
        self.house.lares("hi")
        coloured = Terminal(self.house, "doctor")
        coloured.end()
        self.assertIn("\x1b[32mpass", coloured.seen)
        plain = Terminal(self.house, "doctor", environment={"NO_COLOR": "1"})
        plain.end()
        self.assertNotIn("\x1b", plain.seen)
        self.assertNotIn("\x1b", self.house.lares("doctor")[1])

    def test_models_are_added_shown_and_forgotten(self):
        file = self.house.folder / "Other-Model.gguf"
        file.write_bytes(b"GGUF\x03\0\0\0" + bytes(64))
        status, out, err = self.house.lares("models", "add", "Other-Model.gguf", cwd=self.house.folder)
        self.assertEqual(status, 0, err)
        self.assertIn("lares -m other-model", out)
        self.assertEqual(self.house.json("models", "show", "other-model")["file"], str(file))
        self.assertEqual(self.house.lares("-m", "other-model", "hi")[:2], (0, "The prompt has 1 words.\n"))
        status, out, err = self.house.lares("models", "rm", "other-model")
        self.assertEqual(status, 0, err)
        self.assertTrue(file.exists())
        self.assertEqual(self.house.lares("models", "show", "other-model")[0], 3)
        (self.house.folder / "page.gguf").write_text("<html>not a model</html>")
        status, _, err = self.house.lares("models", "add", str(self.house.folder / "page.gguf"))
        self.assertNotEqual(status, 0)
        self.assertIn("HTML", err)


class Words(Case):
    def test_slips_are_named_and_not_asked(self):
        for words, part in ((["modles"], "lares models"), (["models", "lst"], "'list'"), (["ps", "--jsn"], "--json"),
                            (["why", "is", "it"], 'lares "why is it"'), (["modells", "list"], "`lares models list`"), (["--modle", "x", "hi"], "--model")):
            status, out, err = self.house.lares(*words)
            self.assertEqual((status, out), (2, ""), words)
            self.assertIn(part, err)
        self.assertEqual(self.house.lares("status")[0], 3, "nothing was started")

    def test_a_question_may_be_the_name_of_a_verb(self):
        self.assertEqual(self.house.lares("--", "why")[:2], (0, "The prompt has 1 words.\n"))

    def test_help_is_there_without_a_home(self):
        environment = {"PATH": os.environ["PATH"]}
        for words in (["--help"], ["models", "add", "--help"], ["help", "chat"], ["completion", "zsh"], ["version"]):
            done = subprocess.run([str(self.house.bin / "lares"), *words], env=environment, capture_output=True,
                                  timeout=LIMIT_S)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue(done.stdout)

    def test_bash_completes_verbs_options_and_models(self):
        if not shutil.which("bash"):
            self.skipTest("there is no bash")
        self.house.lares("hi")
        script = self.house.lares("completion", "bash")[1]

        def completed(*words):
            tail = "COMP_WORDS=(%s); COMP_CWORD=%d; _lares; printf '%%s\\n' \"${COMPREPLY[@]}\"" % (
                " ".join(f"'{word}'" for word in words), len(words) - 1)
            done = subprocess.run(["bash", "--norc", "-c", script + tail], capture_output=True, text=True,
                                  env={**self.house.environment, "PATH": f"{self.house.bin}:{os.environ['PATH']}"},
                                  timeout=LIMIT_S)
            self.assertEqual(done.stderr, "")
            return done.stdout.split()

        self.assertIn("models", completed("lares", "mo"))
        self.assertEqual(completed("lares", "models", "fi"), ["find"])
        self.assertEqual(completed("lares", "ps", "--js"), ["--json"])
        self.assertEqual(completed("lares", "models", "show", "smol"), [MODEL.removesuffix(".gguf")])
        self.assertEqual(completed("lares", "-m", "smol"), [MODEL.removesuffix(".gguf")])
        self.assertEqual(completed("lares", "completion", "z"), ["zsh"])

    def test_zsh_and_fish_take_their_scripts(self):
        for shell, check in (("zsh", ["-n"]), ("fish", ["--no-execute"])):
            if not shutil.which(shell):
                continue
            script = self.house.folder / f"completion.{shell}"
            script.write_text(self.house.lares("completion", shell)[1])
            done = subprocess.run([shell, *check, str(script)], capture_output=True, text=True, timeout=LIMIT_S)
            self.assertEqual((done.returncode, done.stderr), (0, ""))


class Key(Case):
    def setUp(self):
        super().setUp()
        self.key = self.house.home / "config" / "key"

    def test_a_passphrase_is_typed_unseen_and_asked_for_after_a_start(self):
        terminal = Terminal(self.house, "key", "move", "--to", "passphrase")
        terminal.read_until("new passphrase: ")
        terminal.type("ein Sprüx\x7f\x7fuch\r")
        terminal.read_until("the same again: ")
        terminal.type("falsch\x15ein Spruch\r")
        self.assertEqual(terminal.end(), 0, terminal.seen)
        self.assertNotIn("ein Spr", terminal.seen)
        self.assertIn("sealed with the passphrase", terminal.seen)
        self.house.lares("stop")
        self.assertTrue(self.house.json("key")["locked"])
        status, _, err = self.house.lares("chat", "--list")
        self.assertEqual(status, 4)
        self.assertIn("lares key unlock", err)
        status, _, err = self.house.lares("key", "unlock", "--stdin", stdin=b"daneben\n")
        self.assertEqual(status, 4)
        self.assertNotIn("daneben", err)
        self.assertEqual(self.house.lares("key", "unlock", "--stdin", stdin=b"ein Spruch\n")[0], 6)  # too soon
        time.sleep(1.1)
        self.assertEqual(self.house.lares("key", "unlock", "--stdin", stdin=b"ein Spruch\n")[0], 0)
        self.assertEqual(self.house.lares("chat", "--list")[0], 0)
        self.assertEqual(self.house.lares("key", "lock")[0], 0)
        self.assertTrue(self.house.json("key")["locked"])

    def test_two_that_differ_and_ctrl_c_change_nothing_and_the_terminal_is_as_before(self):
        before = self.house.json("key")
        terminal = Terminal(self.house, "key", "move", "--to", "passphrase")
        terminal.read_until("new passphrase: ")
        terminal.type("eins\r")
        terminal.read_until("the same again: ")
        terminal.type("zwei\r")
        self.assertEqual(terminal.end(), 2)
        terminal = Terminal(self.house, "key", "move", "--to", "passphrase")
        terminal.read_until("new passphrase: ")
        self.assertFalse(termios.tcgetattr(terminal.fd)[3] & termios.ECHO)
        terminal.type("halb\x03")
        terminal.read_until("typed")
        self.assertEqual(terminal.end(), 130)
        self.assertEqual(self.house.json("key"), before)

    def test_a_copy_is_printed_on_a_terminal_with_yes_alone_and_brings_the_key_back(self):
        self.assertEqual(self.house.json("key")["kind"], "file")
        key = self.key.read_text()
        for words in (("key", "export"), ("key", "export", "--yes")):
            status, out, _ = self.house.lares(*words)
            self.assertEqual((status, out), (4, ""))
        terminal = Terminal(self.house, "key", "export", "--yes")
        copy = terminal.read_until("lares-key(-[0-9a-f]{8}){9}")
        self.assertEqual(terminal.end(), 0)
        self.assertEqual(self.house.lares("key", "move", "--to", "passphrase", "--stdin", stdin=b"vergessen\n")[0], 0)
        slip = copy[:-1] + ("0" if copy[-1] != "0" else "1")
        self.assertEqual(self.house.lares("key", "import", "--stdin", stdin=slip.encode())[0], 2)
        status, _, err = self.house.lares("key", "import", "--stdin", stdin=copy.encode())
        self.assertEqual(status, 0, err)
        self.assertEqual(self.key.read_text(), key)

    def test_what_cannot_be_is_said_with_its_status(self):
        for words, given, wanted in (
                (("key", "move"), b"", 2), (("key", "move", "--to", "mars"), b"", 2),
                (("key", "move", "--to", "file"), b"", 2), (("key", "lock"), b"", 2), (("key", "change"), b"", 2),
                (("key", "move", "--to", "passphrase"), b"", 2), (("key", "import"), b"", 2),
                (("key", "move", "--to", "passphrase", "--stdin"), b"", 2),
                (("key", "move", "--to", "passphrase", "--stdin"), b"\n", 2),
                (("key", "move", "--to", "passphrase", "--stdin"), b"caf\xe9\n", 2),
                (("key", "move", "--to", "passphrase", "--stdin"), b"a\0b\n", 2),
                (("key", "move", "--to", "passphrase", "--stdin"), b"x" * 2_000 + b"\n", 2),
                (("key", "move", "--to", "passphrase", "--stdin"), b"x" * (1 << 20), 2)):
            status, out, err = self.house.lares(*words, stdin=given)
            self.assertEqual((status, out), (wanted, ""), (words, given[:10], err))
        self.assertEqual(self.house.json("key")["kind"], "file")

    def test_a_passphrase_is_changed_by_the_old_and_the_new_one(self):
        for words, given in ((("move", "--to", "passphrase"), b"alt\n"), (("change",), b"alt\nneu\n"),
                             (("unlock",), b"neu\n"), (("move", "--to", "file"), b"neu\n")):
            status, _, err = self.house.lares("key", *words, "--stdin", stdin=given)
            self.assertEqual(status, 0, (words, err))
        self.assertEqual(self.house.json("key")["kind"], "file")


class Speed(Case):
    def test_a_command_starts_at_once(self):
        """Bars are held by ./dev bench; here only that nothing heavy crept in."""
        best = min(self._seconds("--help") for _ in range(5))
        self.assertLess(best, 0.2)

    def _seconds(self, *words):
        """Of computing, which other programs do not lengthen."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.house.lares(*words)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    unittest.main()
