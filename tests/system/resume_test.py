#!/usr/bin/env python3
"""Answers whose worker is killed go on where they were: against the real daemon and real workers.

WithFake needs no model. WithModel needs the embedded one in LARES_TEST_MODELS (or in the person's own folder); without
it they are skipped. Run by ctest, a class at a time, and by hand:
`LARES_BIN=build/dev/bin tests/system/resume_test.py [-v] [Class.test]`.
"""

import os
import signal
import threading
import unittest

from client import FAKE, LIMIT_S, Stream, alive, ask, chat, owner, run_tests, text_of, wait_until  # noqa: I001
from house import House, default_model  # found by client

WENT_ON = "worker: it died, and the answer goes on with the next one"


class Read(threading.Thread):
    """A stream that is read on a thread; its pieces, and its last event that had figures."""

    def __init__(self, port, body):
        super().__init__(daemon=True)
        self.stream = Stream(port, {"stream_options": {"include_usage": True}, **body})
        self.pieces, self.thoughts, self.calls, self.usage, self.finish = [], "", [], None, None
        self.start()

    def run(self):
        for event in self.stream.events():
            self.usage = event.get("usage") or self.usage
            for choice in event.get("choices", ()):
                self.finish = choice["finish_reason"] or self.finish
                delta = choice["delta"]
                if delta.get("content"):
                    self.pieces.append(delta["content"])
                self.thoughts += delta.get("reasoning_content") or ""
                for call in delta.get("tool_calls", ()):
                    while len(self.calls) <= call["index"]:
                        self.calls.append({"name": "", "arguments": ""})
                    for key in ("name", "arguments"):
                        self.calls[call["index"]][key] += call["function"].get(key) or ""

    def whole(self):
        """All that came, but for when."""
        self.join(LIMIT_S)
        self.stream.close()
        if self.stream.error or not self.stream.done:
            raise AssertionError(self.stream.error or "the stream broke off")
        usage = {name: self.usage[name] for name in ("prompt_tokens", "completion_tokens")}
        return "".join(self.pieces), self.thoughts, self.calls, self.finish, usage


class Killing:
    def pid(self):
        rows = owner(self.house, "GET", "/lares/v1/ps")
        return rows[0]["pid"] if rows and rows[0]["state"] == "ready" else 0

    def kill(self):
        """Ends the worker that computes; the pid that it had."""
        pid = wait_until(self.pid, "a worker is ready")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not alive(pid), "it has ended")
        return pid

    def why(self):
        return owner(self.house, "GET", "/lares/v1/why")["why"]

    def times_it_went_on(self):
        return sum(line.startswith(WENT_ON) for line in self.why())

    def quiet(self, body):
        """The same without a death, streamed: what it comes to."""
        return Read(self.house.port, body).whole()

    def killed_after(self, body, *letters):
        """The same with a death as soon as so many letters came, each time."""
        read = Read(self.house.port, body)
        for count in letters:
            wait_until(lambda: sum(map(len, read.pieces)) + len(read.thoughts) >= count or not read.is_alive(),
                       f"{count} letters")
            self.assertTrue(read.is_alive(), "it was over before it was killed")
            self.kill()
        whole = read.whole()
        self.assertEqual(self.times_it_went_on(), len(letters), self.why())
        return whole


def unsaid(text):
    """What asks for this text without saying it: what stands in a prompt would be drafted, many letters a step."""
    return "bytes: " + text.encode().hex()


class WithFake(Killing, unittest.TestCase):
    """An engine of which every answer is known, letter by letter: 40 tokens a second."""

    def setUp(self):  # each its own: a model whose workers die too often is not started again
        self.house = House(arguments=[*FAKE, "--fake=tokens-per-s=40"])
        self.addCleanup(self.house.stop)

    def test_forty_tokens_killed_anywhere(self):
        said = "forty letters, one by one, \u20ac \u00e9 \U0001f600 ok"
        body = chat(unsaid(said), stop=["okay", "two"])
        quiet = self.quiet(body)
        self.assertEqual(quiet[0], said)
        for letters in (1, 9, 20, 31):
            with self.subTest(letters=letters):
                self.assertEqual(self.killed_after(body, letters), quiet)

    def test_twice_is_not_too_often(self):
        body = chat("random: 80", temperature=1, seed=5)
        self.assertEqual(self.killed_after(body, 10, 40), self.quiet(body))

    def test_what_was_left_to_chance_stays_what_it_was(self):
        letters = self.killed_after(chat("random: 60", temperature=1), 30)[0]
        self.assertEqual(len(letters), 60)

    def test_thoughts_and_calls(self):
        tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
        said = '<think>what may it be, hm</think>It is <tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>'
        body = chat(unsaid(said), tools=tools)
        body["messages"].insert(0, {"role": "system", "content": "<think> first, then <tool_call>"})
        quiet = self.quiet(body)
        self.assertEqual(quiet[1:4], ("what may it be, hm", [{"name": "f", "arguments": '{"a":1}'}], "tool_calls"))
        for letters in (3, 20):
            self.assertEqual(self.killed_after(body, letters), quiet)

    def test_several_answers_and_one_that_is_not_streamed(self):
        body = chat("random: 50", temperature=1, seed=9, n=3)
        status, quiet = ask(self.house.port, body)
        self.assertEqual(status, 200, quiet)
        answers = []
        asked = threading.Thread(target=lambda: answers.append(ask(self.house.port, body)))
        asked.start()
        wait_until(lambda: (rows := owner(self.house, "GET", "/lares/v1/ps")) and rows[0]["requests"] == 3, "it began")
        self.kill()
        asked.join(LIMIT_S)
        status, answer = answers[0]
        self.assertEqual(status, 200, answer)
        self.assertEqual(answer["choices"], quiet["choices"])
        self.assertEqual(answer["usage"]["completion_tokens"], quiet["usage"]["completion_tokens"])
        self.assertTrue(any(line.startswith("worker: it died") for line in self.why()), self.why())

    def test_two_at_once_each_go_on(self):
        reads = [Read(self.house.port, chat(f"count: {n}")) for n in (70, 90)]
        wait_until(lambda: all(len(read.pieces) > 20 for read in reads), "both have begun")
        self.kill()
        for n, read in zip((70, 90), reads):
            text, _, _, _, usage = read.whole()
            self.assertEqual([int(word) for word in text.split()], list(range(1, n + 1)))
            self.assertEqual(usage, self.quiet(chat(f"count: {n}"))[4])

    def test_a_kept_conversation_has_the_whole_answer(self):
        status, made = ask(self.house.port, {}, path="/lares/v1/conversations")
        self.assertEqual(status, 200, made)
        body = chat(unsaid("this is kept as if nothing had been"), lares={"conversation": made["id"]})
        text = self.killed_after(body, 12)[0]
        self.assertEqual(text, "this is kept as if nothing had been")
        _, kept = ask(self.house.port, None, path=f"/lares/v1/conversations/{made['id']}", method="GET")
        self.assertEqual(kept["messages"][-1]["content"], text)


class DiesOfIt(Killing, unittest.TestCase):
    """Workers that die of what they are asked."""

    def house_of(self, *options):
        self.house = House(arguments=[*FAKE, *options])
        self.addCleanup(self.house.stop)

    def test_a_request_is_not_tried_for_ever(self):
        self.house_of("--fake=crime=abort")
        status, answer = ask(self.house.port, chat("repeat: x"))
        self.assertEqual((status, answer["error"]["code"]), (502, "worker_died"), answer)
        self.assertIn("3 of its workers died one after another while they computed this request",
                      answer["error"]["message"])

    def test_each_worker_goes_further(self):
        self.house_of("--fake=die-after=16")
        text, _, _, _, usage = self.quiet(chat("count: 25"))
        self.assertEqual(text, " ".join(str(i) for i in range(1, 26)))
        self.assertEqual(self.times_it_went_on(), 2, self.why())
        self.assertGreater(usage["completion_tokens"], 30)

    def test_one_that_stands_still_is_one_that_died(self):
        self.house_of("--fake=crime=hang", "--fake=crime-at=token:20")
        self.assertEqual(self.quiet(chat(unsaid("thirty letters, not many more")))[0],
                         "thirty letters, not many more")
        self.assertEqual(self.times_it_went_on(), 1, self.why())


class WithModel(Killing, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        try:
            model = default_model()
        except SystemExit as missing:
            raise unittest.SkipTest(str(missing)) from None
        # with as many threads all the time: the sums of long answers go by their number
        cls.house = House(models=[model], settings="[compute]\nbeside_others = false\n")
        cls.addClassCleanup(cls.house.stop)

    def bodies(self):
        yield "seeded", chat("Tell me of the sea.", seed=7, temperature=0.9, max_tokens=300, ignore_eos=True)
        # with a seed, so that its prompt is computed the same way whatever is in memory
        yield "greedy", chat("Tell me of the sea.", seed=1, temperature=0, max_tokens=300, ignore_eos=True)

    def test_streamed(self):
        for name, body in self.bodies():
            with self.subTest(name):
                quiet = self.quiet(body)
                self.assertEqual(quiet[4]["completion_tokens"], 300)
                self.assertEqual(self.killed_after(body, 200), quiet)

    def test_not_streamed(self):
        for name, body in self.bodies():
            with self.subTest(name):
                status, quiet = ask(self.house.port, body)
                self.assertEqual(status, 200, quiet)
                answers = []
                asked = threading.Thread(target=lambda body=body: answers.append(ask(self.house.port, body)))
                asked.start()
                wait_until(lambda: (rows := owner(self.house, "GET", "/lares/v1/ps")) and rows[0]["requests"]
                           and rows[0]["tokens_per_s"] > 0, "it answers")
                self.kill()
                asked.join(LIMIT_S)
                status, answer = answers[0]
                self.assertEqual(status, 200, answer)
                self.assertEqual(text_of(answer), text_of(quiet))
                self.assertEqual(answer["usage"]["completion_tokens"], quiet["usage"]["completion_tokens"])

    def test_two_at_once_miss_nothing(self):
        """Of what is computed together the last bits differ from run to run; what was sent does not change."""
        asked = [chat(f"Tell me of the {what}.", seed=3, max_tokens=300, ignore_eos=True) for what in ("sea", "moon")]
        reads = [Read(self.house.port, body) for body in asked]
        wait_until(lambda: all(len(read.pieces) > 40 for read in reads), "both have begun")
        before = ["".join(read.pieces) for read in reads]
        self.kill()
        for read, began in zip(reads, before):
            text, _, _, finish, usage = read.whole()
            self.assertTrue(text.startswith(began))
            self.assertEqual((finish, usage["completion_tokens"]), ("length", 300))


if __name__ == "__main__":
    run_tests()
