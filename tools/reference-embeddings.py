#!/usr/bin/env python3
"""Makes or checks tests/real/embedding_texts.jsonl: texts and the vectors that the model's reference has for them.

The reference is the model as its authors run it: the real WordPiece tokenizer (Python package `tokenizers`, from
the package's own tokenizer.json), the encoder's equations in double precision over the F32 weights, the mean over
all tokens, length 1. It shares no code with the engine, so that a mistake of one is not a mistake of both.
Needs the Python packages `tokenizers` and `numpy`, which nothing else here needs; make a throw-away environment.

    tools/reference-embeddings.py PACKAGE_FOLDER                    fills the vectors of all texts in the file
    tools/reference-embeddings.py PACKAGE_FOLDER --compare VECTORS  float32 vectors of all texts, end to end

A line is {"text", "pieces", "whole", "vector"}: `pieces` counts tokens with [CLS] and [SEP]; `whole` is false where the
text was cut to the model's 256; `vector` is base64 of 384 little-endian F16 numbers. Rounding to F16 moves a vector by
a cosine of less than 1e-6 (printed when the file is made).
"""

import argparse
import base64
import json
import math
import pathlib
import struct
import sys

import numpy
from tokenizers import Tokenizer

TEXTS = pathlib.Path(__file__).resolve().parent.parent / "tests" / "real" / "embedding_texts.jsonl"
PIECES_MAX = 256
COSINE_MIN = 0.999


class Encoder:
    def __init__(self, folder):
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.heads, self.layers, self.epsilon = (config["num_attention_heads"], config["num_hidden_layers"],
                                                 config["layer_norm_eps"])
        data = (folder / "model.safetensors").read_bytes()
        (size,) = struct.unpack("<Q", data[:8])
        self.weights = {}
        for name, info in json.loads(data[8:8 + size]).items():
            if name != "__metadata__" and info["dtype"] == "F32":
                begin, end = (8 + size + at for at in info["data_offsets"])
                self.weights[name] = numpy.frombuffer(data[begin:end], "<f4").reshape(info["shape"]).astype("f8")

    def linear(self, x, name):
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def norm(self, x, name):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / numpy.sqrt((centred ** 2).mean(-1, keepdims=True) + self.epsilon)
        return scaled * self.weights[name + ".weight"] + self.weights[name + ".bias"]

    def __call__(self, ids):
        erf = numpy.vectorize(math.erf)
        table = "embeddings.{}_embeddings.weight".format
        x = self.weights[table("word")][ids] + self.weights[table("position")][:len(ids)]
        x = self.norm(x + self.weights[table("token_type")][0], "embeddings.LayerNorm")
        width = x.shape[1] // self.heads
        for layer in range(self.layers):
            at = f"encoder.layer.{layer}."
            q, k, v = (self.linear(x, f"{at}attention.self.{part}").reshape(len(ids), self.heads, width)
                       .transpose(1, 0, 2) for part in ("query", "key", "value"))
            scores = q @ k.transpose(0, 2, 1) / math.sqrt(width)
            scores = numpy.exp(scores - scores.max(-1, keepdims=True))
            mixed = (scores / scores.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(x.shape)
            x = self.norm(self.linear(mixed, at + "attention.output.dense") + x, at + "attention.output.LayerNorm")
            inner = self.linear(x, at + "intermediate.dense")
            inner = inner * 0.5 * (1 + erf(inner / math.sqrt(2)))
            x = self.norm(self.linear(inner, at + "output.dense") + x, at + "output.LayerNorm")
        mean = x.mean(0)
        return mean / numpy.linalg.norm(mean)


def rows():
    return [json.loads(line) for line in TEXTS.read_text(encoding="utf-8").splitlines()]


def vector_of(row):
    return numpy.frombuffer(base64.b64decode(row["vector"]), "<f2").astype("f8")


def cosine(a, b):
    return float(a @ b / numpy.linalg.norm(a) / numpy.linalg.norm(b))


def make(folder):
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    encoder, out, worst = Encoder(folder), [], 1.0
    for row in rows():
        ids = tokenizer.encode(row["text"]).ids
        whole = len(ids) <= PIECES_MAX
        exact = encoder(ids if whole else ids[:PIECES_MAX - 1] + ids[-1:])
        row = {"text": row["text"], "pieces": len(ids), "whole": whole,
               "vector": base64.b64encode(exact.astype("<f2").tobytes()).decode()}
        worst = min(worst, cosine(vector_of(row), exact))
        out.append(json.dumps(row))
    TEXTS.write_text("\n".join(out) + "\n", encoding="utf-8")
    cut = sum(not json.loads(line)["whole"] for line in out)
    print(f"{len(out)} texts, {cut} of them cut to {PIECES_MAX}; rounding costs a cosine of at most {1 - worst:.1e}")
    return 0


def compare(vectors):
    all_rows = rows()
    found = numpy.fromfile(vectors, "<f4").astype("f8").reshape(len(all_rows), -1)
    cosines = [cosine(vector_of(row), vector) for row, vector in zip(all_rows, found)]
    for row, value in zip(all_rows, cosines):
        if value < COSINE_MIN:
            print(f"{value:.6f} {row['pieces']:4} pieces  {row['text'][:70]!r}")
    below = sum(value < COSINE_MIN for value in cosines)
    print(f"{len(cosines)} texts: lowest cosine {min(cosines):.7f}, mean {sum(cosines) / len(cosines):.7f}, "
          f"{below} below {COSINE_MIN}")
    return 1 if below else 0


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=pathlib.Path, help="the folder with model.safetensors")
    parser.add_argument("--compare", help="a file of float32 vectors to hold against the stored ones")
    options = parser.parse_args(arguments)
    return compare(options.compare) if options.compare else make(options.package)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
