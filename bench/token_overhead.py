#!/usr/bin/env python3
"""The time that the daemon adds to each streamed token, p50 and p99, with 64 streams of fake workers, or as many
as --streams says.

The fake engine writes, as each token's text, the moment (CLOCK_MONOTONIC, nanoseconds) at which it made it:
a prompt "clock: N" asks for that. The client takes the same clock when the token arrives, so the difference is
everything between the two: the worker's frame, the daemon's loop, the HTTP chunk, the client's read. The client is
this program; its own share, with a bare server that writes the same events at the same pace and nothing between, is
measured too and printed. The bars are held with that share in.
"""

import contextlib
import json
import os
import selectors
import socket
import statistics
import sys
import time

import harness

STREAMS = 64
TOKENS = 200
TOKENS_PER_S = 20
MODELS = 8


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))]


@contextlib.contextmanager
def fake_house(connections, streams=STREAMS):
    """Our daemon with MODELS fake models up, that compute `streams` answers at once."""
    settings = f"api.connections = {connections}\nmodels.sequences = {-(-streams // MODELS)}\n"
    with harness.Lares(arguments=["--engine=fake", f"--fake=tokens-per-s={TOKENS_PER_S}"], settings=settings,
                       fake_models=[f"fake-{i}" for i in range(MODELS)]) as lares:
        for i in range(MODELS):
            lares.endpoint.turn([{"role": "user", "content": "hi"}], 2, model=f"fake-{i}")
        yield lares


def open_stream(port, index):
    body = json.dumps({"model": f"fake-{index % MODELS}", "stream": True, "max_tokens": TOKENS,
                       "messages": [{"role": "system", "content": f"Stream {index}."},
                                    {"role": "user", "content": f"clock: {TOKENS}"}]}).encode()
    s = socket.create_connection(("127.0.0.1", port))
    s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
              b"Content-Length: %d\r\n\r\n" % (port, len(body)) + body)
    s.setblocking(False)
    return s


def collect(sockets):
    """[added seconds] over all streams."""
    selector = selectors.DefaultSelector()
    rest = {}
    for s in sockets:
        selector.register(s, selectors.EVENT_READ)
        rest[s] = b""
    added, until = [], time.monotonic() + 120
    while selector.get_map() and time.monotonic() < until:
        for key, _ in selector.select(1):
            s = key.fileobj
            data = s.recv(65536)
            now = time.monotonic_ns()
            if not data:
                selector.unregister(s)
                continue
            lines = (rest[s] + data).split(b"\n")
            rest[s] = lines.pop()
            for line in lines:
                if line.startswith(b"data: [DONE]"):
                    selector.unregister(s)
                    break
                if not line.startswith(b"data: "):
                    continue
                for choice in json.loads(line[6:]).get("choices") or []:
                    for stamp in (choice["delta"].get("content") or "").split():
                        added.append((now - int(stamp)) / 1e9)
    return added


def bare_server(listener, streams):
    """Writes the same events at the same pace with nothing between: eight groups, a token for each stream of a group."""
    connections = [listener.accept()[0] for _ in range(streams)]
    start = time.monotonic()
    for n in range(TOKENS):
        for group in range(MODELS):
            due = start + (n + group / MODELS) / TOKENS_PER_S
            time.sleep(max(0.0, due - time.monotonic()))
            for s in connections[group::MODELS]:
                chunk = {"choices": [{"index": 0, "delta": {"content": f"{time.monotonic_ns()} "}}]}
                s.sendall(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    for s in connections:
        s.sendall(b"data: [DONE]\n\n")


def client_alone(streams):
    """[seconds] that the same client needs for the events of a bare server in another process."""
    with socket.create_server(("127.0.0.1", 0), backlog=streams) as listener:
        pid = os.fork()
        if pid == 0:
            bare_server(listener, streams)
            os._exit(0)
        port = listener.getsockname()[1]
        sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(streams)]
        for s in sockets:
            s.setblocking(False)
        added = collect(sockets)
        os.waitpid(pid, 0)
    return added


def main():
    ap = harness.parser(__doc__)
    ap.add_argument("--streams", type=int, default=STREAMS)
    args = ap.parse_args()
    harness.wait_for_quiet()
    run = harness.Run("token_overhead")
    with fake_house(max(64, args.streams + 8), args.streams) as lares:
        sockets = [open_stream(lares.port, i) for i in range(args.streams)]
        added = collect(sockets)
    expected = args.streams * TOKENS
    run.row("tokens seen", f"{len(added)} of {expected}", "all", len(added) == expected)
    p50, p99 = quantile(added, 0.5) * 1000, quantile(added, 0.99) * 1000
    run.row(f"added per token, {args.streams} streams, p50 (ms)", f"{p50:.3f}", *(("<= 0.5", p50 <= 0.5) if args.streams <= STREAMS else ()))
    run.row(f"added per token, {args.streams} streams, p99 (ms)", f"{p99:.3f}", "<= 5", p99 <= 5)
    run.row("mean (ms)", f"{statistics.mean(added) * 1000:.3f}")
    alone = client_alone(args.streams)
    run.row("of which the client alone, p50 / p99 (ms)", f"{quantile(alone, 0.5) * 1000:.3f} / {quantile(alone, 0.99) * 1000:.3f}")
    return run.end()


if __name__ == "__main__":
    sys.exit(main())
