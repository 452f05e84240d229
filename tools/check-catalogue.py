#!/usr/bin/env python3
"""Holds src/inventory/catalogue.json to its form: every field, every fact with the address that gave it, sizes that fit the
names. Prints what is wrong and ends with 1, or one line.

    tools/check-catalogue.py [FILE]

The daemon's own reader refuses most of this too; this one also looks at what a reader cannot know: the order, addresses
of fixed versions, digests that two entries share.
"""

import json
import pathlib
import re
import sys

FILE = pathlib.Path(__file__).resolve().parent.parent / "src" / "inventory" / "catalogue.json"
FIELDS = {"id": str, "title": str, "family": str, "parameters": int, "repository": str, "file": str, "quantization": str,
          "size_bytes": int, "size_exact": bool, "licence": str, "sha256": (str, type(None)), "thinks": bool,
          "shape": dict, "read": list}
SHAPE = ("layers", "width", "heads", "kv_heads", "head_size", "feed_forward", "vocabulary")
SHAPE_AT_TIMES = ("context", "window", "full_every", "experts", "experts_used")
GIVEN = ("repository", "file", "size_bytes", "licence", "shape")
FIXED = re.compile(r"^https://github\.com/[^/]+/[^/]+/blob/[0-9a-f]{40}/.+|^https://huggingface\.co/.+/[0-9a-f]{40}/.+")


def problems_of(entry):
    size = entry.get("size_bytes", 0)
    for name, kind in FIELDS.items():
        if name not in entry:
            yield f"has no '{name}'"
        elif not isinstance(entry[name], kind) or (kind is int and isinstance(entry[name], bool)):
            yield f"has a '{name}' that is {entry[name]!r}"
    yield from (f"has an unknown field '{name}'" for name in entry if name not in FIELDS)
    shape = entry.get("shape", {})
    yield from (f"has no shape.{name}" for name in SHAPE if not isinstance(shape.get(name), int))
    yield from (f"has an unknown shape.{name}" for name in shape if name not in SHAPE + SHAPE_AT_TIMES)
    gave = set()
    for read in entry.get("read", []):
        if not FIXED.match(read.get("url", "")):
            yield f"was read at '{read.get('url')}', which is no address of a fixed version"
        gave |= set(read.get("gave", []))
    yield from (f"has a '{name}' that no address gave" for name in GIVEN if name not in gave)
    if entry.get("sha256") and "sha256" not in gave:
        yield "has a digest that no address gave"
    if entry.get("sha256") and not re.fullmatch("[0-9a-f]{64}", entry["sha256"]):
        yield f"has a digest that is none: '{entry['sha256']}'"
    if entry.get("quantization", "").lower() not in entry.get("file", "").lower():
        yield f"has a file '{entry.get('file')}' that does not name its quantisation '{entry.get('quantization')}'"
    if entry.get("parameters") and not 3.5 < size * 8 / entry["parameters"] < 8:
        yield f"has {size} bytes for {entry['parameters']} parameters"


def check(text):
    """All that is wrong, as lines."""
    try:
        catalogue = json.loads(text)
    except ValueError as wrong:
        return [f"it is no JSON: {wrong}"]
    wrong, ids, digests = [], set(), {}
    if catalogue.get("format") != 1:
        wrong.append(f"its format is {catalogue.get('format')!r}, not 1")
    for entry in catalogue.get("models", []):
        name = entry.get("id", "an entry without id")
        wrong += [f"{name} {problem}" for problem in problems_of(entry)]
        if name in ids:
            wrong.append(f"{name} is there twice")
        ids.add(name)
        if entry.get("sha256"):
            if entry["sha256"] in digests:
                wrong.append(f"{name} has the digest of {digests[entry['sha256']]}")
            digests[entry["sha256"]] = name
    if not ids:
        wrong.append("it has no models")
    return wrong


def main():
    file = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    text = file.read_text(encoding="utf-8")
    wrong = check(text)
    print("\n".join(f"{file.name}: {line}" for line in wrong) or
          f"{file.name}: {len(json.loads(text)['models'])} entries, each with its addresses")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
