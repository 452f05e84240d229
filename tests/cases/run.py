#!/usr/bin/env python3
"""Runs tests/cases/*.case: requests to the real daemon with fake workers, and the replies that are expected.

    tests/cases/run.py [-v] [NAME...]        LARES_BIN names the folder of the programs; UPDATE_CASES=1 rewrites

A case file:

    # what it shows, in one sentence
    @socket                                  optional: as the owner over the Unix socket, not over loopback
    @status                                  optional: only the status and the headers matter
    @keep NAME=FIELD                         optional: <NAME> stands for that field of the reply, here and below
    POST /v1/completions                     method and target
    Content-Type: text/plain                 optional header lines; JSON is said when there is none
    {"prompt": "count: 3"}                   the body, up to the dashes; absent for none
    ----
    200                                      the status
    Content-Type: application/json           headers worth showing (SHOWN below), when they are there
    {...}                                    the body; JSON compares as values, everything else as text
    ====                                     optional: another exchange follows

In a body "<<N>>" stands for N letters x, for what is too long to write down. What differs from run to run is
written as <id>, <n>, <why>, <state>, <built>, <home>, <port> and <version>. Every reply is also held against what
/openapi.json says of it (shapes.py). Standard library only.
"""

import difflib
import http.client
import json
import os
import pathlib
import re
import socket
import sys
import time

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1] / "tools"))
from house import House  # noqa: E402
from shapes import Shapes  # noqa: E402

ARGUMENTS = ["--engine=fake"]
MODELS = ("fake-0", "fake-embedder", "fake-lora", "fake-reranker", "fake-sees", "mmproj-fake-sees")
SHOWN = ("Content-Type", "Allow", "Retry-After", "X-Lares-Place", "WWW-Authenticate")
# Numbers that a clock, a machine or the order of the cases decides.
VARYING = re.compile(r"^(created|pid|uptime_s|added_unix|.*_ms|.*_per_second|.*_per_s|cache_n|prompt_n|cached_tokens|"
                     r"tokens_cached|prompt_tokens_reused|drafted_tokens|accepted_tokens|draft_n|draft_n_accepted|requests|memory_bytes|memory_budget_bytes|needs_bytes|up_s|resident)$")
STATES = ("absent", "starting", "ready", "warm", "hot")  # of a model: other cases may have started it
IDS = re.compile(r"\b((?:chatcmpl|cmpl|r|c|m)-|call_)[0-9a-f]{16}\b")
HEADER = re.compile(r"^([A-Za-z][A-Za-z0-9-]*): (.*)$")


class Wrong(Exception):
    """A case file that cannot be read."""


class Exchange:
    def __init__(self, text, where):
        lines = text.strip("\n").split("\n")
        self.comments = []
        directives = set()
        self.keeps = []  # (name, field of the reply)
        while lines and (lines[0].startswith(("#", "@")) or not lines[0]):
            line = lines.pop(0)
            if found := re.match(r"^@keep (\w+)=(\w+)$", line):
                self.keeps.append(found.groups())
            elif line.startswith("@"):
                directives.add(line)
            self.comments.append(line)
        if unknown := directives - {"@socket", "@status"}:
            raise Wrong(f"{where}: {sorted(unknown)} is no directive; there are '@socket', '@status' and '@keep NAME=FIELD'")
        self.owner = "@socket" in directives
        self.status_only = "@status" in directives
        if "----" not in lines:
            raise Wrong(f"{where}: no line '----' between request and reply")
        at = lines.index("----")
        self.request, reply = lines[:at], lines[at + 1:]
        if not self.request or not re.match(r"^[A-Z]+ \S+$", self.request[0]):
            raise Wrong(f"{where}: the request must begin with a method and a target, as 'GET /health'")
        self.method, self.target = self.request[0].split(" ")
        self.headers, body = self.head(self.request[1:], any_name=True)
        self.body = "\n".join(body) or None
        self.expected = "\n".join(reply).strip()

    @staticmethod
    def head(lines, any_name=False):
        headers = {}
        lines = list(lines)
        while lines and (found := HEADER.match(lines[0])) and (any_name or found[1] in SHOWN):
            headers[found[1]] = found[2]
            lines.pop(0)
        if lines and not lines[0]:
            lines.pop(0)
        return headers, lines

    def sent_body(self):
        if self.body is None:
            return None
        return re.sub(r"<<(\d+)>>", lambda found: "x" * int(found[1]), self.body).encode()

    def text(self, reply):
        return "\n".join([*self.comments, *self.request, "----", reply]) + "\n"


class SocketConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Mask:
    """Writes what varies from run to run as the name of what it is."""

    def __init__(self, house, kept):
        self.house, self.kept = house, kept

    def string(self, text):
        for name, value in self.kept.items():
            text = text.replace(value, f"<{name}>")
        text = IDS.sub(r"\1<id>", text)
        text = text.replace(str(self.house.home), "<home>")
        text = re.sub(r"\blares-\d+\.\d+\.\d+\b", "lares-<version>", text)
        return re.sub(rf"\b{self.house.port}\b", "<port>", text)

    def value(self, value, key=""):
        if isinstance(value, dict):
            return {name: self.value(item, name) for name, item in value.items()}
        if key == "why" and isinstance(value, list):
            return ["<why>"]
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if key == "page" and isinstance(value, bool):
            return "<built>"  # with the page or without it
        if key in ("state", "value") and value in STATES:
            return "<state>"
        if isinstance(value, float) and not VARYING.match(key):
            return round(value, 4)  # the last digits are the machine's
        if isinstance(value, str):
            return "<version>" if key == "version" else self.string(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and VARYING.match(key):
            return "<n>"
        return value

    def body(self, text, content_type):
        if "json" in content_type:
            return laid_out(self.value(json.loads(text)))
        if "event-stream" in content_type:
            return "\n".join(self.event(line) for line in text.split("\n") if line)
        return self.string(text.rstrip("\n"))

    def event(self, line):
        name, _, data = line.partition(": ")
        if name != "data" or not data.startswith("{"):
            return line
        return "data: " + json.dumps(self.value(json.loads(data)), ensure_ascii=False)


def laid_out(value, indent="", width=118):
    """JSON that breaks only where a line gets too long."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(flat) <= width or not isinstance(value, (dict, list)) or not value:
        return flat
    deeper = indent + "  "
    if isinstance(value, dict):
        items = [f"{json.dumps(name)}: {laid_out(item, deeper, width - len(name) - 4)}" for name, item in value.items()]
        return "{\n" + ",\n".join(deeper + item for item in items) + "\n" + indent + "}"
    return "[\n" + ",\n".join(deeper + laid_out(item, deeper, width) for item in value) + "\n" + indent + "]"


def same(expected, actual):
    if expected == actual:
        return True
    head, lines = Exchange.head(expected.split("\n")[1:])
    other_head, other_lines = Exchange.head(actual.split("\n")[1:])
    if expected.split("\n")[0] != actual.split("\n")[0] or any(other_head.get(k) != v for k, v in head.items()):
        return False
    try:
        return json.loads("\n".join(lines)) == json.loads("\n".join(other_lines))
    except ValueError:
        return False


def filled_in(text, house, kept):
    """What was sent, with the values that its names stand for."""
    for name, value in {"home": str(house.home), **kept}.items():
        text = text.replace(f"<{name}>", value)
    return text


def reply_to(exchange, house, shapes, kept):
    """The reply as a case file writes it, and what is wrong with it by the API's own description. `kept` is added to."""
    run = house.home / "run"
    connection = (SocketConnection(run / "api.sock") if exchange.owner
                  else http.client.HTTPConnection("127.0.0.1", house.port, timeout=60))
    body = exchange.sent_body()
    headers = {name: value.replace("<port>", str(house.port)) for name, value in exchange.headers.items()}
    if body is not None and "Content-Type" not in headers:
        headers["Content-Type"] = "application/json"
    headers = {name: value for name, value in headers.items() if value != "none"}
    target = filled_in(exchange.target, house, kept)
    connection.request(exchange.method, target, filled_in(body.decode(), house, kept).encode() if body else body, headers)
    response = connection.getresponse()
    text = response.read().decode("utf-8", errors="replace")
    connection.close()
    content_type = response.headers.get("Content-Type", "")
    problems = shapes.problems(exchange.method, target, response.status, content_type, text) if text else []
    shown = [f"{name}: {response.headers[name]}" for name in SHOWN if response.headers[name]]
    lines = [str(response.status), *shown]
    for name, field in exchange.keeps:
        kept[name] = str(json.loads(text).get(field)) if response.status == 200 else "(none)"
    if text and not exchange.status_only:
        lines += ["", Mask(house, kept).body(text, content_type)]
    return "\n".join(lines).rstrip(), problems


def described(house):
    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=60)
    connection.request("GET", "/openapi.json")
    shapes = Shapes(json.loads(connection.getresponse().read()))
    connection.close()
    return shapes


def run_case(path, house, shapes, update, verbose):
    exchanges = [Exchange(part, path.name) for part in re.split(r"^====\n", path.read_text(encoding="utf-8"), flags=re.M)]
    written = []
    good = True
    kept = {}
    for exchange in exchanges:
        actual, problems = reply_to(exchange, house, shapes, kept)
        for problem in problems:
            good = False
            print(f"{path.name}: {exchange.method} {exchange.target}: unlike /openapi.json: {problem}")
        if same(exchange.expected, actual):
            written.append(exchange.text(exchange.expected))
            continue
        written.append(exchange.text(actual))
        if not update:
            good = False
            print(f"{path.name}: {exchange.method} {exchange.target}: another reply than expected")
            print("\n".join(difflib.unified_diff(exchange.expected.split("\n"), actual.split("\n"), "expected", "actual",
                                                 lineterm="")))
    if update:
        path.write_text("====\n".join(written), encoding="utf-8")
    if verbose:
        print(f"{path.name}: {'ok' if good else 'FAILED'}", flush=True)
    return good


def wait_until_known(house, limit_s=60):
    """Some seconds after its start the daemon looks into each model's file; what it tells of them changes then."""
    until = time.monotonic() + limit_s
    while unknown := [model["id"] for model in house.owner("/lares/v1/models") if not model["info"]]:
        if time.monotonic() > until:
            raise RuntimeError(f"nothing is known of {', '.join(unknown)} after {limit_s} s")
        time.sleep(0.1)


def main(arguments):
    verbose = "-v" in arguments
    names = [name for name in arguments if name != "-v"]
    update = os.environ.get("UPDATE_CASES") == "1"
    paths = [path for path in sorted(FOLDER.glob("*.case")) if not names or path.stem in names]
    if not paths:
        sys.exit(f"no case of that name in {FOLDER}")
    with House(arguments=ARGUMENTS, fake_models=MODELS) as house:
        shapes = described(house)
        wait_until_known(house)
        failed = [path.name for path in paths if not run_case(path, house, shapes, update, verbose)]
        if house.process.poll() is not None:
            failed.append(f"laresd ended with {house.process.returncode}")
    print(f"cases: {len(paths)} run, {len(failed)} failed" + (": " + ", ".join(failed) if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
