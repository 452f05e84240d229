#!/usr/bin/env python3
"""The main job where the machine offers less: the real `lares "count: 3"`, which starts the real laresd and lares-worker
(with the fake engine; in class Model with the embedded model) with user namespaces forbidden, with Landlock answering
ENOSYS, without XDG_RUNTIME_DIR, systemd and IPv6, with a /tmp that executes nothing, as root and as a plain user, and
with all of it together. Each time the answer must come, and `lares doctor --json` must say what is missing.

A surrounding is made by a child of the test for itself and what it starts: namespaces of its own for mounts and network,
another user, and last a seccomp filter that makes calls answer as a kernel without them would. The child tries each call
itself before it believes that it is there. Where a surrounding cannot be made, its test is skipped with the reason;
exit status 77: none could.

Run by ctest, and by hand: `LARES_BIN=build/dev/bin tests/system/surroundings_test.py [model] [-v] [Class.test]`.
"""

import ctypes
import encodings.idna  # noqa: F401  asked for by a connection, when Python's own folder may be out of reach
import errno
import fcntl
import http.client
import json
import os
import pathlib
import platform
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
from house import default_model, programs  # noqa: E402

LIMIT_S = 120  # for what takes a second: a loaded machine, a build with sanitizers
PLAIN_USER = 65534
FAKE_MODEL = "smollm2-135m-instruct.q4_1.gguf"
LAYERS = ("seccomp", "no new privileges", "limits", "no capabilities", "not dumpable")  # that hold in all of them

# <linux/sched.h>, <linux/prctl.h>, <linux/audit.h>, <linux/bpf_common.h>, <linux/if.h>, <linux/mount.h>
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
MS_NOEXEC, MS_REC, MS_PRIVATE = 8, 0x4000, 0x40000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
LANDLOCK = (444, 445, 446)
CLONE3 = 435
ARCHITECTURES = {  # audit number; unshare, clone, socket
    "x86_64": (0xC000003E, {"unshare": 272, "clone": 56, "socket": 41}),
    "aarch64": (0xC00000B7, {"unshare": 97, "clone": 220, "socket": 198}),
}
libc = ctypes.CDLL(None, use_errno=True)


class CannotBeMade(Exception):
    pass


def call(what, result):
    if result != 0:
        raise CannotBeMade(f"{what}: {os.strerror(ctypes.get_errno())}")


# ---- inside: the child that makes the surrounding for itself ----


class Filter:
    """A seccomp filter in the kernel's own words: rules on the call's number and its first argument's low half."""

    LOAD, JUMP_IF_EQUAL, JUMP_IF_ANY, ANSWER = 0x20, 0x15, 0x45, 0x06
    ALLOW, ERRNO = 0x7FFF0000, 0x00050000

    def __init__(self):
        self.architecture, self.numbers = ARCHITECTURES[platform.machine()]
        self.rules = []

    def deny(self, number, answer, first_has=None, first_is=None):
        """The call answers that errno; `first_has`: only with one of these bits in its first argument."""
        refuse = [(self.ANSWER, 0, 0, self.ERRNO | answer)]
        if first_has is not None or first_is is not None:
            test = (self.JUMP_IF_ANY, 0, 1, first_has) if first_has is not None else (self.JUMP_IF_EQUAL, 0, 1, first_is)
            refuse = [(self.LOAD, 0, 0, 16), test, *refuse, (self.LOAD, 0, 0, 0)]
        self.rules += [(self.JUMP_IF_EQUAL, 0, len(refuse), number), *refuse]

    def load(self):
        words = [(self.LOAD, 0, 0, 4), (self.JUMP_IF_EQUAL, 1, 0, self.architecture), (self.ANSWER, 0, 0, self.ALLOW),
                 (self.LOAD, 0, 0, 0), *self.rules, (self.ANSWER, 0, 0, self.ALLOW)]
        code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *word) for word in words))
        program = ctypes.create_string_buffer(struct.pack("@HP", len(words), ctypes.addressof(code)))
        call("no_new_privs", libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        call("a seccomp filter", libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0))


def lo_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        flags = struct.unpack("16sh", fcntl.ioctl(s, SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0))[:18])[1]
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def mount_empty(folder, flags=0, mode="1777"):
    call(f"mounting on {folder}", libc.mount(b"none", folder.encode(), b"tmpfs", flags, f"mode={mode}".encode()))


def own_namespaces(kinds):
    """For this process and what it starts, mounts among them; CannotBeMade where the machine does not let it."""
    user, group = os.geteuid(), os.getegid()
    if user != 0:
        call("a user namespace", libc.unshare(CLONE_NEWUSER))
        for file, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            pathlib.Path("/proc/self", file).write_text(text)
    call("namespaces for mounts and network", libc.unshare(kinds))
    call("making mounts private", libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))


def enter(wanted):
    """Makes the surrounding around this process; CannotBeMade where the machine does not let it."""
    kinds = CLONE_NEWNS | (CLONE_NEWNET if wanted.get("no_ipv6") == "sysctl" else 0)
    own_namespaces(kinds)
    # always a /tmp of our own: without XDG_RUNTIME_DIR the socket lies in /tmp/lares-UID, the person's own daemon's place
    mount_empty("/tmp", MS_NOEXEC if wanted.get("noexec_tmp") else 0)
    if wanted.get("no_systemd"):
        for folder in ("/run/systemd", "/run/dbus"):
            if os.path.isdir(folder):
                mount_empty(folder, mode="755")
    if kinds & CLONE_NEWNET:
        lo_up()
        switch = pathlib.Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")
        if switch.exists():
            switch.write_text("1")
    if wanted.get("uid"):
        os.setgroups([])
        os.setresgid(wanted["uid"], wanted["uid"], wanted["uid"])
        os.setresuid(wanted["uid"], wanted["uid"], wanted["uid"])
    filter_ = Filter()
    if wanted.get("no_user_namespaces"):
        for name in ("unshare", "clone"):
            filter_.deny(filter_.numbers[name], errno.EPERM, first_has=CLONE_NEWUSER)
        filter_.deny(CLONE3, errno.ENOSYS)  # it hides its flags from a filter
    if wanted.get("no_landlock"):
        for number in LANDLOCK:
            filter_.deny(number, errno.ENOSYS)
    if wanted.get("no_ipv6") == "filter":
        filter_.deny(filter_.numbers["socket"], errno.EAFNOSUPPORT, first_is=socket.AF_INET6)
    if filter_.rules:
        filter_.load()


def user_namespace():
    """What a child is told that asks for one: an errno, 0 for none."""
    child = os.fork()
    if child == 0:
        os._exit(0 if libc.unshare(CLONE_NEWUSER) == 0 else ctypes.get_errno())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def answer_of(attempt):
    try:
        attempt()
        return 0
    except OSError as error:
        return error.errno


def bind_six():
    with socket.socket(socket.AF_INET6) as s:
        s.bind(("::1", 0))


def run_script_in_tmp():
    script = pathlib.Path(tempfile.gettempdir(), "script")
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    subprocess.run([script], check=True)


def found():
    """What this process sees of its surrounding, each an errno (0: it works)."""
    landlock = ctypes.get_errno() if libc.syscall(LANDLOCK[0], None, 0, 1) < 0 else 0
    return {"user": os.geteuid(), "user_namespace": user_namespace(), "landlock": landlock, "ipv6": answer_of(bind_six),
            "script_in_tmp": answer_of(run_script_in_tmp), "runtime_dir": os.environ.get("XDG_RUNTIME_DIR"),
            "systemd": os.path.exists("/run/systemd/system")}


def over_tcp(port, question):
    """The same question as any OpenAI client asks it."""
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
    c.request("POST", "/v1/chat/completions", json.dumps({"model": "default", "max_tokens": 16,
              "messages": [{"role": "user", "content": question}]}), {"Content-Type": "application/json"})
    r = c.getresponse()
    return r.status, r.read().decode()


def inside(wanted):
    """Enters, asks and examines; all that came of it as one line of JSON."""
    try:
        enter(wanted)
    except (CannotBeMade, OSError) as error:
        return {"skip": str(error)}
    result = {"found": found()}
    lares = [os.path.join(wanted["bin"], "lares")]

    def run(*words):
        done = subprocess.run([*lares, *words], stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S)
        return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")

    pid = None
    try:
        for name, words in (("answer", [wanted["question"]]), ("status", ["status", "--json"]), ("doctor", ["doctor", "--json"])):
            result[name] = run(*words)
        if result["status"][0] == 0:
            status = json.loads(result["status"][1])
            pid = status["pid"]
            result["over_tcp"] = over_tcp(int(status["address"].rsplit(":", 1)[1]), wanted["question"])
    finally:
        result["stop"] = run("stop")
        if result["stop"][0] != 0 and pid:
            os.kill(pid, signal.SIGKILL)
    return result


# ---- outside: the tests ----


TRIED = []


def engine_libraries(worker):
    """The folder of the engine's libraries that this worker is linked with, or None (a build without the engine)."""
    listed = subprocess.run(["ldd", worker], capture_output=True, text=True).stdout
    for line in listed.splitlines():
        if "libggml-base" in line and "=> /" in line:
            return pathlib.Path(line.split("=> ")[1].split()[0]).parent
    return None


def place(file, target):
    """The same file under another name: a link where it can be one, and not one that leads back to where it was."""
    try:
        os.link(file.resolve(), target)
    except OSError:
        shutil.copy2(file, target)


class Case(unittest.TestCase):
    question = "count: 3"
    real_model = False

    def run_in(self, **wanted):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="lares-surroundings-", dir="/var/tmp"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)  # the plain user comes here; what is private lies below, as his
        self.lay_out(folder, wanted)
        person = folder / "person"
        models = person / ".local" / "share" / "lares" / "models"
        models.mkdir(parents=True, mode=0o700)
        if self.real_model:
            shutil.copyfile(default_model(), models / default_model().name.lower())
        else:
            (models / FAKE_MODEL).write_bytes(b"GGUF\x03\0\0\0" + bytes(64))
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith(("LARES_", "XDG_", "DBUS_", "SYSTEMD_")) and name not in ("NOTIFY_SOCKET", "TMPDIR")}
        environment |= {"HOME": str(person), "LC_ALL": "C.UTF-8"}
        if not wanted.get("no_runtime_dir"):
            (person / "runtime").mkdir(mode=0o700)
            environment["XDG_RUNTIME_DIR"] = str(person / "runtime")
        for one in (person, *person.rglob("*")):
            if one.is_dir():
                one.chmod(0o700)
            if wanted.get("uid"):
                os.chown(one, wanted["uid"], wanted["uid"])
        wanted = {"bin": str(folder / "bin"), "question": self.question, **wanted}
        done = subprocess.run([sys.executable, "-B", __file__, "--inside", json.dumps(wanted)], env=environment, cwd="/",
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=4 * LIMIT_S)
        self.assertEqual(done.returncode, 0, done.stderr)
        result = json.loads(done.stdout.splitlines()[-1])
        if "skip" in result:
            print(f"SKIPPED {self.id()}: {result['skip']}", file=sys.stderr)
            self.skipTest(result["skip"])
        TRIED.append(self.id())
        self.check_surrounding(wanted, result["found"])
        self.check_answers(result)
        self.lines = {line["check"]: line for line in json.loads(result["doctor"][1])}
        self.assertEqual(result["doctor"][0], 0, [line for line in self.lines.values() if line["ok"] is False])
        for layer in LAYERS:
            self.assert_holds(layer)
        self.assertTrue(self.lines["sandbox"]["ok"], self.lines["sandbox"])
        self.assertRegex(self.lines["sandbox"]["detail"], r"^(\d+) of \1 ways out denied$")
        return result

    def lay_out(self, folder, wanted):
        """bin/lares and bin/laresd as a person has them, on a copy of the programs that every user can reach."""
        built = programs().resolve()
        here = folder / "bin"
        there = folder / "programs"
        here.mkdir()
        there.mkdir()
        place(built / "lares", here / "lares")
        for name in ("laresd", "lares-worker", "lares-egress"):
            place(built / name, there / name)
        libraries = engine_libraries(built / "lares-worker")
        if libraries and wanted.get("uid"):
            for library in libraries.glob("*.so*"):
                place(library, there / library.name)
            (there / "lares-worker").rename(there / "worker")
            (there / "lares-worker").write_text(f"#!/bin/sh\nLD_LIBRARY_PATH='{there}' exec '{there / 'worker'}' \"$@\"\n")
            (there / "lares-worker").chmod(0o755)
        engine = "" if self.real_model else "--engine=fake"
        (here / "laresd").write_text(f"#!/bin/sh\nexec '{there / 'laresd'}' {engine} --port 0 \"$@\"\n")
        (here / "laresd").chmod(0o755)

    def check_surrounding(self, wanted, found_):
        """That it is what the test is about: without this a test could pass on a whole machine."""
        if wanted.get("uid"):
            self.assertEqual(found_["user"], wanted["uid"])
        if wanted.get("no_user_namespaces"):
            self.assertEqual(found_["user_namespace"], errno.EPERM)
        if wanted.get("no_landlock"):
            self.assertEqual(found_["landlock"], errno.ENOSYS)
        if wanted.get("no_ipv6"):
            self.assertNotEqual(found_["ipv6"], 0)
        if wanted.get("noexec_tmp"):
            self.assertEqual(found_["script_in_tmp"], errno.EACCES)
        if wanted.get("no_systemd"):
            self.assertFalse(found_["systemd"])
        self.assertEqual(found_["runtime_dir"] is None, bool(wanted.get("no_runtime_dir")))

    def check_answers(self, result):
        self.assertEqual(result["answer"][:2], [0, "1 2 3\n"], result["answer"][2])
        status, body = result["over_tcp"]
        self.assertEqual(status, 200, body)
        self.assertEqual(json.loads(body)["choices"][0]["message"]["content"], "1 2 3")
        self.assertEqual(result["stop"][0], 0, result["stop"][2])

    def assert_holds(self, layer):
        line = self.lines.get(f"sandbox layer {layer}")
        self.assertIsNotNone(line, f"doctor says nothing of '{layer}'; it has {sorted(self.lines)}")
        self.assertIs(line["ok"], True, line)
        return line["detail"]

    def assert_missing(self, layer, why):
        """A layer that is not there is a line with its reason, and no failure."""
        line = self.lines.get(f"sandbox layer {layer}")
        self.assertIsNotNone(line, f"doctor says nothing of '{layer}'; it has {sorted(self.lines)}")
        self.assertIsNone(line["ok"], line)
        self.assertIn("not to be had here: ", line["detail"])
        self.assertIn(why, line["detail"])
        self.assertIn("the other layers hold", line["next"])


class Each(Case):
    """One thing missing at a time."""

    def test_nothing_is_missing(self):
        result = self.run_in()
        if result["found"]["user_namespace"] == 0:
            self.assertIn("user", self.assert_holds("namespaces"))
        if result["found"]["landlock"] == 0:
            self.assert_holds("landlock")
        runtime = next(line for check, line in self.lines.items() if check.endswith("/person/runtime/lares"))
        self.assertIs(runtime["ok"], True)

    def test_user_namespaces_are_forbidden(self):
        self.run_in(no_user_namespaces=True)
        self.assert_missing("user namespace", "EPERM")
        if os.geteuid() == 0:  # who needs none for the others
            self.assertNotIn("user", self.assert_holds("namespaces"))

    def test_landlock_answers_enosys(self):
        self.run_in(no_landlock=True)
        self.assert_missing("landlock", "the kernel has none (ENOSYS)")

    def test_there_is_no_runtime_folder(self):
        self.run_in(no_runtime_dir=True)
        self.assertIs(self.lines[f"folder /tmp/lares-{os.geteuid()}"]["ok"], True)

    def test_there_is_no_systemd(self):
        self.run_in(no_systemd=True)

    def test_ipv6_is_switched_off(self):
        self.run_in(no_ipv6="sysctl")
        self.assertIn("http://127.0.0.1:", self.lines["clients"]["detail"])

    def test_the_kernel_has_no_ipv6(self):
        self.run_in(no_ipv6="filter")
        self.assertIn("http://127.0.0.1:", self.lines["clients"]["detail"])

    def test_the_temporary_folder_executes_nothing(self):
        self.run_in(noexec_tmp=True, no_runtime_dir=True)

    @unittest.skipUnless(os.geteuid() == 0, "only root can become another user, and who is none is a plain user already")
    def test_a_plain_user_asks(self):
        self.run_in(uid=PLAIN_USER)

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_root_asks(self):
        self.assertEqual(self.run_in()["found"]["user"], 0)


ALL = {"no_user_namespaces": True, "no_landlock": True, "no_runtime_dir": True, "no_systemd": True, "no_ipv6": "sysctl",
       "noexec_tmp": True}


class Together(Case):
    """Everything missing at once."""

    def everything(self, **more):
        self.run_in(**ALL, **more)
        self.assert_missing("user namespace", "EPERM")
        self.assert_missing("landlock", "the kernel has none (ENOSYS)")
        user = more.get("uid", os.geteuid())
        self.assertIs(self.lines[f"folder /tmp/lares-{user}"]["ok"], True)
        if user != 0:
            self.assert_missing("namespaces", "net ipc uts cgroup mnt: EPERM")
            self.assert_missing("empty root", "it needs a mount namespace")

    def test_as_whoever_runs_the_tests(self):
        self.everything()

    @unittest.skipUnless(os.geteuid() == 0, "only root can become another user")
    def test_as_a_plain_user(self):
        self.everything(uid=PLAIN_USER)


class Model(Together):
    """The same with the real engine and the embedded model."""

    question = "What is the capital of France?"
    real_model = True

    def check_answers(self, result):
        self.assertEqual(result["answer"][0], 0, result["answer"][2])
        self.assertRegex(result["answer"][1], r"\w{3}")  # what so small a model says is not held against it
        status, body = result["over_tcp"]
        self.assertEqual(status, 200, body)
        self.assertTrue(json.loads(body)["choices"][0]["message"]["content"].strip())
        self.assertEqual(result["stop"][0], 0, result["stop"][2])


def main(words):
    if words[:1] == ["--inside"]:
        print(json.dumps(inside(json.loads(words[1]))))
        return 0
    if platform.machine() not in ARCHITECTURES:
        print(f"skipped: a seccomp filter for '{platform.machine()}' is not written here", file=sys.stderr)
        return 77
    model = words[:1] == ["model"]
    words = words[1:] if model else words
    chosen = [word for word in words if not word.startswith("-")] or (["Model"] if model else ["Each", "Together"])
    options = [word for word in words if word.startswith("-")]
    ran = unittest.main(module="__main__", argv=[sys.argv[0], *options, *chosen], exit=False)
    if not ran.result.wasSuccessful():
        return 1
    if not TRIED:
        print("skipped: none of the surroundings can be made here; the reasons are above", file=sys.stderr)
        return 77
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
