#!/usr/bin/env python3
"""Writes src/engine/wordpiece_table.cpp: what a BERT tokenizer without case does to each character.

The reference tokenizer decomposes a text canonically, drops non-spacing marks, lowers the case, drops control
characters and cuts at punctuation. All of it depends on one character at a time, so it is a table, made here
from Python's Unicode database. Hangul syllables are left out: they decompose by arithmetic.

    tools/wordpiece-table.py [--check]      --check: only says whether the file is as this would write it
"""

import argparse
import pathlib
import sys
import unicodedata

OUTPUT = pathlib.Path(__file__).resolve().parent.parent / "src" / "engine" / "wordpiece_table.cpp"
DROPPED = ("Cc", "Cf", "Co", "Cs", "Mn")
HANGUL = range(0xAC00, 0xD7A4)


def folded(code):
    decomposed = unicodedata.normalize("NFD", chr(code))
    return "".join(c.lower() for c in decomposed if unicodedata.category(c) != "Mn")


def ranges(codes):
    out = []
    for code in codes:
        if out and out[-1][1] == code - 1:
            out[-1][1] = code
        else:
            out.append([code, code])
    return out


def runs(pairs):
    """(first, last, step, delta) of characters that fold to one other, the same distance away each."""
    out, at = [], 0
    while at < len(pairs):
        code, target = pairs[at]
        best, best_step = at, 1
        for step in (1, 2):
            end = at
            while end + 1 < len(pairs) and pairs[end + 1][0] == pairs[end][0] + step \
                    and pairs[end + 1][1] - pairs[end + 1][0] == target - code:
                end += 1
            if end > best:
                best, best_step = end, step
        out.append((code, pairs[best][0], best_step, target - code))
        at = best + 1
    return out


def rows(items):
    """Initialisers, as many to a line as fit."""
    lines, line = [], "   "
    for item in items:
        if len(line) + 1 + len(item) > 100:
            lines.append(line)
            line = "   "
        line += " " + item
    return "\n".join([*lines, line])


def table():
    dropped, one, many = [], [], []
    for code in range(0x80, 0x110000):
        if code in HANGUL:
            continue
        if unicodedata.category(chr(code)) in DROPPED or code == 0xFFFD:
            if code != 0x85:  # a control character, and white space first
                dropped.append(code)
            continue
        target = folded(code)
        if len(target) == 1 and target != chr(code):
            one.append((code, ord(target)))
        elif len(target) > 1:
            many.append((code, target))
    marks = ranges(code for code in range(0x80, 0x110000) if unicodedata.category(chr(code))[0] == "P")
    spans = lambda found: rows(f"{{0x{first:X}, 0x{last:X}}}," for first, last in found)  # noqa: E731
    folds = rows(f"{{0x{first:X}, 0x{last:X}, {step}, {delta}}}," for first, last, step, delta in runs(one))
    splits = rows("{0x%X, {%s}}," % (code, ", ".join(f"0x{ord(c):X}" for c in target + "\0" * (3 - len(target))))
                  for code, target in many)
    return f"""\
// Made by tools/wordpiece-table.py from Unicode {unicodedata.unidata_version}; not to be edited by hand.
#include "engine/wordpiece_table.h"

namespace lares::engine {{
namespace {{

// clang-format off
constexpr Span kDropped[] = {{
{spans(ranges(dropped))}
}};

constexpr Span kPunctuation[] = {{
{spans(marks)}
}};

constexpr Fold kFolds[] = {{
{folds}
}};

constexpr Split kSplits[] = {{
{splits}
}};
// clang-format on

}}  // namespace

std::span<const Span> dropped_characters() {{ return kDropped; }}
std::span<const Span> punctuation_characters() {{ return kPunctuation; }}
std::span<const Fold> folded_characters() {{ return kFolds; }}
std::span<const Split> split_characters() {{ return kSplits; }}

}}  // namespace lares::engine
"""


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    text = table()
    if options.check:
        same = OUTPUT.read_text(encoding="utf-8") == text
        print("wordpiece-table: " + ("as written" if same else f"{OUTPUT.name} differs: run tools/wordpiece-table.py"))
        return 0 if same else 1
    OUTPUT.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
