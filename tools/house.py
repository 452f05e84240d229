"""A laresd on a home of its own, for tests and benches: starts it, waits until it serves, ends it by its own id
and removes what it left. Standard library only.
"""

import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def alive(pid):
    """False as soon as it has ended, although nobody may have asked for its exit status yet."""
    try:
        return "State:\tZ" not in pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def wait_for_health(port, process, limit_s=120):
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            c = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            c.request("GET", "/health")
            if c.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise RuntimeError("the server did not become healthy")


class Served:
    """A process that serves on a port; ended by its own id."""

    def __init__(self, command, port, environment=None, log=None):
        self.port = port
        self.process = subprocess.Popen([str(c) for c in command], stdout=log or subprocess.DEVNULL,
                                        stderr=log or subprocess.DEVNULL, env=environment,
                                        start_new_session=True)  # as a program of the person's own
        wait_for_health(port, self.process)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def programs(folder=None):
    """The folder of laresd, lares and lares-worker: the release build, or what LARES_BIN names."""
    found = pathlib.Path(folder or os.environ.get("LARES_BIN") or ROOT / "build" / "release" / "bin")
    if not (found / "laresd").exists():
        sys.exit(f"no laresd in {found}; run ./dev build release first, or set LARES_BIN")
    return found


class House(Served):
    """laresd on a home of its own, with the given model files linked into its model folder; with --engine=fake,
    `fake_models` are files of that name that nobody reads.

    What it logs is in self.log; self.home is gone after stop(). `keep_home` starts on an earlier one's home.
    """

    def __init__(self, models=(), arguments=(), settings="", environment=None, bin_folder=None, keep_home=None,
                 fake_models=("fake",)):
        self.bin = programs(bin_folder)
        self.home = pathlib.Path(keep_home or tempfile.mkdtemp(prefix="lares-home-"))
        folder = self.home / "share" / "models"
        for one in (folder.parent, folder, self.home / "config"):
            one.mkdir(parents=True, mode=0o700, exist_ok=True)
        if settings:
            (self.home / "config" / "lares.toml").write_text(settings)
        for model in models:
            link = folder / pathlib.Path(model).name.lower()
            if not link.exists():
                link.symlink_to(pathlib.Path(model).resolve())
        if "--engine=fake" in arguments:
            for name in fake_models:
                (folder / f"{name}.gguf").write_bytes(b"GGUF")
        self.environment = {**os.environ, "LARES_HOME": str(self.home), **(environment or {})}
        port_file = self.home / "run" / "port"
        port_file.unlink(missing_ok=True)
        self.log = self.home / "laresd.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([str(self.bin / "laresd"), "--port", "0", *map(str, arguments)],
                                            stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.environment)
        until = time.monotonic() + 60
        while not (port_file.exists() and port_file.read_text().strip()):
            if self.process.poll() is not None or time.monotonic() > until:
                said = self.log.read_text(errors="replace")[-2000:]
                self.stop()
                raise RuntimeError(f"laresd ended with {self.process.returncode}: {said}")
            time.sleep(0.01)
        self.port = int(port_file.read_text())
        wait_for_health(self.port, self.process)

    def stop(self, keep_home=False):
        super().stop()
        if not keep_home:
            shutil.rmtree(self.home, ignore_errors=True)

    def owner(self, path, method="GET", body=None):
        """What a route answers to the person: the parsed body of a 200, its `data` where it has one."""
        parsed = json.loads(self.owner_text(path, method, body))
        return parsed["data"] if isinstance(parsed, dict) and "data" in parsed else parsed

    def owner_text(self, path, method="GET", body=None):
        """The body of a 200 that a route answers to the person, who asks over the Unix socket."""
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.home / "run" / "api.sock"))
            c = http.client.HTTPConnection("localhost", timeout=30)
            c.sock = s
            c.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
            r = c.getresponse()
            text = r.read()
        if r.status != 200:
            raise RuntimeError(f"{method} {path}: {r.status} {text[:300]!r}")
        return text

    def pids(self):
        """The daemon and its workers: {pid: command}."""
        found = {self.process.pid: "laresd"}
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    stat = (entry / "stat").read_text()
                    name, parent = stat[stat.index("(") + 1:stat.rindex(")")], int(stat[stat.rindex(")") + 2:].split()[1])
                except (OSError, ValueError):
                    continue
                if parent == self.process.pid:
                    found[int(entry.name)] = name
        return found


def default_model():
    """The embedded model's file; LARES_TEST_MODELS or the person's own model folder."""
    share = subprocess.run(["bash", "-c", '. "$0" && lares_folder share; echo "$REPLY"', ROOT / "tools" / "folders.sh"],
                           capture_output=True, text=True).stdout.strip()
    for folder in (os.environ.get("LARES_TEST_MODELS"), os.path.join(share, "models")):
        for file in sorted(pathlib.Path(folder).glob("*.gguf")) if folder else []:
            if "smollm2-135m" in file.name.lower():
                return file
    sys.exit("the embedded model is not here; run ./lares once, or set LARES_TEST_MODELS to a folder that holds it")


def other_model(than):
    """A second model that answers: another GGUF of the folder LARES_TEST_MODELS that is no embedder."""
    folder = os.environ.get("LARES_TEST_MODELS")
    for file in sorted(pathlib.Path(folder).glob("*.gguf")) if folder else []:
        if file.name != pathlib.Path(than).name and "minilm" not in file.name.lower():
            return file
    sys.exit("there is no second model; set LARES_TEST_MODELS to a folder that holds one")
