#!/usr/bin/env python3
"""What 2,000 slow clients cost 64 good ones: the time that the daemon adds to each streamed token, alone and in the crowd.

A slow client sends a request's head by one byte a second and comes back as soon as it is turned away, from a process of
its own. In turn, round by round, the 64 streams of token_overhead run alone and beside the crowd. `api.connections` is
raised so that all of them are let in: with the 64 connections that are its default the crowd is turned away at the door.
"""

import heapq
import os
import selectors
import signal
import socket
import statistics
import sys
import time

import harness
from token_overhead import STREAMS, TOKENS, collect, fake_house, open_stream, quantile

SLOW = 2000
ROUNDS = 5
CONNECTIONS_MAX = 4096
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: " + b"a" * 4000
BYTE_EVERY_S = 1.0


def crowd(port, count, report):
    """Keeps `count` slow clients at the door until it is ended; says through `report` when all are there the first time."""
    selector, there, began = selectors.DefaultSelector(), set(), time.monotonic()
    turns = [(began + 0.002 * i, i, None, 0) for i in range(count)]  # (when, number, its socket or None: it comes, bytes sent)
    said = False
    while True:
        now = time.monotonic()
        for key, _ in selector.select(max(0.0, turns[0][0] - now) if turns else 0.01):  # an answer or an end: turned away
            selector.unregister(key.fileobj)
            key.fileobj.close()
            there.discard(key.fileobj)
            heapq.heappush(turns, (time.monotonic() + 0.1, key.data, None, 0))
        now = time.monotonic()
        while turns and turns[0][0] <= now:
            due, number, client, sent = heapq.heappop(turns)
            if client is None:
                client = socket.socket()
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", port))
                selector.register(client, selectors.EVENT_READ, number)
                there.add(client)
            elif client not in there:
                continue  # came back under another turn
            else:
                try:
                    client.send(HEAD[sent:sent + 1])
                except OSError:
                    pass  # its end is read above
                sent += 1
            heapq.heappush(turns, (due + BYTE_EVERY_S, number, client, sent))
        if not said and len(there) >= count * 0.9:
            said = True
            os.write(report, b"x")


def gathered(port, count):
    """The pid of a crowd that has come."""
    ready, report = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ready)
        try:
            crowd(port, count, report)
        finally:
            os._exit(1)
    os.close(report)
    came = os.read(ready, 1)
    os.close(ready)
    if not came:
        raise RuntimeError("the crowd ended before all had come")
    return pid


def good_streams(lares):
    """[added seconds] of all tokens of the good clients."""
    return collect([open_stream(lares.port, i) for i in range(STREAMS)])


def main():
    ap = harness.parser(__doc__)
    ap.add_argument("--slow", type=int, default=SLOW)
    ap.add_argument("--rounds", type=int, default=ROUNDS)
    args = ap.parse_args()
    harness.wait_for_quiet()
    run = harness.Run("crowd")
    alone, beside, seen = [], [], 0
    with fake_house(CONNECTIONS_MAX) as lares:
        for _ in range(args.rounds):
            added = good_streams(lares)
            alone.append(quantile(added, 0.99) * 1000)
            seen += len(added)
            pid = gathered(lares.port, args.slow)
            try:
                added = good_streams(lares)
            finally:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            beside.append(quantile(added, 0.99) * 1000)
            seen += len(added)
            time.sleep(1)
    expected = 2 * args.rounds * STREAMS * TOKENS
    run.row("tokens seen by the good ones", f"{seen} of {expected}", "all", seen == expected)
    run.row(f"added per token, {STREAMS} streams alone, p99 (ms)", harness.spread(alone))
    run.row(f"the same beside {args.slow:,} slow clients (ms)", harness.spread(beside), "<= 5", statistics.median(beside) <= 5)
    ratio = statistics.median(beside) / statistics.median(alone)
    run.row("ratio", f"{ratio:.2f}", "<= 1.20", ratio <= 1.2)
    return run.end()


if __name__ == "__main__":
    sys.exit(main())
