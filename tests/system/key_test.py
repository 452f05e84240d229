#!/usr/bin/env python3
"""The key of what is kept, over whole daemons: conversations under a passphrase, locked after a start and by order,
unlocked and read again; what may be asked over which door; and the key in a desktop's keyring, for real.

Fake workers, a home of its own for each test.
"""

import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from client import LIMIT_S, House, ask, exchange, owner, run_tests, wait_until

CONVERSATIONS = "/lares/v1/conversations"
KEY = "/lares/v1/key"


class WithHome(unittest.TestCase):
    environment = {}

    def setUp(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="lares-home-"))
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        self.house = None

    def tearDown(self):
        if self.house:
            self.house.stop(keep_home=True)

    def start(self):
        if self.house:
            self.house.stop(keep_home=True)
        self.house = House(arguments=["--engine=fake"], keep_home=self.home, environment=self.environment)

    def asked(self, method, path, body=None):
        """(status, answer) over the Unix socket."""
        connection = http.client.HTTPConnection("localhost", timeout=LIMIT_S)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(LIMIT_S)
        connection.sock.connect(str(self.home / "run" / "api.sock"))
        return exchange(connection, method, path, body, None)

    def keep(self, text):
        made = owner(self.house, "POST", CONVERSATIONS, {})
        owner(self.house, "POST", f"{CONVERSATIONS}/{made['id']}/messages",
              {"parent": None, "role": "user", "content": text})
        return made["id"]

    def said(self, conversation):
        return [m["content"] for m in owner(self.house, "GET", f"{CONVERSATIONS}/{conversation}")["messages"]]

    def assert_denied(self, answer):
        status, body = answer
        self.assertEqual(status, 403, body)
        self.assertIn("lares key unlock", body["error"]["message"])


class Passphrase(WithHome):
    def test_conversations_are_locked_after_a_start_and_read_again_when_unlocked(self):
        self.start()
        conversation = self.keep("What is a newt?")
        owner(self.house, "POST", f"{KEY}/move", {"to": "passphrase", "next": "ein guter Spruch"})
        self.assertEqual(self.said(conversation), ["What is a newt?"])
        self.start()
        self.assertTrue(owner(self.house, "GET", KEY)["locked"])
        self.assert_denied(self.asked("GET", f"{CONVERSATIONS}/{conversation}"))
        self.assert_denied(self.asked("POST", CONVERSATIONS, {}))
        self.assertEqual(self.asked("POST", f"{KEY}/unlock", {"passphrase": "ein anderer"})[0], 403)
        self.assertEqual(self.asked("POST", f"{KEY}/unlock", {"passphrase": "ein guter Spruch"})[0], 429)
        time.sleep(1.1)
        owner(self.house, "POST", f"{KEY}/unlock", {"passphrase": "ein guter Spruch"})
        self.assertEqual(self.said(conversation), ["What is a newt?"])
        owner(self.house, "POST", f"{KEY}/lock", {})
        self.assert_denied(self.asked("GET", f"{CONVERSATIONS}/{conversation}"))
        owner(self.house, "POST", f"{KEY}/unlock", {"passphrase": "ein guter Spruch"})
        self.assertEqual(self.said(conversation), ["What is a newt?"])
        self.assertEqual(list((self.home / "share").glob("*.damaged-*")), [])

    def test_neither_passphrase_nor_key_is_in_a_log_or_a_file(self):
        self.start()
        key = (self.home / "config" / "key").read_text().strip()
        self.keep("hello")
        owner(self.house, "POST", f"{KEY}/move", {"to": "passphrase", "next": "ganzgeheim"})
        self.asked("POST", f"{KEY}/unlock", {"passphrase": "beinahegeheim"})
        time.sleep(1.1)  # after a wrong one
        copy = owner(self.house, "POST", f"{KEY}/export", {"passphrase": "ganzgeheim"})
        self.assertIn(key[:8], copy["copy"])
        self.house.stop(keep_home=True)
        for file in self.home.rglob("*"):
            if file.is_file():
                content = file.read_bytes()
                for secret in (key, copy["copy"], "ganzgeheim", "beinahegeheim"):
                    self.assertNotIn(secret.encode(), content, file)

    def test_a_daemon_that_is_killed_while_the_key_moves_finds_it_again(self):
        self.start()
        conversation = self.keep("still here")
        kind = "file"
        for delay_s in (0.0, 0.1, 0.3, 0.6, 1.0, 1.5):
            body = {"to": "file" if kind == "passphrase" else "passphrase", "passphrase": "x", "next": "x"}
            with socket.socket(socket.AF_UNIX) as door:
                door.connect(str(self.home / "run" / "api.sock"))
                connection = http.client.HTTPConnection("localhost")
                connection.sock = door
                connection.request("POST", f"{KEY}/move", json.dumps(body), {"Content-Type": "application/json"})
                time.sleep(delay_s)
                self.house.process.send_signal(signal.SIGKILL)
                self.house.process.wait(LIMIT_S)
            self.start()
            place = owner(self.house, "GET", KEY)
            kind = place["kind"]
            if place["locked"]:
                owner(self.house, "POST", f"{KEY}/unlock", {"passphrase": "x"})
            self.assertEqual(self.said(conversation), ["still here"])
            self.assertEqual([f.name for f in (self.home / "config").glob("key*")], ["key"])


class Doors(WithHome):
    def test_orders_about_the_key_come_over_the_unix_socket_alone(self):
        self.start()
        token = (self.home / "config" / "token").read_text().strip()
        for order in ("unlock", "lock", "move", "export", "import"):
            for headers in ({}, {"Authorization": f"Bearer {token}"}):
                status, body = ask(self.house.port, {"to": "file"}, path=f"{KEY}/{order}", headers=headers)
                self.assertEqual(status, 403, body)
        status, body = ask(self.house.port, None, path=KEY, method="GET", headers={"Authorization": f"Bearer {token}"})
        self.assertEqual((status, body["kind"]), (200, "file"))
        self.assertNotIn((self.home / "config" / "key").read_text().strip(), str(body))

    def test_bad_orders_are_refused_and_repeat_nothing(self):
        self.start()
        for order, body, code in (
                ("move", {"to": "under the mat"}, 400), ("move", {}, 400), ("move", {"to": 7}, 400),
                ("move", {"to": "file"}, 400), ("move", {"to": "passphrase"}, 400),
                ("move", {"to": "passphrase", "next": "a\0geheim"}, 400),
                ("move", {"to": "passphrase", "next": "geheim" * 200_000}, 400),
                ("move", {"to": "passphrase", "next": ["geheim"]}, 400),
                ("move", b'{"to":"passphrase","next":"geheim\xff"}', 400),
                ("lock", {}, 400), ("import", {"copy": "geheim"}, 400), ("import", {}, 400)):
            status, answer = self.asked("POST", f"{KEY}/{order}", body)
            self.assertEqual(status, code, (order, str(body)[:60], answer))
            self.assertNotIn("geheim", str(answer))
        self.assertEqual(owner(self.house, "GET", KEY)["kind"], "file")

    def test_doctor_says_plainly_where_the_key_lies(self):
        self.start()
        self.keep("hello")
        line = next(line for line in owner(self.house, "GET", "/lares/v1/doctor") if line["check"] == "key")
        self.assertIn(str(self.home / "config" / "key"), line["detail"])
        self.assertIn("any program of yours", line["detail"])
        self.assertIn("lares key move", line["next"])


class Desktop(WithHome):
    """With a session bus and a GNOME Keyring of the test's own."""

    def setUp(self):
        super().setUp()
        if not shutil.which("dbus-daemon") or not shutil.which("gnome-keyring-daemon"):
            self.skipTest("NOT TESTED: no gnome-keyring-daemon or dbus-daemon; tools/bootstrap tests installs them")
        self.desk = pathlib.Path(tempfile.mkdtemp(prefix="lares-desk-"))
        self.addCleanup(shutil.rmtree, self.desk, ignore_errors=True)
        bus = self.desk / "bus"
        self.environment = {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={bus}", "HOME": str(self.desk),
                            "XDG_RUNTIME_DIR": str(self.desk), "XDG_DATA_HOME": str(self.desk), "DISPLAY": "",
                            "WAYLAND_DISPLAY": ""}
        (self.desk / "bus.conf").write_text(
            f"<busconfig><type>session</type><listen>unix:path={bus}</listen><auth>EXTERNAL</auth>"
            '<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>'
            '<allow own="*"/></policy></busconfig>')  # it starts nothing by itself
        self.run_beside("dbus-daemon", "--nofork", f"--config-file={self.desk / 'bus.conf'}")
        wait_until(bus.exists, "a session bus")
        self.begin_session()

    def run_beside(self, *words, given=b""):
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   env={**os.environ, **self.environment})
        process.stdin.write(given)
        process.stdin.close()

        def end():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait(LIMIT_S)
        self.addCleanup(end)
        return process

    def begin_session(self):
        self.keyring = self.run_beside("gnome-keyring-daemon", "--foreground", "--components=secrets", "--unlock",
                                       given=b"password")
        wait_until(lambda: subprocess.run(
            ["dbus-send", "--session", "--print-reply", "--dest=org.freedesktop.secrets",
             "/org/freedesktop/secrets/collection/login", "org.freedesktop.DBus.Properties.Get",
             "string:org.freedesktop.Secret.Collection", "string:Locked"], capture_output=True, timeout=LIMIT_S,
            env={**os.environ, **self.environment}).stdout.find(b"boolean false") >= 0, "an open login keyring", LIMIT_S)

    def test_the_key_moves_there_outlives_the_daemon_and_comes_back(self):
        self.start()
        conversation = self.keep("What is a newt?")
        key = (self.home / "config" / "key").read_text().strip()
        owner(self.house, "POST", f"{KEY}/move", {"to": "secret-service"})
        self.assertNotIn(key, (self.home / "config" / "key").read_text())
        self.start()
        self.assertEqual(self.said(conversation), ["What is a newt?"])
        maps = pathlib.Path(f"/proc/{self.house.process.pid}/maps").read_text()
        self.assertNotIn("libglib", maps)
        self.assertNotIn("libsecret", maps)
        # the person's session ends: an error that says so, not a hang, and all is there in the next
        self.keyring.kill()
        self.keyring.wait(LIMIT_S)
        self.start()
        status, body = self.asked("GET", f"{CONVERSATIONS}/{conversation}")
        self.assertNotEqual(status, 200)
        self.assertIn("desktop's keyring", body["error"]["message"])
        self.begin_session()
        owner(self.house, "POST", f"{KEY}/unlock", {})
        self.assertEqual(self.said(conversation), ["What is a newt?"])
        owner(self.house, "POST", f"{KEY}/move", {"to": "file"})
        self.assertEqual((self.home / "config" / "key").read_text().strip(), key)
        self.start()
        self.assertEqual(self.said(conversation), ["What is a newt?"])


if __name__ == "__main__":
    run_tests()
