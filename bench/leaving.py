#!/usr/bin/env python3
"""From the moment a client closes its connection to the moment its model computes nothing, with the real model: while a
long prompt is read, and in the middle of an answer.

That nothing is computed is seen from outside: `requests` of /lares/v1/ps, which counts what a worker holds until the
worker has said that it ended. What the question itself takes (a few milliseconds) is in the figure.
"""

import json
import socket
import statistics
import sys
import time

import harness


def open_stream(port, content):
    body = json.dumps({"stream": True, "max_tokens": 4000, "ignore_eos": True, "temperature": 0,
                       "messages": [{"role": "user", "content": content}]}).encode()
    s = socket.create_connection(("127.0.0.1", port))
    s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
              b"Content-Length: %d\r\n\r\n" % (port, len(body)) + body)
    return s


def busy(lares):
    return any(row["requests"] for row in lares.owner("/lares/v1/ps"))


def wait_until(condition, limit_s=30):
    until = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > until:
            raise RuntimeError("it did not come within the limit")
        time.sleep(0.001)


def stopping_ms(lares, content, read_tokens):
    s = open_stream(lares.port, content)
    wait_until(lambda: busy(lares))
    if read_tokens:
        got = b""
        while got.count(b"data: ") < read_tokens:
            got += s.recv(65536)
    else:
        time.sleep(0.3)  # well inside its prompt
    left = time.monotonic()
    s.close()
    wait_until(lambda: not busy(lares))
    return (time.monotonic() - left) * 1000


def main():
    ap = harness.parser(__doc__)
    ap.add_argument("--rounds", type=int, default=7)
    args = ap.parse_args()
    harness.wait_for_quiet()
    run = harness.Run("leaving")
    with harness.Lares([harness.default_model()]) as lares:
        lares.endpoint.turn([{"role": "user", "content": "hi"}], 4)
        for what, tokens, read in (("in a prompt of 4,000 tokens", 4000, 0), ("in mid-answer", 50, 20)):
            took = [stopping_ms(lares, harness.text_of(tokens, f"{what}{i}"), read) for i in range(args.rounds)]
            run.row(f"client gone {what}, until nothing is computed (ms)", harness.spread(took, 1), "<= 200",
                    statistics.median(took) <= 200)
    return run.end()


if __name__ == "__main__":
    sys.exit(main())
