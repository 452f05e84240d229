#!/usr/bin/env python3
"""The embedder through the API, against the reference's own vectors of 208 texts (tests/real/embedding_texts.jsonl,
made by tools/reference-embeddings.py): many scripts, code, marks, nothing at all, and texts that are too long.

Needs all-minilm-l6-v2.gguf and the embedded chat model in LARES_TEST_MODELS; without them it says so and exits with 77,
which ctest shows as skipped. Standard library only.

    LARES_BIN=build/dev/bin LARES_TEST_MODELS=FOLDER tests/real/embeddings_test.py [-v]
"""

import base64
import http.client
import json
import math
import os
import pathlib
import struct
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tools"))
from house import House, default_model  # noqa: E402

COSINE_MIN = 0.999
TOKENS_MAX = 256
BATCH = 16
MODEL = "all-minilm-l6-v2"

FOLDER = pathlib.Path(os.environ.get("LARES_TEST_MODELS") or "nowhere")
EMBEDDER = FOLDER / f"{MODEL}.gguf"
if not EMBEDDER.exists():
    print(f"skipped: {EMBEDDER} is not here; tools/bootstrap test-models makes it", file=sys.stderr)
    sys.exit(77)

ROWS = [json.loads(line) for line in (HERE / "embedding_texts.jsonl").read_text(encoding="utf-8").splitlines()]
WHOLE = [row for row in ROWS if row["whole"]]
CUT = [row for row in ROWS if not row["whole"]]
HOUSE = None


def setUpModule():
    global HOUSE
    HOUSE = House(models=[EMBEDDER, default_model()])


def tearDownModule():
    HOUSE.stop()


def embed(inputs, **more):
    connection = http.client.HTTPConnection("127.0.0.1", HOUSE.port, timeout=120)
    connection.request("POST", "/v1/embeddings", json.dumps({"model": MODEL, "input": inputs, **more}),
                       {"Content-Type": "application/json"})
    reply = connection.getresponse()
    answer = reply.status, json.loads(reply.read())
    connection.close()
    return answer


def vectors(reply):
    return [item["embedding"] for item in sorted(reply["data"], key=lambda item: item["index"])]


def reference(row):
    return struct.unpack("<384e", base64.b64decode(row["vector"]))


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


class Embeddings(unittest.TestCase):
    def test_every_text_has_the_references_direction_and_count_of_tokens(self):
        self.assertGreaterEqual(len(WHOLE), 200)
        lowest = 1.0
        for at in range(0, len(WHOLE), BATCH):
            rows = [row for row in WHOLE[at:at + BATCH] if row["text"]]
            status, reply = embed([row["text"] for row in rows])
            self.assertEqual(status, 200, reply)
            self.assertEqual(reply["usage"]["prompt_tokens"], sum(row["pieces"] for row in rows))
            for row, vector in zip(rows, vectors(reply)):
                self.assertAlmostEqual(sum(x * x for x in vector), 1, places=4)
                with self.subTest(text=row["text"][:60]):
                    found = cosine(vector, reference(row))
                    self.assertGreaterEqual(found, COSINE_MIN)
                    lowest = min(lowest, found)
        print(f"lowest cosine of {len(WHOLE)} texts: {lowest:.7f}", file=sys.stderr)

    def test_a_text_alone_and_in_a_batch_have_the_same_direction(self):
        rows = [row for row in WHOLE if row["text"].strip()][:8]
        together = vectors(embed([row["text"] for row in rows])[1])
        for row, vector in zip(rows, together):
            self.assertGreater(cosine(vectors(embed(row["text"])[1])[0], vector), 0.9999)

    def test_base64_carries_the_same_numbers(self):
        text = WHOLE[0]["text"]
        plain = vectors(embed(text)[1])[0]
        packed = vectors(embed(text, encoding_format="base64")[1])[0]
        for a, b in zip(plain, struct.unpack("<384f", base64.b64decode(packed))):
            self.assertAlmostEqual(a, b, places=6)

    def test_a_text_that_is_too_long_is_refused_with_both_numbers(self):
        self.assertGreaterEqual(len(CUT), 5)
        for row in CUT:
            status, reply = embed(row["text"])
            self.assertEqual(status, 400, row["text"][:60])
            message = reply["error"]["message"].replace(",", "")
            self.assertIn(str(row["pieces"]), message)
            self.assertIn(str(TOKENS_MAX), message)

    def test_a_chat_model_is_refused(self):
        status, reply = embed("hello", model=default_model().name.lower().removesuffix(".gguf"))
        self.assertEqual(status, 400, reply)
        self.assertIn("embedding", reply["error"]["message"])


if __name__ == "__main__":
    unittest.main()
