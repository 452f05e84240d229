#!/usr/bin/env python3
"""Two models that compute at once: what a person's answer loses to another model's work, and what both lose together.

Model A answers a person, model B works in the background; then both answer persons. The peer is a llama-server process for
each model with as many threads, which is what a router of processes gives. In turn: A alone, A beside B; every figure is
compared with the same server's alone, within one run. Where 4,000 tokens are read in the background, B reads them.
"""

import os
import re
import statistics
import sys
import threading
import time

import harness

ANSWER = 96
IN_TURN = 4  # answers alone, then as many beside the other model


def quantile(values, q):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


class Side:
    """A server's two models: each has its endpoint and its name there."""

    def __init__(self, name, a, b, house=None):
        self.name, self.a, self.b, self.house = name, a, b, house

    def body(self, model, prompt, tokens, lane):
        """A request whose text does not repeat itself, as that would be drafted and not computed token by token."""
        more = {"lares": {"priority": lane}} if self.name == "lares" else {}
        return {"model": model, "prompt": prompt, "max_tokens": tokens, "temperature": 1, "seed": 1, "ignore_eos": True,
                "cache_prompt": False, **more}

    def stream(self, which, prompt, tokens, lane):
        """Times at which the pieces of one answer came, the first of them that of asking."""
        endpoint, model = which
        times = [time.monotonic()]
        for at, chunk in endpoint.stream(self.body(model, prompt, tokens, lane), path="/v1/completions"):
            if any(choice.get("text") for choice in chunk.get("choices") or []):
                times.append(at)
        if len(times) < 2:
            raise RuntimeError("no token came back")
        return times

    def device_seconds(self):
        """How long B has computed; None where nobody says."""
        if self.name != "lares":
            return None
        text, model = self.house.owner_text("/metrics").decode(), self.b[1]
        return float(re.search(r'^lares_device_seconds_total{model="%s"} (\S+)' % re.escape(model), text, re.M).group(1))


class Beside:
    """Requests of B, one after another in a thread of their own until it is left: `tokens` came in `took` seconds."""

    def __init__(self, side, prompts, answer, lane):
        self.side, self.prompts, self.answer, self.lane = side, prompts, answer, lane
        self.stop, self.tokens, self.began, self.took = threading.Event(), 0, time.monotonic(), 0.0
        self.thread = threading.Thread(target=self.go)

    def go(self):
        endpoint, model = self.side.b
        turn = 0
        while not self.stop.is_set():
            body = self.side.body(model, self.prompts(turn), self.answer, self.lane)
            turn += 1
            for _, chunk in endpoint.stream(body, path="/v1/completions"):
                if any(choice.get("text") for choice in chunk.get("choices") or []):
                    self.tokens += 1
                if self.stop.is_set():
                    break

    def __enter__(self):
        self.thread.start()
        time.sleep(1.5)
        self.began, self.tokens = time.monotonic(), 0
        return self

    def __exit__(self, *_):
        self.took = time.monotonic() - self.began
        self.stop.set()
        self.thread.join()


def prompt_of(salt, tokens=60):
    return harness.text_of(tokens, salt) + "\nAnd then"


def endless(side, lane):
    return Beside(side, lambda turn: prompt_of(f"b{turn}"), 512, lane)


def answer(side, salt):
    """Gaps between the tokens of a person's answer of A, and its time to the first."""
    times = side.stream(side.a, prompt_of(salt), ANSWER, "interactive")
    return [b - a for a, b in zip(times[1:], times[2:])], times[1] - times[0]


def speed(side, which, rounds, lane="interactive"):
    """Tokens per second of one model's answers, the prompt left out."""
    out = []
    for r in range(rounds):
        times = side.stream(which, prompt_of(f"s{r}"), ANSWER * 2, lane)
        out.append((len(times) - 2) / (times[-1] - times[1]))
    return statistics.median(out)


def together(side, rounds):
    """Both answer persons: the sum of what each has of its speed alone."""
    sums = []
    for _ in range(rounds):
        alone = speed(side, side.a, 1), speed(side, side.b, 1)
        with endless(side, "interactive") as b:
            until, tokens = time.monotonic() + 6, 0
            began = time.monotonic()
            while time.monotonic() < until:
                times = side.stream(side.a, prompt_of("t"), ANSWER * 4, "interactive")
                tokens += len(times) - 1
            took = time.monotonic() - began
        sums.append(tokens / took / alone[0] + b.tokens / b.took / alone[1])
    return sums


def firsts_beside_prefill(side, rounds, prefill_tokens):
    """Times to the first token of a prompt of about 64 tokens: alone, and while B reads a long prompt in the background. And
    what part of that time B computed, where that is known."""
    def first(salt):
        times = side.stream(side.a, prompt_of(salt, 44), 2, "interactive")
        return times[1] - times[0]

    alone = [first(f"i{r}") for r in range(rounds)]

    with Beside(side, lambda turn: prompt_of(f"long{turn}", prefill_tokens), 1, "background"):
        busy = []
        began, before = time.monotonic(), side.device_seconds()
        for r in range(rounds):
            time.sleep(0.05)
            busy.append(first(f"j{r}"))
        part = None if before is None else (side.device_seconds() - before) / (time.monotonic() - began)
    return alone, busy, part


def measure(run, side, args):
    ours = side.name == "lares"

    def bar(text, met):
        return (text, met) if ours else (None, None)

    sums = together(side, args.rounds)
    total = statistics.median(sums)
    run.row(f"{side.name}: both answer persons, sum / one alone", harness.spread(sums), *bar(">= 0.95", total >= 0.95))
    alone_b = speed(side, side.b, 3, "background")
    alone, first_alone, busy, first_busy = [], [], [], []
    tokens = computed = took = 0.0
    for r in range(args.rounds):
        for part in range(IN_TURN):
            gaps, first = answer(side, f"a{r}-{part}")
            alone += gaps
            first_alone.append(first)
        with endless(side, "background") as b:
            began, before = time.monotonic(), side.device_seconds()
            for part in range(IN_TURN):
                gaps, first = answer(side, f"c{r}-{part}")
                busy += gaps
                first_busy.append(first)
            computed = None if before is None else computed + side.device_seconds() - before
            took += time.monotonic() - began
            tokens += b.tokens
    step_b = 1 / alone_b
    ratios = [quantile(busy, q) / quantile(alone, q) for q in (0.5, 0.95)]
    run.row(f"{side.name}: gap between tokens alone, p50 / p95 / p99 (ms)",
            " / ".join(f"{quantile(alone, q) * 1000:.1f}" for q in (0.5, 0.95, 0.99)))
    run.row(f"{side.name}: the same beside B, p50 / p95 / p99 (ms)",
            " / ".join(f"{quantile(busy, q) * 1000:.1f}" for q in (0.5, 0.95, 0.99)))
    run.row(f"{side.name}: ratio p50", f"{ratios[0]:.2f}", *bar("<= 1.1", ratios[0] <= 1.1))
    run.row(f"{side.name}: ratio p95", f"{ratios[1]:.2f}", *bar("<= 1.3", ratios[1] <= 1.3))
    most = quantile(alone, 0.99) + step_b
    run.row(f"{side.name}: p99 beside B (ms)", f"{quantile(busy, 0.99) * 1000:.1f}",
            *bar(f"<= {most * 1000:.1f}", quantile(busy, 0.99) <= most))
    run.row(f"{side.name}: first token of A beside B, ratio",
            f"{statistics.median(first_busy) / statistics.median(first_alone):.2f}")
    run.row(f"{side.name}: what B has of its speed meanwhile", f"{tokens / took / alone_b:.3f}")
    if computed is not None:
        part = computed / took
        run.row(f"{side.name}: what B has of the time meanwhile", f"{part:.3f}", *bar("0.05 within a tenth, or more", part >= 0.045))
    alone, busy, part = firsts_beside_prefill(side, args.rounds * 4, args.prefill)
    at, limit = statistics.median(busy) * 1000, statistics.median(alone) * 1300 + 60
    run.row(f"{side.name}: first token of 64, alone (ms)", harness.spread([a * 1000 for a in alone], 1))
    run.row(f"{side.name}: the same while B reads {args.prefill} tokens (ms)", harness.spread([b * 1000 for b in busy], 1),
            *bar(f"<= {limit:.0f}", at <= limit), note="" if part is None else f"B computes {part:.0%} of the time")


def main():
    ap = harness.parser(__doc__)
    ap.add_argument("--peer", default=os.environ.get("LARES_PEER") or harness.built_peer(), help="path of a llama-server")
    ap.add_argument("--a", default=None, help="the model that answers a person; the embedded one")
    ap.add_argument("--b", default=None, help="the other one; another model of LARES_TEST_MODELS")
    ap.add_argument("--rounds", type=int, default=5, help="each of several answers alone and as many beside the other")
    ap.add_argument("--prefill", type=int, default=4000)
    ap.add_argument("--no-peer", action="store_true")
    args = ap.parse_args()
    a = args.a or harness.default_model()
    b = args.b or harness.other_model(a)
    threads = len(os.sched_getaffinity(0))
    harness.wait_for_quiet()
    run = harness.Run("contend")
    print(f"A: {os.path.basename(str(a))}, B: {os.path.basename(str(b))}, {threads} threads, {args.rounds} rounds")
    with harness.Lares([a, b], settings=f"[models]\nthreads = {threads}\n") as lares:
        names = [os.path.basename(str(m)).lower().removesuffix(".gguf") for m in (a, b)]
        side = Side("lares", (lares.endpoint, names[0]), (lares.endpoint, names[1]), lares)
        for which in (side.a, side.b):
            side.stream(which, "hi", 8, "interactive")
        measure(run, side, args)
    if args.peer and not args.no_peer:
        servers = []
        try:
            for model in (a, b):
                port = harness.free_port()
                servers.append(harness.Server(harness.peer_command(args.peer, model, port, threads), port))
            side = Side("llama-server", (servers[0].endpoint, "a"), (servers[1].endpoint, "b"))
            for which in (side.a, side.b):
                side.stream(which, "hi", 8, "interactive")
            measure(run, side, args)
        finally:
            for server in servers:
                server.stop()
    return run.end()


if __name__ == "__main__":
    sys.exit(main())
