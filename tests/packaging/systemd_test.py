#!/usr/bin/env python3
"""The units with a real systemd: a clean Debian 12 is booted in a container without a network, a user's service manager enables
lares.socket, and the first connection starts the daemon. With the packages of ./dev package and the embedded model.

Needs root, mmdebstrap and systemd-nspawn (Debian: systemd-container).
"""

import pathlib
import re
import shutil
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import clean_root  # noqa: E402
from clean_root import USER, Root  # noqa: E402
from clean_root_test import MODEL, QUESTION, package  # noqa: E402

BOOT_LIMIT_S = 400
PACKAGES = ("systemd", "systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd")
UNIT = """\
[Unit]
After=multi-user.target user@1000.service
[Service]
Type=oneshot
ExecStart=/bin/bash /srv/steps.sh
ExecStopPost=/bin/systemctl --force poweroff
TimeoutStartSec=300
[Install]
WantedBy=graphical.target
"""
# Each step prints "NAME: what came"; the test reads them.
STEPS = r"""
exec >/srv/said 2>&1
as() { runuser -u @USER@ -- env XDG_RUNTIME_DIR=/run/user/1000 HOME=/home/@USER@ "$@"; }
state() { as systemctl --user is-active "$1"; }
port() { grep -c ' 0[01]*00007F:1499 .* 0A \| 0100007F:1499 .* 0A ' /proc/net/tcp; }
step() { local name=$1; shift; echo "$name: $("$@" 2>&1 | tr '\n' '|')"; }
until [ -S /run/user/1000/bus ] && as systemctl --user is-system-running >/dev/null; do sleep 0.1; done
step enabled-by-itself as systemctl --user is-enabled lares.socket
step port-before port
step enable as systemctl --user enable --now lares.socket
step socket state lares.socket
step port-after port
step status as lares status
step started-by-status state lares.service
step add as lares models add /srv/@MODEL@
step answer as lares --temperature 0 '@QUESTION@'
step service state lares.service
step type as systemctl --user show -p Type -p NotifyAccess -p NRestarts lares.service
step running as lares status
step tcp bash -c 'exec 3<>/dev/tcp/127.0.0.1/5273; printf "GET /health HTTP/1.1\r\nHost: 127.0.0.1:5273\r\nConnection: close\r\n\r\n" >&3; head -n 1 <&3'
step doctor as lares doctor
step stop as lares stop
for i in $(seq 50); do [ "$(state lares.service)" = inactive ] && break; sleep 0.1; done
step stopped state lares.service
step socket-stays state lares.socket
step answer-again as lares --temperature 0 '@QUESTION@'
pid=$(as systemctl --user show -p MainPID --value lares.service)
kill -KILL "$pid"
step answer-after-a-kill as lares --temperature 0 '@QUESTION@'
step upgrade-ends apt-get remove -y lares
for i in $(seq 50); do [ "$(state lares.socket)" = active ] || break; sleep 0.1; done
step port-removed port
step daemons bash -c 'for p in /proc/[0-9]*; do case $(readlink $p/exe) in */laresd*) echo $p;; esac; done'
step journal as journalctl --user -u lares -o cat --no-pager -n 40
"""


class Systemd(unittest.TestCase):
    def setUp(self):
        self.root = Root("bookworm", PACKAGES)
        self.addCleanup(self.root.close)

    def boot(self):
        """What the steps said, by their names."""
        folder = self.root.folder
        text = STEPS.replace("@USER@", USER).replace("@MODEL@", MODEL.name).replace("@QUESTION@", QUESTION)
        (folder / "srv" / "steps.sh").write_text(text)
        (folder / "etc/systemd/system/steps.service").write_text(UNIT)
        self.root.shell("systemctl enable steps.service; mkdir -p /var/lib/systemd/linger; touch /var/lib/systemd/linger/" + USER)
        # the container sees one hierarchy of control groups, whatever this machine has
        inside = ('mount --make-rprivate / && mount -t cgroup2 none /sys/fs/cgroup && '
                  'exec systemd-nspawn -D "$0" --register=no --keep-unit --boot --console=read-only --private-network')
        done = subprocess.run(["timeout", "-s", "KILL", str(BOOT_LIMIT_S), "unshare", "-m", "bash", "-c", inside, str(folder)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        said = folder / "srv" / "said"
        if not said.exists():
            self.skipTest(f"no systemd boots here: {done.stdout[-500:]}")
        text = said.read_text(errors="replace")
        print(text, flush=True)
        return dict(re.findall(r"^([a-z-]+): (.*)$", text, re.M))

    def test_the_first_connection_starts_it(self):
        deb = self.root.put(package(".deb"))
        self.root.put(MODEL)
        self.root.must("apt-get", "update", "-qq")
        self.root.must("apt-get", "install", "-y", "--no-install-recommends", deb)
        said = self.boot()
        self.assertEqual(said["enabled-by-itself"], "disabled|")
        self.assertEqual(said["port-before"], "0|")
        self.assertEqual(said["socket"], "active|")
        self.assertEqual(said["port-after"], "1|")
        self.assertIn("does not run", said["status"])
        self.assertEqual(said["started-by-status"], "inactive|")
        self.assertIn("added", said["add"])
        for name in ("answer", "answer-again", "answer-after-a-kill"):
            self.assertIn("Paris", said[name], name)
        self.assertEqual(said["service"], "active|")
        self.assertIn("Type=notify", said["type"])
        self.assertIn("NRestarts=0", said["type"])
        self.assertIn("/run/user/1000/lares/api.sock", said["running"])
        self.assertIn("200 OK", said["tcp"])
        self.assertRegex(said["doctor"], r"ways out denied")
        self.assertNotIn("NOT denied", said["doctor"])
        self.assertIn("has ended", said["stop"])
        self.assertEqual(said["stopped"], "inactive|")
        self.assertEqual(said["socket-stays"], "active|")
        self.assertEqual(said["port-removed"], "0|")
        self.assertEqual(said["daemons"], "")


if __name__ == "__main__":
    reason = clean_root.why_not() or ("" if shutil.which("systemd-nspawn") else "systemd-nspawn is not installed")
    if reason:
        print(f"skipped: units with a real systemd: {reason}")
        sys.exit(77)
    package(".deb")
    unittest.main(verbosity=2)
