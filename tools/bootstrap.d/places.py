"""Where things lie, and how to touch the disk without leaving half a file: locks, stamps, room, children."""

import contextlib
import ctypes
import errno
import fcntl
import os
import pathlib
import shutil
import signal
import subprocess

from screen import IO, NO_ROOM, Stop, say

ROOT = pathlib.Path(__file__).resolve().parents[2]
THIRD_PARTY = ROOT / "third_party"
BUILD = ROOT / "build"
CACHE = pathlib.Path(os.environ.get("LARES_BUILD_CACHE") or pathlib.Path.home() / ".cache" / "lares" / "build")
DOWNLOADS, SOURCES, ENGINES, SQLITES, MEDIA = CACHE / "dl", CACHE / "src", CACHE / "engine", CACHE / "sqlite", CACHE / "media"
TEST_MODELS = CACHE / "models"
# by https://bford.info/cachedir: programs that make back-ups pass it by, and tools/uninstall knows it as ours (tools/folders.sh)
CACHE_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# What Lares has fetched and built, and can fetch and build again.\n"
EMBEDDED_MODEL = "smollm2-135m-instruct-q4_1.gguf"
EMBEDDER = "all-minilm-l6-v2.gguf"

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_held = []  # descriptors of the locks that are held; children keep them open


def models():
    """The person's folder of models, which tools/bootstrap has found."""
    return pathlib.Path(os.environ["LARES_MODEL_FOLDER"])


def make_folder(folder):
    """Makes the folder and what is missing above it: 0700 from the first that is Lares' own, above that as the umask says."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    home = os.environ.get("LARES_HOME")
    tops = [models().parent, *([CACHE.parent] if CACHE.parent.name == "lares" else []), *([pathlib.Path(home)] if home else [])]
    own = any(top in (folder, *folder.parents) for top in tops)
    folder.mkdir(mode=0o700 if own else 0o777, exist_ok=True)


@contextlib.contextmanager
def lock(path, what):
    """Held by this process and by the children it starts, so that what a killed run left running is waited for."""
    make_folder(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
            say(f"lares: another run (process {holder}) is {what}; waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        _held.append(descriptor)
        yield
    finally:
        if descriptor in _held:
            _held.remove(descriptor)
        os.close(descriptor)


def start(command, **more):
    """A child that ends when we are killed, and that keeps our locks until it has ended."""
    us = os.getpid()

    def before_exec():
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != us:
            os._exit(143)

    command = [str(part) for part in command]
    try:
        return subprocess.Popen(command, preexec_fn=before_exec, pass_fds=_held, stdin=subprocess.DEVNULL, **more)
    except FileNotFoundError:
        raise Stop(IO, f"starting '{command[0]}': it is not installed; install it and run the same command again") from None


def need_room(folder, count, what):
    """Stops, with both numbers, unless the file system of the folder has that many bytes free."""
    make_folder(folder)
    free = shutil.disk_usage(folder).free
    if free < count:
        raise Stop(NO_ROOM, f"{what}: needs {count / 2**20:.0f} MiB in {folder}, and {free / 2**20:.0f} MiB are free; "
                            "free some, or set LARES_BUILD_CACHE to a folder that has room, and run the same command again")


@contextlib.contextmanager
def full_disk_explained(what, folder):
    """No room in the middle of a step is the same message as no room before it."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise no_room_in_the_middle(what, folder) from None
        raise


def no_room_in_the_middle(what, folder):
    free = shutil.disk_usage(folder).free / 2**20
    return Stop(NO_ROOM, f"{what}: no space left in {folder} ({free:.0f} MiB free); free some, or set LARES_BUILD_CACHE to "
                         "a folder that has room, and run the same command again: it goes on here")


def write_stamp(path, text):
    """All or nothing, and only after what it vouches for is on the disk."""
    part = path.with_name(path.name + ".part")
    with open(part, "w") as f:
        f.write(text)
        f.flush()
        os.fsync(f.fileno())
    os.replace(part, path)


def read_stamp(path):
    try:
        return path.read_text()
    except (FileNotFoundError, NotADirectoryError):
        return ""


def remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
