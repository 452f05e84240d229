#!/usr/bin/env python3
"""A model whose template begins a thought for it: however long it may think, an answer comes. Against the real daemon
and a real worker.

Needs the embedded model in LARES_TEST_MODELS (or in the person's own folder), of which it makes a copy that thinks;
without it all is skipped. Run by ctest and by hand:
`LARES_BIN=build/dev/bin tests/system/thinking_test.py [-v] [Class.test]`.
"""

import pathlib
import shutil
import tempfile
import unittest

from client import Stream, ask, chat, owner, run_tests, wait_until, with_template  # noqa: I001
from house import House, default_model  # found by client

# In the way of QwQ and DeepSeek-R1: it thinks, whatever was asked for.
TEMPLATE = """\
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.role == 'assistant' and message.reasoning_content %}<think>
{{ message.reasoning_content }}
</think>

{% endif %}{{ message.content }}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt %}<|im_start|>assistant
<think>
{% endif -%}"""

END_OF_TURN = 2  # <|im_end|>


class Answer:
    """What came of one question."""

    def __init__(self, status, message, usage, finish):
        self.status, self.usage, self.finish = status, usage, finish
        self.content, self.thoughts = message.get("content") or "", message.get("reasoning_content") or ""
        self.thought = usage["completion_tokens_details"]["reasoning_tokens"]


def most(max_tokens):
    """The tokens that thoughts may have of so many: a quarter is the answer's, and that is at least 16."""
    return max_tokens - max(16, max_tokens // 4)


class Thinking(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        try:
            model = default_model()
        except SystemExit as missing:
            raise unittest.SkipTest(str(missing)) from None
        folder = pathlib.Path(tempfile.mkdtemp(prefix="lares-thinks-"))
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        thinks = with_template(model, folder / "thinks.gguf", TEMPLATE)
        cls.house = House(models=[thinks], settings="[models]\ncontext = 1024\nsequences = 2\n")
        cls.addClassCleanup(cls.house.stop)

    def body(self, **more):
        return chat("Is water wet?", **{"model": "thinks", "temperature": 0, "seed": 1, **more})

    def asked(self, **more):
        status, answer = ask(self.house.port, self.body(**more))
        self.assertEqual(status, 200, answer)
        choice = answer["choices"][0]
        return Answer(status, choice["message"], answer["usage"], choice["finish_reason"])

    def streamed(self, stop_at=None, **more):
        """With `stop_at`, the thoughts are stopped after so many letters of them."""
        stream = Stream(self.house.port, self.body(stream_options={"include_usage": True}, **more))
        thoughts, usage, finish = "", None, None
        for event in stream.events():
            usage = event.get("usage") or usage
            for choice in event.get("choices", ()):
                thoughts += choice["delta"].get("reasoning_content") or ""
                finish = choice["finish_reason"] or finish
            if stop_at is not None and len(thoughts) >= stop_at:
                stop_at = None
                status, said = ask(self.house.port, {}, f"/lares/v1/answers/{event['id']}/stop_thinking")
                self.assertEqual(status, 200, said)
        stream.close()
        self.assertIsNone(stream.error)
        return Answer(stream.status, {"content": stream.text, "reasoning_content": thoughts}, usage, finish)

    def assert_answers(self, answer, thought_max, max_tokens):
        self.assertTrue(answer.content.strip(), answer.thoughts)
        self.assertNotIn("think>", answer.content)
        self.assertNotIn("think>", answer.thoughts)
        self.assertLessEqual(answer.thought, thought_max)
        self.assertEqual(answer.thought > 0, bool(answer.thoughts))
        self.assertLessEqual(answer.usage["completion_tokens"], max_tokens)

    def test_an_answer_comes_whatever_the_budget(self):
        for budget, max_tokens in ((0, 40), (20, 60), (500, 80), (None, 60), (None, 24), (None, 12)):
            thought_max = min(most(max_tokens), 1000 if budget is None else budget)
            more = {} if budget is None else {"reasoning_budget": budget}
            for how in (self.asked, self.streamed):
                with self.subTest(budget=budget, max_tokens=max_tokens, how=how.__name__):
                    answer = how(max_tokens=max_tokens, **more)
                    self.assert_answers(answer, max(0, thought_max), max_tokens)
                    if thought_max >= 20:
                        self.assertGreater(answer.thought, 10)

    def test_a_model_that_would_end_at_once_thinks_and_answers_first(self):
        """A bias makes the end of its turn the likeliest token everywhere."""
        for temperature in (0, 1):
            for how in (self.asked, self.streamed):
                with self.subTest(temperature=temperature, how=how.__name__):
                    answer = how(max_tokens=60, reasoning_budget=20, logit_bias={str(END_OF_TURN): 100}, temperature=temperature)
                    self.assert_answers(answer, 20, 60)
                    self.assertEqual((answer.thought, answer.finish), (20, "stop"))
                    self.assertLess(answer.usage["completion_tokens"], 40, "one word is an answer")

    def test_an_answer_comes_before_the_context_ends(self):
        words = "Water is a liquid that is found in rivers, lakes and seas. " * 66
        body = self.body(reasoning_effort="high")
        body["messages"][0]["content"] = words + "Is it wet?"
        status, answer = ask(self.house.port, body)
        self.assertEqual(status, 200, answer)
        usage = answer["usage"]
        left = 1025 - usage["prompt_tokens"]
        self.assertLess(left, 300, "the prompt is long")
        choice = answer["choices"][0]
        self.assert_answers(Answer(status, choice["message"], usage, choice["finish_reason"]), most(left), left)

    def test_stop_strings_end_no_thought(self):
        answer = self.asked(max_tokens=100, reasoning_budget=30, stop=["e"])
        self.assertIn("e", answer.thoughts)
        self.assertEqual(answer.thought, 30)
        self.assertNotIn("e", answer.content)

    def test_thoughts_that_are_stopped_on_their_way_end_in_an_answer(self):
        answer = self.streamed(stop_at=20, max_tokens=400)
        self.assert_answers(answer, most(400), 400)
        self.assertLess(answer.thought, 200, "they were not stopped")
        self.assertGreaterEqual(len(answer.thoughts), 20)

    def test_the_receipt_says_how_long_it_might_think(self):
        for more, said in (({}, True), ({"reasoning_budget": 500}, True), ({"reasoning_budget": 5}, False)):
            with self.subTest(**more):
                self.asked(max_tokens=60, **more)
                lines = [line for line in owner(self.house, "GET", "/lares/v1/why")["why"] if line.startswith("thinking:")]
                self.assertEqual(len(lines), int(said), lines)
                for line in lines:
                    self.assertLessEqual(int(line.split()[3]), most(60))

    def test_a_client_that_leaves_while_it_thinks_frees_it_for_others(self):
        quiet = self.asked(max_tokens=60)
        stream = Stream(self.house.port, self.body(max_tokens=900))
        for event in stream.events():
            if event["choices"] and event["choices"][0]["delta"].get("reasoning_content"):
                break
        self.assert_answers(self.asked(max_tokens=60), most(60), 60)
        stream.close()
        wait_until(lambda: not owner(self.house, "GET", "/lares/v1/ps")[0]["requests"], "it is free")
        self.assertEqual(owner(self.house, "GET", "/lares/v1/receipts?limit=1")[0]["outcome"], "cancelled")
        again = self.asked(max_tokens=60)
        self.assertEqual((again.content, again.thoughts), (quiet.content, quiet.thoughts))


if __name__ == "__main__":
    run_tests()
