#!/usr/bin/env python3
"""OpenAI's own Python client against the real daemon: every field that Lares lists, through the client's own types.

Run twice by the tests: with fake workers, where every text is known, and with the embedded model, where only shapes
and promises are. Needs the package of tests/requirements.txt, and for the second the model; where one is missing it
says so and exits with 77, which ctest shows as skipped.

    LARES_BIN=build/dev/bin tests/real/openai_client_test.py [fake|model] [-v] [Class.test]
"""

import base64
import logging
import math
import pathlib
import struct
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
from house import House, default_model  # noqa: E402

try:
    import openai
except ImportError:
    print("skipped: the openai package is not here; tools/bootstrap tests installs it", file=sys.stderr)
    sys.exit(77)

FAKE = True
HOUSE = None
HELLO = [{"role": "user", "content": "count: 5"}]
EMBEDDER = None  # the embedding model's id, where there is one


def setUpModule():
    global HOUSE, EMBEDDER
    # the whole set-up of an app: a base URL, and any key because the package wants one
    if FAKE:
        HOUSE = House(arguments=["--engine=fake"], fake_models=("fake-0", "fake-embedder"))
    else:
        HOUSE = House(models=[default_model(), *default_model().parent.glob("*minilm*.gguf")])
    with client() as c:
        EMBEDDER = next((m.id for m in c.models.list() if "embedding" in m.capabilities), None)


def tearDownModule():
    HOUSE.stop()


def client(**more):
    return openai.OpenAI(**{"base_url": f"http://127.0.0.1:{HOUSE.port}/v1", "api_key": "anything", "max_retries": 0,
                            "timeout": 120, **more})


def chat(messages=None, **fields):
    return client().chat.completions.create(**{"model": "default", "messages": messages or HELLO, "max_tokens": 16, **fields})


def complete(prompt="count: 5", **fields):
    return client().completions.create(**{"model": "default", "prompt": prompt, "max_tokens": 16, **fields})


def text(answer, index=0):
    return answer.choices[index].message.content


class Chat(unittest.TestCase):
    def test_a_whole_answer_has_every_typed_field(self):
        answer = chat(temperature=0)
        self.assertEqual(answer.object, "chat.completion")
        self.assertRegex(answer.id, r"^chatcmpl-[0-9a-f]{16}$")
        self.assertLess(abs(answer.created - time.time()), 120)
        self.assertTrue(answer.model)
        self.assertTrue(answer.system_fingerprint.startswith("lares-"))
        self.assertEqual(answer.choices[0].message.role, "assistant")
        self.assertIn(answer.choices[0].finish_reason, ("stop", "length"))
        self.assertIsNone(answer.choices[0].logprobs)
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)
        self.assertGreater(answer.usage.prompt_tokens, 0)
        self.assertGreaterEqual(answer.usage.prompt_tokens_details.cached_tokens, 0)
        self.assertEqual(answer.usage.completion_tokens_details.reasoning_tokens, 0)
        self.assertEqual(answer.lares["place"], "local")
        self.assertEqual(answer.lares["bytes_left_device"], 0)
        self.assertGreater(answer.timings["predicted_n"], 0)
        if FAKE:
            self.assertEqual(text(answer), "1 2 3 4 5")

    def test_the_headers_name_the_receipt_and_the_place(self):
        raw = client().chat.completions.with_raw_response.create(model="default", messages=HELLO, max_tokens=2)
        self.assertEqual(raw.headers["x-lares-place"], "local")
        self.assertEqual(raw.parse().lares["id"], raw.headers["x-lares-id"])

    def test_every_role_and_text_parts(self):
        answer = chat([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
            {"role": "assistant", "content": "three"},
            {"role": "assistant", "content": None},
            {"role": "user", "content": "repeat: four"},
        ])
        self.assertTrue(text(answer))
        if FAKE:
            self.assertEqual(text(answer), "four")

    def test_max_tokens_and_max_completion_tokens(self):
        answer = chat(max_tokens=2)
        self.assertEqual((answer.usage.completion_tokens, answer.choices[0].finish_reason), (2, "length"))
        answer = client().chat.completions.create(model="default", messages=HELLO, max_completion_tokens=1)
        self.assertEqual(answer.usage.completion_tokens, 1)

    def test_samplers(self):
        answer = chat(temperature=0.7, top_p=0.9, presence_penalty=0.5, frequency_penalty=-0.5, seed=1,
                      extra_body={"top_k": 20, "min_p": 0.1, "typical_p": 0.95, "repeat_penalty": 1.05,
                                  "repeat_last_n": 32})
        self.assertGreater(answer.usage.completion_tokens, 0)

    def test_a_seed_repeats_and_another_differs(self):
        ask = [{"role": "user", "content": "random: 24"}]
        first, again, other = (text(chat(ask, seed=seed, temperature=1.5, max_tokens=24)) for seed in (11, 11, 12))
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)

    def test_temperature_nought_is_the_same_for_every_seed(self):
        self.assertEqual(text(chat(seed=1, temperature=0)), text(chat(seed=2, temperature=0)))

    def test_stop_as_a_string_and_as_a_list(self):
        whole = text(chat(temperature=0))
        middle = whole[len(whole) // 2]
        for stop in (middle, [middle, "never"]):
            answer = chat(temperature=0, stop=stop)
            self.assertEqual(text(answer), whole[:whole.index(middle)])
            self.assertEqual(answer.choices[0].finish_reason, "stop")

    def test_n_answers_differ(self):
        answer = chat([{"role": "user", "content": "random: 24"}], n=3, seed=5, temperature=1.5)
        self.assertEqual([choice.index for choice in answer.choices], [0, 1, 2])
        self.assertEqual(len({choice.message.content for choice in answer.choices}), 3)

    def test_logprobs(self):
        answer = chat(logprobs=True, top_logprobs=3, temperature=0)
        content = answer.choices[0].logprobs.content
        self.assertGreater(len(content), 0)
        self.assertEqual(b"".join(bytes(entry.bytes) for entry in content).decode(errors="replace")[:len(text(answer))],
                         text(answer))
        for entry in content:
            self.assertLessEqual(entry.logprob, 0)
            self.assertEqual(len(entry.top_logprobs), 3)
            likeliest = [candidate.logprob for candidate in entry.top_logprobs]
            self.assertEqual(likeliest, sorted(likeliest, reverse=True))
            self.assertEqual(entry.token, entry.top_logprobs[0].token)  # at temperature 0
        self.assertEqual(chat(logprobs=True, max_tokens=1).choices[0].logprobs.content[0].top_logprobs, [])

    def test_logit_bias(self):
        first = chat(logprobs=True, top_logprobs=1, temperature=0, max_tokens=1)
        self.assertEqual(first.usage.completion_tokens, 1)
        if FAKE:
            self.assertEqual(text(chat([{"role": "user", "content": "repeat: zzz"}], logit_bias={str(ord("q")): 100},
                                       temperature=0, max_tokens=2)), "qq")
        else:
            chat(logit_bias={"5": -100})

    def test_fields_that_change_nothing_are_taken(self):
        answer = chat(user="me", metadata={"a": "b"}, store=False, service_tier="auto", parallel_tool_calls=True,
                      reasoning_effort="low", tools=[], tool_choice="none", response_format={"type": "text"},
                      modalities=["text"], verbosity="low", prompt_cache_key="k", safety_identifier="s",
                      extra_body={"unheard_of": {"x": 1}, "lares": {"priority": "agent", "deadline_ms": 60_000}})
        self.assertTrue(text(answer))

    def test_a_conversation_goes_on_from_where_it_was(self):
        messages = [{"role": "user", "content": "repeat: " + "a long text " * 20}]
        first = chat(messages, temperature=0)
        messages += [{"role": "assistant", "content": text(first)}, {"role": "user", "content": "count: 3"}]
        second = chat(messages, temperature=0)
        self.assertGreater(second.usage.prompt_tokens_details.cached_tokens, first.usage.prompt_tokens // 2)


class Structured(unittest.TestCase):
    TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    CALL = [{"role": "user", "content": 'repeat: Look. <tool_call>{"name": "f", "arguments": {"a": [1]}}</tool_call>'}]

    # FAKE is known only when the arguments are read
    def setUp(self):
        if not FAKE:
            self.skipTest("with the fake engine: the embedded model's template knows no tools")

    def test_a_call_of_a_tool(self):
        choice = chat(self.CALL, tools=[self.TOOL], max_tokens=200).choices[0]
        self.assertEqual((choice.finish_reason, choice.message.content), ("tool_calls", "Look. "))
        call, = choice.message.tool_calls
        self.assertEqual((call.type, call.function.name, call.function.arguments), ("function", "f", '{"a":[1]}'))

    def test_the_same_in_pieces(self):
        name, arguments, ids = "", "", []
        for chunk in chat(self.CALL, tools=[self.TOOL], max_tokens=200, stream=True):
            for one in chunk.choices[0].delta.tool_calls or []:
                name += one.function.name or ""
                arguments += one.function.arguments or ""
                ids += [one.id] if one.id else []
        self.assertEqual((name, arguments, len(ids)), ("f", '{"a":[1]}', 1))

    def test_a_required_call_and_a_format(self):
        choice = chat(tools=[self.TOOL], tool_choice="required", max_tokens=200).choices[0]
        self.assertEqual((choice.finish_reason, choice.message.content), ("tool_calls", None))
        self.assertEqual(chat(response_format={"type": "json_object"}).choices[0].message.content, "{}")


class ChatStreams(unittest.TestCase):
    def chunks(self, messages=None, **fields):
        return list(chat(messages, stream=True, **fields))

    def test_the_order_of_chunks(self):
        chunks = self.chunks(temperature=0)
        self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
        self.assertEqual({chunk.id for chunk in chunks}, {chunks[0].id})
        self.assertEqual({chunk.created for chunk in chunks}, {chunks[0].created})
        self.assertEqual({chunk.object for chunk in chunks}, {"chat.completion.chunk"})
        self.assertTrue(all(chunk.choices for chunk in chunks), "a chunk without choices that nobody asked for")
        self.assertTrue(all(chunk.usage is None for chunk in chunks))
        reasons = [chunk.choices[0].finish_reason for chunk in chunks]
        self.assertEqual(reasons[:-1], [None] * (len(chunks) - 1))
        self.assertIn(reasons[-1], ("stop", "length"))
        self.assertIsNone(chunks[-1].choices[0].delta.content)
        self.assertEqual(chunks[-1].lares["place"], "local")

    def test_a_stream_says_what_the_whole_answer_says(self):
        chunks = self.chunks(temperature=0)
        self.assertEqual("".join(chunk.choices[0].delta.content or "" for chunk in chunks), text(chat(temperature=0)))

    def test_usage_when_it_is_asked_for(self):
        chunks = self.chunks(stream_options={"include_usage": True})
        self.assertEqual(chunks[-1].choices, [])
        self.assertGreater(chunks[-1].usage.completion_tokens, 0)
        self.assertTrue(all(chunk.usage is None for chunk in chunks[:-1]))

    def test_n_answers_by_index(self):
        chunks = self.chunks([{"role": "user", "content": "random: 12"}], n=2, seed=3, temperature=1.5)
        texts = {0: "", 1: ""}
        ends = set()
        for chunk in chunks:
            for choice in chunk.choices:
                texts[choice.index] += choice.delta.content or ""
                if choice.finish_reason:
                    ends.add(choice.index)
        self.assertEqual(ends, {0, 1})
        self.assertTrue(texts[0] and texts[1] and texts[0] != texts[1])

    def test_logprobs_in_a_stream(self):
        entries = [entry for chunk in self.chunks(logprobs=True, top_logprobs=1, max_tokens=4)
                   for entry in (chunk.choices[0].logprobs.content if chunk.choices[0].logprobs else [])]
        self.assertGreater(len(entries), 0)

    def test_the_clients_own_accumulator_takes_it(self):
        # it raises where an answer ends for its length, so one that is short
        hello = [{"role": "user", "content": "Say hello."}]
        with client().chat.completions.stream(model="default", messages=hello, max_tokens=200, temperature=0,
                                              stop=[" ", ".", "!", "\n"]) as stream:
            kinds = {event.type for event in stream}
            final = stream.get_final_completion()
        self.assertIn("content.delta", kinds)
        self.assertTrue(final.choices[0].message.content)

    def test_leaving_a_stream_ends_the_work(self):
        stream = chat([{"role": "user", "content": "count: 100000"}], stream=True, max_tokens=4096)
        next(iter(stream))
        stream.close()
        self.assertTrue(text(chat(max_tokens=1)))  # and the house is there for others

    def test_an_error_before_the_first_byte_has_its_status(self):
        with self.assertRaises(openai.NotFoundError):
            self.chunks(model="no-such-model")


class Completions(unittest.TestCase):
    def test_a_whole_answer(self):
        answer = complete(temperature=0)
        self.assertEqual(answer.object, "text_completion")
        self.assertRegex(answer.id, r"^cmpl-")
        self.assertTrue(answer.choices[0].text)
        self.assertGreater(answer.usage.completion_tokens, 0)
        if FAKE:
            self.assertEqual(answer.choices[0].text, "1 2 3 4 5")

    def test_a_stream_says_the_same(self):
        streamed = "".join(chunk.choices[0].text for chunk in complete(temperature=0, stream=True))
        self.assertEqual(streamed, complete(temperature=0).choices[0].text)

    def test_several_prompts_and_choices_in_order(self):
        answer = complete(["repeat: a", "repeat: b"], n=2, best_of=2)
        self.assertEqual([choice.index for choice in answer.choices], [0, 1, 2, 3])
        if FAKE:
            self.assertEqual([choice.text for choice in answer.choices], ["a", "a", "b", "b"])

    def test_token_ids(self):
        one = complete([10, 11, 12])
        self.assertEqual(one.usage.prompt_tokens, 3)
        self.assertEqual(len(complete([[10, 11], [12]]).choices), 2)

    def test_echo(self):
        self.assertTrue(complete("count: 2", echo=True).choices[0].text.startswith("count: 2"))

    def test_logprobs_in_their_older_shape(self):
        answer = complete(temperature=0, logprobs=2, max_tokens=4)
        logprobs = answer.choices[0].logprobs
        sizes = {len(part) for part in (logprobs.tokens, logprobs.token_logprobs, logprobs.top_logprobs,
                                        logprobs.text_offset)}
        self.assertEqual(len(sizes), 1)
        self.assertEqual(logprobs.text_offset[0], 0)
        self.assertEqual(logprobs.text_offset, sorted(logprobs.text_offset))
        for token, logprob, top in zip(logprobs.tokens, logprobs.token_logprobs, logprobs.top_logprobs):
            self.assertAlmostEqual(top[token], logprob, places=5)
            self.assertIn(len(top), (2, 3))

    def test_sixteen_tokens_when_nothing_is_said(self):
        answer = client().completions.create(model="default", prompt="count: 1000")
        self.assertEqual((answer.usage.completion_tokens, answer.choices[0].finish_reason), (16, "length"))

    def test_the_other_fields(self):
        complete(stop=["zzz"], seed=4, presence_penalty=1, frequency_penalty=1, logit_bias={"5": -100}, top_p=0.5,
                 user="me", suffix="")


class Models(unittest.TestCase):
    def test_the_list_and_one_of_it(self):
        models = list(client().models.list())
        self.assertTrue(models)
        for model in models:
            self.assertEqual(model.object, "model")
            self.assertTrue(model.id and model.owned_by)
            self.assertIsInstance(model.created, int)
            self.assertEqual(client().models.retrieve(model.id).id, model.id)

    def test_an_unknown_one(self):
        for name in ("no-such-model", "org/name:tag"):
            with self.assertRaises(openai.NotFoundError) as caught:
                client().models.retrieve(name)
            self.assertEqual(caught.exception.code, "model_not_found")


class Embeddings(unittest.TestCase):
    def setUp(self):
        if not EMBEDDER:
            self.skipTest("no embedding model here")

    def embed(self, given, **fields):
        return client().embeddings.create(model=EMBEDDER, input=given, **fields)

    def test_numbers_and_base64_are_the_same(self):
        numbers = self.embed("hello", encoding_format="float").data[0].embedding
        coded = self.embed("hello", encoding_format="base64").data[0].embedding
        unpacked = struct.unpack(f"<{len(numbers)}f", base64.b64decode(coded))
        for one, other in zip(numbers, unpacked):
            self.assertAlmostEqual(one, other, places=6)
        self.assertEqual(list(self.embed("hello").data[0].embedding), list(unpacked))  # the client's own default

    def test_order_usage_and_token_ids(self):
        answer = self.embed(["b", "a", "b"], encoding_format="float")
        self.assertEqual([entry.index for entry in answer.data], [0, 1, 2])
        first, other, again = (entry.embedding for entry in answer.data)
        self.assertGreater(math.fsum(x * y for x, y in zip(first, again)), 0.99999)
        self.assertLess(math.fsum(x * y for x, y in zip(first, other)), 0.999)
        self.assertGreater(answer.usage.prompt_tokens, 0)
        self.assertEqual(len(self.embed([[5, 6], [7]]).data), 2)

    def test_fewer_dimensions_have_length_one(self):
        vector = self.embed("hello", dimensions=8, encoding_format="float").data[0].embedding
        self.assertEqual(len(vector), 8)
        self.assertAlmostEqual(math.fsum(x * x for x in vector), 1, places=5)
        with self.assertRaises(openai.BadRequestError):
            self.embed("hello", dimensions=60_000)


class Errors(unittest.TestCase):
    def refused(self, kind, call):
        with self.assertRaises(kind) as caught:
            call()
        error = caught.exception
        self.assertTrue(error.body["message"])
        self.assertIn("param", error.body)
        self.assertTrue(error.code is None or isinstance(error.code, str))
        return error

    def test_every_number_out_of_range(self):
        for field, value in [("temperature", 2.5), ("temperature", -1), ("top_p", 7), ("presence_penalty", 3),
                             ("frequency_penalty", -3), ("max_tokens", -1), ("max_completion_tokens", 0), ("n", 1000),
                             ("n", 0), ("top_logprobs", 21), ("seed", 1.5)]:
            error = self.refused(openai.BadRequestError, lambda f=field, v=value: chat(**{f: v}))
            self.assertEqual(error.param, field)
            self.assertIn(str(value), error.body["message"])

    def test_what_is_not_done_yet_is_a_bad_request(self):
        for fields in ({"tools": [{"type": "web_search"}]}, {"modalities": ["audio"]}):
            self.assertEqual(self.refused(openai.BadRequestError, lambda f=fields: chat(**f)).code, "unsupported")

    def test_an_unknown_model(self):
        error = self.refused(openai.NotFoundError, lambda: chat(model="gpt-4o"))
        self.assertEqual((error.param, error.code), ("model", "model_not_found"))

    def test_a_prompt_beyond_the_context(self):
        error = self.refused(openai.BadRequestError, lambda: chat([{"role": "user", "content": "word " * 40_000}]))
        self.assertRegex(error.body["message"], r"\d+.*\d+")

    def test_a_chat_model_makes_no_vectors(self):
        name = next(m.id for m in client().models.list() if "completion" in m.capabilities)
        self.refused(openai.BadRequestError, lambda: client().embeddings.create(model=name, input="hi"))

    def test_a_made_up_key_is_a_plain_app_and_never_the_owner(self):
        self.assertTrue(list(client(api_key="sk-made-up").models.list()))
        with self.assertRaises(openai.PermissionDeniedError):
            client(base_url=f"http://127.0.0.1:{HOUSE.port}/lares/v1").get("/ps", cast_to=object)

    def test_a_key_that_looks_like_ours_and_is_wrong_is_refused(self):
        with self.assertRaises(openai.AuthenticationError):
            client(api_key="lares-" + "0" * 64).models.list()


class Async(unittest.IsolatedAsyncioTestCase):
    async def test_the_asynchronous_client_streams_several_at_once(self):
        import asyncio
        async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{HOUSE.port}/v1", api_key="x", max_retries=0) as c:
            async def one():
                stream = await c.chat.completions.create(model="default", messages=HELLO, stream=True, max_tokens=16,
                                                         temperature=0)
                return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
            texts = await asyncio.gather(*(one() for _ in range(8)))
        self.assertTrue(texts[0])
        if FAKE:
            self.assertEqual(set(texts), {"1 2 3 4 5"})


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word not in ("fake", "model")]
    FAKE = "model" not in sys.argv[1:]
    if not FAKE:
        try:
            default_model()
        except SystemExit as missing:
            print(f"skipped: {missing}", file=sys.stderr)
            sys.exit(77)
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # its debug mode reports every slow step
    unittest.main(argv=[sys.argv[0], *words], warnings="ignore")
