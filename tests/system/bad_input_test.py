#!/usr/bin/env python3
"""Bad input and bad luck, against the real daemon over its real sockets, with fake workers: what must hold whatever
somebody sends or whatever dies. One test for each line of the list in docs/capabilities.md, "Bad input".

Run by ctest and by hand: `LARES_BIN=build/dev/bin tests/system/bad_input_test.py [-v] [Class.test]`.
"""

import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
from house import House, free_port, programs  # noqa: E402

FAKE = ["--engine=fake"]
SLOW = [*FAKE, "--fake=tokens-per-s=20"]


def ask(port, body, path="/v1/chat/completions", headers=None, method="POST", timeout=30):
    """(status, parsed body or text)."""
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    data = body if isinstance(body, (bytes, str, type(None))) else json.dumps(body)
    c.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
    r = c.getresponse()
    text = r.read()
    try:
        return r.status, json.loads(text)
    except ValueError:
        return r.status, text


def chat(content="hi", **more):
    return {"messages": [{"role": "user", "content": content}], "max_tokens": 8, **more}


def raw(port, data, wait_s=5.0):
    """Everything the server answers to these bytes before it closes or `wait_s` is over."""
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.settimeout(wait_s)
        s.sendall(data)
        got = b""
        try:
            while piece := s.recv(65536):
                got += piece
        except OSError:
            pass
        return got


class Stream:
    """One streamed answer, read piece by piece."""

    def __init__(self, port, body):
        self.c = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.c.request("POST", "/v1/chat/completions", json.dumps({"stream": True, **body}),
                       {"Content-Type": "application/json"})
        self.r = self.c.getresponse()

    def events(self):
        for line in self.r:
            if line.startswith(b"data: ") and not line.startswith(b"data: [DONE]"):
                yield json.loads(line[6:])

    def close(self):
        self.c.sock and self.c.sock.close()
        self.c.close()


class WithHouse(unittest.TestCase):
    arguments = FAKE

    @classmethod
    def setUpClass(cls):
        cls.house = House(arguments=cls.arguments)
        cls.port = cls.house.port

    @classmethod
    def tearDownClass(cls):
        cls.house.stop()

    def assert_serves(self):
        status, answer = ask(self.port, chat())
        self.assertEqual(status, 200, answer)


class Requests(WithHouse):
    def refused(self, body, *words, status=400, **how):
        got, answer = ask(self.port, body, **how)
        self.assertEqual(got, status, answer)
        message = answer["error"]["message"]
        for word in words:
            self.assertIn(word, message)
        return answer["error"]

    def test_an_unknown_model_names_the_nearest(self):
        self.refused(chat(model="fakee"), "fakee", "did you mean", status=404)

    def test_invalid_utf8_is_refused_with_the_place(self):
        self.refused(b'{"messages": [{"role": "user", "content": "\xff\xfe"}]}', "UTF-8")

    def test_json_nested_ten_thousand_deep_is_refused(self):
        self.refused(b"[" * 10_000 + b"]" * 10_000, "64 levels")

    def test_no_json_is_refused(self):
        for body in (b"", b"{", b"[1, 2", b"null", b"7", b'{"a": 1} {"b": 2}'):
            with self.subTest(body=body):
                self.refused(body)

    def test_numbers_out_of_range_name_the_field(self):
        fields = ["temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty", "top_k", "seed",
                  "max_tokens", "max_completion_tokens", "top_logprobs", "n"]
        for field in fields:
            for value in ("-1e300", "1e300", '"NaN"', "[]", "{}"):
                with self.subTest(field=field, value=value):
                    body = '{"messages": [{"role": "user", "content": "x"}], "logprobs": true, "%s": %s}' % (field, value)
                    error = self.refused(body, field)
                    self.assertEqual(error["param"], field)
            with self.subTest(field=field, value="1e999"):
                self.refused('{"messages": [], "%s": 1e999}' % field)

    def test_a_thousand_choices_are_refused_with_the_limit(self):
        self.refused(chat(n=1000), "n", "1000", "8")

    def test_an_empty_prompt_and_no_messages(self):
        self.refused({"messages": []}, "messages")
        status, _ = ask(self.port, {"prompt": "", "max_tokens": 4}, "/v1/completions")
        self.assertIn(status, (200, 400))
        self.assert_serves()

    def test_ten_million_characters_are_too_many_for_the_door(self):
        status, answer = ask(self.port, chat("x" * 10_000_000))
        self.assertEqual(status, 413, answer)
        self.assert_serves()

    def test_a_prompt_larger_than_the_context_names_both_numbers(self):
        error = self.refused(chat("word " * 200_000), "context")
        numbers = [w for w in error["message"].replace(",", "").split() if w.strip(";.,").isdigit()]
        self.assertGreaterEqual(len(numbers), 2, error)

    def test_a_browser_of_another_site_is_turned_away(self):
        for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
                        {"Origin": "http://localhost:3000"}):
            with self.subTest(headers=headers):
                status, answer = ask(self.port, chat(), headers=headers)
                self.assertEqual(status, 403, answer)

    def test_dns_rebinding_is_turned_away(self):
        for host in ("evil.example", f"evil.example:{self.port}", "127.0.0.1.evil.example", "localhost.", ""):
            with self.subTest(host=host):
                got = raw(self.port, f"GET /v1/models HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                self.assertIn(got.split(b" ")[1], (b"400", b"403"), got[:200])

    def test_broken_http_is_answered_or_closed_and_nothing_dies(self):
        for data in (b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"A" * 70_000,
                     b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000 + b"\r\n",
                     b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:%d\r\nContent-Length: 5\r\nTransfer-Encoding: chunked"
                     b"\r\n\r\n0\r\n\r\n" % self.port,
                     b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:%d\r\nContent-Length: -1\r\n\r\n" % self.port,
                     b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:%d\r\nContent-Length: 99999999999999999999\r\n\r\n"
                     % self.port):
            with self.subTest(data=data[:60]):
                got = raw(self.port, data)
                self.assertNotIn(b" 200 ", got[:20])
        self.assert_serves()

    def test_a_chunked_body_has_the_same_limit(self):
        with socket.create_connection(("127.0.0.1", self.port)) as s:
            s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:%d\r\nContent-Type: application/json\r\n"
                      b"Transfer-Encoding: chunked\r\n\r\n" % self.port)
            block = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
            got = b""
            try:
                for _ in range(12):
                    s.sendall(block)
                s.settimeout(5)
                got = s.recv(4096)
            except OSError:
                s.settimeout(5)
                try:
                    got = s.recv(4096)
                except OSError:
                    pass
        self.assertTrue(got == b"" or b" 413 " in got[:30], got[:100])
        self.assert_serves()


class Clients(WithHouse):
    arguments = SLOW

    def test_slowloris_does_not_slow_a_good_client(self):
        crowd, stop = [], threading.Event()
        for _ in range(200):
            try:
                s = socket.create_connection(("127.0.0.1", self.port), timeout=2)
                s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: local")
                crowd.append(s)
            except OSError:
                pass

        def drip():
            while not stop.wait(0.5):
                for s in crowd:
                    try:
                        s.send(b"h")
                    except OSError:
                        pass

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            # the crowd may hold every slot of this user for the 5 s that a header may take, and no longer
            until, status = time.monotonic() + 15, 0
            while status != 200 and time.monotonic() < until:
                try:
                    stream = Stream(self.port, chat("count: 100", max_tokens=20))
                    status = stream.r.status
                except OSError:
                    time.sleep(0.2)
            self.assertEqual(status, 200)
            self.assertGreaterEqual(sum(1 for e in stream.events() if e["choices"]), 20)
        finally:
            stop.set()
            dripping.join()
            for s in crowd:
                s.close()

    def test_a_client_that_never_reads_ends_alone(self):
        lazy = socket.create_connection(("127.0.0.1", self.port))
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        body = json.dumps({"stream": True, **chat("count: 2000", max_tokens=4000)}).encode()
        lazy.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:%d\r\nContent-Type: application/json\r\n"
                     b"Content-Length: %d\r\n\r\n" % (self.port, len(body)) + body)
        self.assert_serves()
        lazy.close()
        self.until_idle()

    def test_a_client_that_leaves_stops_its_computation(self):
        stream = Stream(self.port, chat("count: 2000", max_tokens=4000))
        next(iter(stream.events()))
        left = time.monotonic()
        stream.close()
        self.until_idle()
        self.assertLess(time.monotonic() - left, 2.0)  # 200 ms is the promise; a loaded machine gets more

    def until_idle(self, limit_s=5):
        """Until /lares/v1/ps shows no request; it is the owner's, so over the Unix socket."""
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            if all(not row["requests"] for row in owner(self.house, "GET", "/lares/v1/ps")):
                return
            time.sleep(0.02)
        self.fail("a request goes on although its client left")


def owner(house, method, path, body=None):
    """The same as `ask`, over the Unix socket, where the caller is the person; the parsed body of a 200."""
    s = socket.socket(socket.AF_UNIX)
    s.connect(str(house.home / "run" / "api.sock"))
    c = http.client.HTTPConnection("localhost", timeout=30)
    c.sock = s
    c.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"})
    r = c.getresponse()
    text = r.read()
    if r.status != 200:
        raise AssertionError(f"{method} {path}: {r.status} {text[:300]!r}")
    parsed = json.loads(text)
    return parsed["data"] if isinstance(parsed, dict) and "data" in parsed else parsed


class Deaths(unittest.TestCase):
    """A worker is killed with every signal, while loading, in the prompt and in mid-answer."""

    SIGNALS = [s for s in range(1, 65) if s not in (32, 33)]  # those two belong to the C library

    def worker(self, house, model):
        return next(row["pid"] for row in owner(house, "GET", "/lares/v1/ps") if row["model"] == model)

    def fatal(self, number):
        """Signals that a process may get and live: ignored or stopped-and-continued by default."""
        return number not in (signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT)

    def test_every_signal_in_mid_answer_is_a_typed_error_within_two_seconds(self):
        # a model whose worker dies three times in a minute rests; so each signal gets its own
        with House(arguments=SLOW, fake_models=[f"fake-{n}" for n in self.SIGNALS],
                   settings="[models]\npreload = false\n") as house:
            for number in self.SIGNALS:
                with self.subTest(signal=number):
                    stream = Stream(house.port, chat("count: 2000", max_tokens=2000, model=f"fake-{number}"))
                    self.assertEqual(stream.r.status, 200)
                    events = stream.events()
                    next(events)
                    next(events)
                    os.kill(self.worker(house, f"fake-{number}"), number)
                    sent = time.monotonic()
                    if not self.fatal(number):
                        next(events)
                        stream.close()
                        continue
                    last = None
                    for last in events:
                        pass
                    self.assertIn("error", last)
                    self.assertIn(last["error"]["code"], ("worker_died", "timeout"))
                    self.assertLess(time.monotonic() - sent, 4.0)  # 2 s is the promise; a loaded machine gets more


class Daemon(unittest.TestCase):
    def run_daemon(self, home, *arguments, environment=None, timeout=20):
        """A laresd that is expected to end by itself: (exit status, what it said)."""
        ran = subprocess.run([str(programs() / "laresd"), "--port", "0", *FAKE, *arguments], capture_output=True, text=True,
                             timeout=timeout, env={**os.environ, "LARES_HOME": str(home), **(environment or {})})
        return ran.returncode, ran.stdout + ran.stderr

    def test_two_daemons_on_one_home(self):
        with House(arguments=FAKE) as house:
            status, said = self.run_daemon(house.home)
            self.assertEqual(status, 6, said)
            self.assertIn(str(house.process.pid), said)
            self.assertEqual(ask(house.port, chat())[0], 200)

    def test_the_port_is_taken(self):
        taken = free_port()
        with socket.socket() as s:
            s.bind(("127.0.0.1", taken))
            s.listen()
            with House(arguments=FAKE) as other:
                other.stop(keep_home=True)
                status, said = self.run_daemon(other.home, f"--port={taken}")
                self.assertNotEqual(status, 0)
                self.assertIn(str(taken), said)

    def test_sigterm_ends_it_cleanly_and_it_starts_again(self):
        house = House(arguments=SLOW)
        try:
            stream = Stream(house.port, chat("count: 2000", max_tokens=2000))
            next(stream.events())
            workers = [p for p, name in house.pids().items() if name.startswith("lares-worker")]
            house.process.send_signal(signal.SIGTERM)
            self.assertEqual(house.process.wait(10), 0)
            self.assertFalse((house.home / "run" / "api.sock").exists())
            self.assertFalse((house.home / "run" / "port").exists())
            for pid in workers:
                self.assertFalse(pathlib.Path(f"/proc/{pid}").exists())
            again = House(arguments=FAKE, keep_home=house.home)
            self.assertEqual(ask(again.port, chat())[0], 200)
            again.stop(keep_home=True)
        finally:
            house.stop()

    def test_sigkill_leaves_no_worker_and_it_starts_again(self):
        house = House(arguments=SLOW)
        try:
            stream = Stream(house.port, chat("count: 2000", max_tokens=2000))
            next(stream.events())
            workers = [p for p, name in house.pids().items() if name.startswith("lares-worker")]
            self.assertTrue(workers)
            house.process.kill()
            house.process.wait()
            until = time.monotonic() + 5
            while any(alive(pid) for pid in workers) and time.monotonic() < until:
                time.sleep(0.02)
            self.assertFalse(any(alive(pid) for pid in workers))
            again = House(arguments=FAKE, keep_home=house.home)
            self.assertEqual(ask(again.port, chat())[0], 200)
            again.stop(keep_home=True)
        finally:
            house.stop()

    def test_a_store_that_a_newer_version_wrote_is_left_alone(self):
        house = House(arguments=FAKE)
        house.stop(keep_home=True)
        try:
            version = house.home / "share" / "version"
            version.write_text("lares-data 99\n")
            status, said = self.run_daemon(house.home)
            self.assertEqual(status, 10, said)
            self.assertIn("99", said)
            self.assertEqual(version.read_text(), "lares-data 99\n")
        finally:
            house.stop()

    def test_an_unknown_setting_names_the_nearest(self):
        house = House(arguments=FAKE)
        house.stop(keep_home=True)
        try:
            (house.home / "config" / "lares.toml").write_text("[memory]\nbudgett = 1\n")
            status, said = self.run_daemon(house.home)
            self.assertEqual(status, 2, said)
            self.assertIn("memory.budget", said)
        finally:
            house.stop()

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to mount a read-only disk")
    def test_a_home_on_a_read_only_disk(self):
        house = House(arguments=FAKE)
        house.stop(keep_home=True)
        try:
            script = 'mount -t tmpfs -o ro none "$LARES_HOME" && exec "$0" --port 0 --engine=fake'
            ran = subprocess.run(["unshare", "-m", "sh", "-c", script, str(programs() / "laresd")], capture_output=True,
                                 text=True, timeout=20, env={**os.environ, "LARES_HOME": str(house.home)})
            if "unshare" in ran.stderr:
                self.skipTest("mount namespaces are not to be had here")
            self.assertEqual(ran.returncode, 12, ran.stderr)
            self.assertIn("ead-only", ran.stderr)
        finally:
            house.stop()


def alive(pid):
    try:
        return "State:\tZ" not in pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


if __name__ == "__main__":
    unittest.main()
