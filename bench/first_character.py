#!/usr/bin/env python3
"""`lares "hi"` to its first character: with the daemon running, and with the daemon to be started.

The model file is in the page cache in both. Whole processes are timed, from before the fork to the first
byte on their standard output.
"""

import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import harness


def first_byte_s(command, environment):
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                          env=environment) as p:
        if not p.stdout.read(1):
            raise RuntimeError(f"{command} said nothing")
        took = time.monotonic() - began
        p.stdout.read()
    return took


def main():
    ap = harness.parser(__doc__)
    ap.add_argument("--rounds", type=int, default=7)
    args = ap.parse_args()
    bin_folder = harness.programs()
    model = harness.default_model()
    harness.wait_for_quiet()
    run = harness.Run("first_character")
    home = pathlib.Path(tempfile.mkdtemp(prefix="lares-home-"))
    try:
        (home / "share" / "models").mkdir(parents=True, mode=0o700)
        shutil.copy2(model, home / "share" / "models" / model.name)
        environment = {**os.environ, "LARES_HOME": str(home)}
        (home / "config").mkdir(mode=0o700)
        (home / "config" / "lares.toml").write_text("[api]\nport = 0\n")
        lares = [str(bin_folder / "lares")]
        first_byte_s([*lares, "hi"], environment)  # first start: probes the CPU variants, once in a machine's life
        warm, cold = [], []
        for _ in range(args.rounds):
            warm.append(first_byte_s([*lares, "hi"], environment))
        for _ in range(args.rounds):
            subprocess.run([*lares, "stop"], env=environment, check=True, stdout=subprocess.DEVNULL)
            cold.append(first_byte_s([*lares, "hi"], environment))
        subprocess.run([*lares, "stop"], env=environment, check=True, stdout=subprocess.DEVNULL)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    run.row("first character, daemon running (s)", harness.spread(warm, 3), "<= 0.25", statistics.median(warm) <= 0.25)
    run.row("first character, daemon not running (s)", harness.spread(cold, 3), "<= 0.8", statistics.median(cold) <= 0.8)
    return run.end()


if __name__ == "__main__":
    sys.exit(main())
