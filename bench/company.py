#!/usr/bin/env python3
"""Decode while other programs compute on the same cores, against llama-server and against the quiet machine.

The others are loops that never sleep, each in a session of its own, as a person's programs are; both sides run as many
threads as there are cores. What is looked for is not speed but collapse: threads that spin at a barrier for one that is
not on a core lose whole time slices, hundreds of times for each token (cmake/engine/relax.h).
"""

import os
import statistics
import subprocess
import sys
import time

import harness

LOOP = [sys.executable, "-c", "while True: pass"]


def decode(side, rounds, tokens):
    return [side.endpoint.turn([{"role": "user", "content": f"Count the {harness.WORDS[r]}s."}], tokens)["decode_tps"] for r in range(rounds)]


def beside(sides, others, rounds, tokens):
    """{side: [tok/s]} while `others` loops run, the sides in turn."""
    loops = [subprocess.Popen(LOOP, start_new_session=True) for _ in range(others)]
    try:
        time.sleep(1)
        found = {name: [] for name in sides}
        for r in range(rounds):
            for name in (list(sides) if r % 2 == 0 else list(reversed(list(sides)))):
                found[name] += decode(sides[name], 1, tokens)
        return found
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def main():
    ap = harness.parser(__doc__)
    ap.add_argument("--peer", default=os.environ.get("LARES_PEER") or harness.built_peer(), help="path of a llama-server")
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--tokens", type=int, default=32)
    args = ap.parse_args()
    model, threads = harness.default_model(), len(os.sched_getaffinity(0))
    harness.wait_for_quiet()
    run = harness.Run("company")
    print(f"model: {model.name}, {threads} threads, {args.rounds} answers of {args.tokens} tokens")
    sides = {"lares": harness.Lares([model], settings=f"[models]\nthreads = {threads}\n")}
    try:
        if args.peer:
            port = harness.free_port()
            sides["llama-server"] = harness.Server(harness.peer_command(args.peer, model, port, threads), port)
        for side in sides.values():
            side.endpoint.turn([{"role": "user", "content": "hi"}], 4)
        quiet = {}
        for others in (0, 1, threads):
            found = beside(sides, others, args.rounds, args.tokens)
            quiet = quiet or found
            for name, speeds in found.items():
                share = statistics.median(speeds) / statistics.median(quiet[name])
                run.row(f"decode beside {others} busy programs, {name} (tok/s)", harness.spread(speeds, 1), note=f"{share:.2f} of quiet")
            if others and args.peer:
                ratio = statistics.median(found["lares"]) / statistics.median(found["llama-server"])
                run.row(f"beside {others}, ratio", f"{ratio:.2f}", ">= 1.0", ratio >= 1.0)
    finally:
        for side in sides.values():
            side.stop()
    return run.end()


if __name__ == "__main__":
    sys.exit(main())
