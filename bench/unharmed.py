#!/usr/bin/env python3
"""What bad requests cost somebody else's answer: the gaps between its tokens while they are asked one after another of the same
model. Each must be refused as said, or end as said, and no gap may be long.
"""

import http.client
import json
import os
import pathlib
import statistics
import sys
import threading
import time

import harness

TOKENS = 200
LONGEST_MS = 500  # a gap that a reader hardly sees
CROWD = 1000
PAUSE_S = 0.05


def of_schema(schema):
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}}


def nested(depth):
    schema = {"type": "integer"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"], "additionalProperties": False}
    return schema


REFUSED = {  # each of them is a request that 400 or 404 answers
    "a schema nested 200 deep": of_schema(nested(200)),
    "a pattern of 60,000 parentheses": of_schema({"type": "string", "pattern": "^" + "(" * 60_000 + "$"}),
    "a grammar nested 3,000 deep": {"grammar": "root ::= " + "(" * 3_000 + '"a"' + ")" * 3_000},
    "a regex that explodes": {"guided_regex": "((a{0,1000}){0,1000}){0,1000}"},
    "a regex with too many ways": {"guided_regex": "(a|a)*b"},
    "a grammar that can never be met": {"grammar": 'root ::= "a" root'},
    "a grammar that is tangled": {"grammar": "root ::= a0\n" + "".join(f"a{i} ::= a{i + 1} | a{i + 1}\n" for i in range(40)) + 'a40 ::= "x"'},
    "a repetition of at least 5 and at most 2": {"grammar": 'root ::= "a"{5,2}'},
    "a text of at least 5 and at most 2 signs": of_schema({"type": "string", "minLength": 5, "maxLength": 2}),
    "a number beyond 18 digits": of_schema({"type": "integer", "minimum": 10**18}),
    "an adapter that is not there": {"lora": [{"id": "nobody"}]},
    "a reasoning budget of -2": {"reasoning_budget": -2},
    "a reasoning budget of 10,000,000": {"reasoning_budget": 10_000_000},
    "tools where the model knows none": {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]},
    "more than the context holds": {"messages": [{"role": "user", "content": "so " * 100_000}]},
}


def body_of(**fields):
    return {"model": "default", "messages": [{"role": "user", "content": "Tell me of the sea."}], "max_tokens": 8, **fields}


class Asking:
    """Asks over and over again while it is entered, with pauses in which the machine is not this client's; `statuses` are those
    of the answers."""

    def __init__(self, port, ask):
        self.port, self.ask, self.statuses, self.stop = port, ask, [], threading.Event()
        self.thread = threading.Thread(target=self.go)

    def go(self):
        while not self.stop.is_set():
            self.statuses += self.ask(self.port)
            time.sleep(PAUSE_S)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


def post(port, body):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    c.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    return c, c.getresponse()


def refused(fields):
    def ask(port):
        c, r = post(port, body_of(**fields))
        r.read()
        c.close()
        return [r.status]
    return ask


def leaving(port):
    """A client that is gone after the third line of its stream."""
    c, r = post(port, body_of(stream=True, max_tokens=400, ignore_eos=True))
    for _ in range(3):
        r.readline()
    c.sock.close() if c.sock else r.close()
    return [r.status]


def filling(port):
    """A conversation that goes on until its context is full."""
    c, r = post(port, body_of(messages=[{"role": "user", "content": harness.text_of(1900, "full")}], max_tokens=4000, ignore_eos=True))
    ended = json.loads(r.read())["choices"][0]["finish_reason"]
    c.close()
    return [r.status if ended == "length" else 0]


HEAVY = {  # what is taken, and makes much work of each token
    "seven of 1,000 choices that begin alike": {"guided_choice": [f"{kind} number {i}" for i in range(500) for kind in ("apple", "pear")]},
    "seven of an enum of 900": of_schema({"enum": [f"value {i}" for i in range(900)]}),
    "seven of a text of 30 words": {"guided_regex": "[a-z]{1,12}( [a-z]{1,12}){29}"},
}


def at_once(port, count, body):
    """So many requests; 0 for one that is refused and not told when to come back."""
    statuses = []

    def one():
        c, r = post(port, body)
        r.read()
        statuses.append(r.status if r.status != 429 or int(r.getheader("Retry-After", "0")) > 0 else 0)
        c.close()

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def heavy(fields):
    return lambda port: at_once(port, 7, body_of(max_tokens=30, **fields))


def crowd(port):
    return at_once(port, CROWD, body_of(max_tokens=1))


def gaps_of(lares, salt):
    times = []
    body = {"model": "default", "prompt": harness.text_of(60, salt), "max_tokens": TOKENS, "temperature": 1, "seed": 1, "ignore_eos": True,
            "cache_prompt": False}
    for at, chunk in lares.endpoint.stream(body, path="/v1/completions"):
        if any(choice.get("text") for choice in chunk.get("choices") or []):
            times.append(at)
    return [(b - a) * 1000 for a, b in zip(times, times[1:])]


def shown(gaps):
    ordered = sorted(gaps)
    return (f"{statistics.median(ordered):.1f}", f"{ordered[int(0.95 * len(ordered))]:.1f}", f"{ordered[-1]:.1f}")


def main():
    ap = harness.parser(__doc__)
    ap.add_argument("--model", help="a GGUF file; the model that comes along otherwise")
    ap.add_argument("--only", help="cases whose names have this in them")
    args = ap.parse_args()
    model = pathlib.Path(args.model or harness.default_model())
    threads = len(os.sched_getaffinity(0))
    harness.wait_for_quiet()
    run = harness.Run("unharmed")
    print(f"model: {model.name}, {threads} threads; gaps of one answer of {TOKENS} tokens, p50 / p95 / longest, in ms")
    cases = {name: (refused(fields), {400, 404}) for name, fields in REFUSED.items()}
    cases |= {name: (heavy(fields), {200}) for name, fields in HEAVY.items()}
    cases["clients that leave in mid-answer"] = (leaving, {200})
    cases["a conversation that fills its context"] = (filling, {200})
    cases[f"{CROWD:,} requests at once"] = (crowd, {200, 429})
    with harness.Lares([model], settings=f"[models]\nthreads = {threads}\ncontext = 2048\n") as lares:
        gaps_of(lares, "warm")
        run.row("alone", " / ".join(shown(gaps_of(lares, "alone") + gaps_of(lares, "alone too"))))
        for name, (ask, expected) in cases.items():
            if args.only and args.only not in name:
                continue
            with Asking(lares.port, ask) as asking:
                gaps = gaps_of(lares, name)
            counts = {status: asking.statuses.count(status) for status in sorted(set(asking.statuses))}
            run.row(name, " / ".join(shown(gaps)), f"only {sorted(expected)}, <= {LONGEST_MS}",
                    set(counts) <= expected and max(gaps) <= LONGEST_MS,
                    note=", ".join(f"{count} x {status}" for status, count in counts.items()))
        run.row("alone, afterwards", " / ".join(shown(gaps_of(lares, "alone again"))))
    return run.end()


if __name__ == "__main__":
    sys.exit(main())
