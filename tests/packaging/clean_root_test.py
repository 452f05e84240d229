#!/usr/bin/env python3
"""The packages of ./dev package on clean Debian 12 and 13: installed, answering without a compiler and without a network,
and removed without a trace; the .deb by apt, the archive unpacked in ~/.local and in /opt. With the real embedded model.

  clean_root_test.py [SUITE...]     bookworm and trixie
"""

import os
import pathlib
import re
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import clean_root  # noqa: E402
from clean_root import USER, Root  # noqa: E402

ROOT = HERE.parents[1]
PACKAGES = ROOT / "build" / "package" / "packages"
MODELS = pathlib.Path(os.environ.get("LARES_TEST_MODELS") or pathlib.Path.home() / ".cache" / "lares" / "build" / "models")
MODEL = MODELS / "smollm2-135m-instruct-q4_1.gguf"
QUESTION = "What is the capital of France?"
# What tells a person to use a clone, which a package has not.
OF_A_CLONE = re.compile(r"\./lares\b|source folder|source tree|tools/bootstrap|this clone")
OURS_LEFT = "find / -xdev -iname '*lares*' ! -path '/srv/*' ! -path '/home/*' ! -path '/root/*' ! -path '/proc/*' ! -path '/var/log/*' 2>/dev/null || true"
DAEMONS = "for p in /proc/[0-9]*; do case $(readlink $p/exe) in */laresd*) echo $p;; esac; done"


def package(suffix):
    found = sorted(PACKAGES.glob(f"lares*{suffix}"))
    if len(found) != 1:
        sys.exit(f"there should be one package '*{suffix}' in {PACKAGES}, and there are {len(found)}; run ./dev package first")
    return found[0]


class OnSuite:
    suite = ""
    root = None

    @classmethod
    def setUpClass(cls):
        began = time.monotonic()
        cls.root = Root(cls.suite)
        cls.model = cls.root.put(MODEL)
        print(f"a clean {cls.suite} in {time.monotonic() - began:.0f} s", flush=True)

    @classmethod
    def tearDownClass(cls):
        if cls.root:
            cls.root.close()

    def answers(self, lares, user=USER):
        """A first conversation without a network, from adding the model on."""
        began = time.monotonic()
        text = self.root.shell(f"""
            {lares} models add {self.model}
            {lares} --temperature 0 '{QUESTION}'
            {lares} status; {lares} why; {lares} doctor; {lares} ps
            {lares} stop""", user=user, net=False)
        print(f"{self.suite}: {lares} answered as {user}, everything in {time.monotonic() - began:.0f} s", flush=True)
        self.assertIn("Paris", text)
        self.assertNotRegex(text, OF_A_CLONE)
        return text

    def test_1_the_package_is_installed_answers_and_is_removed(self):
        root = self.root
        before = root.shell("dpkg-query -W -f '${Package}\\n'")
        deb = root.put(package(".deb"))
        root.must("apt-get", "update", "-qq")
        said = root.must("apt-get", "install", "-y", "--no-install-recommends", deb)
        print("".join(line + "\n" for line in said.splitlines() if re.search(r"NEW|Need to get|After this", line)), end="", flush=True)
        came = set(root.shell("dpkg-query -W -f '${Package}\\n'").split()) - set(before.split())
        print(f"{self.suite}: came with it: {' '.join(sorted(came))}", flush=True)
        self.assertFalse([name for name in came if re.search(r"^(gcc|g\+\+|cpp|cmake|make|ninja|python3?)|-dev$", name)], came)
        # nothing is missing for the loader, and nothing is enabled or running
        self.assertNotIn("not found", root.shell("ldd /usr/bin/lares /usr/libexec/lares/lares* /usr/lib/lares/*.so"))
        self.assertEqual(root.shell("find /etc/systemd /home/*/.config -name 'lares*' 2>/dev/null || true"), "")
        # before there is a model, what to do is said, and fits an installation
        done = root.run("lares", QUESTION, user=USER, net=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("models add", done.stdout)
        self.assertNotRegex(done.stdout, OF_A_CLONE)
        self.assertNotRegex(root.shell("lares doctor || true; lares models find; lares --help", user=USER, net=False), OF_A_CLONE)
        self.answers("lares")
        self.answers("lares", user="root")
        done = root.run("lares", "uninstall", user=USER)
        self.assertEqual(done.returncode, 3)
        self.assertIn("apt remove lares", done.stdout)
        self.assertIn("systemctl --user enable", root.must("lares", "install", user=USER))
        # a daemon that runs ends with its package
        text = root.shell(f"""
            setpriv --reuid {USER} --regid {USER} --init-groups env HOME=/home/{USER} lares start
            [ -n "$({DAEMONS})" ] && echo it runs
            apt-get remove -y lares
            [ -z "$({DAEMONS})" ] && echo it has ended""")
        self.assertIn("it runs", text)
        self.assertIn("it has ended", text)
        root.must("apt-get", "purge", "-y", "lares")
        self.assertEqual(root.shell(OURS_LEFT), "")
        # the person's data stays, and a new installation finds it
        self.assertTrue((root.folder / "home" / USER / ".local/share/lares/models").is_dir())
        root.must("apt-get", "install", "-y", "--no-install-recommends", deb)
        self.assertIn("Paris", root.must("lares", "--temperature", "0", QUESTION, user=USER, net=False))
        self.assertIn("removes models", root.must("lares", "uninstall", "--purge", "--yes", user=USER))
        self.assertEqual(root.shell(f"find /home/{USER} -iname '*lares*'"), "")
        root.must("apt-get", "purge", "-y", "lares")

    def test_2_the_archive_answers_in_a_persons_folder_and_in_opt(self):
        root = self.root
        archive = root.put(package(".tar.zst"))
        # the libraries that README names; the package has brought them, where that test ran before
        root.must("apt-get", "update", "-qq")
        root.must("apt-get", "install", "-y", "--no-install-recommends", "zstd", "libedit2", "libseccomp2", "libsodium23", "libstdc++6")
        root.shell(f"mkdir -p ~/.local && tar -C ~/.local --strip-components=1 -xf {archive}", user=USER)
        lares = f"/home/{USER}/.local/bin/lares"
        self.answers(lares)
        text = root.shell(f"{lares} install; {lares} install --units; cat ~/.local/share/systemd/user/lares.service", user=USER)
        self.assertIn(f'ExecStart="/home/{USER}/.local/libexec/lares/laresd"', text)
        self.assertIn("removed the units", root.must(lares, "uninstall", user=USER))
        left = root.shell("find ~/.local ~/.config -type f", user=USER)
        self.assertFalse([line for line in left.split() if not re.search(r"/(share|config|cache)/lares/|/\.config/lares/", line)], left)
        root.shell(f"tar -C /opt -xf {archive}")
        lares = root.shell("echo /opt/lares-*/bin/lares").strip()
        self.answers(lares)
        root.must(lares, "uninstall")
        self.assertEqual(root.shell("find /opt -mindepth 1 -type f"), "")


class Bookworm(OnSuite, unittest.TestCase):
    suite = "bookworm"


class Trixie(OnSuite, unittest.TestCase):
    suite = "trixie"


if __name__ == "__main__":
    reason = clean_root.why_not() or ("" if MODEL.is_file() else f"the model {MODEL} is not there")
    if reason:
        print(f"skipped: packages on clean Debians: {reason}")
        sys.exit(77)
    package(".deb"), package(".tar.zst")
    names = [name.capitalize() for name in sys.argv[1:]] or ["Bookworm", "Trixie"]
    unittest.main(argv=[sys.argv[0], *names], verbosity=2)
