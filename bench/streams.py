#!/usr/bin/env python3
"""Several conversations of one model: eight that are answered at once, against llama-server with eight slots, and one
beside eight that rest, against one alone.
"""

import os
import pathlib
import statistics
import sys
import threading
import time

import harness

STREAMS = 8
IDLE_TOKENS = 2500


def together(side, count, tokens, salt):
    """Tokens a second of all answers, from the asking to the last token of the last."""
    found, began = [], []

    def ask(number):
        text = harness.text_of(60, f"{salt}{number}")
        body = {"model": "default", "messages": [{"role": "user", "content": text}], "max_tokens": tokens, "temperature": 1,
                "ignore_eos": True, "stream_options": {"include_usage": True}}
        for at, chunk in side.endpoint.stream(body):
            if any((choice.get("delta") or {}).get("content") for choice in chunk.get("choices") or []):
                began.append(at)
            found.append((chunk.get("usage") or {}).get("completion_tokens", 0))

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(count)]
    from_ = time.monotonic()
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return sum(found) / (max(began) - from_)


def ratio_row(run, ours, theirs, bar):
    """Of what was measured one after the other, round by round: what else the machine does changes from minute to minute."""
    ratios = [a / b for a, b in zip(ours, theirs)]
    ratio = statistics.geometric_mean(ratios)
    run.row("ratio, the mean of the rounds", f"{ratio:.2f} ({min(ratios):.2f}-{max(ratios):.2f})", f">= {bar}", ratio >= bar)


def main():
    ap = harness.parser(__doc__)
    ap.add_argument("--model", help="a GGUF file; the model that comes along otherwise")
    ap.add_argument("--peer", default=os.environ.get("LARES_PEER") or harness.built_peer(), help="path of a llama-server")
    ap.add_argument("--rounds", type=int, default=15)
    ap.add_argument("--tokens", type=int, default=48)
    args = ap.parse_args()
    args.model = args.model or str(harness.default_model())
    threads = len(os.sched_getaffinity(0))
    harness.wait_for_quiet()
    run = harness.Run("streams")
    print(f"model: {os.path.basename(args.model)}, {threads} threads")
    lares = harness.Lares([pathlib.Path(args.model)], settings=f"[models]\nthreads = {threads}\n")
    sides = {"lares": lares}
    try:
        if args.peer:
            port = harness.free_port()
            command = [str(word) for word in harness.peer_command(args.peer, args.model, port, threads)]
            command[command.index("-np") + 1] = str(STREAMS)
            sides["llama-server"] = harness.Server(command, port)
        speeds = {name: [] for name in sides}
        for r in range(args.rounds):
            for name in sides:  # always the one after the other: who answers twice in a row has its memory at hand
                speeds[name].append(together(sides[name], STREAMS, args.tokens, f"{r}"))
        for name, found in speeds.items():
            run.row(f"{STREAMS} streams, {name} (tok/s of all)", harness.spread(found, 1))
        if args.peer:
            ratio_row(run, speeds["lares"], speeds["llama-server"], 1.0)

        # two fresh daemons in turn, as what rests cannot be sent away
        sides["alone"] = harness.Lares([pathlib.Path(args.model)], settings=f"[models]\nthreads = {threads}\n")
        sides["resting"] = harness.Lares([pathlib.Path(args.model)], settings=f"[models]\nthreads = {threads}\n")
        for i in range(STREAMS):
            sides["resting"].endpoint.turn([{"role": "user", "content": harness.text_of(IDLE_TOKENS, f"idle{i}")}], 1)
        time.sleep(2)
        decode = {"alone": [], "resting": []}
        for r in range(-1, 2 * args.rounds):
            for name in (list(decode) if r % 2 == 0 else list(reversed(list(decode)))):
                messages = [{"role": "user", "content": f"Tell me of the {harness.WORDS[r % len(harness.WORDS)]}."}]
                rate = sides[name].endpoint.turn(messages, args.tokens, extra={"seed": None})["decode_tps"]
                if r >= 0:
                    decode[name].append(rate)
        run.row("decode of one chat alone (tok/s)", harness.spread(decode["alone"], 1))
        run.row(f"beside {STREAMS} idle chats of {IDLE_TOKENS:,} tokens", harness.spread(decode["resting"], 1))
        ratio_row(run, decode["resting"], decode["alone"], 0.97)
    finally:
        for side in sides.values():
            side.stop()
    return run.end()


if __name__ == "__main__":
    sys.exit(main())
