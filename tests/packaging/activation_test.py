#!/usr/bin/env python3
"""laresd started by a service manager: it serves the sockets it is handed, says when it is ready, leaves them open when
it ends, and refuses what is not its own. The real programs with the fake engine; the manager is service_manager.py.
"""

import http.client
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parents[1] / "tools"))
from house import programs  # noqa: E402
from service_manager import Manager, listening  # noqa: E402

NO_CONNECTION_S = 1.0


class Case(unittest.TestCase):
    def setUp(self):
        self.bin = programs()
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="lares-activated-"))
        self.environment = {"LARES_HOME": str(self.home), "HOME": str(self.home), "PATH": "/usr/bin:/bin",
                            **{name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}}
        run = self.home / "run"
        run.mkdir(mode=0o700)
        self.path = str(run / "api.sock")
        self.managers = []

    def tearDown(self):
        for manager in self.managers:
            manager.close()
        shutil.rmtree(self.home, ignore_errors=True)

    def sockets(self):
        """The three of lares.socket, on a port of their own."""
        four = listening(socket.AF_INET, ("127.0.0.1", 0))
        self.port = four.getsockname()[1]
        six = listening(socket.AF_INET6, ("::1", self.port))
        return [listening(socket.AF_UNIX, self.path), four, six]

    def manager(self, sockets, *options):
        made = Manager([self.bin / "laresd", "--engine=fake", *options], sockets, self.environment, self.home / "log")
        self.managers.append(made)
        return made

    def lares(self, *words):
        return subprocess.run([self.bin / "lares", *words], env=self.environment, capture_output=True, text=True, timeout=120,
                              stdin=subprocess.DEVNULL)

    def health(self, host):
        connection = http.client.HTTPConnection(host, self.port, timeout=30)
        connection.request("GET", "/health")
        status = connection.getresponse().status
        connection.close()
        return status

    def refused(self, sockets, **variables):
        """The last words of a laresd that does not start with these."""
        manager = self.manager(sockets)
        manager.start(**variables)
        self.assertEqual(manager.wait(), 2, manager.last_words())
        return manager.last_words()


class Activation(Case):
    def test_the_first_question_starts_it_and_is_answered_on_every_socket(self):
        manager = self.manager(self.sockets())
        asking = subprocess.Popen([self.bin / "lares", "count: 3"], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  stdin=subprocess.DEVNULL, text=True)
        manager.start_at_the_first_connection()
        manager.hear("READY=1")
        out, err = asking.communicate(timeout=120)
        self.assertEqual(asking.returncode, 0, err + manager.last_words())
        self.assertTrue(out.strip(), err)
        for host in ("127.0.0.1", "::1"):
            self.assertEqual(self.health(host), 200)
        self.assertEqual((self.home / "run" / "port").read_text().strip(), str(self.port))

    def test_stop_ends_it_leaves_the_sockets_and_the_next_question_starts_anew(self):
        manager = self.manager(self.sockets())
        manager.start()
        manager.hear("READY=1")
        first = manager.pid
        done = self.lares("stop")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(manager.wait(), 0, manager.last_words())
        manager.hear("STOPPING=1")
        self.assertTrue(os.path.exists(self.path), "the manager's socket is not ours to remove")
        asking = subprocess.Popen([self.bin / "lares", "count: 2"], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  stdin=subprocess.DEVNULL, text=True)
        manager.start_at_the_first_connection()
        out, err = asking.communicate(timeout=120)
        self.assertEqual(asking.returncode, 0, err + manager.last_words())
        self.assertTrue(out.strip())
        self.assertNotEqual(manager.pid, first)

    def test_status_and_stop_start_nothing(self):
        manager = self.manager(self.sockets())
        done = self.lares("status")
        self.assertEqual(done.returncode, 3, done.stdout + done.stderr)
        done = self.lares("stop")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        for one in manager.sockets:
            one.settimeout(NO_CONNECTION_S if one is manager.sockets[0] else 0)
            with self.assertRaises((TimeoutError, BlockingIOError)):
                one.accept()

    def test_who_comes_while_it_ends_is_served_by_the_next(self):
        manager = self.manager(self.sockets())
        manager.start()
        manager.hear("READY=1")
        self.assertEqual(self.lares("stop").returncode, 0)
        manager.wait()
        waiting = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        waiting.request("GET", "/health")  # taken by the kernel, answered by nobody yet
        manager.start()
        self.assertEqual(waiting.getresponse().status, 200)
        waiting.close()

    def test_only_the_unix_socket_leaves_the_ports_to_the_daemon(self):
        manager = self.manager([listening(socket.AF_UNIX, self.path)], "--port=0")
        manager.start()
        manager.hear("READY=1")
        self.port = int((self.home / "run" / "port").read_text())
        self.assertEqual(self.health("127.0.0.1"), 200)

    def test_workers_and_later_daemons_do_not_take_the_variables_for_theirs(self):
        manager = self.manager(self.sockets())
        manager.start()
        manager.hear("READY=1")
        self.assertEqual(self.lares("count: 1").returncode, 0)
        # of whichever thread started them
        children = [pid for path in pathlib.Path(f"/proc/{manager.pid}/task").glob("*/children") for pid in path.read_text().split()]
        self.assertTrue(children, "no worker runs")
        for child in children:
            environment = pathlib.Path(f"/proc/{child}/environ")
            try:
                text = environment.read_bytes()
            except PermissionError:
                continue  # not dumpable: nobody reads it
            self.assertNotIn(b"LISTEN_", text)
            self.assertNotIn(b"NOTIFY_SOCKET", text)

    def test_variables_of_another_process_are_not_believed(self):
        manager = self.manager([], "--port=0")
        manager.start(LISTEN_PID="1", LISTEN_FDS="3", LISTEN_FDNAMES=None)
        manager.hear("READY=1")
        self.port = int((self.home / "run" / "port").read_text())
        self.assertEqual(self.health("127.0.0.1"), 200)


class Refusing(Case):
    def test_a_socket_that_others_can_reach(self):
        self.assertIn("0.0.0.0:", self.refused([listening(socket.AF_INET, ("0.0.0.0", 0))]))

    def test_a_socket_of_another_path(self):
        other = str(self.home / "other.sock")
        said = self.refused([listening(socket.AF_UNIX, other)])
        self.assertIn(other, said)
        self.assertIn(self.path, said)

    def test_what_does_not_listen(self):
        self.assertIn("no stream socket that listens", self.refused([socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)]))

    def test_two_ports(self):
        self.assertIn("the other has the port", self.refused([listening(socket.AF_INET, ("127.0.0.1", 0)),
                                                              listening(socket.AF_INET6, ("::1", 0))]))

    def test_numbers_that_are_none_and_more_than_there_are(self):
        self.assertIn("LISTEN_FDS is 'many'", self.refused([], LISTEN_FDS="many"))
        self.assertIn("descriptor 3", self.refused([], LISTEN_FDS="2", LISTEN_FDNAMES=None))
        self.assertIn("LISTEN_FDNAMES", self.refused([listening(socket.AF_UNIX, self.path)], LISTEN_FDNAMES="a:b"))

    def test_a_daemon_of_ones_own_beside_a_manager_that_listens_is_told_what_to_do(self):
        manager = self.manager(self.sockets())
        done = subprocess.run([self.bin / "laresd", "--engine=fake", "--port=0"], env=self.environment, capture_output=True, text=True,
                              timeout=60)
        self.assertEqual(done.returncode, 6, done.stderr)
        self.assertIn("serves this home", done.stderr)
        self.assertTrue(os.path.exists(self.path))
        self.assertFalse(manager.ended())


if __name__ == "__main__":
    unittest.main(verbosity=2)
