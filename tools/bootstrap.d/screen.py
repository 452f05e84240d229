"""What a person sees while waiting: one growing line on a terminal, a plain line now and then elsewhere.

Everything goes to stderr, because stdout belongs to the answer. Not thread-safe; one bar at a time.
"""

import collections
import os
import re
import sys
import time

PLAIN_LINE_EVERY_S = 10
REDRAW_EVERY_S = 0.1
RATE_WINDOW_S = 8  # a rate over the last seconds follows a changing network and still stands still enough to read
LEFT_MAX_S = 6 * 3600  # more is not an estimate
BAR_WIDTH = 24
TITLE_WIDTH = 36


class Stop(Exception):
    """Ends the run: what to print (lower case, with the next step) and the exit status of DESIGN's table."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


# Exit statuses, as in src/base/error.cpp.
USAGE, NOT_FOUND, NO_ROOM, OFFLINE, CORRUPT, UNSUPPORTED, IO, INTERRUPTED = 2, 3, 5, 7, 9, 10, 12, 130


def say(text):
    print(text, file=sys.stderr, flush=True)


def megabytes(count):
    return f"{count / 1e6:.1f} MB"


def clock(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Bar:
    """Progress of one step: `with Bar("fetching x", total, "bytes") as bar: bar.show(done)`."""

    def __init__(self, title, total, unit, out=None, now=time.monotonic):
        self.title, self.total, self.unit = title, max(int(total), 1), unit
        self.out = out or sys.stderr
        self.now = now
        self.terminal = self.out.isatty()
        self.began = self.drawn = now()
        self.done = 0
        self.seen = collections.deque([(self.began, 0)])

    def __enter__(self):
        self._draw(first=True)
        return self

    def __exit__(self, kind, value, trace):
        took = self.now() - self.began
        if self.terminal:
            self.out.write("\r\033[K")
        if kind is None:
            amount = megabytes(self.done) if self.unit == "bytes" else f"{self.done} {self.unit}"
            self.out.write(f"  {self.title}: {amount} in {took:.0f} s\n")
        self.out.flush()

    def show(self, done, total=None):
        if total is not None:
            self.total = max(int(total), 1)
        now = self.now()
        if done < self.done:  # begun anew
            self.seen.clear()
        self.done = done
        self.seen.append((now, done))
        while len(self.seen) > 2 and now - self.seen[0][0] > RATE_WINDOW_S:
            self.seen.popleft()
        if now - self.drawn >= (REDRAW_EVERY_S if self.terminal else PLAIN_LINE_EVERY_S):
            self.drawn = now
            self._draw()

    def _draw(self, first=False):
        share = min(self.done / self.total, 1)
        text = self._remark()
        if self.terminal:
            full = int(share * BAR_WIDTH)
            line = f"{self.title:<{TITLE_WIDTH}.{TITLE_WIDTH}} [{'#' * full}{'-' * (BAR_WIDTH - full)}] {text}"
            try:
                columns = os.get_terminal_size(self.out.fileno()).columns
            except (OSError, ValueError):
                columns = 80
            self.out.write(f"\r{line[:max(columns - 1, 20)]}\033[K")
        elif not first:
            self.out.write(f"  {self.title}: {text}\n")
        self.out.flush()

    def _remark(self):
        since, before = self.seen[0]
        elapsed = self.seen[-1][0] - since
        rate = (self.done - before) / elapsed if elapsed > 0.5 else 0
        if self.unit == "bytes":
            text = f"{self.done / 1e6:.1f} of {megabytes(self.total)}"
            if rate > 0:
                text += f"  {rate / 1e6:.1f} MB/s"
        else:
            text = f"{self.done} of {self.total} {self.unit}"
            # files differ much in what they cost, so the whole run so far is the better guess
            spent = self.seen[-1][0] - self.began
            rate = self.done / spent if spent > 2 else 0
            if rate > 0:
                text += f"  {rate * 60:.0f} a minute"
        if rate > 0 and self.done < self.total <= self.done + rate * LEFT_MAX_S:
            text += f"  {clock((self.total - self.done) / rate)} left"
        return text


def last_output(text, count=25):
    """The end of a tool's output, indented, for a message."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    first_error = next((i for i, line in enumerate(lines) if re.search(r"\berror\b|CMake Error|FAILED", line)), len(lines))
    shown = lines[first_error:first_error + count] or lines[-count:]
    return "\n".join(f"    {line[:300]}" for line in shown)
