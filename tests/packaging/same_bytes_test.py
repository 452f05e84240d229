#!/usr/bin/env python3
"""The same sources make the same packages, byte for byte: a clone in another folder, with another umask, another time
zone and without a compiler's cache, against what ./dev package has made here. The engine is taken from where it lies
(LARES_BUILD_CACHE): it is built by a recipe of its own, without a path of this machine, which is looked at here too.

  same_bytes_test.py [--engine]     --engine: builds the engine anew in a cache of its own, which takes long
"""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = ROOT / "build" / "package" / "packages"
ENGINE = False
CACHE = pathlib.Path(os.environ.get("LARES_BUILD_CACHE") or pathlib.Path.home() / ".cache" / "lares" / "build")


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.suffix in (".deb", ".zst")}


class SameBytes(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lares-elsewhere-", dir="/var/tmp"))

    def tearDown(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def test_1_no_path_of_this_machine_is_in_them(self):
        text = subprocess.run(["dpkg-deb", "--fsys-tarfile", *PACKAGES.glob("*.deb")], capture_output=True, check=True).stdout
        text = text.replace(b"/root/.ssh", b"")  # what the sandbox's probes try to look at, on any machine
        for place in (str(ROOT), str(CACHE), str(pathlib.Path.home()) + "/"):
            self.assertNotIn(place.encode(), text, place)

    def test_2_a_clone_elsewhere_makes_the_same(self):
        clone = self.folder / "a clone elsewhere"
        shutil.copytree(ROOT, clone, ignore=lambda folder, names: [name for name in names if pathlib.Path(folder) == ROOT
                                                                   and name in ("build", ".cache")], symlinks=True)
        environment = {**os.environ, "CCACHE_DISABLE": "1", "TZ": "Pacific/Chatham", "LC_ALL": "C"}
        if ENGINE:
            cache = self.folder / "cache"
            cache.mkdir()
            for name in ("dl", "venv"):
                if (CACHE / name).exists():
                    (cache / name).symlink_to(CACHE / name)
            environment["LARES_BUILD_CACHE"] = str(cache)
        done = subprocess.run([sys.executable, clone / "tools" / "package"], env=environment, capture_output=True, text=True, umask=0o077)
        self.assertEqual(done.returncode, 0, (done.stdout + done.stderr)[-3000:])
        made, other = digests(PACKAGES), digests(clone / "build" / "package" / "packages")
        if made != other:
            print(subprocess.run(["bash", "-c", 'diff -r <(cd "$1" && find . -type f -exec sha256sum {} + | sort -k2) '
                                  '<(cd "$2" && find . -type f -exec sha256sum {} + | sort -k2)', "diff",
                                  PACKAGES / "_CPack_Packages", clone / "build/package/packages/_CPack_Packages"],
                                 capture_output=True, text=True).stdout[-3000:])
        self.assertEqual(made, other)


if __name__ == "__main__":
    if "--engine" in sys.argv:
        ENGINE = True
        sys.argv.remove("--engine")
    if not re.search(r"\.deb", " ".join(path.name for path in PACKAGES.glob("*"))):
        sys.exit(f"there is no package in {PACKAGES}; run ./dev package first")
    unittest.main(verbosity=2)
