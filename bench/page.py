#!/usr/bin/env python3
"""The page in a Chromium: first useful paint from loopback, bytes shipped, and keystroke to paint while 100 tokens/s stream into a
chat of 20,000 tokens. The page is the built one; what it talks to is the tests' stand-in, so that no model's speed is in it.

    ./dev bench page [--rounds N] [--keys N]
"""

import argparse
import json
import subprocess
import sys

from harness import ROOT, Run, spread

PAINT_MS_MAX = 500
SHIPPED_BYTES_MAX = 150_000
KEY_P95_MS_MAX = 50



def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="openings of the page")
    parser.add_argument("--keys", type=int, default=200, help="keystrokes")
    options = parser.parse_args()
    subprocess.run([ROOT / "tools" / "bootstrap", "page", "tests"], check=True, stdout=subprocess.DEVNULL)
    node = subprocess.run([ROOT / "tools" / "bootstrap", "page", "node"], check=True, capture_output=True, text=True).stdout.strip()
    run = Run("page")
    done = subprocess.run([node, ROOT / "tests" / "page" / "bench.mjs", str(options.rounds), str(options.keys)],
                          capture_output=True, text=True, timeout=300)
    if done.returncode:
        sys.exit(f"bench page: the browser's part stopped:\n{done.stderr[-2000:]}")
    found = json.loads(done.stdout)
    paint, key = found["first_paint_ms"], found["key_ms"]
    run.row("first useful paint from loopback, ms", spread(paint, 0), f"<= {PAINT_MS_MAX}", sorted(paint)[len(paint) // 2] <= PAINT_MS_MAX)
    run.row("bytes shipped, compressed", f"{found['shipped_bytes']:,}", f"<= {SHIPPED_BYTES_MAX:,}", found["shipped_bytes"] <= SHIPPED_BYTES_MAX)
    run.row("keystroke to paint, ms: p50 / p95 / most", f"{key['p50']:.1f} / {key['p95']:.1f} / {key['most']:.1f}", f"p95 <= {KEY_P95_MS_MAX}",
            key["p95"] <= KEY_P95_MS_MAX, f"{key['n']} keys beside {found['characters']:,} characters")
    return run.end()


if __name__ == "__main__":
    sys.exit(main())
