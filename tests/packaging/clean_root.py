"""A clean Debian in a folder, for tests of packages: made by mmdebstrap with nothing but apt, entered by namespaces of its
own, with or without a network, as root or as a plain user. Needs root, mmdebstrap and an archive of Debian packages.

Standard library only. What a command leaves running is ended with it.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

USER = "resident"
ENTER = r"""
set -eu
root=$1
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
if [ "$LARES_TEST_NET" = none ]; then ip link set lo up; fi
exec "$LARES_TEST_PYTHON" -S -c "$LARES_TEST_PIVOT" "$@"
"""
# With pivot_root and not chroot: the kernel gives no user namespaces to a process in a chroot, and a worker wants one.
PIVOT = r"""
import ctypes, os, sys
root, user, *command = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
os.chdir(root)
if libc.pivot_root(b".", b".") != 0 or libc.umount2(b".", 2) != 0:
    raise OSError(ctypes.get_errno(), "entering " + root)
home = "/root"
if user != "root":
    home = "/home/" + user
    command = ["setpriv", "--reuid", user, "--regid", user, "--init-groups", *command]
os.chdir(home)
environment = {"HOME": home, "USER": user, "LANG": "C.UTF-8", "TERM": "dumb", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
os.execve("/usr/bin/env", ["env", *command], environment)  # nothing can be imported in there
"""


def archive():
    """The archive of Debian packages that this machine uses; "" for the default."""
    places = [pathlib.Path("/etc/apt/sources.list"), *pathlib.Path("/etc/apt/sources.list.d").glob("*")]
    for place in places:
        if place.is_file():
            for line in place.read_text(errors="replace").splitlines():
                found = re.search(r"https?://\S+/debian/?(?=\s|$)", line)
                if found and not line.lstrip().startswith("#"):
                    return found.group(0)
    return ""


def why_not():
    """Why no root can be made here; "" when it can."""
    if os.geteuid() != 0:
        return "it needs root"
    if not shutil.which("mmdebstrap"):
        return "mmdebstrap is not installed"
    return ""


class Root:
    """`include`: packages beside apt. Removed by close()."""

    def __init__(self, suite, include=()):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"lares-{suite}-", dir=os.environ.get("TMPDIR") or "/var/tmp"))
        packages = ",".join(["ca-certificates", "passwd", *include])
        source = archive()
        done = subprocess.run(["mmdebstrap", "--quiet", "--variant=apt", f"--include={packages}", suite, str(self.folder),
                               *([source] if source else [])], capture_output=True, text=True)
        if done.returncode:
            self.close()
            raise RuntimeError(f"making a clean {suite}: {done.stderr[-2000:]}")
        # apt and its certificates reach the archive as this machine does
        for name in ("/etc/ssl/certs/ca-certificates.crt", "/etc/resolv.conf", "/etc/hosts"):
            if os.path.exists(name):
                shutil.copy(name, f"{self.folder}{name}")
        try:
            self.must("useradd", "-m", "-s", "/bin/bash", USER)
        except AssertionError:
            self.close()
            raise

    def run(self, *command, user="root", net=True, limit_s=900):
        """The finished command: returncode, stdout with stderr in it."""
        unshare = ["unshare", "-m", "-p", *([] if net else ["-n"]), "--fork", "--kill-child"]
        return subprocess.run([*unshare, "bash", "-c", ENTER, "enter", str(self.folder), user, *map(str, command)],
                              env={**os.environ, "LARES_TEST_NET": "all" if net else "none", "LARES_TEST_PIVOT": PIVOT,
                                   "LARES_TEST_PYTHON": sys.executable}, text=True, errors="replace",
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit_s)

    def must(self, *command, **more):
        done = self.run(*command, **more)
        if done.returncode:
            raise AssertionError(f"{' '.join(map(str, command))[:300]}: exit status {done.returncode}:\n{done.stdout[-3000:]}")
        return done.stdout

    def shell(self, script, **more):
        return self.must("bash", "-euc", script, **more)

    def put(self, path, folder="/srv"):
        """A copy of a file, for everyone to read; returns its path inside."""
        target = pathlib.Path(f"{self.folder}{folder}") / pathlib.Path(path).name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
        target.chmod(0o644)
        return f"{folder}/{target.name}"

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)
