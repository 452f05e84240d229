#!/usr/bin/env python3
"""How soon a conversation goes on whose model has left memory for another, against the same where it stayed, and against
llama-server's router, which keeps one model and forgets the conversation.

Two models share a budget in which both cannot be hot. Each has a conversation of its own; after each turn of the one the
other has its turn, so that every turn begins with a switch. What a turn costs without a switch is measured in the same
run, by asking the same model twice in a row.
"""

import json
import os
import statistics
import sys
import tempfile
import time
import urllib.request

import harness

MIB = 1 << 20


class Talk:
    """One text with one model, which each turn makes longer. Completions, as the second model has no template for chats."""

    def __init__(self, endpoint, model, tokens, salt):
        self.endpoint, self.model, self.turns = endpoint, model, 0
        self.text = harness.text_of(tokens, salt)

    def turn(self, tokens=16):
        """(time to the first token in ms, prompt tokens, of which were not computed again)"""
        if self.turns:
            self.text += f"\nNote {self.turns} of the day:"
        self.turns += 1
        began, first, said, usage = time.monotonic(), None, "", {}
        body = {"model": self.model, "prompt": self.text, "max_tokens": tokens, "temperature": 0, "ignore_eos": True,
                "cache_prompt": True, "stream_options": {"include_usage": True}}
        for at, chunk in self.endpoint.stream(body, "/v1/completions"):
            usage = chunk.get("usage") or usage
            for choice in chunk.get("choices") or []:
                if choice.get("text"):
                    first = first or at
                    said += choice["text"]
        self.text += said
        details = usage.get("prompt_tokens_details") or {}
        return (first - began) * 1000, usage.get("prompt_tokens", 0), details.get("cached_tokens", 0)


def budget_for(models):
    """Room for one of the models hot, and the other without its weights and its context."""
    with harness.Lares(models) as lares:
        needs = {}
        for model in lares.owner("/lares/v1/models"):
            Talk(lares.endpoint, model["id"], 30, "n").turn(2)
        for model in lares.owner("/lares/v1/models"):
            needs[model["id"]] = model["needs_bytes"]
    return int(max(needs.values()) * 1.3), needs


def measure(endpoint, names, tokens, rounds, stay):
    """{model: ([ms after a switch], [ms without one], [share of the prompt that was not computed again])}"""
    talks = [Talk(endpoint, name, tokens, f"s{i}{tokens}") for i, name in enumerate(names)]
    for talk in talks:
        talk.turn()
    found = {name: ([], [], []) for name in names}
    for _ in range(rounds):
        for talk in talks:
            ms, prompt, cached = talk.turn()
            found[talk.model][0].append(ms)
            found[talk.model][2].append(cached / max(prompt, 1))
            if stay:
                found[talk.model][1].append(talk.turn()[0])
    return found


def main():
    ap = harness.parser(__doc__)
    ap.add_argument("--peer", default=os.environ.get("LARES_PEER") or harness.built_peer(), help="path of a llama-server")
    ap.add_argument("--no-peer", action="store_true", help="measure Lares alone")
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--tokens", type=int, nargs="*", default=[2500, 7000], help="of each conversation")
    args = ap.parse_args()
    models = [harness.default_model()]
    models.append(harness.other_model(models[0]))
    budget, needs = budget_for(models)
    harness.wait_for_quiet()
    run = harness.Run("swap")
    print(f"models: {', '.join(f'{name} ({size // MIB} MiB hot)' for name, size in needs.items())}; budget {budget // MIB} MiB")
    for tokens in args.tokens:
        with harness.Lares(models, settings=f'[memory]\nbudget = "{budget // MIB} MiB"\n') as lares:
            ours = measure(lares.endpoint, list(needs), tokens, args.rounds, stay=True)
        theirs = {}
        if args.peer and not args.no_peer:
            with tempfile.TemporaryDirectory() as folder:
                for model in models:
                    os.symlink(model, os.path.join(folder, model.name))
                port = harness.free_port()
                command = [args.peer, "--models-dir", folder, "--models-max", "1", "--port", port, "--host", "127.0.0.1",
                           "-t", len(os.sched_getaffinity(0)), "-c", 8192, "-np", 1, "--no-webui"]
                with harness.Server(command, port) as router:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models") as listed:
                        names = [m["id"] for m in json.load(listed)["data"]]
                    theirs = measure(router.endpoint, names, tokens, 2, stay=False)
        for name, (switched, stayed, cached) in ours.items():
            rest = statistics.median(stayed)
            run.row(f"{name}, {tokens} tokens, stays in memory (ms)", harness.spread(stayed, 0))
            run.row(f"{name}, {tokens} tokens, after a switch (ms)", harness.spread(switched, 0), f"<= {rest + 100:.0f}",
                    statistics.median(switched) <= rest + 100, f"{statistics.median(cached):.3f} of it not computed again")
            peer = next((its for other, its in theirs.items() if name.split("-")[0] in other.lower()), None)
            if peer:
                ratio = statistics.median(peer[0]) / statistics.median(switched)
                bar = 25 if tokens < 5000 else 50
                run.row(f"{name}, {tokens} tokens, llama-server's router (ms)", harness.spread(peer[0], 0))
                run.row(f"{name}, {tokens} tokens, times sooner than that", f"{ratio:.1f}", f">= {bar}", ratio >= bar)
    return run.end()


if __name__ == "__main__":
    sys.exit(main())
