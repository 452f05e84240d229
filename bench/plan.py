#!/usr/bin/env python3
"""What `lares plan` predicts of each model beside what is measured of it: bytes of memory, tokens/s of an answer, tokens/s of a
prompt. Within 15 % of each other is the bar.

The models are those in LARES_TEST_MODELS and, for larger ones, LARES_EXTRA_MODELS. This machine is measured first, as
it is for anybody's first `lares plan`; then each model answers --rounds times with nothing else in memory.
"""

import http.client
import json
import os
import pathlib
import sys
import time

import harness

WITHIN = 0.15


def model_files():
    """Every model file of both folders; those of the second are skipped loudly where it is absent."""
    found = []
    for name in ("LARES_TEST_MODELS", "LARES_EXTRA_MODELS"):
        folder = os.environ.get(name)
        if folder and pathlib.Path(folder).is_dir():
            found += sorted(pathlib.Path(folder).glob("*.gguf"))
        else:
            print(f"{name} names no folder: its models are skipped")
    return found


def post(port, path, body):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    c.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    r = c.getresponse()
    text = r.read()
    if r.status != 200:
        raise RuntimeError(f"{path}: {r.status} {text[:300]!r}")
    return json.loads(text)


def run_model(lares, row, rounds):
    """Has it read a prompt of about 512 tokens and write 128, a few times; the receipts keep the rates."""
    for r in range(rounds + 1):
        text = harness.text_of(512, f"{row['id']}{r}")
        if row["use"] == "embedding":
            post(lares.port, "/v1/embeddings", {"model": row["id"], "input": [text[i * 700:(i + 1) * 700] for i in range(3)]})
            continue
        for prompt, tokens in ((text, 1), (f"Count the {harness.WORDS[r]}s.", 128)):
            post(lares.port, "/v1/completions", {"model": row["id"], "prompt": prompt, "max_tokens": tokens, "temperature": 0,
                                                 "ignore_eos": True})


def compare(run, what, predicted, measured, unit, scale=1.0):
    if not predicted or not measured:
        return
    ratio = predicted / measured
    run.row(what, f"{ratio:.2f}", f"1 +- {WITHIN}", abs(ratio - 1) <= WITHIN,
            f"predicted {predicted / scale:.4g}, measured {measured / scale:.4g} {unit}")


def wait_until_known(lares):
    """Until the file was looked into, which the daemon does by itself some seconds after its start."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        rows = lares.owner("/lares/v1/models")
        if rows and rows[0]["info"]:
            return
        time.sleep(0.2)
    raise RuntimeError("the model's file was not looked into within a minute")


def main():
    ap = harness.parser(__doc__)
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = ap.parse_args()
    files = model_files()
    if not files:
        sys.exit("no models: set LARES_TEST_MODELS")
    harness.wait_for_quiet()
    run = harness.Run("plan")
    settings = f"[models]\nthreads = {args.threads}\npreload = false\n"
    for file in files:
        with harness.Lares([file], settings=settings) as lares:
            wait_until_known(lares)
            row = lares.owner("/lares/v1/models")[0]
            before = lares.owner(f"/lares/v1/models/{row['id']}/plan")
            run_model(lares, row, args.rounds)
            after = lares.owner(f"/lares/v1/models/{row['id']}/plan")
        predicted, measured = before["predicted"] or {}, after["measured"] or {}
        print(f"-- {row['id']}: {row['info'].get('architecture')}, {row['info'].get('quantization')}")
        compare(run, f"{row['id']}: memory", predicted.get("memory_bytes"), measured.get("memory_bytes"), "MiB", 1 << 20)
        compare(run, f"{row['id']}: answer", predicted.get("tokens_per_s"), measured.get("tokens_per_s"), "tokens/s")
        compare(run, f"{row['id']}: prompt", predicted.get("prompt_tokens_per_s"), measured.get("prompt_tokens_per_s"), "tokens/s")
    return run.end()


if __name__ == "__main__":
    sys.exit(main())
