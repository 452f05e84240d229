#!/usr/bin/env python3
"""Decode where an answer repeats its prompt ("this text again, with one change"), against decode where it does not.

Both go on from the same two turns and differ in the last sentence alone, on the same worker, in turn: the one at
temperature 0, so that it repeats, the other at one at which a story does not. The first should gain by drafts out of
the prompt; the second should lose nothing by them. With a llama-server, which drafts nothing, both are asked of it too.

With --draft a larger model answers with a small one that drafts for it, beside the same without: Qwen2.5-Coder 1.5B and
0.5B from LARES_EXTRA_MODELS, or --model and the file that --draft names. Code should gain by the draft model; a story
out of nowhere should lose nothing by it.
"""

import os
import pathlib
import statistics
import sys

import harness

BAR = 1.5
DRAFTED_BAR = 1.2
LOSES_BAR = 0.95
EXTRA = ("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf")


def after(text, last):
    return [{"role": "user", "content": f"Write this text again, word for word, but with 'lake' in place of 'river':\n\n{text}"},
            {"role": "assistant", "content": text.replace("river", "lake")},
            {"role": "user", "content": last}]


def copied(text):
    return after(text, "Once more, word for word, but with 'sea' in place of 'river'.")


def told(text):
    return after(text, "Forget this text and invent a strange story that has nothing to do with it, in words that were not used yet.")


def coded(thing):
    return [{"role": "user", "content": f"Write a Python class for a {thing} with add, remove, find, len and iteration. Code only."}]


def invented(thing):
    return [{"role": "user", "content": f"Invent a strange story in which a {thing} has a secret, in words that nobody expects."}]


def model_id(file):
    return pathlib.Path(file).stem.lower()


def extra_files():
    """The larger model and its draft model; None where they are not at hand, said loudly."""
    folder = os.environ.get("LARES_EXTRA_MODELS")
    if not folder:
        print("LARES_EXTRA_MODELS names no folder: answers with a draft model are skipped")
        return None
    files = [pathlib.Path(folder, name) for name in EXTRA]
    for file in files:
        if not file.exists():
            print(f"{file} is missing: answers with a draft model are skipped")
            return None
    return files


def with_draft(run, files, args, threads):
    """The same questions with the draft model and without, in turn; what each answer says of its drafts."""
    large, small = files
    print(f"model: {large.name}, drafted by {small.name}, {threads} threads, {args.rounds} answers of {args.tokens} tokens")
    settings = f'[models]\nthreads = {threads}\ndefault = "{model_id(large)}"\n'
    sides = {}
    try:
        for name, more in (("alone", ""), ("drafted", f'draft = "{model_id(large)}={model_id(small)}"\n')):
            sides[name] = harness.Lares([large, small], settings=settings + more)
        found, drafted, accepted = {}, {}, {}
        kinds = (("code", coded, {}), ("a story", invented, {"temperature": 1.2, "top_p": 1}))
        for r in range(args.rounds + 1):
            thing = harness.WORDS[r]
            for kind, ask, extra in kinds:
                texts = {}
                for name, side in sides.items():
                    turn = side.endpoint.turn(ask(thing), args.tokens, extra={"seed": None, **extra})
                    if r == 0:
                        continue  # what steps take is learnt by the first ones
                    texts[name] = turn["text"]
                    found.setdefault((name, kind), []).append(turn["decode_tps"])
                    if name == "drafted":
                        drafted[kind] = drafted.get(kind, 0) + turn["timings"]["draft_n"]
                        accepted[kind] = accepted.get(kind, 0) + turn["timings"]["draft_n_accepted"]
                if kind == "code" and len(set(texts.values())) > 1:
                    print(f"round {r}: the two answers differ: rows of one step are summed in another order")
        row = sides["drafted"].owner("/lares/v1/ps")[0]
        if row["draft_refused"]:
            sys.exit(f"the draft model was refused: {row['draft_refused']}")
        for kind, _, _ in kinds:
            for name in sides:
                run.row(f"{kind}, {name} (tok/s)", harness.spread(found[name, kind], 1))
            run.row(f"{kind}: tokens drafted, and right", f"{drafted[kind]}, {accepted[kind]}")
            ratio = statistics.median(found["drafted", kind]) / statistics.median(found["alone", kind])
            bar = DRAFTED_BAR if kind == "code" else LOSES_BAR
            run.row(f"{kind}: drafted / alone", f"{ratio:.2f}", f">= {bar}", ratio >= bar)
    finally:
        for side in sides.values():
            side.stop()


def main():
    ap = harness.parser(__doc__)
    ap.add_argument("--draft", nargs="?", const="", metavar="FILE", help="measure with a draft model: this file for --model, else the extra models")
    ap.add_argument("--model", help="a GGUF file; the model that comes along otherwise")
    ap.add_argument("--peer", default=os.environ.get("LARES_PEER") or harness.built_peer(), help="path of a llama-server")
    ap.add_argument("--rounds", type=int, default=9)
    ap.add_argument("--tokens", type=int, default=96)
    ap.add_argument("--temperature", type=float, default=1.2, help="of stories")
    args = ap.parse_args()
    if args.draft and not args.model:
        ap.error("--draft FILE needs --model FILE, the model that it drafts for")
    threads = len(os.sched_getaffinity(0))
    harness.wait_for_quiet()
    run = harness.Run("speculation")
    if args.draft is not None:
        files = [pathlib.Path(args.model), pathlib.Path(args.draft)] if args.draft else extra_files()
        if files:
            with_draft(run, files, args, threads)
        return run.end()
    args.model = args.model or str(harness.default_model())
    print(f"model: {os.path.basename(args.model)}, {threads} threads, {args.rounds} answers of {args.tokens} tokens")
    sides = {"lares": harness.Lares([pathlib.Path(args.model)], settings=f"[models]\nthreads = {threads}\n")}
    try:
        if args.peer:
            port = harness.free_port()
            sides["llama-server"] = harness.Server(harness.peer_command(args.peer, args.model, port, threads), port)
        found = {}
        for r in range(args.rounds):
            text = harness.text_of(140, "abcdefgh"[r % 8])
            for name, side in sides.items():
                for kind, messages, temperature in (("repeats", copied(text), 0), ("tells", told(text), args.temperature)):
                    # without a seed, as people ask: what a draft costs is measured then, and not taken for granted
                    extra = {"temperature": temperature, "top_p": 1} | ({"seed": None} if name == "lares" else {})
                    turn = side.endpoint.turn(messages, args.tokens, extra=extra)
                    found.setdefault((name, kind), []).append(turn["decode_tps"])
        for (name, kind), speeds in found.items():
            run.row(f"{name}: an answer that {kind} (tok/s)", harness.spread(speeds, 1))
        medians = {key: statistics.median(speeds) for key, speeds in found.items()}
        ratio = medians["lares", "repeats"] / medians["lares", "tells"]
        run.row("repeats / tells", f"{ratio:.2f}", f">= {BAR}", ratio >= BAR)
        if args.peer:
            ratio = medians["lares", "repeats"] / medians["llama-server", "repeats"]
            run.row("repeats, against llama-server", f"{ratio:.2f}", f">= {BAR}", ratio >= BAR)
            ratio = medians["lares", "tells"] / medians["llama-server", "tells"]
            run.row("tells, against llama-server", f"{ratio:.2f}", ">= 1.0", ratio >= 1.0)
    finally:
        for side in sides.values():
            side.stop()
    return run.end()


if __name__ == "__main__":
    sys.exit(main())
