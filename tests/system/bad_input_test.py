#!/usr/bin/env python3
"""Bad input and bad luck, against the real daemon over its real sockets, with fake workers: what must hold whatever
somebody sends or whatever dies. What needs a real engine is in bad_model_test.py, what needs a network to fetch from
in tests/bootstrap/bootstrap_test.py (Fetching, NoRoom).

Run by ctest, a class at a time, and by hand:
`LARES_BIN=build/dev/bin tests/system/bad_input_test.py [-v] [Class.test]`.
"""

import contextlib
import http.client
import json
import mmap
import os
import pathlib
import random
import re
import select
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import tempfile
import threading
import time
import unittest

from client import (FAKE, LIMIT_S, Stream, WithHouse, alive, ask, chat, owner, raw, run_tests, text_of,  # noqa: I001
                    wait_until)
from house import House, programs  # found by client

SLOW = [*FAKE, "--fake=tokens-per-s=20"]
MIB = 1 << 20
BODY_MAX = 8 * MIB  # api/door.h
ROUTES = {  # a good request for each route that takes one
    "/v1/chat/completions": chat(),
    "/v1/completions": {"prompt": "hi"},
    "/v1/embeddings": {"input": "hi"},
}


def counting(n):
    """What the fake engine says to `count: n`."""
    return " ".join(str(i) for i in range(1, n + 1))


class Requests(WithHouse):
    """What a request may hold."""

    def test_an_unknown_model_names_the_nearest(self):
        for path, body in ROUTES.items():
            with self.subTest(path=path):
                error = self.assert_refused({**body, "model": "fakee"}, "fakee", "did you mean 'fake'", path=path,
                                            status=404)
                self.assertEqual(error["param"], "model")
        for path in ("/v1/models/fakee", "/lares/v1/models/fakee"):
            with self.subTest(path=path):
                self.assert_refused(None, "did you mean 'fake'", path=path, method="GET", status=404)
        # a name that is near nothing, long, or made to be repeated: told what there is, and only a part of it shown
        for name in ("zzzzzzzzzzzz", "x" * 250, "../../etc/passwd", "fake\n\x1b[2J", "💥" * 50):
            with self.subTest(name=name):
                error = self.assert_refused(chat(model=name), "fake", status=404)
                self.assertLess(len(error["message"]), 400)

    def test_invalid_utf8_is_refused_with_its_place(self):
        bad = (b"\xff\xfe", b"\xc0\xaf", b"\xed\xa0\x80", b"\xe2\x82", b"\xf4\x90\x80\x80", b"\x80")
        for sequence in bad:
            for body in (b'{"messages": [{"role": "user", "content": "' + sequence + b'"}]}',
                         b'{"messages": [{"role": "user", "content": "x"}], "model": "' + sequence + b'"}',
                         b'{"messages": [{"role": "user", "content": "x"}], "' + sequence + b'": 1}',
                         b'{"messages": [{"role": "user", "content": "x"}], "stop": ["' + sequence + b'"]}'):
                with self.subTest(body=body):
                    message = self.assert_refused(body, "UTF-8")["message"]
                    place = int(re.search(r"byte (\d+)", message).group(1)) - body.index(sequence)
                    self.assertTrue(0 <= place <= len(sequence) + 1, message)
        # half a pair is no character either, however it is written
        for half in (r"\ud800", r"\udc00", r"\ud800x", r"\ud800\ud800"):
            with self.subTest(half=half):
                self.assert_refused('{"messages": [{"role": "user", "content": "%s"}]}' % half, "reading the request")
        for path in ("/v1/models/%ff", "/v1/models/%c0%af", "/v1/models/%00", "/v1/models/%"):
            with self.subTest(path=path):
                self.assert_refused(None, path=path, method="GET")

    def test_json_nested_ten_thousand_deep_is_refused(self):
        deep = b"[" * 10_000 + b"]" * 10_000
        for body in (deep, b"[" * 10_000, b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
                     b'{"messages": [{"role": "user", "content": "x"}], "metadata": ' + deep + b"}",
                     b'{"messages": [{"role": "user", "content": "x"}], "chat_template_kwargs": {"x": ' + deep + b"}}",
                     b"[" * 1_000_000):
            for path in ROUTES:
                with self.subTest(body=body[:60], path=path):
                    self.assert_refused(body, "64 levels", path=path)
        shallow = b'{"messages": [{"role": "user", "content": "x"}], "metadata": {"x": ' + b"[" * 60 + b"]" * 60 + b"}}"
        status, answer = ask(self.port, shallow)
        self.assertEqual(status, 200, answer)

    def test_what_is_no_json_object_is_refused(self):
        for body in (b"", b"{", b"[1, 2", b"null", b"7", b'"x"', b"[]", b'{"a": 1} {"b": 2}', b"\x00", b"{'a': 1}",
                     b"{}"):
            for path in ROUTES:
                with self.subTest(body=body, path=path):
                    self.assert_refused(body, path=path)

    def test_a_thousand_choices_are_refused_with_the_limit(self):
        for more in ({}, {"stream": True}):
            self.assertEqual(self.assert_refused(chat(n=1000, **more), "'n'", "1000", "8")["param"], "n")
            self.assert_refused({"prompt": "x", "n": 1000, **more}, "'n'", "1000", "8", path="/v1/completions")
        self.assert_refused({"prompt": "x", "best_of": 1000}, "'best_of'", "1000", "8", path="/v1/completions")
        status, answer = ask(self.port, chat(n=8))
        self.assertEqual((status, len(answer["choices"])), (200, 8))

    def test_a_prompt_of_no_characters(self):
        for body, path in ((chat(""), "/v1/chat/completions"), (chat(None), "/v1/chat/completions"),
                           ({"prompt": ""}, "/v1/completions")):
            with self.subTest(body=body):
                status, answer = ask(self.port, body, path)
                self.assertEqual((status, text_of(answer)), (200, "The prompt has 0 words."))
        status, answer = ask(self.port, {"input": ""}, "/v1/embeddings")
        self.assertEqual((status, len(answer["data"])), (200, 1), answer)
        for body, path, field in (({"messages": []}, "/v1/chat/completions", "messages"),
                                  ({"prompt": []}, "/v1/completions", "prompt"),
                                  ({"prompt": [[]]}, "/v1/completions", "prompt[0]"),
                                  ({"input": []}, "/v1/embeddings", "input")):
            with self.subTest(body=body):
                self.assertEqual(self.assert_refused(body, field, path=path)["param"], field)

    def test_ten_million_characters_are_too_many_for_the_door(self):
        long = "x" * 10_000_000
        for body, path in ((chat(long), "/v1/chat/completions"), (chat(long, stream=True), "/v1/chat/completions"),
                           ({"prompt": long}, "/v1/completions"), ({"input": long}, "/v1/embeddings"),
                           ({"input": ["word " * 1_000] * 2_000}, "/v1/embeddings")):
            with self.subTest(path=path):
                self.assert_refused(body, "8 MiB", path=path, status=413)

    def test_what_the_door_lets_in_and_the_context_does_not_hold_names_both_numbers(self):
        most = "word " * ((BODY_MAX - 200) // 5)
        for body, path, holds in ((chat(most), "/v1/chat/completions", "8,192"),
                                  (chat("word " * 5_000), "/v1/chat/completions", "8,192"),
                                  ({"prompt": most}, "/v1/completions", "8,192"),
                                  ({"input": most}, "/v1/embeddings", "512")):
            with self.subTest(path=path):
                message = self.assert_refused(body, holds, path=path)["message"]
                self.assertRegex(message, r"has (at least )?\d+,\d{3}[,\d]* tokens")


class Numbers(WithHouse):
    """Every numeric field of every route, as /openapi.json lists them: one that is added later is tried too."""

    LITERALS = ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "0x10", "+1", ".5", "01", "1e")

    def fields(self, path):
        """(field's path, its schema, a body with VALUE where its value goes), for each numeric field."""
        _, api = ask(self.port, None, "/openapi.json", method="GET")
        schema = api["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        for name, field in schema["properties"].items():
            base = {**ROUTES[path], "logprobs": True} if name == "top_logprobs" else ROUTES[path]
            if field.get("type") in ("integer", "number"):
                yield name, field, json.dumps({**base, name: "VALUE"})
            elif name == "logit_bias":
                yield "logit_bias.5", field["additionalProperties"], json.dumps({**base, name: {"5": "VALUE"}})
            elif name == "lares":
                for inner, one in field["properties"].items():
                    if one.get("type") in ("integer", "number"):
                        yield f"lares.{inner}", one, json.dumps({**base, "lares": {inner: "VALUE"}})

    def test_no_number_outside_its_range_is_taken(self):
        tried = 0
        for path in ROUTES:
            for name, field, body in self.fields(path):
                whole = field["type"] == "integer"
                least, most = field.get("minimum", -(1 << 63)), field.get("maximum", (1 << 63) - 1)
                step = 1 if "minimum" in field else 2048  # a double tells no less apart at 2^63
                values = [least - step, most + step, "-1e300", "1e300", -(1 << 64), 1 << 64,
                          '"NaN"', '"1"', "true", "[]", "{}"]
                if least >= 0:
                    values.append("-0.5" if whole else "-1e-300")
                if whole:
                    values += ["1.5", "1e-300"]
                for value in values:
                    with self.subTest(path=path, field=name, value=value):
                        error = self.assert_refused(body.replace('"VALUE"', str(value)), f"'{name}'", path=path)
                        self.assertEqual(error["param"], name)
                for literal in self.LITERALS:  # JSON has none of these
                    with self.subTest(path=path, field=name, value=literal):
                        self.assert_refused(body.replace('"VALUE"', literal), "not JSON", path=path)
                # the table is not read upside down: both ends are taken (what they mean may still be refused)
                if "minimum" in field and name not in ("dimensions", "best_of", "lares.deadline_ms", "reasoning_budget",
                                                       "reasoning_budget_tokens"):
                    for value in {least, most}:
                        with self.subTest(path=path, field=name, value=value):
                            status, answer = ask(self.port, body.replace('"VALUE"', str(value)), path)
                            self.assertEqual(status, 200, answer)
                tried += 1
        self.assertGreaterEqual(tried, 30, "fields went missing from /openapi.json")

    def test_token_ids(self):
        for path, field in (("/v1/completions", "prompt"), ("/v1/embeddings", "input")):
            for value in ("-1", "1.5", "2147483648", "1e300", "-1e300", str(1 << 64), '"1"', "true", "null"):
                with self.subTest(path=path, value=value):
                    self.assert_refused('{"%s": [1, %s]}' % (field, value), field, path=path)
                    self.assert_refused('{"%s": [[1, %s]]}' % (field, value), field, path=path)
        for key in ("-1", "1.5", "2147483648", "99999999999999999999", "1e3", "NaN", "", " 1"):
            with self.subTest(key=key):
                self.assert_refused(chat(logit_bias={key: 1}), "logit_bias")

    def test_the_number_of_receipts(self):
        for value in ("-1", "0", "1001", "NaN", "1e3", "1.5", "99999999999999999999", "", "1%20"):
            with self.subTest(value=value):
                with self.assertRaisesRegex(AssertionError, r": 400 .*'limit'"):
                    owner(self.house, "GET", f"/lares/v1/receipts?limit={value}")

    def test_settings(self):
        names = [row["name"] for row in owner(self.house, "GET", "/lares/v1/config")]
        tried = {"memory.budget": "-1 NaN 1e300 99999999999999999999 4.5.6", "models.sequences": "-1 0 NaN 1e300 65",
                 "models.context": "-1 NaN 1e300 1048577 1.5", "models.threads": "-1 NaN 1e300 513",
                 "models.batch": "-1 NaN 1e300 31 8193", "api.port": "-1 NaN 1e300 65536",
                 "api.connections": "-1 0 NaN 1e300 4097"}
        self.assertLessEqual(set(tried), set(names))
        with tempfile.TemporaryDirectory() as home:
            for name, values in tried.items():
                for value in values.split():
                    with self.subTest(name=name, value=value):
                        ran = subprocess.run([programs() / "laresd", *FAKE, f"--{name}={value}"], capture_output=True,
                                             text=True, timeout=LIMIT_S, env={**os.environ, "LARES_HOME": home})
                        self.assertEqual(ran.returncode, 2, ran.stderr)
                        self.assertIn(name, ran.stderr)


class Door(WithHouse):
    """Who may come in, and in which shape."""

    def test_a_browser_of_another_site_is_turned_away(self):
        for path, body in ROUTES.items():
            for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
                            {"Origin": "http://localhost:3000"}, {"Origin": f"http://evil.example:{self.port}"},
                            {"Origin": f"http://127.0.0.1:{self.port}.evil.example"},
                            {"Origin": f"https://127.0.0.1:{self.port}"}):
                with self.subTest(path=path, headers=headers):
                    self.assert_refused(body, path=path, headers=headers, status=403)
        # what a page may send without asking first is not read either; and when it asks, it gets no leave
        for kind in ("text/plain", "application/x-www-form-urlencoded"):
            self.assert_refused(chat(), headers={"Origin": "https://evil.example", "Content-Type": kind}, status=403)
        got = raw(self.port, b"OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: localhost:%d\r\nConnection: close\r\n"
                  b"Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n\r\n" % self.port)
        self.assertEqual(got.split(b" ")[1], b"403")
        self.assertNotIn(b"access-control-allow", got.lower())

    def test_dns_rebinding_is_turned_away(self):
        def status(host, target="/v1/models"):
            got = raw(self.port, f"GET {target} HTTP/1.1\r\n{host}Connection: close\r\n\r\n".encode())
            return got.split(b" ")[1] if b" " in got else got

        for host in ("evil.example", f"evil.example:{self.port}", f"127.0.0.1.evil.example:{self.port}",
                     f"localhost.:{self.port}", "", f"127.0.0.1:{self.port}@evil.example",
                     f"localhost:{self.port}, evil.example", f"2130706433:{self.port}", f"0.0.0.0:{self.port}",
                     "localhost:1"):
            with self.subTest(host=host):
                self.assertIn(status(f"Host: {host}\r\n"), (b"400", b"403"))
        self.assertIn(status(""), (b"400", b"403"))
        self.assertIn(status(f"Host: localhost:{self.port}\r\nHost: evil.example\r\n"), (b"400", b"403"))
        self.assertIn(status(f"Host: localhost:{self.port}\r\n", "http://evil.example/v1/models"), (b"400", b"403"))
        for host in (f"localhost:{self.port}", f"127.0.0.1:{self.port}", f"[::1]:{self.port}"):
            self.assertEqual(status(f"Host: {host}\r\n"), b"200")

    def test_broken_http_is_answered_or_closed_and_nothing_dies(self):
        post = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:%d\r\n" % self.port
        for data in (b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"A" * 70_000,
                     b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000 + b"\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                     post + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                     post + b"Content-Length: -1\r\n\r\n", post + b"Content-Length: 99999999999999999999\r\n\r\n",
                     post + b"Content-Length: NaN\r\n\r\n",
                     post + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
                     post + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n"):
            with self.subTest(data=data[:90]):
                self.assertRegex(raw(self.port, data), rb"^(HTTP/1\.1 [45]|$)")

    def test_a_chunked_body_has_the_same_limit(self):
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:%d\r\nTransfer-Encoding: chunked\r\n\r\n"
        got = raw(self.port, head % self.port + (b"100000\r\n" + b"x" * MIB + b"\r\n") * 9)
        self.assertRegex(got, rb"^HTTP/1\.1 413 ")


class Crowd(threading.Thread):
    """Clients that begin a request and then let it drip. Who is sent away comes again a while later."""

    def __init__(self, port, count, beginning):
        super().__init__(daemon=True)
        self.port, self.beginning = port, beginning
        self.clients, self.comes_at, self.sent_away = [None] * count, [0.0] * count, 0
        self.everybody_came, self.over = threading.Event(), threading.Event()
        self.chance = random.Random(count)

    def come(self, number):
        with contextlib.suppress(OSError):
            client = socket.create_connection(("127.0.0.1", self.port), timeout=10)
            client.setblocking(False)
            self.clients[number] = client
            client.send(self.beginning)

    def drip(self, number):
        client = self.clients[number]
        try:
            client.send(b"a")
            client.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            pass
        # an answer is a refusal, and no bytes are an end
        client.close()
        self.clients[number] = None
        self.comes_at[number] = time.monotonic() + self.chance.uniform(0.5, 2)
        self.sent_away += 1

    def run(self):
        while not self.over.wait(0.1):
            for number, client in enumerate(self.clients):
                if client:
                    self.drip(number)
                elif self.comes_at[number] < time.monotonic():
                    self.come(number)
            self.everybody_came.set()

    def __enter__(self):
        self.start()
        self.everybody_came.wait(LIMIT_S)
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()
        for client in self.clients:
            client and client.close()


class Slowloris(WithHouse):
    arguments = SLOW

    def until_served(self, body):
        """The answer, asked for as the client libraries do: again after a refusal or a broken connection."""
        def answered():
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, answer = ask(self.port, body)
                return answer if status == 200 else None
        return wait_until(answered, "a client that sends its request whole is served", 10)

    def assert_serves(self):
        self.until_served(chat(max_tokens=4))  # who left a moment ago may still be counted

    def harms_nobody(self, beginning):
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:{self.port}\r\n"
        stream = Stream(self.port, chat("count: 150")).until_text()  # for longer than they may keep others out
        with Crowd(self.port, 200, (head + beginning).encode()) as crowd:
            self.assertEqual(text_of(self.until_served(chat("repeat: new"))), "new")
            # the person's own commands are counted apart: they get in at once
            self.assertEqual([row["model"] for row in owner(self.house, "GET", "/lares/v1/ps")], ["fake"])
            stream.rest()
            self.assertEqual(text_of(self.until_served(chat("repeat: newer"))), "newer")
            self.assertGreater(crowd.sent_away, 0)
        self.assertEqual((stream.text, stream.error, stream.done), (counting(150), None, True))

    def test_two_hundred_that_drip_their_head_harm_neither_a_stream_nor_a_new_client(self):
        self.harms_nobody("X-")

    def test_nor_do_two_hundred_that_drip_their_body(self):
        self.harms_nobody("Content-Length: 100000\r\n\r\n")


class Leaving(WithHouse):
    """Clients that go, and clients that stay and take nothing."""

    arguments = SLOW

    def until_idle(self):
        def idle():
            return all(not row["requests"] and not row["waiting"] for row in owner(self.house, "GET", "/lares/v1/ps"))
        wait_until(idle, "what nobody waits for is computed no more", 20)  # the answers would take minutes

    def test_a_client_that_leaves_stops_its_computation(self):
        stream = Stream(self.port, chat("count: 2000")).until_text()
        stream.close()
        self.until_idle()

    def test_also_when_it_thinks(self):
        stream = Stream(self.port, chat(f"repeat: <think>{'x' * 3000}</think>answer"))
        for event in stream.events():
            if event["choices"][0]["delta"].get("reasoning_content"):
                break
        self.assertEqual(owner(self.house, "GET", "/lares/v1/ps")[0]["requests"], 1)
        stream.close()
        self.until_idle()
        self.assertEqual(stream.text, "")

    def test_also_when_it_waits_for_a_whole_answer(self):
        body = json.dumps(chat("count: 2000")).encode()
        with socket.create_connection(("127.0.0.1", self.port)) as s:
            s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:%d\r\nContent-Length: %d\r\n\r\n"
                      % (self.port, len(body)) + body)
            wait_until(lambda: owner(self.house, "GET", "/lares/v1/ps")[0]["requests"] == 1, "it is being computed")
        self.until_idle()

    def test_also_when_it_waits_behind_others(self):
        streams = [Stream(self.port, chat("count: 2000")) for _ in range(8)]  # models.sequences
        late = http.client.HTTPConnection("127.0.0.1", self.port)
        late.request("POST", "/v1/chat/completions", json.dumps(chat("count: 2000")))
        wait_until(lambda: owner(self.house, "GET", "/lares/v1/ps")[0]["waiting"] == 1, "the ninth waits")
        late.close()
        wait_until(lambda: owner(self.house, "GET", "/lares/v1/ps")[0]["waiting"] == 0, "the ninth is forgotten", 20)
        for stream in streams:
            stream.close()
        self.until_idle()


    def test_one_that_vanishes_in_the_middle_of_a_batch_harms_none_of_the_others(self):
        bystander = Stream(self.port, chat("count: 100")).until_text()
        other = Asked(self.port, chat("count: 60"))
        for gone_after in (1, 3, 8):  # pieces of its answer; without a goodbye, or with one
            with self.subTest(gone_after=gone_after):
                victims = [Stream(self.port, chat("count: 2000")).until_text() for _ in range(3)]
                for _, _event in zip(range(gone_after), victims[0].events()):
                    pass
                linger = struct.pack("ii", 1, 0)
                for victim in victims[:2]:
                    victim.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                for victim in victims:
                    victim.close()
                wait_until(lambda: owner(self.house, "GET", "/lares/v1/ps")[0]["requests"] <= 2,
                           "nobody computes for them any more", 20)
        bystander.rest()
        self.assertEqual((bystander.text, bystander.error, bystander.done), (counting(100), None, True))
        status, answer = other.result()
        self.assertEqual((status, text_of(answer)), (200, counting(60)))
        outcomes = [row["outcome"] for row in owner(self.house, "GET", "/lares/v1/receipts?limit=11")]
        self.assertEqual((outcomes.count("cancelled"), outcomes.count("stop")), (9, 2), outcomes)


class NeverReading(WithHouse):
    arguments = [*FAKE, "--fake=context-train=1000000"]
    settings = "[models]\ncontext = 1000000\n"

    def test_clients_that_never_read_end_alone(self):
        # eight answers of which each would fill 200 MB of buffers, on a model that computes eight at once
        body = json.dumps({"stream": True, **chat("count: 150000")}).encode()
        lazy = []
        for _ in range(8):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect(("127.0.0.1", self.port))
            s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:%d\r\nContent-Type: application/json\r\n"
                      b"Content-Length: %d\r\n\r\n" % (self.port, len(body)) + body)
            lazy.append(s)
        try:
            status, answer = ask(self.port, chat("repeat: served"))
            self.assertEqual((status, text_of(answer)), (200, "served"))
            # their sockets are open all the while
            wait_until(lambda: all(not row["requests"] for row in owner(self.house, "GET", "/lares/v1/ps")),
                       "nothing is computed for those who take nothing")
            outcomes = [row["outcome"] for row in owner(self.house, "GET", "/lares/v1/receipts?limit=9")]
            self.assertEqual(sorted(outcomes), ["cancelled"] * 8 + ["stop"])
        finally:
            for s in lazy:
                s.close()


class Deaths:
    """A worker is sent every signal, in one phase of its life. What it costs: those who wait for it to load a typed
    error within two seconds, those whose answers it computes the time until the next one goes on, and nothing else.
    Each signal gets a model of its own, because one whose worker dies often rests for a while.
    """

    SIGNALS = [number for number in range(1, signal.SIGRTMAX + 1) if number not in (32, 33)]  # the C library's own
    # Those that end nobody who does not ask for it; and SIGPIPE, which workers ignore. The last three stop only a
    # process that somebody of its session could continue, and a worker is alone in its own.
    HARMLESS = {signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT, signal.SIGPIPE,
                signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
    PROMISED_S = 2
    GOES_ON = True
    options = ()

    def setUp(self):
        self.house = House(arguments=[*FAKE, "--fake=tokens-per-s=20", *self.options],
                           settings='[models]\npreload = false\n[memory]\nbudget = "4 GiB"\n',
                           fake_models=["fake-bystander", *(f"fake-{number}" for number in self.SIGNALS)])
        self.addCleanup(self.house.stop)
        # asks for an answer of minutes; what happens to others must not touch it
        self.bystander = Stream(self.house.port, chat("count: 10000", model="fake-bystander")).until_text()
        self.reading = threading.Thread(target=self.bystander.rest, daemon=True)
        self.reading.start()

    def tearDown(self):
        so_far = self.bystander.text
        wait_until(lambda: len(self.bystander.text) > len(so_far) or not self.reading.is_alive(),
                   "the bystander's answer goes on")
        self.assertTrue(self.reading.is_alive(), self.bystander.error)
        self.assertTrue(counting(10000).startswith(self.bystander.text), self.bystander.text)
        self.assertIsNone(self.house.process.poll())

    def row(self, model):
        return next((row for row in owner(self.house, "GET", "/lares/v1/ps") if row["model"] == model), None)

    def test_a_fatal_signal_costs_what_is_promised(self):
        took = []
        for number in self.SIGNALS:
            if number in self.HARMLESS:
                continue
            model = f"fake-{number}"
            with self.subTest(signal=number):
                asked = self.begin(model)
                pid = self.row(model)["pid"]
                os.kill(pid, number)
                sent = time.monotonic()
                if self.GOES_ON:
                    self.assert_whole(asked)
                    self.assertNotEqual(self.row(model)["pid"], pid)
                    self.assertFalse(alive(pid))
                    continue
                error = self.error_of(asked)
                took.append(time.monotonic() - sent)
                self.assertIn(error["code"], ("timeout",) if number == signal.SIGSTOP else ("worker_died",))
                self.assertIn(model, error["message"])
                self.assertLess(took[-1], 5 * self.PROMISED_S)  # this machine may have other things to do
                self.assertIsNone(self.row(model), "its memory was given back")
                self.assertFalse(alive(pid))
        if took:
            self.assertLess(statistics.median(took), self.PROMISED_S)

    def test_a_harmless_signal_changes_nothing(self):
        asked = {}
        for number in self.HARMLESS:
            asked[number] = self.begin(f"fake-{number}")
        for number in self.HARMLESS:
            os.kill(self.row(f"fake-{number}")["pid"], number)
        for number, one in asked.items():
            with self.subTest(signal=number):
                self.assert_whole(one)


class Asked(threading.Thread):
    """A request for a whole answer, asked on a thread."""

    def __init__(self, port, body):
        super().__init__(daemon=True)
        self.port, self.body, self.answer = port, body, None
        self.start()

    def run(self):
        with contextlib.suppress(OSError, http.client.HTTPException):  # the daemon may die first
            self.answer = ask(self.port, self.body)

    def result(self):
        """(status, answer), or None for neither."""
        self.join(LIMIT_S)
        return self.answer


class DeathsWhileLoading(Deaths, unittest.TestCase):
    options = ("--fake=load-ms=6000",)
    GOES_ON = False

    def begin(self, model):
        asked = Asked(self.house.port, chat("repeat: loaded", model=model))
        wait_until(lambda: (row := self.row(model)) and row["state"] == "loading", f"{model} is being loaded")
        return asked

    def error_of(self, asked):
        status, answer = asked.result()
        self.assertIn(status, (502, 504), answer)
        return answer["error"]

    def assert_whole(self, asked):
        status, answer = asked.result()
        self.assertEqual((status, text_of(answer)), (200, "loaded"))


class DeathsInThePrompt(Deaths, unittest.TestCase):
    options = ("--fake=prompt-tokens-per-s=250",)

    def begin(self, model):
        # a stream's head comes when the prompt begins to be computed; then it takes more than a second
        stream = Stream(self.house.port, chat("repeat: " + "x" * 300, model=model))
        self.assertEqual(stream.status, 200)
        return stream

    def assert_whole(self, stream):
        stream.until_text()
        self.assertEqual((stream.text[0], stream.error), ("x", None))
        stream.close()


class DeathsInMidAnswer(Deaths, unittest.TestCase):
    def begin(self, model):
        return Stream(self.house.port, chat("count: 12", model=model)).until_text()

    def assert_whole(self, stream):
        stream.rest()
        self.assertEqual((stream.text, stream.error, stream.done), (counting(12), None, True))


class WithHome(unittest.TestCase):
    """A home for each test, and daemons on it."""

    def setUp(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="lares-home-"))
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)

    def start(self, arguments=FAKE, **more):
        house = House(arguments=arguments, keep_home=self.home, **more)
        self.addCleanup(house.stop, keep_home=True)
        return house

    def assert_refuses_to_start(self, status, *words, arguments=("--port=0",), command=()):
        """That laresd ends by itself with this status, and says these words."""
        ran = subprocess.run([*command, str(programs() / "laresd"), *FAKE, *arguments], capture_output=True, text=True,
                             timeout=LIMIT_S, env={**os.environ, "LARES_HOME": str(self.home)})
        self.assertEqual(ran.returncode, status, ran.stderr)
        for word in words:
            self.assertIn(word, ran.stderr)
        self.assertIn("laresd: ", ran.stderr)

    def assert_serves(self, house):
        status, answer = ask(house.port, chat("repeat: here"))
        self.assertEqual((status, text_of(answer)), (200, "here"))
        return answer["lares"]["id"]

    def set_aside(self):
        return [str(file) for file in self.home.rglob("*.damaged-*")]


class AtOnce(WithHome):
    """More requests at once than are let in. By default it is the connections of one user that are counted first, and
    with more of those (api.connections) what waits for one model (sched/queue.h)."""

    CONNECTIONS, WAITING, SEQUENCES = 64, 192, 8

    def ask_all(self, house, count):
        """Sends so many requests before it reads an answer; their sockets."""
        sockets = []
        for number in range(count):
            body = json.dumps(chat(f"repeat: n{number}")).encode()
            s = socket.create_connection(("127.0.0.1", house.port), timeout=LIMIT_S)
            s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:%d\r\nContent-Type: application/json\r\n"
                      b"Connection: close\r\nContent-Length: %d\r\n\r\n" % (house.port, len(body)) + body)
            sockets.append(s)
        return sockets

    def reply(self, s):
        """(status, Retry-After, the answer)."""
        response = http.client.HTTPResponse(s)
        response.begin()
        with s:
            return response.status, response.getheader("Retry-After"), json.loads(response.read())

    def assert_some_are_refused(self, settings, count, let_in, words):
        house = self.start(SLOW, settings=settings)
        # all places are taken, so that nobody's turn comes before the last has asked
        bystander = Stream(house.port, chat("count: 120")).until_text()
        holders = [Stream(house.port, chat("count: 2000")).until_text() for _ in range(self.SEQUENCES - 1)]
        sockets = self.ask_all(house, count)
        wait_until(lambda: len(select.select(sockets, [], [], 0)[0]) == count - let_in, "the others are told so at once")
        for holder in holders:
            holder.close()
        served = 0
        for number, s in enumerate(sockets):
            status, retry_after, answer = self.reply(s)
            if status == 200:
                self.assertEqual(text_of(answer), f"n{number}")
                served += 1
                continue
            self.assertIn(status, (429, 503), answer)
            self.assertRegex(retry_after or "", r"^[1-9][0-9]*$")
            for word in words:
                self.assertIn(word, answer["error"]["message"])
        self.assertEqual(served, let_in)
        bystander.rest()
        self.assertEqual((bystander.text, bystander.error, bystander.done), (counting(120), None, True))
        self.assert_serves(house)

    def test_more_connections_than_one_user_may_have(self):
        self.assert_some_are_refused("", 100, self.CONNECTIONS - self.SEQUENCES, ("64 connections", "api.connections"))

    def test_more_requests_than_may_wait_for_one_model(self):
        self.assert_some_are_refused("[api]\nconnections = 1000\n", 250, self.WAITING,
                                     ("the queue is full", "192 requests wait for 'fake'", "retry"))


class Starting(WithHome):
    def test_two_daemons_on_one_home(self):
        house = self.start()
        self.assert_refuses_to_start(6, str(house.process.pid), str(self.home), "lares stop")
        self.assert_serves(house)

    def test_of_many_that_start_at_once_on_one_home_one_serves(self):
        started = [subprocess.Popen([programs() / "laresd", "--port=0", *FAKE], stderr=subprocess.DEVNULL,
                                    env={**os.environ, "LARES_HOME": str(self.home)}) for _ in range(6)]
        try:
            wait_until(lambda: sum(one.poll() is not None for one in started) == 5, "five of six have given way")
            self.assertEqual([one.poll() for one in started if one.poll() is not None], [6] * 5)
            file = self.home / "run" / "port"
            port = wait_until(lambda: file.exists() and file.read_text().strip(), "the sixth serves")
            status, answer = ask(int(port), chat("repeat: one"))
            self.assertEqual((status, text_of(answer)), (200, "one"))
        finally:
            for one in started:
                one.terminate()
                one.wait()

    def test_the_port_is_taken(self):
        families = [(socket.AF_INET, "127.0.0.1")]
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as six:
            six.bind(("::1", 0))
            families.append((socket.AF_INET6, "::1"))
        for family, address in families:
            with self.subTest(address=address), socket.socket(family) as s:
                s.bind((address, 0))
                s.listen()
                port = s.getsockname()[1]
                self.assert_refuses_to_start(4, f":{port}: the port is taken by", str(os.getpid()), "api.port",
                                             arguments=[f"--port={port}"])
        house = self.start()
        with tempfile.TemporaryDirectory() as other:
            mine, self.home = self.home, pathlib.Path(other)
            self.assert_refuses_to_start(4, "laresd", str(house.process.pid), arguments=[f"--port={house.port}"])
            self.home = mine
        self.assert_serves(house)

    def test_what_a_newer_version_wrote_is_refused_and_left_as_it_is(self):
        house = self.start()
        self.assert_serves(house)
        (self.home / "other.gguf").write_bytes(b"GGUF")
        owner(house, "POST", "/lares/v1/models", {"file": str(self.home / "other.gguf")})
        house.stop(keep_home=True)
        data = self.home / "share"
        receipts = (data / "receipts.log").read_bytes()
        models = json.loads((data / "models" / "models.json").read_text())
        newer = {data / "version": b"lares-data 99\n",
                 data / "receipts.log": receipts[:8] + struct.pack("<I", 99) + receipts[12:],
                 data / "models" / "models.json": json.dumps({**models, "format": 99}).encode()}
        for file, content in newer.items():
            with self.subTest(file=file.name):
                old = file.read_bytes()
                file.write_bytes(content)
                self.assert_refuses_to_start(10, "a newer Lares wrote it", "format 99")
                self.assertEqual(file.read_bytes(), content)
                file.write_bytes(old)
        self.assertEqual(self.set_aside(), [])
        self.assert_serves(self.start())

    def test_files_that_make_no_sense_are_set_aside_and_never_overwritten(self):
        house = self.start()
        self.assert_serves(house)
        house.stop(keep_home=True)
        rubbish = bytes(range(256)) * 40
        for name in ("receipts.log", "models/models.json"):
            (self.home / "share" / name).write_bytes(rubbish)
        self.assert_serves(self.start())
        self.assertEqual(len(self.set_aside()), 2)
        for file in self.set_aside():
            self.assertEqual(pathlib.Path(file).read_bytes(), rubbish)

    def test_an_unknown_setting_names_the_nearest(self):
        (self.home / "config").mkdir()
        (self.home / "config" / "lares.toml").write_text("[memory]\nbudgett = 1\n")
        self.assert_refuses_to_start(2, "did you mean 'memory.budget'", "lares.toml:2")


class ReadOnlyDisk(WithHome):
    def command(self, mount):
        """A prefix that runs a program where `mount`, in sh, has been done; skips where that is not allowed."""
        become = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
        try:
            tried = subprocess.run([*become, "sh", "-c", mount], capture_output=True, text=True,
                                   env={**os.environ, "LARES_HOME": str(self.home)}, timeout=LIMIT_S)
        except FileNotFoundError:
            self.skipTest("there is no unshare here")
        if tried.returncode:
            self.skipTest(f"mounting is not allowed here: {tried.stderr.strip()}")
        return [*become, "sh", "-c", f'{mount} && exec "$0" "$@"']

    def test_an_empty_one(self):
        command = self.command('mount -t tmpfs -o ro none "$LARES_HOME"')
        self.assert_refuses_to_start(12, str(self.home), "ead-only file system", "set LARES_HOME", command=command)

    def test_one_that_was_written_to_before(self):
        house = self.start()
        first = self.assert_serves(house)
        house.stop(keep_home=True)
        command = self.command('mount --bind "$LARES_HOME" "$LARES_HOME" && mount -o remount,ro,bind "$LARES_HOME"')
        self.assert_refuses_to_start(12, str(self.home), "ead-only file system", "set LARES_HOME", command=command)
        again = self.start()
        self.assertEqual(owner(again, "GET", "/lares/v1/why")["id"], first)


class Ending(WithHome):
    """The daemon is ended, politely or not, and starts again."""

    def workers(self, house):
        return [pid for pid, name in house.pids().items() if name.startswith("lares-worker")]

    def busy(self, house):
        """Requests in every state: answering, whole and waiting."""
        streams = [Stream(house.port, chat("count: 2000")).until_text() for _ in range(8)]
        waiting = Asked(house.port, chat("count: 2000"))
        wait_until(lambda: owner(house, "GET", "/lares/v1/ps")[0]["waiting"] == 1, "one waits")
        return streams, waiting

    def assert_ends_politely(self, signals):
        house = self.start(SLOW)
        kept = self.assert_serves(house)
        streams, waiting = self.busy(house)
        workers = self.workers(house)
        self.assertTrue(workers)
        for number in signals:
            house.process.send_signal(number)
        self.assertEqual(house.process.wait(LIMIT_S), 0)
        for stream in streams:
            self.assertEqual(stream.rest().error["code"], "offline")
        status, answer = waiting.result()
        self.assertEqual((status, answer["error"]["code"]), (503, "offline"))
        self.assertFalse((self.home / "run" / "api.sock").exists())
        self.assertFalse((self.home / "run" / "port").exists())
        self.assertFalse(any(alive(pid) for pid in workers))
        again = self.start()
        self.assert_serves(again)
        self.assertEqual(owner(again, "GET", f"/lares/v1/why/{kept}")["outcome"], "stop")
        outcomes = [row["outcome"] for row in owner(again, "GET", "/lares/v1/receipts")]
        self.assertEqual(outcomes.count("offline"), 9, outcomes)
        self.assertEqual(self.set_aside(), [])

    def test_sigterm(self):
        self.assert_ends_politely([signal.SIGTERM])

    def test_sigint_and_impatience(self):
        self.assert_ends_politely([signal.SIGINT, signal.SIGTERM, signal.SIGTERM])

    def test_sigterm_while_a_model_loads(self):
        house = self.start([*FAKE, "--fake=load-ms=60000"])
        asked = Asked(house.port, chat())
        wait_until(lambda: (rows := owner(house, "GET", "/lares/v1/ps")) and rows[0]["waiting"] == 1,
                   "a request waits for it")
        house.process.terminate()
        self.assertEqual(house.process.wait(LIMIT_S), 0)
        self.assertEqual(asked.result()[1]["error"]["code"], "offline")

    def test_sigkill_leaves_no_worker(self):
        house = self.start(SLOW)
        streams, waiting = self.busy(house)
        workers = self.workers(house)
        self.assertTrue(workers)
        house.process.kill()
        house.process.wait()
        wait_until(lambda: not any(alive(pid) for pid in workers), "its workers died with it")
        for stream in streams:
            self.assertFalse(stream.rest().done)
        self.assert_serves(self.start())

    def test_sigkill_at_any_moment_loses_no_receipt_that_was_written(self):
        chance = random.Random(6)
        log = self.home / "share" / "receipts.log"
        kept = []
        for _ in range(8):
            house = self.start()
            self.assertEqual([owner(house, "GET", f"/lares/v1/why/{id}")["id"] for id in kept], kept)
            before = log.stat().st_size
            kept.append(self.assert_serves(house))
            wait_until(lambda: log.stat().st_size > before, "the receipt is in the file")
            asking = [Asked(house.port, chat("count: 5")) for _ in range(4)]  # die in the middle, or not
            time.sleep(chance.uniform(0, 0.1))
            house.process.kill()
            house.process.wait()
            for one in asking:
                one.result()
            self.assertEqual(self.set_aside(), [])

    def test_sigkill_while_it_starts(self):
        chance = random.Random(7)
        for _ in range(12):
            starting = subprocess.Popen([programs() / "laresd", "--port=0", *FAKE], stderr=subprocess.DEVNULL,
                                        env={**os.environ, "LARES_HOME": str(self.home)})
            time.sleep(chance.uniform(0, 0.3))
            starting.kill()
            starting.wait()
        self.assert_serves(self.start())
        self.assertEqual(self.set_aside(), [])


# Preloaded into laresd: its wall clock is off by as many seconds as the file that CLOCK_SHIFT names holds now.
SHIM = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t* shift;

__attribute__((constructor)) static void begin(void) {
  int file = open(getenv("CLOCK_SHIFT"), O_RDONLY | O_CLOEXEC);
  void* seen = mmap(0, sizeof *shift, PROT_READ, MAP_SHARED, file, 0);
  if (seen == MAP_FAILED) _exit(99);
  shift = seen;
  close(file);
}
static int64_t off(void) { return shift ? *shift : 0; }

int clock_gettime(clockid_t clock, struct timespec* time) {
  int result = (int)syscall(SYS_clock_gettime, clock, time);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += off();
  return result;
}
int gettimeofday(struct timeval* time, void* zone) {
  struct timespec now;
  int result = clock_gettime(CLOCK_REALTIME, &now);
  (void)zone;
  if (time) *time = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
  return result;
}
time_t time(time_t* out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}
"""


class ClockSetBack(WithHome):
    YEAR_S = 365 * 24 * 3600

    def setUp(self):
        super().setUp()
        self.file = self.home / "shift"
        self.file.write_bytes(bytes(mmap.PAGESIZE))
        self.shim = self.home / "clock.so"
        try:
            subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", self.shim, "-x", "c", "-"], input=SHIM.encode(),
                           check=True)
        except FileNotFoundError:
            self.skipTest("there is no C compiler here")
        # who comes first of the preloaded and the sanitizers' libraries does not matter for what is replaced here
        sanitizer = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))
        self.environment = {"LD_PRELOAD": str(self.shim), "CLOCK_SHIFT": str(self.file), "ASAN_OPTIONS": sanitizer}

    def set_clock(self, years):
        with open(self.file, "r+b") as file:
            file.write(struct.pack("<q", int(years * self.YEAR_S)))

    def year_offset(self, answer):
        return round((answer["created"] - time.time()) / self.YEAR_S)

    def test_in_the_middle_of_things(self):
        house = self.start(SLOW, environment=self.environment)
        asked = [self.assert_serves(house)]
        worker = owner(house, "GET", "/lares/v1/ps")[0]["pid"]
        kept = http.client.HTTPConnection("127.0.0.1", house.port, timeout=LIMIT_S)
        kept.request("GET", "/v1/models")
        kept.getresponse().read()
        for years in (-10, 30, -40):
            with self.subTest(years=years):
                stream = Stream(house.port, chat("count: 30", lares={"deadline_ms": 60_000})).until_text()
                self.set_clock(years)
                stream.rest()
                self.assertEqual((stream.text, stream.error, stream.done), (counting(30), None, True))
                # a connection is not idle for years, a deadline neither over nor far away
                kept.request("GET", "/v1/models")
                self.assertEqual(kept.getresponse().read()[:1], b"{")
                began = time.monotonic()
                status, answer = ask(house.port, chat("count: 2000", lares={"deadline_ms": 500}))
                self.assertEqual((status, answer["error"]["code"]), (504, "timeout"))
                self.assertLess(time.monotonic() - began, 60)
                status, answer = ask(house.port, chat("repeat: x"))
                self.assertEqual(status, 200)
                self.assertEqual(self.year_offset(answer), years, "the clock was not set")
                asked.append(answer["lares"]["id"])
                newest = owner(house, "GET", "/lares/v1/why")
                self.assertEqual(newest["id"], asked[-1])
                self.assertTrue(0 <= newest["total_ms"] < 60_000, newest)
        self.assertEqual(owner(house, "GET", "/lares/v1/ps")[0]["pid"], worker, "and no worker was taken for dead")
        kept.close()

    def test_between_two_runs(self):
        asked = []
        for years in (0, 20, -20, 1):
            self.set_clock(years)
            house = self.start(environment=self.environment)
            for _ in range(2):
                asked.append(self.assert_serves(house))
            self.assertEqual([row["id"] for row in owner(house, "GET", "/lares/v1/receipts")], asked[::-1])
            token = (self.home / "config" / "token").read_text().strip()
            self.assertEqual(ask(house.port, chat(), headers={"Authorization": f"Bearer {token}"})[0], 200)
            asked.append(owner(house, "GET", "/lares/v1/why")["id"])
            house.stop(keep_home=True)
        self.assertEqual(self.set_aside(), [])


if __name__ == "__main__":
    run_tests()
