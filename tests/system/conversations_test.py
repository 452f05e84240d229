#!/usr/bin/env python3
"""Conversations that laresd keeps, against bad luck: killed in mid-answer, a full disk, damage, another version.

Fake workers, a home of its own for each test. What a daemon has acknowledged must be there after all of it.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from client import LIMIT_S, House, Stream, ask, chat, owner, run_tests, text_of, wait_until

SLOW = ["--engine=fake", "--fake=tokens-per-s=20"]
PATH = "/lares/v1/conversations"


class WithHome(unittest.TestCase):
    def setUp(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="lares-home-"))
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        self.house = None

    def tearDown(self):
        if self.house:
            self.house.stop(keep_home=True)

    def start(self, arguments=("--engine=fake",)):
        if self.house:
            self.house.stop(keep_home=True)
        self.house = House(arguments=list(arguments), keep_home=self.home)
        return self.house

    def kill(self):
        self.house.process.send_signal(signal.SIGKILL)
        self.house.process.wait(LIMIT_S)

    @property
    def file(self):
        return self.home / "share" / "conversations.db"

    def owned(self, method, path, body=None):
        return owner(self.house, method, PATH + path, body)

    def begin(self, text="count: 400"):
        """A conversation of the plain app that asks over loopback, with one question: (id, message)."""
        status, made = ask(self.house.port, {}, path=PATH)
        self.assertEqual(status, 200, made)
        status, question = ask(self.house.port, {"parent": None, "role": "user", "content": text},
                               path=f"{PATH}/{made['id']}/messages")
        self.assertEqual(status, 200, question)
        return made["id"], question["id"]

    def show(self, conversation):
        status, found = ask(self.house.port, None, path=f"{PATH}/{conversation}", method="GET")
        self.assertEqual(status, 200, found)
        return found

    def answered(self, conversation, parent, text="count: 400", **more):
        return ask(self.house.port, chat(text, lares={"conversation": conversation, "parent": parent}, **more))

    def doctor(self, check="conversations"):
        lines = owner(self.house, "GET", "/lares/v1/doctor")
        return next(line for line in lines if line["check"] == check)


class Killed(WithHome):
    def test_in_mid_answer_what_was_written_is_there_as_stopped(self):
        self.start(SLOW)
        conversation, question = self.begin()
        stream = Stream(self.house.port, chat("count: 400", lares={"conversation": conversation, "parent": question}))
        began = time.monotonic()
        for _ in stream.events():
            if time.monotonic() - began > 2.5:
                break
        seen = stream.text
        self.kill()
        stream.close()
        self.start()
        found = self.show(conversation)
        self.assertEqual(len(found["messages"]), 2)
        part = found["messages"][1]
        self.assertEqual((part["state"], part["role"], part["parent"]), ("stopped", "assistant", question))
        self.assertEqual(found["head"], part["id"])
        self.assertTrue(seen.startswith(part["content"]) or part["content"].startswith(seen), (seen, part["content"]))
        behind = len(seen.split()) - len(part["content"].split())
        self.assertLess(behind, 40, "a second and a half at 20 words a second, on a loaded machine")
        self.assertGreater(len(part["content"].split()), 4)

    def test_all_that_was_acknowledged_is_there(self):
        self.start()
        conversation, parent = self.begin("repeat: ok")
        sent = [parent]
        for i in range(50):
            status, message = ask(self.house.port, {"parent": sent[-1], "role": "user", "content": f"number {i}"},
                                  path=f"{PATH}/{conversation}/messages")
            self.assertEqual(status, 200)
            sent.append(message["id"])
        self.kill()
        self.start()
        self.assertEqual([message["id"] for message in self.show(conversation)["messages"]], sent)

    def test_many_times_while_it_writes_and_deletes(self):
        kept = {}
        for turn in range(6):
            self.start(SLOW)
            for conversation, count in kept.items():
                self.assertGreaterEqual(len(self.show(conversation)["messages"]), count)
            conversation, question = self.begin()
            kept[conversation] = 1
            streams = [Stream(self.house.port, chat("count: 400", lares={"conversation": conversation, "parent": question}))
                       for _ in range(3)]
            for stream in streams:
                stream.until_text()
            gone, _ = self.begin()
            self.assertEqual(ask(self.house.port, None, path=f"{PATH}/{gone}", method="DELETE")[0], 200)
            time.sleep(0.3 * turn)
            self.kill()
            for stream in streams:
                stream.close()
        self.start()
        self.assertTrue(self.doctor()["ok"], self.doctor())
        self.assertEqual(list(self.home.glob("share/*.damaged-*")), [])

    def test_a_client_that_leaves_leaves_its_part(self):
        self.start(SLOW)
        conversation, question = self.begin()
        stream = Stream(self.house.port, chat("count: 400", lares={"conversation": conversation, "parent": question}))
        stream.until_text()
        stream.close()
        part = wait_until(lambda: self.show(conversation)["messages"][1:], "the part is kept")[0]
        self.assertEqual(part["state"], "stopped")
        self.assertTrue(part["content"].startswith("1"))

    def test_a_daemon_that_ends_politely_keeps_the_part_too(self):
        self.start(SLOW)
        conversation, question = self.begin()
        stream = Stream(self.house.port, chat("count: 400", lares={"conversation": conversation, "parent": question}))
        stream.until_text()
        self.start()
        part = self.show(conversation)["messages"][1]
        self.assertEqual(part["state"], "failed")
        self.assertIn("the daemon is stopping", part["error"])
        self.assertTrue(part["content"].startswith("1"))
        stream.close()


class FullDisk(WithHome):
    @contextlib.contextmanager
    def small_disk(self, size):
        """share/ on a file system of that size."""
        share = self.home / "share"
        share.mkdir(mode=0o700, exist_ok=True)
        tried = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "none", str(share)], capture_output=True,
                               text=True) if os.geteuid() == 0 else None
        if tried is None or tried.returncode:
            self.skipTest("mounting a small file system is not allowed here")
        try:
            yield share
        finally:
            if self.house:
                self.house.stop(keep_home=True)
                self.house = None
            subprocess.run(["umount", "-l", str(share)], check=False)

    def test_is_said_loses_nothing_and_everything_can_be_read(self):
        with self.small_disk("6m") as share:
            self.start()
            conversation, question = self.begin("repeat: axolotl")
            status, answer = self.answered(conversation, question, "repeat: axolotl")
            self.assertIn("message", answer["lares"])
            filler = share / "filler"
            with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as out:
                while True:
                    out.write(os.urandom(4096))
            for size in (200_000, 20_000, 2_000):
                for _ in range(50):  # what is left in the last blocks may still take some
                    status, error = ask(self.house.port, {"parent": question, "role": "user", "content": "x" * size},
                                        path=f"{PATH}/{conversation}/messages")
                    if status == 507:
                        self.assertIn("no room", error["error"]["message"])
                        break
                    self.assertEqual(status, 200, error)
                self.assertEqual(status, 507)
            before = self.show(conversation)
            self.assertEqual(before["messages"][1]["content"], "axolotl")
            found = ask(self.house.port, None, path=f"{PATH}?query=axolotl", method="GET")[1]
            self.assertEqual(len(found), 1)
            self.assertFalse(self.doctor()["ok"])
            # an answer is given all the same, and says that it is not kept
            status, answer = self.answered(conversation, question, "repeat: " + "long " * 500)
            self.assertEqual(status, 200)
            self.assertTrue(text_of(answer).startswith("long"))
            self.assertIn("no room", answer["lares"].get("not_kept", ""))

            filler.unlink()
            status, answer = self.answered(conversation, question, "repeat: again")
            self.assertIn("message", answer["lares"], answer["lares"])
            self.assertTrue(self.doctor()["ok"])
            self.assertEqual(self.show(conversation)["messages"][:len(before["messages"])], before["messages"])
            self.kill()
            self.start()
            self.assertEqual(self.show(conversation)["messages"][-1]["content"], "again")


class Damage(WithHome):
    def fill(self):
        self.start()
        conversation, question = self.begin("repeat: axolotl")
        self.answered(conversation, question, "repeat: axolotl")
        self.house.stop(keep_home=True)
        return conversation

    def start_and_open(self):
        """The store is opened after the door; who asks for conversations waits for that."""
        self.start()
        self.assertEqual(ask(self.house.port, None, path=PATH, method="GET"), (200, []))

    def test_a_damaged_file_is_set_aside_and_said(self):
        self.fill()
        content = bytearray(self.file.read_bytes())
        content[len(content) // 2] ^= 1
        self.file.write_bytes(content)
        self.start_and_open()
        line = self.doctor("damaged conversations.db")
        self.assertFalse(line["ok"])
        aside = list(self.home.glob("share/conversations.db.damaged-*"))
        self.assertEqual(len(aside), 1)
        self.assertIn(aside[0].name, line["detail"])
        self.assertIn("set aside", self.house.log.read_text())
        self.assertEqual(aside[0].read_bytes(), content)
        conversation, question = self.begin("repeat: new")
        self.assertIn("message", self.answered(conversation, question, "repeat: new")[1]["lares"])

    def test_one_whose_key_is_lost_is_set_aside_as_it_is(self):
        self.fill()
        before = self.file.read_bytes()
        (self.home / "config" / "key").unlink()
        self.start_and_open()
        self.assertIn("'key'", self.doctor("damaged conversations.db")["next"])
        aside = list(self.home.glob("share/conversations.db.damaged-*"))
        self.assertEqual(len(aside), 1)
        self.assertTrue(aside[0].read_bytes() == before)

    def test_a_key_that_others_can_read_is_refused_and_answers_are_given(self):
        conversation = self.fill()
        key = self.home / "config" / "key"
        key.chmod(0o644)
        before = self.file.read_bytes()
        self.start()
        status, error = ask(self.house.port, None, path=f"{PATH}/{conversation}", method="GET")
        self.assertEqual(status, 403)
        self.assertIn("chmod 600", error["error"]["message"])
        self.assertEqual(ask(self.house.port, chat("repeat: yes"))[0], 200)
        self.house.stop(keep_home=True)
        self.assertEqual(self.file.read_bytes(), before)
        key.chmod(0o600)
        self.start()
        self.assertEqual(len(self.show(conversation)["messages"]), 2)

    def test_a_file_that_can_only_be_read_is_read(self):
        conversation = self.fill()
        mounted = subprocess.run(["mount", "--bind", self.file, self.file], capture_output=True) if os.geteuid() == 0 else None
        if mounted is None or mounted.returncode:
            self.skipTest("mounting is not allowed here")
        self.addCleanup(subprocess.run, ["umount", "-l", self.file], check=False)
        subprocess.run(["mount", "-o", "remount,ro,bind", self.file], check=True)
        self.start()
        self.assertEqual(len(self.show(conversation)["messages"]), 2)
        status, error = ask(self.house.port, {}, path=PATH)
        self.assertEqual(status, 403, error)
        self.assertFalse(self.doctor()["ok"])
        self.house.stop(keep_home=True)
        self.house = None


class Deleted(WithHome):
    def test_nothing_of_it_is_found_and_the_log_is_empty(self):
        self.start()
        conversation, question = self.begin("repeat: axolotl")
        self.answered(conversation, question, "repeat: axolotl")
        self.assertEqual(ask(self.house.port, None, path=f"{PATH}/{conversation}", method="DELETE"), (200, {}))
        self.assertEqual(ask(self.house.port, None, path=f"{PATH}/{conversation}", method="GET")[0], 404)
        self.assertEqual(ask(self.house.port, None, path=f"{PATH}?query=axolotl", method="GET"), (200, []))
        self.assertEqual(pathlib.Path(f"{self.file}-wal").stat().st_size, 0)
        self.assertNotIn("axolotl", self.house.log.read_text())

    def test_nobody_else_sees_or_deletes_it(self):
        self.start()
        conversation, _ = self.begin()
        self.assertEqual(self.owned("GET", ""), [])
        with self.assertRaises(AssertionError):
            self.owned("DELETE", f"/{conversation}")
        self.show(conversation)


class Many(WithHome):
    def test_streams_at_the_same_time_are_all_kept(self):
        self.start()
        conversation, question = self.begin("count: 20")
        streams = [Stream(self.house.port, chat("count: 20", lares={"conversation": conversation, "parent": question}))
                   for _ in range(60)]
        for stream in streams:
            stream.rest()
        messages = self.show(conversation)["messages"]
        self.assertEqual(len(messages), 61)
        self.assertTrue(all(m["state"] == "whole" for m in messages), [m["state"] for m in messages])


if __name__ == "__main__":
    run_tests()
