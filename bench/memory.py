#!/usr/bin/env python3
"""Resident memory of laresd with one model up, without the worker, after it has answered."""

import sys

import harness


def rss_mb(pid):
    for line in open(f"/proc/{pid}/status", encoding="utf-8"):
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def main():
    harness.parser(__doc__).parse_args()
    run = harness.Run("memory")
    with harness.Lares([harness.default_model()]) as lares:
        for i in range(5):
            lares.endpoint.turn(conversation(i), 32)
        for pid, name in sorted(lares.pids().items()):
            size = rss_mb(pid)
            if name == "laresd":
                run.row("resident memory of laresd (MB)", f"{size:.1f}", "<= 64", size <= 64)
            else:
                run.row(f"resident memory of {name} (MB), for comparison", f"{size:.1f}")
    return run.end()


def conversation(i):
    return [{"role": "user", "content": harness.text_of(200, f"m{i}")}]


if __name__ == "__main__":
    sys.exit(main())
