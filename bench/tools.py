#!/usr/bin/env python3
"""Calls of tools with a required call: how many are valid by their tool's schema (the bar is all), and how many say
what was asked, over the simple Python functions of the Berkeley Function Calling Leaderboard.

LARES_TEST_DATA names the folder of test collections, in which agents/bfcl_simple_python.jsonl is. The model must have a
template that knows tools; --model names its file. --limit takes the first so many questions. Whether an answer is right is
decided as the leaderboard does: the right function, its required arguments, and each argument one of the values that
are allowed, without regard to case and punctuation.
"""

import http.client
import json
import os
import pathlib
import re
import statistics
import sys
import time

import harness

TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": None}


def as_schema(given):
    """The collection's own type names as JSON Schema has them."""
    out = {}
    for key, value in given.items():
        if key == "type":
            kind = TYPES.get(value, value)
            if kind:
                out["type"] = kind
        elif key == "properties":
            out[key] = {name: as_schema(one) for name, one in value.items()}
        elif key == "items":
            out[key] = as_schema(value)
        elif key in ("description", "enum", "required"):
            out[key] = value
    return out


def tool_of(function):
    return {"type": "function", "function": {"name": function["name"].replace(".", "_"), "description": function["description"],
                                             "parameters": as_schema(function["parameters"])}}


def wrong_with(value, schema, path="arguments"):
    """What keeps a value from being valid; "" for nothing."""
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool}
    kind = schema.get("type")
    if kind in kinds and not isinstance(value, kinds[kind]):
        return f"{path} is no {kind}"
    if kind in ("integer", "number") and (isinstance(value, bool) or not isinstance(value, int if kind == "integer" else (int, float))):
        return f"{path} is no {kind}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{path} is none of {schema['enum']}"
    if isinstance(value, dict):
        for name in schema.get("required", []):
            if name not in value:
                return f"{path}.{name} is missing"
        for name, one in value.items():
            if name not in schema.get("properties", {name: {}}):
                return f"{path}.{name} is not in the schema"
            found = wrong_with(one, schema.get("properties", {}).get(name, {}), f"{path}.{name}")
            if found:
                return found
    if isinstance(value, list):
        for i, one in enumerate(value):
            found = wrong_with(one, schema.get("items", {}), f"{path}[{i}]")
            if found:
                return found
    return ""


def same(value, wanted):
    if isinstance(value, str) and isinstance(wanted, str):
        return re.sub(r"[ ,./\-_*^]", "", value).lower().replace("'", '"') == re.sub(r"[ ,./\-_*^]", "", wanted).lower().replace("'", '"')
    if isinstance(value, list) and isinstance(wanted, list):
        return len(value) == len(wanted) and all(same(a, b) for a, b in zip(value, wanted))
    if isinstance(value, dict) and isinstance(wanted, dict):
        return says(value, wanted)
    return type(value) is type(wanted) and value == wanted or (
        not isinstance(value, bool) and not isinstance(wanted, bool) and isinstance(value, (int, float)) and isinstance(wanted, (int, float))
        and value == wanted)


def says(arguments, allowed):
    """Whether each argument has one of its values, and what is absent may be ("" among them)."""
    if any(name not in allowed for name in arguments):
        return False
    return all(any(same(arguments[name], one) for one in values) if name in arguments else "" in values for name, values in allowed.items())


def ask(port, question, tool, max_tokens):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    body = {"messages": question, "tools": [tool], "tool_choice": "required", "parallel_tool_calls": False, "temperature": 0,
            "seed": 1, "max_tokens": max_tokens}
    began = time.monotonic()
    c.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    r = c.getresponse()
    answer = json.loads(r.read())
    if r.status != 200:
        raise RuntimeError(f"HTTP {r.status}: {answer['error']['message']}")
    return answer, time.monotonic() - began


def main():
    ap = harness.parser(__doc__)
    ap.add_argument("--model", help="a model file; the default test model otherwise")
    ap.add_argument("--limit", type=int, default=0, help="the first so many questions; 0: all")
    ap.add_argument("--max-tokens", type=int, default=512)
    ap.add_argument("--show", action="store_true", help="print each call that is not right")
    args = ap.parse_args()
    data = os.environ.get("LARES_TEST_DATA")
    file = pathlib.Path(data or "", "agents", "bfcl_simple_python.jsonl")
    if not data or not file.exists():
        sys.exit("LARES_TEST_DATA names no folder with agents/bfcl_simple_python.jsonl")
    cases = [json.loads(line) for line in file.open(encoding="utf-8")]
    cases = cases[:args.limit or len(cases)]
    run = harness.Run("tools")
    model = pathlib.Path(args.model) if args.model else harness.default_model()
    valid = right = cut = 0
    took = []
    with harness.Lares(models=[model]) as lares:
        for case in cases:
            tool = tool_of(case["function"][0])
            answer, seconds = ask(lares.port, case["question"][0], tool, args.max_tokens)
            took.append(seconds)
            choice = answer["choices"][0]
            calls = choice["message"].get("tool_calls") or []
            problem = f"{len(calls)} calls" if len(calls) != 1 else ""
            arguments = None
            if not problem:
                try:
                    arguments = json.loads(calls[0]["function"]["arguments"])
                except ValueError:
                    problem = "the arguments are no JSON"
            if not problem:
                problem = wrong_with(arguments, tool["function"]["parameters"])
            was_cut = choice["finish_reason"] == "length"
            cut += was_cut
            valid += not problem and not was_cut
            allowed = next(iter(case["possible_answer"][0].values()))
            good = not problem and calls[0]["function"]["name"] == tool["function"]["name"] and says(arguments, allowed)
            right += good
            if args.show and not good:
                print(f"{case['id']}: {problem or 'another answer'}: {json.dumps(arguments)}; allowed {json.dumps(allowed)}", flush=True)
    whole = len(cases) - cut
    run.row("model", model.stem[:40])
    run.row("questions", len(cases))
    run.row("cut by max_tokens", cut)
    run.row("calls valid by their schema, of those not cut (%)", f"{100 * (valid / whole if whole else 0):.1f}", "100", valid == whole)
    run.row("calls that say what was asked (%)", f"{100 * right / len(cases):.1f}")
    run.row("time for one call, median (s)", f"{statistics.median(took):.2f}")
    return run.end()


if __name__ == "__main__":
    sys.exit(main())
