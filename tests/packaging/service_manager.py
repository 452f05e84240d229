"""A small service manager for tests: opens sockets, hands them to a program as systemd does (descriptors from 3 on,
LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES), hears what it says (NOTIFY_SOCKET), and starts it when somebody connects.

Standard library only; one thread; ends what it started.
"""

import os
import pathlib
import select
import signal
import socket
import time

PATIENCE_S = 60
FIRST = 3


def listening(family, address):
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    made.bind(address)
    if family == socket.AF_UNIX:
        os.chmod(address, 0o600)
    made.listen(128)
    return made


class Manager:
    """`sockets` are handed in this order; `environment` is all that the program gets besides."""

    def __init__(self, command, sockets, environment, log):
        self.command = [str(part) for part in command]
        self.sockets = sockets
        self.environment = dict(environment)
        self.log = log
        self.pid = None
        self.status = None
        self.said = []
        self.ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.name = f"lares-test-{os.getpid()}-{id(self)}"
        self.ear.bind("\0" + self.name)

    def start(self, **more):
        """`more` changes the variables: LISTEN_PID="1", or None for one that is not set."""
        self.status = None
        self.said = []
        self.pid = os.fork()
        if self.pid:
            return
        try:
            out = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            held = [os.dup(one.fileno()) for one in self.sockets]  # none of them below 3
            high = [os.dup2(fd, 100 + i) for i, fd in enumerate(held)]
            os.dup2(out, 1)
            os.dup2(out, 2)
            for i, fd in enumerate(high):
                os.dup2(fd, FIRST + i, inheritable=True)
            os.closerange(FIRST + len(high), 200)
            variables = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(high)),
                         "LISTEN_FDNAMES": ":".join(["lares.socket"] * len(high)), "NOTIFY_SOCKET": f"@{self.name}", **more}
            environment = {**self.environment, **{name: value for name, value in variables.items() if value is not None}}
            os.setsid()
            os.execve(self.command[0], self.command, environment)
        finally:
            os._exit(127)

    def start_at_the_first_connection(self):
        ready, _, _ = select.select(self.sockets, [], [], PATIENCE_S)
        if not ready:
            raise TimeoutError("nobody connected")
        self.start()

    def hear(self, word, limit_s=PATIENCE_S):
        """Waits until the program has said this."""
        until = time.monotonic() + limit_s
        while word not in self.said:
            ready, _, _ = select.select([self.ear], [], [], 0.05)
            if ready:
                self.said += self.ear.recv(4096).decode().split("\n")
            elif self.ended():
                raise RuntimeError(f"it ended with {self.status} without saying {word}; its log:\n{self.last_words()}")
            elif time.monotonic() > until:
                raise TimeoutError(f"it has not said {word}")

    def ended(self):
        if self.status is None and self.pid:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def wait(self, limit_s=PATIENCE_S):
        until = time.monotonic() + limit_s
        while not self.ended():
            if time.monotonic() > until:
                raise TimeoutError(f"process {self.pid} has not ended")
            time.sleep(0.02)
        return self.status

    def last_words(self):
        path = pathlib.Path(self.log)
        return path.read_text(errors="replace")[-2000:] if path.exists() else ""

    def close(self):
        if self.pid and not self.ended():
            os.kill(self.pid, signal.SIGTERM)
            try:
                self.wait(20)
            except TimeoutError:
                os.kill(self.pid, signal.SIGKILL)
                self.wait(20)
        for one in [*self.sockets, self.ear]:
            one.close()
