"""Builds the page: web/ with its pinned packages (npm) by Vite, into build/page/dist with a list that CMake embeds.

Sources are copied to build/page/web first, so that nothing is ever written beside them. What a folder of packages was
installed from, and what a page was built from, stand in stamps: a second run with nothing changed starts no Node.
"""

import gzip
import hashlib
import os
import re

import fetch
from places import BUILD, ROOT, lock, need_room, no_room_in_the_middle, read_stamp, remove, start, write_stamp
from screen import CORRUPT, IO, OFFLINE, Stop, last_output, say

SOURCES = ROOT / "web"
FOLDER = BUILD / "page"
WORK = FOLDER / "web"
DIST = FOLDER / "dist"
LIST = DIST / "files.txt"
HARNESS = FOLDER / "tests" / "harness.js"
PACKAGES_BYTES = 120 << 20  # node_modules with what the tests need, measured 91 MiB
NOT_COPIED = ("node_modules", "dist")
TYPES = {".html": "text/html;charset=utf-8", ".js": "text/javascript;charset=utf-8", ".css": "text/css;charset=utf-8",
         ".svg": "image/svg+xml", ".ico": "image/x-icon", ".png": "image/png", ".woff2": "font/woff2",
         ".webmanifest": "application/manifest+json"}


def new_enough(version):
    """What Vite asks for: 20.19, 22.12 or later."""
    match = re.match(r"v(\d+)\.(\d+)\.", version)
    major, minor = (int(match.group(1)), int(match.group(2))) if match else (0, 0)
    return (major == 20 and minor >= 19) or (major == 22 and minor >= 12) or major > 22


def node():
    """As fetch.node(), one that Vite runs on."""
    return fetch.node(new_enough)


def digest_of(paths):
    digest = hashlib.sha256()
    for path in paths:
        digest.update(str(path.relative_to(SOURCES)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def source_files():
    return sorted(path for path in SOURCES.rglob("*")
                  if path.is_file() and not set(NOT_COPIED) & set(path.relative_to(SOURCES).parts))


def environment(program):
    return {**fetch.npm_environment(program), "NO_COLOR": "1", "CI": "1"}


def run(command, program, doing):
    log = FOLDER / "page.log"
    with open(log, "w") as out:
        status = start(command, cwd=WORK, stdout=out, stderr=out, env=environment(program)).wait()
    if not status:
        return
    text = log.read_text(errors="replace")
    if "ENOSPC" in text or "No space left on device" in text:
        raise no_room_in_the_middle(doing, FOLDER)
    if re.search(r"EAI_AGAIN|ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|network", text):
        raise Stop(OFFLINE, f"{doing}: the package registry cannot be reached; run the same command again when there is a network "
                            f"(all of npm's output: {log})")
    if "EINTEGRITY" in text:
        raise Stop(CORRUPT, f"{doing}: a package came with another content than web/package-lock.json pins; it was not used "
                            f"(all of npm's output: {log})")
    raise Stop(IO, f"{doing}: stopped:\n{last_output(text)}\n(all of it: {log})")


def copy_sources(files):
    """Makes build/page/web the same as web/, but for the packages."""
    wanted = {path.relative_to(SOURCES) for path in files}
    WORK.mkdir(parents=True, exist_ok=True)
    for path in WORK.rglob("*") if WORK.exists() else ():
        inner = path.relative_to(WORK)
        if path.is_file() and inner.parts[0] not in NOT_COPIED and inner not in wanted:
            path.unlink()
    for inner in sorted(wanted):
        target, content = WORK / inner, (SOURCES / inner).read_bytes()
        if not target.is_file() or target.read_bytes() != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


def install_packages(with_tests):
    """node_modules as the lock pins them; `with_tests`: with what types and tests need."""
    stamp = FOLDER / ".packages"
    vouched = digest_of([SOURCES / "package.json", SOURCES / "package-lock.json"])
    have = read_stamp(stamp).split()
    if (WORK / "node_modules").is_dir() and have[:1] == [vouched] and (not with_tests or "tests" in have):
        return
    doing = "fetching the page's packages"
    need_room(FOLDER, PACKAGES_BYTES, doing)
    stamp.unlink(missing_ok=True)
    program, npm = node()
    say(f"  {doing}")
    run([*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", *([] if with_tests else ["--omit=dev"])], program, doing)
    write_stamp(stamp, vouched + (" tests" if with_tests else "") + "\n")


def write_list():
    """files.txt: a line for each file, PATH TYPE ETAG FILE by tabs; FILE.gz lies beside each."""
    lines = []
    for path in sorted(DIST.rglob("*")):
        if not path.is_file() or path.suffix == ".gz" or path == LIST:
            continue
        content = path.read_bytes()
        with open(path.with_name(path.name + ".gz"), "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as out:
            out.write(content)
        inner = path.relative_to(DIST).as_posix()
        if path.suffix not in TYPES:
            raise Stop(IO, f"building the page: '{inner}' has a kind that nothing says how to serve; add it to TYPES of tools/bootstrap.d/page.py")
        lines.append("\t".join(["/" if inner == "index.html" else f"/{inner}", TYPES[path.suffix],
                                hashlib.sha256(content).hexdigest()[:32], inner]) + "\n")
    write_stamp(LIST, "".join(lines))


def build_page(with_tests=False):
    """Returns the folder of the built page, for LARES_PAGE."""
    with lock(BUILD / ".lock-page", "building the page"):
        files = source_files()
        stamp, vouched = FOLDER / ".built", digest_of(files) + "\n"
        FOLDER.mkdir(parents=True, exist_ok=True)
        copy_sources(files)
        install_packages(with_tests)
        if read_stamp(stamp) == vouched and LIST.is_file() and (not with_tests or HARNESS.is_file()):
            os.utime(stamp)  # the script `lares` compares its date with the sources'
            return DIST
        stamp.unlink(missing_ok=True)
        remove(DIST)
        remove(HARNESS.parent)
        doing = "building the page"
        say(f"  {doing}")
        program, _ = node()
        vite = [program, WORK / "node_modules" / "vite" / "bin" / "vite.js", "build", "--emptyOutDir", "--outDir"]
        run([*vite, DIST], program, doing)
        if with_tests:
            run([*vite, HARNESS.parent, "--config", "vite.tests.ts"], program, doing)
        write_list()
        write_stamp(stamp, vouched)
        return DIST


def built():
    """The folder for LARES_PAGE, "" while no page was built."""
    return DIST if LIST.is_file() else ""
