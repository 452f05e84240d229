#!/usr/bin/env python3
"""Tests of tools/convert-minilm.py on a model of a few numbers: what it writes, and what it refuses."""

import contextlib
import importlib.util
import io
import json
import pathlib
import struct
import tempfile
import unittest
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
spec = importlib.util.spec_from_file_location("convert_minilm", HERE / "convert-minilm.py")
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "##s", "s"]
CONFIG = {"architectures": ["BertModel"], "hidden_act": "gelu", "position_embedding_type": "absolute", "hidden_size": 4,
          "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": len(VOCABULARY),
          "max_position_embeddings": 6, "type_vocab_size": 2, "layer_norm_eps": 1e-12}


def package_files():
    """The files of a small package, as {name: text or bytes}."""
    tokenizer = {"normalizer": {"type": "BertNormalizer", "lowercase": True},
                 "added_tokens": [{"content": t, "id": i} for i, t in enumerate(VOCABULARY[:5])],
                 "model": {"type": "WordPiece", "continuing_subword_prefix": "##",
                           "vocab": {t: i for i, t in enumerate(VOCABULARY)}}}
    pooling = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": False}
    header, data = {"__metadata__": {"format": "pt"}}, b""
    shapes = {name: shape for name, (_, shape, _, _) in tool.tensor_plan(CONFIG, 4).items()}
    shapes["pooler.dense.weight"] = [4, 4]
    for number, (name, shape) in enumerate(shapes.items()):
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        values = struct.pack(f"<{count}f", *(number + i / 8 for i in range(count)))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header).encode()
    return {"config.json": json.dumps(CONFIG), "tokenizer.json": json.dumps(tokenizer),
            "vocab.txt": "\n".join(VOCABULARY) + "\n", "1_Pooling/config.json": json.dumps(pooling),
            "sentence_bert_config.json": json.dumps({"max_seq_length": 4}),
            "model.safetensors": struct.pack("<Q", len(text)) + text + data}


class Reader:
    """Reads a GGUF back, by the format's own description."""

    def __init__(self, data):
        self.data, self.at = data, 0
        magic, version, tensors, keys = self.take("<IIQQ")
        assert (magic, version) == (0x46554747, 3)
        self.keys = {self.text(): self.value(self.take("<I")[0]) for _ in range(keys)}
        self.tensors = {}
        for _ in range(tensors):
            name = self.text()
            (rank,) = self.take("<I")
            extents = list(self.take(f"<{rank}Q"))
            kind, offset = self.take("<IQ")
            self.tensors[name] = (extents, kind, offset)
        self.start = self.at + -self.at % 32

    def take(self, pattern):
        values = struct.unpack_from(pattern, self.data, self.at)
        self.at += struct.calcsize(pattern)
        return values

    def text(self):
        (size,) = self.take("<Q")
        self.at += size
        return self.data[self.at - size:self.at].decode()

    def value(self, kind):
        if kind == 8:
            return self.text()
        if kind == 9:
            inner, count = self.take("<IQ")
            return [self.value(inner) for _ in range(count)]
        return self.take({4: "<I", 5: "<i", 6: "<f", 7: "<?"}[kind])[0]

    def tensor(self, name):
        extents, kind, offset = self.tensors[name]
        count = 1
        for extent in extents:
            count *= extent
        return list(struct.unpack_from(f"<{count}{'e' if kind == 1 else 'f'}", self.data, self.start + offset))


class Convert(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        self.output = self.root / "out.gguf"

    def tearDown(self):
        self.folder.cleanup()

    def package(self, **changed):
        """A package folder; `changed` replaces files by name ('.' and '/' written as '_')."""
        for name, content in package_files().items():
            content = changed.get(name.replace(".", "_").replace("/", "_"), content)
            if content is None:
                continue
            path = self.root / "package" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return self.root / "package"

    def refused(self, expected, **changed):
        with self.assertRaisesRegex(tool.Refused, expected):
            tool.convert(self.package(**changed), self.output)
        self.assertFalse(self.output.exists())
        self.assertEqual([p.name for p in self.root.iterdir()], ["package"])

    def test_what_is_written_reads_back(self):
        tool.convert(self.package(), self.output)
        gguf = Reader(self.output.read_bytes())
        self.assertEqual(gguf.keys["general.architecture"], "bert")
        self.assertEqual(gguf.keys["bert.context_length"], 4)
        self.assertEqual(gguf.keys["bert.pooling_type"], 1)
        self.assertEqual(gguf.keys["bert.attention.causal"], False)
        self.assertEqual(gguf.keys["tokenizer.ggml.tokens"], VOCABULARY[:5] + ["\u2581the", "s", "\u2581s"])
        self.assertEqual(gguf.keys["tokenizer.ggml.token_type"], [3] * 5 + [1] * 3)
        self.assertEqual(gguf.tensors["token_embd.weight"][:2], ([4, 8], 1))
        self.assertEqual(gguf.tensors["blk.0.ffn_up.weight"][:2], ([4, 8], 1))
        self.assertEqual(gguf.tensors["blk.0.attn_q.bias"][:2], ([4], 0))
        self.assertEqual(gguf.tensor("token_embd.weight")[:3], [0.0, 0.125, 0.25])
        self.assertNotIn("pooler", " ".join(gguf.tensors))

    def test_the_position_table_is_cut_to_the_models_own_limit(self):
        tool.convert(self.package(), self.output)
        gguf = Reader(self.output.read_bytes())
        self.assertEqual(gguf.tensors["position_embd.weight"][:2], ([4, 4], 0))
        self.assertEqual(gguf.tensor("position_embd.weight"), [1 + i / 8 for i in range(16)])

    def test_a_wheel_and_its_folder_give_the_same_bytes(self):
        folder = self.package()
        wheel = self.root / "package.whl"
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    archive.write(path, f"name/model/{path.relative_to(folder)}")
        first = tool.convert(folder, self.output)
        second = tool.convert(wheel, self.root / "other.gguf")
        self.assertEqual(first, second)

    def test_what_it_does_not_know_is_refused_by_name(self):
        self.refused("hidden_act.*found 'relu'", config_json=json.dumps(dict(CONFIG, hidden_act="relu")))
        self.refused("num_hidden_layers.*found 0", config_json=json.dumps(dict(CONFIG, num_hidden_layers=0)))
        self.refused("missing .*encoder.layer.1", config_json=json.dumps(dict(CONFIG, num_hidden_layers=2)))
        self.refused("shape of embeddings.position", config_json=json.dumps(dict(CONFIG, max_position_embeddings=8)))
        self.refused("pooling_mode_cls_token", **{"1_Pooling_config_json": '{"pooling_mode_cls_token": true}'})
        self.refused("max_seq_length: found 7", sentence_bert_config_json='{"max_seq_length": 7}')
        self.refused("lines in vocab.txt: found 9", vocab_txt="\n".join(VOCABULARY + ["more"]))

    def test_a_damaged_tensor_file_is_refused(self):
        whole = package_files()["model.safetensors"]
        self.refused("shorter than its own header", model_safetensors=whole[:5])
        self.refused("header of", model_safetensors=b"\xff" * 16)
        self.refused("file ends", model_safetensors=whole[:-200])

    def test_a_missing_file_or_package_is_refused_by_name(self):
        with self.assertRaisesRegex(tool.Refused, "neither a folder nor a wheel"):
            tool.convert(self.root / "gone.whl", self.output)
        with self.assertRaisesRegex(tool.Refused, "no model.safetensors"):
            tool.convert(self.root, self.output)
        self.refused("has no vocab.txt", vocab_txt=None)

    def test_another_result_than_the_wanted_one_is_not_left_behind(self):
        with self.assertRaisesRegex(tool.Refused, "instead of 00"):
            tool.convert(self.package(), self.output, "00")
        self.assertFalse(self.output.exists())

    def test_the_command_line_says_what_is_wrong_without_a_trace(self):
        with contextlib.redirect_stderr(io.StringIO()) as said:
            self.assertEqual(tool.main([str(self.root / "gone"), str(self.output)]), 1)
        self.assertIn("convert-minilm: reading", said.getvalue())


if __name__ == "__main__":
    unittest.main()
