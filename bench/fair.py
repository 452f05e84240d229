#!/usr/bin/env python3
"""Two apps that want ten times as much and once as much of one model: how its CPU time is shared between them.

One app keeps ten streams going, the other one; both have the same weight. What an answer that is not over when the time is
took until then is reckoned by its tokens.
"""

import os
import pathlib
import sys
import threading
import time

import harness

DEMAND = {"ten streams": 10, "one stream": 1}


class App:
    """An app with a token of its own, and answers that it has computed until it is stopped."""

    def __init__(self, lares, name, streams):
        token = lares.owner("/lares/v1/credentials", "POST", {"name": name})["token"]
        self.endpoint = harness.Endpoint(lares.port, token=token)
        self.name, self.answers = name, []  # (CPU-ms, times of its tokens)
        self.until = 0.0
        self.threads = [threading.Thread(target=self.go, args=(i,)) for i in range(streams)]

    def go(self, number):
        turn = 0
        while time.monotonic() < self.until:
            text = harness.text_of(60, f"{self.name}{number}-{turn}")
            body = {"model": "default", "prompt": text, "max_tokens": 96, "temperature": 1, "ignore_eos": True}
            times, receipt = [], {}
            for at, chunk in self.endpoint.stream(body, path="/v1/completions"):
                receipt = chunk.get("lares") or receipt
                if any(choice.get("text") for choice in chunk.get("choices") or []):
                    times.append(at)
            self.answers.append((receipt["cpu_ms"], times))
            turn += 1

    def cpu_ms(self):
        return sum(cpu * sum(at < self.until for at in times) / len(times) for cpu, times in self.answers)


def main():
    ap = harness.parser(__doc__)
    ap.add_argument("--model", help="a GGUF file; the model that comes along otherwise")
    ap.add_argument("--seconds", type=float, default=30)
    args = ap.parse_args()
    model = pathlib.Path(args.model or harness.default_model())
    threads = len(os.sched_getaffinity(0))
    harness.wait_for_quiet()
    run = harness.Run("fair")
    print(f"model: {model.name}, {threads} threads, {args.seconds:.0f} s")
    with harness.Lares([model], settings=f"[models]\nthreads = {threads}\n") as lares:
        apps = [App(lares, name, streams) for name, streams in DEMAND.items()]
        lares.endpoint.turn([{"role": "user", "content": "hi"}], 4)
        for app in apps:
            app.until = time.monotonic() + args.seconds
        for thread in [each for app in apps for each in app.threads]:
            thread.start()
        for thread in [each for app in apps for each in app.threads]:
            thread.join()
    used = [app.cpu_ms() for app in apps]
    for app, cpu in zip(apps, used):
        run.row(f"{app.name}: CPU-ms", f"{cpu:,.0f}", note=f"{len(app.answers)} answers")
    share = used[1] / sum(used)
    run.row("share of the app with one stream", f"{share:.3f}", "0.5 within 5 %", abs(share - 0.5) <= 0.025)
    jain = sum(used) ** 2 / (len(used) * sum(cpu * cpu for cpu in used))
    run.row("Jain's index", f"{jain:.4f}", ">= 0.98", jain >= 0.98)
    return run.end()


if __name__ == "__main__":
    sys.exit(main())
