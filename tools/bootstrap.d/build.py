"""Configures and builds with CMake and Ninja: the engine (once for each source, options and compiler) and our programs."""

import hashlib
import os
import re
import shutil
import subprocess

import fetch
import machine
import page
from places import (BUILD, ENGINES, MEDIA, ROOT, SQLITES, TEST_MODELS, make_folder, need_room, no_room_in_the_middle, read_stamp, remove, start, write_stamp)
from screen import IO, Bar, Stop, last_output, say

ENGINE_BYTES = 250 << 20  # objects and libraries of the engine with two variants, measured 170 MiB
VARIANT_BYTES = 8 << 20
SQLITE_BYTES = 16 << 20
MEDIA_BYTES = 60 << 20
PRESET_BYTES = {"release": 120 << 20, "package": 200 << 20, "dev": 1500 << 20, "fast": 600 << 20, "tsan": 1500 << 20, "clang": 1500 << 20}
PROGRAMS = ("programs",)  # the target of them all: CMakeLists.txt has their list
UNSETTLED_S = 120  # longer than the kernel keeps written data in memory


def recipe(name):
    """Name to text of the files in cmake/NAME, that something is built by."""
    return {path.name: path.read_text() for path in sorted((ROOT / "cmake" / name).iterdir())}


def engine_folder(source):
    return built_folder(ENGINES, source, recipe("engine"))


def sqlite_folder(source):
    return built_folder(SQLITES, source, recipe("sqlite"))


def media_folder(source):
    return built_folder(MEDIA, source, recipe("media"))


def built_folder(parent, source, files):
    """parent/KEY: another source, other options or another compiler is another build."""
    compiler = os.environ.get("CXX") or "c++"
    try:
        version = subprocess.run([*compiler.split(), "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise Stop(IO, f"asking '{compiler}' for its version: {error}; install g++, or set CXX to a compiler that works") from None
    digest = hashlib.sha256()
    for part in (source.sha256, *files.values(), version.splitlines()[0]):
        digest.update(part.encode() + b"\0")
    return parent / digest.hexdigest()[:16]


def recipe_beside(folder, files):
    """A copy of the recipe beside what it builds, so that another clone with the same files finds it built and not moved."""
    source = folder.with_name(f"{folder.name}.cmake")
    make_folder(source)
    for name, text in files.items():
        if read_stamp(source / name) != text:
            write_stamp(source / name, text)
    return source


def build_engine(tree, folder, variants):
    """Builds the libraries and the variants named, unless the folder's stamp says that they are there."""
    stamp = folder / ".built"
    have = set(read_stamp(stamp).split()) if (folder / "lib" / "libllama.so").exists() else set()
    if have and have.issuperset(variants):
        return
    options = ["-DCMAKE_BUILD_TYPE=Release", f"-DLARES_LLAMA={tree}", *launchers()]
    need_room(folder, 0 if (folder / "lib" / "libllama.so").exists() else ENGINE_BYTES, "building the engine")
    configure(folder, recipe_beside(folder, recipe("engine")), options, "preparing the engine's build")
    ninja(folder, ["engine", *[f"ggml-cpu-{name}" for name in variants]], f"building the engine ({', '.join(variants)})")
    os.sync()  # the stamp must not be older on the disk than what it vouches for
    write_stamp(stamp, " ".join(sorted(have.union(variants))) + "\n")


def build_sqlite(tree, folder):
    """Builds the one static library, unless it is there."""
    stamp = folder / ".built"
    if read_stamp(stamp) and (folder / "lib" / "libsqlite3mc.a").exists():
        return
    need_room(folder, SQLITE_BYTES, "building SQLite")
    options = ["-DCMAKE_BUILD_TYPE=Release", f"-DLARES_SQLITE_SOURCE={tree}", *launchers()]
    configure(folder, recipe_beside(folder, recipe("sqlite")), options, "preparing SQLite's build")
    ninja(folder, ["sqlite3mc"], "building SQLite")
    os.sync()
    write_stamp(stamp, "built\n")


def build_media(tree, mtmd, folder):
    """Builds the one static library, unless it is there."""
    stamp = folder / ".built"
    if read_stamp(stamp) and (folder / "lib" / "libmtmd.a").exists():
        return
    need_room(folder, MEDIA_BYTES, "building what reads pictures")
    options = ["-DCMAKE_BUILD_TYPE=Release", f"-DLARES_LLAMA={tree}", f"-DLARES_MTMD={mtmd}", *launchers()]
    configure(folder, recipe_beside(folder, recipe("media")), options, "preparing what reads pictures")
    ninja(folder, ["mtmd"], "building what reads pictures")
    os.sync()
    write_stamp(stamp, "built\n")


def configure_preset(preset, parts, tests):
    """`parts` are of main.prepare()."""
    folder = BUILD / preset
    options = ["--preset", preset, *[f"-DLARES_{name}={path or ''}" for name, path in parts.items()], f"-DLARES_PAGE={page.built()}", *launchers()]
    if tests:
        options += ["-DLARES_TESTS=ON", f"-DLARES_TEST_MODELS={TEST_MODELS}", f"-DLARES_TEST_PYTHON={fetch.TEST_PYTHON if fetch.TEST_PYTHON.exists() else 'python3'}"]
    configure(folder, ROOT, options, f"preparing build/{preset}")
    return folder


def launchers():
    if not shutil.which("ccache"):
        return []
    return ["-DCMAKE_C_COMPILER_LAUNCHER=ccache", "-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"]


def environment():
    # paths relative to the checkout, so that another clone finds the same objects in ccache
    return {**os.environ, "CCACHE_BASEDIR": str(ROOT), "CCACHE_NOHASHDIR": "1", "LC_ALL": "C.UTF-8", "NINJA_STATUS": "@%f/%t@ ", "CLICOLOR_FORCE": "0"}


def configure(folder, source, options, doing):
    """Runs CMake unless the same call has succeeded here; a half-made or moved folder is made anew."""
    call = "\n".join([str(source), *options, ""])
    stamp = folder / ".configured"
    if read_stamp(stamp) == call and (folder / "build.ninja").exists():
        stamp.touch()  # looked at now: ./dev asks whether pins are newer
        return
    for attempt in (1, 2):
        if attempt == 2 or moved(folder, source):
            remove(folder)
        make_folder(folder)
        stamp.unlink(missing_ok=True)
        log = folder / "configure.log"
        with open(log, "w") as out:
            status = start(["cmake", "-S", source, "-B", folder, "-G", "Ninja", *options], cwd=source, stdout=out, stderr=out,
                           env=environment()).wait()
        if not status:
            write_stamp(stamp, call)
            return
    text = log.read_text(errors="replace")
    if "No space left on device" in text:
        raise no_room_in_the_middle(doing, folder)
    raise Stop(IO, f"{doing}: CMake stopped:\n{last_output(text)}\n(all of it: {log})")


def moved(folder, source):
    cache = read_stamp(folder / "CMakeCache.txt")
    return bool(cache) and f"CMAKE_HOME_DIRECTORY:INTERNAL={source}\n" not in cache


def ninja(folder, targets, doing):
    """Builds with a bar. What Ninja had finished before an interruption is not done again."""
    settle(folder)
    marker = folder / ".building"
    marker.write_text(boot_id())
    command = ["ninja", "-C", folder, "-j", str(machine.jobs()), *targets]
    child = start(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environment())
    kept, bar, log = [], None, folder / "build.log"
    try:
        with open(log, "w") as out:
            for line in child.stdout:
                out.write(line)
                match = re.match(r"@(\d+)/(\d+)@ ", line)
                if not match:
                    kept = (kept + [line])[-2000:]
                    continue
                if bar is None:
                    bar = Bar(doing, int(match.group(2)), "files").__enter__()
                bar.show(int(match.group(1)), int(match.group(2)))
        status = child.wait()
    except BaseException:
        child.terminate()  # Ninja removes what was half-written
        child.wait()
        if bar:
            bar.__exit__(KeyboardInterrupt, None, None)
        raise
    if bar:
        bar.__exit__(None if status == 0 else Stop, None, None)
    if status:
        text = "".join(kept)
        if "No space left on device" in text:
            raise no_room_in_the_middle(doing, folder)
        if re.search(r"Killed signal|internal compiler error: Killed|cc1plus: out of memory", text):
            raise Stop(IO, f"{doing}: the compiler was killed, most likely because memory ran out; close other programs and "
                           "run the same command again: it goes on here")
        raise Stop(IO, f"{doing}: stopped:\n{last_output(text)}\n(all of it: {log})")
    marker.unlink()


def boot_id():
    with open("/proc/sys/kernel/random/boot_id") as f:
        return f.read()


def settle(folder):
    """After a power cut in the middle of a build the last files written may be empty or cut: they are built again."""
    begun = read_stamp(folder / ".building")
    if not begun or begun == boot_id():
        return
    outputs = [path for path in folder.rglob("*") if path.suffix in (".o", ".so", ".a", ".gch") and path.is_file()]
    newest = max((path.stat().st_mtime for path in outputs), default=0)
    doubtful = [path for path in outputs if path.stat().st_mtime > newest - UNSETTLED_S]
    for path in doubtful:
        path.unlink()
    if doubtful:
        say(f"lares: the machine stopped in the middle of a build; its last {len(doubtful)} files are made anew")


def newest_input():
    """The latest change among what the script `lares` compares with its stamp."""
    newest = 0
    for name in ("src", "cmake", "third_party", "tools/bootstrap", "tools/bootstrap.d", "CMakeLists.txt", "CMakePresets.json", "VERSION"):
        top = ROOT / name
        newest = max(newest, top.stat().st_mtime if top.exists() else 0)
        for where, folders, files in os.walk(top):
            for one in (*folders, *files):
                try:
                    newest = max(newest, os.lstat(os.path.join(where, one)).st_mtime)
                except FileNotFoundError:
                    pass
    return newest


def write_ready(engine, model, began, newest):
    """The stamp that makes the next ./lares quick: dated to when the sources were looked at, not later."""
    stamp = BUILD / "release" / ".ready"
    write_stamp(stamp, f"{ROOT}\n{machine.cpu_line()}\n{engine}\n{model}\n")
    when = max(began, newest)  # sources dated into the future must not mean building at every call
    os.utime(stamp, (when, when))


def clean(engine, sqlite, media, keep):
    """Removes other engines, SQLites and libraries that read pictures, trees that are not in `keep`, and all archives: what is needed of them is unpacked."""
    for folder, kept in ((ENGINES, engine), (SQLITES, sqlite), (MEDIA, media)):
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.name.removesuffix(".cmake") != kept.name:
                remove(path)
    for path in [*fetch.DOWNLOADS.glob("*"), *(one for one in fetch.SOURCES.glob("*") if one.name not in keep)]:
        remove(path)
