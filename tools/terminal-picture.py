#!/usr/bin/env python3
"""Draws a terminal session as an SVG: `terminal-picture.py SESSION.json OUT.svg [--lares PATH]`.

SESSION.json is a list of {"type": what the person types, "expect": a word the output must hold}. Each command
is really run (with `lares` found at --lares, in a shell) and what it printed is drawn; a command whose output
lacks its word ends the program with 1 and nothing is written. Standard library only.
"""

import argparse
import html
import json
import os
import pathlib
import subprocess
import sys
import textwrap

WIDTH = 92  # characters
LINE = 19   # pixels


def transcript(session, lares):
    """[(kind, line)] of the whole session; raises ValueError when an output lacks its word."""
    environment = {**os.environ, "PATH": f"{pathlib.Path(lares).resolve().parent}:{os.environ['PATH']}"}
    lines = []
    for step in session:
        ran = subprocess.run(["sh", "-c", step["type"]], capture_output=True, text=True, env=environment, timeout=300,
                             stdin=subprocess.DEVNULL)
        if ran.returncode != 0 or step["expect"].lower() not in ran.stdout.lower():
            raise ValueError(f"{step['type']!r}: exit {ran.returncode}, no {step['expect']!r} in {ran.stdout!r} {ran.stderr!r}")
        lines.append(("typed", step["type"]))
        for line in ran.stdout.rstrip().split("\n"):
            lines += [("said", part) for part in textwrap.wrap(line, WIDTH, replace_whitespace=False,
                                                               drop_whitespace=False) or [""]]
        lines.append(("said", ""))
    return lines[:-1]


def svg(lines):
    height = LINE * len(lines) + 34
    rows = []
    for i, (kind, line) in enumerate(lines):
        y = 30 + i * LINE
        if kind == "typed":
            rows.append(f'<text x="16" y="{y}"><tspan fill="#7ee787">$ </tspan><tspan fill="#ffffff">{html.escape(line)}</tspan></text>')
        elif line:
            rows.append(f'<text x="16" y="{y}" fill="#c9d1d9">{html.escape(line)}</text>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH * 8 + 32}" height="{height}" '
            f'font-family="ui-monospace,DejaVu Sans Mono,Menlo,monospace" font-size="13" xml:space="preserve">\n'
            f'<title>A terminal session with lares</title>\n'
            f'<rect width="100%" height="100%" rx="8" fill="#0d1117"/>\n' + "\n".join(rows) + "\n</svg>\n")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("session", type=pathlib.Path)
    ap.add_argument("out", type=pathlib.Path)
    ap.add_argument("--lares", default="build/release/bin/lares")
    args = ap.parse_args()
    try:
        picture = svg(transcript(json.loads(args.session.read_text()), args.lares))
    except ValueError as error:
        sys.exit(f"drawing {args.session}: {error}")
    args.out.write_text(picture)


if __name__ == "__main__":
    main()
