#!/usr/bin/env python3
"""Files that are no models, damaged ones, ones too large for this machine, and a real model's worker that is killed:
against the real daemon, the real `lares` and real workers with the llama engine.

NoModels needs no model. The others need the embedded one in LARES_TEST_MODELS (or in the person's own folder); without
it they are skipped. Run by ctest, a class at a time, and by hand:
`LARES_BIN=build/dev/bin tests/system/bad_model_test.py [-v] [Class.test]`.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import threading
import time
import unittest

from client import LIMIT_S, Stream, alive, ask, chat, owner, run_tests, text_of, wait_until, with_template  # noqa: I001
from house import House, default_model, programs  # found by client

GIB = 1 << 30


def header(version=3, tensors=0, keys=0):
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys)


def key(name, kind, value):
    """One key of a GGUF with its value, which is packed already."""
    return struct.pack("<Q", len(name)) + name + struct.pack("<I", kind) + value


def tensor(name, offset, size=(32,)):
    """What the head says of a tensor of numbers of four bytes each."""
    return (struct.pack("<Q", len(name)) + name + struct.pack(f"<I{len(size)}Q", len(size), *size)
            + struct.pack("<IQ", 0, offset))


def text(value):
    return struct.pack("<Q", len(value)) + value


UINT32, FLOAT32, STRING, ARRAY = 4, 6, 8, 9

# What it is, its bytes, and words that the answer must have.
NOT_GGUF = (
    ("an empty file", b"", ["an empty file"]),
    ("a ZIP archive", b"PK\x03\x04" + bytes(200), ["zip archive"]),
    ("safetensors", struct.pack("<Q", 40) + b'{"__metadata__":{"format":"pt"}}' + bytes(100),
     ["safetensors", "GGUF format"]),
    ("an HTML page", b"\n<!DOCTYPE html><html><title>404</title></html>", ["an HTML page"]),
    ("a Git LFS pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", ["Git LFS pointer"]),
    ("JSON", b'{"error": "Invalid username or password."}', ["JSON"]),
    ("a pickle", b"\x80\x02}q\x00." + bytes(50), ["pickle"]),
    ("an older model format", b"ggjt" + bytes(60), ["older than GGUF"]),
    ("a big-endian GGUF", b"FUGG" + bytes(60), ["big-endian"]),
    ("a gzip archive", b"\x1f\x8b\x08" + bytes(60), ["gzip"]),
    ("a program", b"\x7fELF\x02" + bytes(60), ["a program"]),
    ("a PDF", b"%PDF-1.7\n" + bytes(60), ["PDF"]),
    ("a picture", b"\x89PNG\r\n\x1a\n" + bytes(60), ["PNG"]),
    ("text", b"Entry not found", ["text"]),
    ("zeros", bytes(4096), ["zeros"]),
    ("noise", b"\x93\x07\xc1\xfe" * 64, ["unknown kind"]),
)
BROKEN = (
    ("four letters", b"GGUF", ["cut short"]),
    ("half a header", header()[:20], ["cut short"]),
    ("2^31 keys", header(keys=1 << 31), ["2147483648 keys", "damaged"]),
    ("2^31 keys and a megabyte", header(keys=1 << 31) + bytes(1 << 20), ["2147483648 keys", "damaged"]),
    ("2^63 keys", header(keys=1 << 63), ["9223372036854775808 keys"]),
    ("2^31 keys and one tensor", header(keys=1 << 31, tensors=1), ["2147483648 keys"]),
    ("2^31 tensors and one key", header(keys=1, tensors=1 << 31), ["2147483648 tensors"]),
    ("2^31 tensors", header(tensors=1 << 31), ["2147483648 tensors"]),
    ("version 99", header(version=99), ["version 99"]),
    ("a key of 2^60 bytes", header(keys=1) + struct.pack("<Q", 1 << 60) + bytes(100),
     ["cannot be used", "1152921504606846976 bytes"]),
    ("an array of 2^40", header(keys=1) + key(b"a.b", ARRAY, struct.pack("<IQ", STRING, 1 << 40)) + bytes(100),
     ["cannot be used", "'a.b' is an array of 1099511627776"]),
    ("a key of no known type", header(keys=1) + key(b"a.b", 99, bytes(100)), ["cannot be used", "type 99"]),
    ("no architecture", header(keys=1) + key(b"a.b", UINT32, bytes(4)) + bytes(64),
     ["cannot be used", "general.architecture"]),
    ("two tensors in the same bytes", header(tensors=2, keys=1)
     + key(b"general.architecture", STRING, struct.pack("<Q", 5) + b"llama")
     + tensor(b"a", 0) + tensor(b"b", 0) + bytes(512), ["'a' and 'b' lie in the same bytes"]),
    ("a tensor beyond the end", header(tensors=1, keys=1)
     + key(b"general.architecture", STRING, struct.pack("<Q", 5) + b"llama")
     + tensor(b"a", 1 << 20) + bytes(512), ["'a' ends at byte", "cut short"]),
    # as long as it is because what follows, the weights, begins at a multiple of 32
    ("an unknown architecture", header(keys=2) + key(b"general.architecture", STRING, struct.pack("<Q", 6) + b"enigma")
     + key(b"a", STRING, struct.pack("<Q", 5) + b"aaaaa") + bytes(64), ["cannot be used", "enigma"]),
)


class WithFiles(unittest.TestCase):
    """A folder for files, and a daemon with the real engine. It must be the same process after each test."""

    # one thread: several that wait for each other stand still for long on a machine that has other things to do
    settings = "[models]\npreload = false\nthreads = 1\n"

    @classmethod
    def models(cls):
        return ()

    @classmethod
    def setUpClass(cls):
        cls.house = House(models=cls.models(), settings=cls.settings)
        cls.addClassCleanup(cls.house.stop)
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="lares-models-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        wait_until(lambda: owner(cls.house, "GET", "/lares/v1/status")["engine"] != "being chosen",
                   "the engine is chosen")

    def tearDown(self):
        self.assertIsNone(self.house.process.poll(), self.house.log.read_text(errors="replace")[-2000:])
        self.assertEqual(owner(self.house, "GET", "/lares/v1/status")["requests"], 0)

    def file(self, name, content):
        file = self.folder / (name.lower().replace(" ", "-").replace("^", "") + ".gguf")
        file.write_bytes(content)
        return file

    def lares(self, *words):
        done = subprocess.run([programs() / "lares", *words], env=self.house.environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=LIMIT_S)
        return done.returncode, done.stdout, done.stderr

    def assert_not_added(self, file, statuses, words):
        """That `lares models add` refuses it with one of these exit statuses, these words and the file's name."""
        status, out, err = self.lares("models", "add", str(file))
        self.assertIn(status, statuses, err)
        self.assertEqual(out, "")
        for word in [*words, file.name]:
            self.assertIn(word, err)
        self.assertNotIn("asan", err.lower())
        self.assertNotIn(file.stem, [row["id"] for row in owner(self.house, "GET", "/lares/v1/models")])

    def assert_error(self, model, status, code, words):
        """That asking for it gives this; the error."""
        got, answer = ask(self.house.port, chat(model=model, max_tokens=4))
        self.assertEqual(got, status, answer)
        self.assertEqual(answer["error"]["code"], code)
        for word in [*words, model]:
            self.assertIn(word, answer["error"]["message"])
        return answer["error"]


class NoModels(WithFiles):
    def test_what_is_no_gguf_is_named(self):
        for name, content, words in NOT_GGUF:
            with self.subTest(file=name):
                self.assert_not_added(self.file(name, content), [2], words)

    def test_what_only_begins_as_one_is_refused_with_what_is_wrong(self):
        for name, content, words in BROKEN:
            with self.subTest(file=name):
                self.assert_not_added(self.file(name, content), [9], words)

    def test_what_is_no_file_is_refused(self):
        folder = self.folder / "folder.gguf"
        folder.mkdir()
        os.mkfifo(self.folder / "pipe.gguf")
        (self.folder / "to-nowhere.gguf").symlink_to("/nonexistent")
        (self.folder / "circle.gguf").symlink_to("circle.gguf")
        for name, status, word in (("folder.gguf", 2, "folder"), ("pipe.gguf", 2, "no regular file"),
                                   ("to-nowhere.gguf", 3, "a link to '/nonexistent', which leads to no file"),
                                   ("circle.gguf", 2, "round in a circle"), ("absent.gguf", 3, "no such file")):
            with self.subTest(file=name):
                self.assert_not_added(self.folder / name, [status], [word])


class InTheFolder(WithFiles):
    """The same files, laid into Lares' own folder under a model's name: found out when they are asked for."""

    @classmethod
    def models(cls):
        cls.laid = pathlib.Path(tempfile.mkdtemp(prefix="lares-laid-"))
        cls.addClassCleanup(shutil.rmtree, cls.laid, ignore_errors=True)
        files = []
        for number, (_, content, _) in enumerate((*NOT_GGUF, *BROKEN)):
            files.append(cls.laid / f"model-{number}.gguf")
            files[-1].write_bytes(content)
        return files

    def test_each_is_a_typed_error_every_time(self):
        # more often than a worker may die before its model rests: what says why it cannot load a file has not died
        for _ in range(4):
            for number, (name, _, words) in enumerate((*NOT_GGUF, *BROKEN)):
                with self.subTest(file=name):
                    status, code = (400, None) if number < len(NOT_GGUF) else (500, "corrupt")
                    self.assert_error(f"model-{number}", status, code, words)
        self.assertEqual(owner(self.house, "GET", "/lares/v1/ps"), [])
        self.assertNotIn("quarantined", json.dumps(owner(self.house, "GET", "/lares/v1/models")))


def smollm():
    try:
        return default_model()
    except SystemExit as missing:
        raise unittest.SkipTest(str(missing)) from None


class WithModel(WithFiles):
    """Besides the above, a real model that answers all the while."""

    @classmethod
    def models(cls):
        cls.good = smollm()
        cls.model = cls.good.name.lower().removesuffix(".gguf")
        return [cls.good]

    def setUp(self):
        self.assert_serves()

    def tearDown(self):
        super().tearDown()
        self.assert_serves()

    def assert_serves(self):
        status, answer = ask(self.house.port, chat("Say hello.", model=self.model, max_tokens=4, temperature=0))
        self.assertEqual(status, 200, answer)
        self.assertTrue(text_of(answer))

    def copy(self, name, size=None):
        """A copy of the good one, or of its beginning."""
        copy = self.folder / f"{name}.gguf"
        with open(self.good, "rb") as source:
            copy.write_bytes(source.read(-1 if size is None else size))
        return copy


class Damaged(WithModel):
    def test_a_file_cut_short_anywhere_is_refused(self):
        whole = self.good.stat().st_size
        for size in (30, 1_000, 100_000, 1_000_000, 1_750_000, 2_000_000, 10_000_000, whole // 2, whole - 1):
            with self.subTest(size=size):
                self.assert_not_added(self.copy("cut", size), [9], ["fetch it again"])

    def test_one_that_was_cut_short_after_it_was_added_is_refused(self):
        copy = self.copy("was-whole")
        self.assertEqual(self.lares("models", "add", str(copy))[0], 0)
        os.truncate(copy, copy.stat().st_size // 2)
        for _ in range(4):
            self.assert_error("was-whole", 500, "corrupt", ["ends at byte", f"the file has {copy.stat().st_size} bytes", "cut short"])
        os.truncate(copy, 0)
        self.assert_error("was-whole", 400, None, ["an empty file"])
        copy.write_bytes(b"<html>")
        self.assert_error("was-whole", 400, None, ["an HTML page"])
        copy.unlink()
        self.assert_error("was-whole", 404, "not_found", ["No such file"])
        self.assertEqual(self.lares("models", "rm", "was-whole")[0], 0)

    def with_template(self, name, text):
        """A copy of the good one with another chat template."""
        return with_template(self.good, self.folder / f"{name}.gguf", text)

    def test_a_chat_template_that_does_not_end_costs_its_request_an_error(self):
        endless = "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}"
        copy = self.with_template("endless", endless)
        self.assert_not_added(copy, [8], ["stood still"])
        copy = self.with_template("endless-when-told", "{{ messages[-1].content }}{% if messages[-1].content == 'Go on' %}" + endless + "{% endif %}")
        self.assertEqual(self.lares("models", "add", str(copy))[0], 0)
        self.assertEqual(ask(self.house.port, chat("Hello", model="endless-when-told", max_tokens=4))[0], 200)
        status, answer = ask(self.house.port, chat("Go on", model="endless-when-told", max_tokens=4))
        self.assertEqual((status, answer["error"]["code"]), (504, "timeout"), answer)
        self.assertIn("stood still", answer["error"]["message"])
        self.assertNotIn("disk", answer["error"]["message"])
        self.assertEqual(self.lares("models", "rm", "endless-when-told")[0], 0)

    def test_a_chat_template_that_is_none_is_said_to_be(self):
        copy = self.with_template("no-template", "{% for m in messages %}{{ m.content }")
        self.assertEqual(self.lares("models", "add", str(copy))[0], 0)
        status, answer = ask(self.house.port, chat("Hello", model="no-template", max_tokens=4))
        self.assertEqual((status, answer["error"]["code"]), (400, "unsupported"), answer)
        self.assertIn("chat template cannot be used: it is not valid Jinja", answer["error"]["message"])
        self.assertEqual(self.lares("models", "rm", "no-template")[0], 0)

    def test_prompts_of_no_and_of_ten_million_characters(self):
        port, model = self.house.port, self.model
        status, answer = ask(port, chat("", model=model, max_tokens=4))
        self.assertEqual(status, 200, answer)
        status, answer = ask(port, {"model": model, "prompt": "", "max_tokens": 4}, "/v1/completions")
        self.assertEqual((status, answer["error"]["param"]), (400, "prompt"))
        self.assertEqual(ask(port, chat("x" * 10_000_000, model=model))[0], 413)
        for body, path in ((chat("word " * 1_600_000, model=model), "/v1/chat/completions"),
                           ({"model": model, "prompt": "x" * 8_300_000}, "/v1/completions")):
            with self.subTest(path=path):
                status, answer = ask(port, body, path)
                self.assertEqual(status, 400, answer)
                self.assertRegex(answer["error"]["message"], r"has at least \d+,\d{3} tokens.* context is 8,192")


class Refused(WithModel):
    """Requests that would end a worker, keep it busy for ever or make no sense: each is refused by its field, while
    another's answer of the same model goes on to its right end."""

    BYSTANDER = " ".join(str(i) for i in range(1, 150))

    def setUp(self):
        super().setUp()
        self.other = "another-models-adapter"
        adapter = self.file(self.other, header(tensors=2, keys=4)
                            + key(b"general.type", STRING, text(b"adapter"))
                            + key(b"general.architecture", STRING, text(b"gemma3"))
                            + key(b"adapter.type", STRING, text(b"lora"))
                            + key(b"adapter.lora.alpha", FLOAT32, struct.pack("<f", 2))
                            + tensor(b"blk.0.attn_q.weight.lora_a", 0, (8, 4))
                            + tensor(b"blk.0.attn_q.weight.lora_b", 128, (4, 8)) + bytes(512))
        status, _, err = self.lares("models", "add", str(adapter))
        self.assertEqual(status, 0, err)
        self.addCleanup(self.lares, "models", "rm", self.other)
        self.bystander = None

    def bystanding(self):
        """An answer whose text is known, which has begun and not ended."""
        if not self.bystander:
            self.bystander = Stream(self.house.port, {
                "model": self.model, "max_tokens": 2000, **chat("Count."),
                "grammar": f'root ::= "{self.BYSTANDER}"'}).until_text()
            self.reading = threading.Thread(target=self.bystander.rest, daemon=True)
            self.reading.start()
        return self.reading.is_alive()

    def assert_right_end(self):
        self.reading.join(LIMIT_S)
        self.assertEqual((self.bystander.text, self.bystander.error, self.bystander.done), (self.BYSTANDER, None, True))
        self.bystander = None

    def structures(self):
        """(what it is, fields of a request, the field that is named, words that say what is wrong or what to do)."""
        tangled = "root ::= a0\n" + "".join(f"a{i} ::= a{i + 1} | a{i + 1}\n" for i in range(40)) + 'a40 ::= "x"\n'

        def json_schema(schema):
            return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}
        yield ("a pattern of 60,000 parentheses", json_schema({"type": "string", "pattern": "(" * 60_000}),
               "response_format", ("bytes", "at most"))
        yield "a schema 3,000 deep", json_schema("DEEP"), "response_format", ("64 levels", "flatter")
        for regex, words in (("(a|a)*b", ("too many ways", "write it so")), ("((a{0,1000}){0,1000}){0,1000}", ("too tangled",)),
                             ("((.)*){1,500}", ("too tangled",))):
            yield f"the regex {regex}", {"structured_outputs": {"regex": regex}}, "structured_outputs.regex", words
        yield "a grammar that is never met", {"grammar": 'root ::= "a" root'}, "grammar", ("can never be met",)
        yield "a tangled grammar", {"grammar": tangled}, "grammar", ("too tangled",)
        yield ("another model's adapter", {"lora": [{"id": self.other}]}, "lora",
               ("'gemma3'", "name the model that it was made for"))
        yield "a budget of -2", {"reasoning_budget": -2}, "reasoning_budget", ("-2", "from 0")
        yield ("a budget larger than the context", {"reasoning_budget": 1_000_000}, "reasoning_budget",
               ("1,000,000", "8,192", "ask for less"))

    def test_each_names_its_field_while_another_is_answered(self):
        deep = '{"items": ' * 3_000 + "{}" + "}" * 3_000
        for what, more, field, words in self.structures():
            with self.subTest(what=what):
                if not self.bystanding():
                    self.assert_right_end()
                    self.bystanding()
                body = json.dumps(chat("Hi", model=self.model, **more)).replace('"DEEP"', deep)
                status, answer = ask(self.house.port, body)
                self.assertEqual(status, 400, f"{answer!r:.400}")
                error = answer["error"]
                self.assertIn(field, (error["param"], *re.findall('"([a-z_]+)"', error["message"])))
                for word in words:
                    self.assertIn(word, error["message"])
        self.assert_right_end()


class TooLarge(WithModel):
    def sparse(self, name):
        """The good model's beginning, and behind it nothing for as long as the disk's format allows."""
        file = self.copy(name, 4_000_000)
        for size in (1 << 40, 256 * GIB, 64 * GIB):
            try:
                os.truncate(file, size)
                break
            except OSError:
                continue
        if file.stat().st_size * 2 < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
            self.skipTest("a file larger than this machine's memory is not to be had here")
        return file

    def test_a_model_larger_than_memory_is_refused_with_the_numbers(self):
        self.assertEqual(self.lares("models", "add", str(self.sparse("huge")))[0], 0)
        status, answer = ask(self.house.port, chat(model="huge"))
        error = answer["error"]
        self.assertEqual((status, error["code"], error["type"]), (507, "no_room", "insufficient_memory"))
        self.assertRegex(error["message"],
                         r"needs [\d.]+ GiB, but memory.budget allows [\d.]+ \w+ of this machine's [\d.]+ \w+; ")
        self.assertIn("smaller", error["message"])
        status, out, err = self.lares("-m", "huge", "hi")
        self.assertEqual((status, out), (5, ""))
        self.assertIn("memory.budget", err)

    def test_a_header_that_claims_more_than_there_can_be_is_refused(self):
        for field, value in ((b"llama.block_count", (1 << 32) - 1), (b"llama.embedding_length", (1 << 32) - 1),
                             (b"llama.block_count", 1_000_000)):
            with self.subTest(field=field, value=value):
                content = bytearray(self.good.read_bytes())
                at = content.index(struct.pack("<Q", len(field)) + field) + 8 + len(field)
                self.assertEqual(struct.unpack_from("<I", content, at)[0], UINT32)
                struct.pack_into("<I", content, at + 4, value)
                file = self.file("claims", content)
                status, _, err = self.lares("models", "add", str(file))
                if status == 0:
                    status, answer = ask(self.house.port, chat(model="claims"))
                    self.assertIn((status, answer["error"]["code"]), ((507, "no_room"), (500, "corrupt")))
                    self.assertEqual(self.lares("models", "rm", "claims")[0], 0)
                else:
                    self.assertEqual(status, 9, err)


class SmallBudget(WithFiles):
    """A budget below what the model needs: nothing is loaded, everything else goes on."""

    settings = '[models]\npreload = true\n[memory]\nbudget = "100 MiB"\n'

    @classmethod
    def models(cls):
        cls.good = smollm()
        return [cls.good]

    def test_it_is_refused_with_the_numbers(self):
        model = self.good.name.lower().removesuffix(".gguf")
        for _ in range(3):
            self.assert_error(model, 507, "no_room", ["100 MiB", "raise memory.budget"])
        self.assertEqual(owner(self.house, "GET", "/lares/v1/ps"), [])
        self.assertEqual(owner(self.house, "GET", "/lares/v1/status")["memory_bytes"], 0)


class Killed(WithModel):
    """A real model's worker and the signals that real trouble brings. Every signal is tried on fake workers, in
    bad_input_test.py (Deaths...); here each phase is the engine's own. A model each, as one whose worker dies often
    rests.
    """

    SIGNALS = (signal.SIGKILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGSTOP)

    def killed(self, phase, goes_on=True):
        for number in self.SIGNALS:
            name = f"{phase.__name__.replace('_', '-')}-{number}"
            copy = self.folder / f"{name}.gguf"
            copy.symlink_to(self.good)
            self.assertEqual(self.lares("models", "add", str(copy), "--name", name)[0], 0)
            with self.subTest(signal=number):
                stream, pid = phase(name)
                os.kill(pid, number)
                sent = time.monotonic()
                if goes_on:
                    answer = stream().rest()
                    self.assertEqual((answer.error, answer.done), (None, True))
                else:
                    error = self.error_of(stream())
                    self.assertIn(error["code"], ("timeout",) if number == signal.SIGSTOP else ("worker_died",))
                    # two seconds are promised, to a machine that is free
                    self.assertLess(time.monotonic() - sent, 20)
                self.assertFalse(alive(pid))
                status, answer = ask(self.house.port, chat("Say hello.", model=name, max_tokens=4))
                self.assertEqual(status, 200, answer)
            self.assertEqual(self.lares("models", "rm", name)[0], 0)

    def error_of(self, stream):
        if stream.status == 200:
            return stream.rest().error
        return json.loads(stream.response.read())["error"]

    def pid(self, model, *states):
        def there():
            rows = [row for row in owner(self.house, "GET", "/lares/v1/ps") if row["model"] == model]
            return rows and rows[0]["state"] in states and rows[0]["pid"]
        return wait_until(there, f"{model} is {' or '.join(states)}")

    def test_in_load(self):
        def in_load(model):
            asked = []
            thread = threading.Thread(target=lambda: asked.append(Stream(self.house.port, chat("Hi", model=model))))
            thread.start()
            pid = self.pid(model, "loading", "ready")
            return lambda: (thread.join(LIMIT_S), asked[0])[1], pid
        self.killed(in_load, goes_on=False)

    def test_in_the_prompt(self):
        def in_prompt(model):
            stream = Stream(self.house.port, chat("one two three four " * 400, model=model, max_tokens=4))
            self.assertEqual(stream.status, 200)
            return lambda: stream, self.pid(model, "ready")
        self.killed(in_prompt)

    def test_in_mid_answer(self):
        def in_answer(model):
            body = chat("Count to a thousand.", model=model, max_tokens=300, ignore_eos=True)
            stream = Stream(self.house.port, body).until_text()
            return lambda: stream, self.pid(model, "ready")
        self.killed(in_answer)


if __name__ == "__main__":
    run_tests()
