"""What every bench of the whole program needs: the machine in words, a streaming client that times what it sees,
and a table to print. Servers come from tools/house.py. Standard library only; run through `./dev bench NAME`.

A bench compares within one run, in turn, and prints medians of at least five rounds with their range, the
machine and its load before and after. A figure without its machine is no figure.
"""

import argparse
import http.client
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
from house import House, Served, default_model, free_port, other_model, programs  # noqa: E402,F401
WORDS = ("river stone garden window letter winter market bridge candle forest paper silver morning harbour "
         "teacher copper valley lantern orchard station").split()


def cpu():
    """Its name and the set of its flags, as the kernel tells them."""
    name, flags = "unknown CPU", set()
    for line in open("/proc/cpuinfo", encoding="utf-8"):
        if line.startswith("model name"):
            name = line.split(":", 1)[1].strip()
        if line.startswith("flags"):
            flags = set(line.split(":", 1)[1].split())
    return name, flags


def has_amx():
    return "amx_int8" in cpu()[1]


def machine():
    model, flags = cpu()
    memory = int(open("/proc/meminfo", encoding="utf-8").readline().split()[1]) >> 20
    isa = "AMX" if "amx_int8" in flags else "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "SSE"
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return f"{model}, {len(os.sched_getaffinity(0))} cores, {isa}, {memory} GiB, commit {commit.stdout.strip() or '?'}"


def load():
    return open("/proc/loadavg", encoding="utf-8").read().split()[0]


def wait_for_quiet(limit_s=60, below=0.6):
    """Waits until the last minute's load has sunk; measuring beside a compiler measures the compiler."""
    until = time.monotonic() + limit_s
    while float(load()) > below and time.monotonic() < until:
        time.sleep(2)


class Run:
    """One run of one bench: prints the head at once, rows as they come, and the verdict at the end."""

    def __init__(self, name):
        self.name, self.missed = name, []
        print(f"# {name}\nmachine: {machine()}\nload before: {load()}")

    def row(self, what, value, bar=None, met=None, note=""):
        verdict = "" if met is None else ("met" if met else "MISSED")
        print(f"{what:58} {value:>22}  {('bar ' + bar) if bar else '':18} {verdict:7} {note}".rstrip(), flush=True)
        if met is False:
            self.missed.append(what)

    def end(self):
        print(f"load after: {load()}")
        print(f"{self.name}: " + ("every bar met" if not self.missed else "missed: " + "; ".join(self.missed)))
        return 1 if self.missed else 0


def spread(values, digits=2):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def text_of(tokens, salt):
    """About `tokens` tokens of plain, distinct English sentences; another salt is another text."""
    out, seed = [], sum(ord(c) * (k + 1) for k, c in enumerate(salt))
    for i in range(max(1, tokens // 28)):
        w = [WORDS[(seed + i * 7 + k * (3 + i % 5)) % len(WORDS)] for k in range(6)]
        out.append(f"Note {salt}{i}: the {w[0]} near the {w[1]} had a {w[2]} and a {w[3]}, while the {w[4]} kept its {w[5]}.")
    return "\n".join(out)


class Endpoint:
    """An OpenAI endpoint seen from outside, ours and a peer's alike."""

    def __init__(self, port, host="127.0.0.1", token=None):
        self.host, self.port = host, port
        self.headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}

    def stream(self, body, path="/v1/chat/completions"):
        """Yields (time, chunk object) for every event of one streamed answer."""
        c = http.client.HTTPConnection(self.host, self.port, timeout=600)
        c.request("POST", path, json.dumps({"stream": True, **body}), self.headers)
        r = c.getresponse()
        if r.status != 200:
            raise RuntimeError(f"HTTP {r.status}: {r.read()[:300]!r}")
        for raw in r:
            if raw.startswith(b"data: ") and not raw.startswith(b"data: [DONE]"):
                yield time.monotonic(), json.loads(raw[6:])
        c.close()

    def turn(self, messages, max_tokens, model="default", extra=None):
        """One streamed turn: {ttft, decode_tps, text, tokens, usage, timings}. Times are the client's own but for timings."""
        began = time.monotonic()
        times, text, usage, timings = [], [], {}, {}
        body = {"model": model, "messages": messages, "max_tokens": max_tokens, "temperature": 0, "seed": 1,
                "ignore_eos": True, "stream_options": {"include_usage": True}, **(extra or {})}
        for at, chunk in self.stream(body):
            usage = chunk.get("usage") or usage
            timings = chunk.get("timings") or timings
            for choice in chunk.get("choices") or []:
                piece = (choice.get("delta") or {}).get("content")
                if piece:
                    times.append(at)
                    text.append(piece)
        if not times:
            raise RuntimeError("no token came back")
        tokens = usage.get("completion_tokens", len(times))
        took = times[-1] - times[0]
        return {"ttft": times[0] - began, "decode_tps": (tokens - 1) / took if took > 0 else 0.0,
                "text": "".join(text), "tokens": tokens, "usage": usage, "timings": timings}


def peer_command(path, model, port, threads):
    """llama-server as its makers ship it, with one slot's worth of context for one stream."""
    return [path, "-m", model, "--port", port, "--host", "127.0.0.1", "-t", threads, "-c", 8192, "-np", 1, "--no-webui"]


def built_peer():
    """The llama-server that `tools/bootstrap peer` built, or None."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    path = pathlib.Path(os.environ.get("LARES_BUILD_CACHE") or pathlib.Path(cache, "lares", "build"), "peer", "native", "bin", "llama-server")
    return str(path) if path.exists() else None


def peer_environment(path, variant):
    """The environment that makes the peer compute with the same CPU variant as ours; None, its own, where none is named."""
    if not variant:
        return None
    folder = pathlib.Path(path).resolve().parents[2] / variant / "bin"
    if not any(folder.glob("libggml-cpu.so*")):
        sys.exit(f"no libggml-cpu.so in {folder}; `tools/bootstrap peer` builds haswell and, on a CPU with AMX, zen4")
    return {**os.environ, "LD_LIBRARY_PATH": str(folder)}


def parser(doc):
    return argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)


class Server(Served):
    """A server of somebody else, with the client that times it."""

    def __init__(self, command, port, environment=None):
        super().__init__(command, port, environment=environment)
        self.endpoint = Endpoint(port)


class Lares(House):
    """Our daemon, the release build, with the client that times it."""

    def __init__(self, models=(), arguments=(), settings="", **more):
        super().__init__(models=models, arguments=arguments, settings=settings, **more)
        self.endpoint = Endpoint(self.port)
