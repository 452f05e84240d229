#!/usr/bin/env python3
"""Decode where an answer repeats its prompt ("this text again, with one change"), against decode where it does not.

Both with the same prompt length, on the same worker, in turn. The first should gain by drafts out of the prompt; the
second should lose nothing by them. With a llama-server both are asked of it too.
"""

import os
import pathlib
import statistics
import sys

import harness

BAR = 1.5


def copied(text):
    return [{"role": "user", "content": f"Write this text again, word for word, but with 'lake' in place of 'river':\n\n{text}"},
            {"role": "assistant", "content": text.replace("river", "lake")},
            {"role": "user", "content": "Once more, word for word, but with 'sea' in place of 'river'."}]


def told(text):
    return [{"role": "user", "content": f"{text}\n\n{text}\n\nForget these notes and invent a story that has nothing to do with them."}]


def main():
    ap = harness.parser(__doc__)
    ap.add_argument("--model", help="a GGUF file; the model that comes along otherwise")
    ap.add_argument("--peer", default=os.environ.get("LARES_PEER") or harness.built_peer(), help="path of a llama-server")
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--tokens", type=int, default=96)
    args = ap.parse_args()
    args.model = args.model or str(harness.default_model())
    threads = len(os.sched_getaffinity(0))
    harness.wait_for_quiet()
    run = harness.Run("speculation")
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
                for kind, messages, extra in (("repeats", copied(text), {}), ("tells", told(text), {"temperature": 1.2, "top_p": 1})):
                    # without a seed, as people ask: what a draft costs is measured then, and not taken for granted
                    turn = side.endpoint.turn(messages, args.tokens, extra={"seed": None, **extra} if name == "lares" else extra)
                    found.setdefault((name, kind), []).append(turn["decode_tps"])
        for (name, kind), speeds in found.items():
            run.row(f"{name}: an answer that {kind} (tok/s)", harness.spread(speeds, 1))
        medians = {key: statistics.median(speeds) for key, speeds in found.items()}
        ratio = medians["lares", "repeats"] / medians["lares", "tells"]
        run.row("repeats / tells", f"{ratio:.2f}", f">= {BAR}", ratio >= BAR)
        if args.peer:
            ratio = medians["lares", "tells"] / medians["llama-server", "tells"]
            run.row("tells, against llama-server", f"{ratio:.2f}", ">= 1.0", ratio >= 1.0)
    finally:
        for side in sides.values():
            side.stop()
    return run.end()


if __name__ == "__main__":
    sys.exit(main())
