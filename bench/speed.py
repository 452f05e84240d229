#!/usr/bin/env python3
"""Prefill, decode and the first token of a follow-up turn, one stream, through our API, against llama-server.

Both sides run the same model file with the same number of threads and answer the same prompts in turn. The
peer is llama-server from the same source distribution, built with its own defaults: `tools/bootstrap peer`
builds it, or give another with --peer. `--variant haswell` holds both sides to AVX2, on a CPU with AMX `--variant zen4` to
what it has beside AMX (`tools/bootstrap variants zen4` builds ours).
"""

import os
import statistics
import sys

import harness


def conversation(salt, tokens):
    return [{"role": "user", "content": "Here are my notes.\n" + harness.text_of(tokens, salt) +
             "\nSay one short thing about them."}]


def measure(sides, rounds, history):
    """{side: {figure: [values]}}: each round asks every side the same, the order turning."""
    out = {name: {"prefill": [], "decode": [], "follow_up": []} for name in sides}
    for r in range(rounds):
        names = list(sides) if r % 2 == 0 else list(reversed(list(sides)))
        for name in names:
            ep = sides[name].endpoint
            fresh = ep.turn(conversation(f"p{r}", 512), 1)
            prompt = fresh["usage"].get("prompt_tokens") or 512
            out[name]["prefill"].append(prompt / fresh["ttft"])
            out[name]["decode"].append(ep.turn([{"role": "user", "content": f"Count the {harness.WORDS[r]}s."}], 128)["decode_tps"])
    chats = {name: conversation("h", history) for name in sides}
    for name, messages in chats.items():
        said = sides[name].endpoint.turn(messages, 16)
        messages.append({"role": "assistant", "content": said["text"]})
    for r in range(rounds):
        names = list(sides) if r % 2 == 0 else list(reversed(list(sides)))
        for name in names:
            chats[name].append({"role": "user", "content": f"Tell me one more thing, number {r}."})
            said = sides[name].endpoint.turn(chats[name], 16)
            out[name]["follow_up"].append(said["ttft"] * 1000)
            chats[name].append({"role": "assistant", "content": said["text"]})
    return out


def main():
    ap = harness.parser(__doc__)
    ap.add_argument("--peer", default=os.environ.get("LARES_PEER") or harness.built_peer(), help="path of a llama-server")
    ap.add_argument("--model", default=None)
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--history", type=int, default=2500)
    ap.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    ap.add_argument("--variant", default="", help="hold both sides to this CPU variant")
    args = ap.parse_args()
    model = args.model or harness.default_model()
    harness.wait_for_quiet()
    run = harness.Run("speed" + (f" ({args.variant})" if args.variant else ""))
    print(f"model: {os.path.basename(str(model))}, {args.threads} threads, {args.rounds} rounds, history {args.history}")
    settings = f'[models]\nthreads = {args.threads}\n' + (f'[engine]\nvariant = "{args.variant}"\n' if args.variant else "")
    sides = {"lares": harness.Lares([model], settings=settings)}
    try:
        if args.peer:
            port = harness.free_port()
            sides["llama-server"] = harness.Server(harness.peer_command(args.peer, model, port, args.threads), port,
                                                   environment=harness.peer_environment(args.peer, args.variant))
        for side in sides.values():
            side.endpoint.turn([{"role": "user", "content": "hi"}], 4)
        figures = measure(sides, args.rounds, args.history)
    finally:
        for side in sides.values():
            side.stop()
    amx = not args.variant and harness.has_amx() and "q4_1" in os.path.basename(str(model)).lower()
    units = {"prefill": "tok/s, 512 tokens", "decode": "tok/s", "follow_up": f"ms, {args.history} tokens before"}
    for figure, unit in units.items():
        ours = figures["lares"][figure]
        run.row(f"{figure}, lares ({unit})", harness.spread(ours, 1))
        if "llama-server" not in figures:
            continue
        theirs = figures["llama-server"][figure]
        run.row(f"{figure}, llama-server", harness.spread(theirs, 1))
        ratio = statistics.median(ours) / statistics.median(theirs)
        if figure == "follow_up":
            run.row("follow_up, ratio", f"{ratio:.2f}", "<= 1.05", ratio <= 1.05)
        elif figure == "prefill" and amx:
            run.row("prefill, ratio (ours with AMX, Q4_1)", f"{ratio:.2f}", ">= 3", ratio >= 3)
        else:
            run.row(f"{figure}, ratio", f"{ratio:.2f}", ">= 1.0 (0.98)", ratio >= 0.98)
    if not args.peer:
        print("no peer was measured: build it with `tools/bootstrap peer`, or give the path of one with --peer")
    return run.end()


if __name__ == "__main__":
    sys.exit(main())
