"""Clients of a laresd, polite and rude ones, for the tests of whole programs. Standard library only."""

import http.client
import json
import pathlib
import socket
import struct
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
from house import House, alive  # noqa: E402,F401

LIMIT_S = 120  # for what takes milliseconds: a loaded machine, a build with sanitizers
FAKE = ["--engine=fake"]


def exchange(connection, method, path, body, headers):
    """(status, parsed body or bytes), and the connection closed."""
    data = body if isinstance(body, (bytes, str, type(None))) else json.dumps(body)
    try:
        connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
    except (BrokenPipeError, ConnectionResetError):
        pass  # refused before it was all sent: the answer may be there to read
    try:
        r = connection.getresponse()
        text = r.read()
    finally:
        connection.close()
    try:
        return r.status, json.loads(text)
    except ValueError:
        return r.status, text


def ask(port, body, path="/v1/chat/completions", headers=None, method="POST", timeout=LIMIT_S):
    """As any program does, over loopback."""
    return exchange(http.client.HTTPConnection("127.0.0.1", port, timeout=timeout), method, path, body, headers)


def owner(house, method, path, body=None):
    """As the person does, over the Unix socket; the parsed body of a 200."""
    connection = http.client.HTTPConnection("localhost", timeout=LIMIT_S)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(LIMIT_S)
    connection.sock.connect(str(house.home / "run" / "api.sock"))
    status, answer = exchange(connection, method, path, body, None)
    if status != 200:
        raise AssertionError(f"{method} {path}: {status} {answer!r:.300}")
    return answer["data"] if isinstance(answer, dict) and "data" in answer else answer


def chat(content="hi", **more):
    return {"messages": [{"role": "user", "content": content}], **more}


def with_template(model, copy, template):
    """Writes a copy of a model's file with another chat template; what is asked of the copy is its path."""
    content = pathlib.Path(model).read_bytes()
    key = b"tokenizer.chat_template"
    at = content.index(key) + len(key) + 4
    (length,) = struct.unpack_from("<Q", content, at)
    text = template.encode()
    # the weights begin at a multiple of 32, and a comment says nothing
    text += b"{#" + b" " * ((length - len(text) - 4) % 32) + b"#}"
    copy.write_bytes(content[:at] + struct.pack("<Q", len(text)) + text + content[at + 8 + length:])
    return copy


def text_of(answer):
    choice = answer["choices"][0]
    return choice["message"]["content"] if "message" in choice else choice["text"]


def raw(port, data, wait_s=20.0):
    """Everything the server answers to these bytes before it closes or `wait_s` is over."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait_s) as s:
        got = b""
        try:
            s.sendall(data)
            while piece := s.recv(65536):
                got += piece
        except OSError:
            pass
        return got


class Stream:
    """One streamed answer, read piece by piece. It is there once the answer's head is."""

    def __init__(self, port, body, path="/v1/chat/completions"):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
        self.connection.request("POST", path, json.dumps({"stream": True, **body}),
                                {"Content-Type": "application/json"})
        self.response = self.connection.getresponse()
        self.status = self.response.status
        self.text = ""
        self.error = None
        self.done = False

    def events(self):
        """Each event; the text, the error and the end are kept besides."""
        for line in self.response:
            if line.startswith(b"data: [DONE]"):
                self.done = True
            elif line.startswith(b"data: "):
                event = json.loads(line[6:])
                self.error = event.get("error", self.error)
                for choice in event.get("choices", ()):
                    self.text += choice["delta"].get("content") or ""
                yield event

    def until_text(self):
        """Reads until the first letters of the answer are there."""
        for _ in self.events():
            if self.text or self.error:
                break
        return self

    def rest(self):
        """Reads to the end; a connection that broke is an end too, without `done`."""
        try:
            for _ in self.events():
                pass
        except (OSError, http.client.HTTPException):
            pass
        self.close()
        return self

    def close(self):
        self.response.close()
        self.connection.close()


def wait_until(true, what, limit_s=LIMIT_S):
    """Until true() is, whose value comes back; else an AssertionError that names `what`."""
    until = time.monotonic() + limit_s
    while not (value := true()):
        if time.monotonic() > until:
            raise AssertionError(f"not within {limit_s} s: {what}")
        time.sleep(0.01)
    return value


class WithHouse(unittest.TestCase):
    """A laresd for all tests of the class. After each it must still be the same process, and serve."""

    arguments = FAKE
    settings = ""

    @classmethod
    def setUpClass(cls):
        cls.house = House(arguments=cls.arguments, settings=cls.settings)
        cls.port = cls.house.port

    @classmethod
    def tearDownClass(cls):
        cls.house.stop()

    def tearDown(self):
        self.assertIsNone(self.house.process.poll(), self.house.log.read_text(errors="replace")[-2000:])
        self.assert_serves()

    def assert_serves(self):
        status, answer = ask(self.port, chat(max_tokens=4))
        self.assertEqual(status, 200, answer)

    def assert_refused(self, body, *words, status=400, **how):
        """That it is refused with this status and a message that has these words; the error."""
        got, answer = ask(self.port, body, **how)
        self.assertEqual(got, status, f"{answer!r:.500}")
        for word in words:
            self.assertIn(word, answer["error"]["message"])
        return answer["error"]


class Counted(unittest.TextTestResult):
    passed = 0

    def addSuccess(self, test):  # noqa: N802: unittest's name
        super().addSuccess(test)
        self.passed += 1


def run_tests():
    """unittest's main, with what was skipped named; the exit status is 77, ctest's "skipped", when all was."""
    unittest.TextTestRunner.resultclass = Counted
    done = unittest.main(module="__main__", exit=False, warnings="ignore").result
    for test, why in done.skipped:
        print(f"skipped: {test.id().removeprefix('__main__.')}: {why}", file=sys.stderr)
    if not done.wasSuccessful():
        sys.exit(1)
    sys.exit(77 if done.skipped and not done.passed else 0)
