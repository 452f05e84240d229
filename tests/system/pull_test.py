#!/usr/bin/env python3
"""Pulls of models, by the real programs, from real HTTPS servers on loopback that speak as the registries do: what goes
well, what goes wrong on the way, and what a registry may try. The fake engine looks into the files.

Run by ctest, and by hand: `LARES_BIN=build/dev/bin tests/system/pull_test.py [-v] [Class.test]`.
"""

import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from client import FAKE, House, ask, chat, owner, run_tests, wait_until  # noqa: E402
from house import programs  # noqa: E402
from registries import MiB, Registries, digest_of  # noqa: E402

OVER = ("done", "failed", "cancelled")


def model(size, seed=1):
    """Bytes that begin as a model does."""
    return b"GGUF" + random.Random(seed).randbytes(size - 4)


def for_bytes(request):
    """Whether a request is for bytes of a file, and not only for how many there are."""
    return not request.headers["Range"].endswith("=0-0")


class AtFirst:
    """A host's behaviour: `act` takes the first requests of those that `when` names; the others are answered as ever."""

    def __init__(self, times, act, when=for_bytes):
        self.left, self.act, self.when = times, act, when

    def __call__(self, request):
        if self.left == 0 or not self.when(request):
            return False
        self.left -= 1
        self.act(request)
        return True


class WithRegistries(unittest.TestCase):
    settings = {}
    environment = None

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="lares-pull-")
        cls.there = Registries(cls.folder)
        cls.house = cls.start()

    @classmethod
    def start(cls, keep_home=None, **more):
        return House(arguments=FAKE, settings=cls.there.settings(**{**cls.settings, **more}), keep_home=keep_home,
                     environment=cls.environment)

    @classmethod
    def tearDownClass(cls):
        cls.house.stop()
        cls.there.stop()
        shutil.rmtree(cls.folder, ignore_errors=True)

    def setUp(self):
        self.there.reset()

    def tearDown(self):
        self.assertIsNone(self.house.process.poll(), self.house.log.read_text(errors="replace")[-3000:])

    def begin(self, source, house=None, **more):
        return owner(house or self.house, "POST", "/lares/v1/pulls", {"source": source, **more})

    def look(self, pull, house=None):
        return owner(house or self.house, "GET", f"/lares/v1/pulls/{pull['id']}")

    def end(self, pull, house=None):
        return wait_until(lambda: (found := self.look(pull, house))["state"] in OVER and found, "the pull ends")

    def pull(self, source, **more):
        return self.end(self.begin(source, **more))

    def file(self, name, house=None):
        return (house or self.house).home / "share" / "models" / name

    def assert_pulled(self, pull, content, name=None):
        self.assertEqual(pull["state"], "done", pull)
        file = self.file((name or pull["model"]) + ".gguf")
        self.assertEqual(digest_of(str(file)) if len(content) > MiB else digest_of(file.read_bytes()),
                         digest_of(content))
        wait_until(lambda: not (self.house.home / "share" / "models" / ".pulls" / pull["id"]).exists(), "its folder is removed")
        self.assertIn(pull["model"], [one["id"] for one in owner(self.house, "GET", "/lares/v1/models")])

    def assert_failed(self, pull, code, *words):
        self.assertEqual(pull["state"], "failed", pull)
        self.assertEqual(pull["error"]["code"], code, pull)
        for word in words:
            self.assertIn(word, pull["error"]["message"])


class GoesWell(WithRegistries):
    def test_from_a_hub_with_its_licence(self):
        content = model(20 * MiB + 17)
        self.there.add_hub("maker/tiny-GGUF", [("tiny-Q4_K_M.gguf", content), ("tiny-Q8_0.gguf", b"GGUFx"),
                                               ("LICENSE", b"You may use it.\n")])
        pull = self.pull("hf:maker/tiny-GGUF")
        self.assert_pulled(pull, content)
        self.assertEqual(pull["model"], "tiny-q4_k_m")
        self.assertEqual(self.file("tiny-q4_k_m.licence.txt").read_text(), "You may use it.\n")
        written = self.file("tiny-q4_k_m.pulled.json").read_text()
        self.assertTrue(written.startswith('{"format":1,"known_in_advance":'), "tools/folders.sh goes by this")
        besides = json.loads(written)
        self.assertEqual(besides["sha256"], digest_of(content))
        self.assertEqual(besides["licence"], "apache-2.0")
        self.assertEqual(besides["source"], "hf:maker/tiny-GGUF")
        again = self.pull("hf:maker/tiny-GGUF:Q4_K_M")
        self.assertEqual(again["state"], "done", again)  # it is here: nothing was fetched
        self.assertEqual(self.file("tiny-q4_k_m.gguf").stat().st_mode & 0o777, 0o600)
        known = owner(self.house, "GET", "/lares/v1/models/tiny-q4_k_m")["pulled"]
        self.assertEqual((known["source"], known["sha256"]), ("hf:maker/tiny-GGUF", digest_of(content)))
        self.assertLess(abs(known["pulled_ms"] / 1000 - time.time()), 60)
        owner(self.house, "DELETE", "/lares/v1/models/tiny-q4_k_m")
        wait_until(lambda: not self.file("tiny-q4_k_m.licence.txt").exists(), "its texts go with it")
        self.assertFalse(self.file("tiny-q4_k_m.gguf").exists())

    def test_from_a_registry_with_a_challenge(self):
        content = model(9 * MiB, 2)
        self.there.add_tag("library/small:1b", content, [("license", b"Licence A"), ("template", b"{{ .Prompt }}"),
                                                         ("params", b'{"stop":["x"]}')])
        self.there.behave.update(token="t0ken", realm=f"https://auth.test:{self.there.port}/token")
        pull = self.pull("ollama:small:1b")
        self.assert_pulled(pull, content, "small:1b")
        self.assertEqual(self.file("small:1b.licence.txt").read_text(), "Licence A")
        self.assertEqual(self.file("small:1b.template.txt").read_text(), "{{ .Prompt }}")
        for host, _, _, headers in self.there.requests:
            self.assertEqual("Authorization" in headers and host != "registry.test", False, host)

    def test_from_a_url_that_the_person_names(self):
        content = model(3 * MiB, 3)
        self.there.contents["/files/some-model.gguf"] = content
        pull = self.pull(f"https://site.test:{self.there.port}/files/some-model.gguf", name="mine")
        self.assert_pulled(pull, content, "mine")
        self.assertFalse(json.loads(self.file("mine.pulled.json").read_text())["known_in_advance"])

    def test_by_a_name_of_the_catalogue(self):
        entries = owner(self.house, "GET", "/lares/v1/catalogue")
        known = {}  # by what the catalogue has of it: one entry each
        listed = json.loads((pathlib.Path(__file__).resolve().parents[2] / "src" / "inventory" / "catalogue.json").read_text())
        for entry in listed["models"]:
            known["digest" if entry["sha256"] else "size" if entry["size_exact"] else "neither"] = entry
        for has, entry in known.items():
            source = next(one["source"] for one in entries if one["id"] == entry["id"])
            self.there.add_hub(entry["repository"], [(entry["file"], model(MiB, 8))])
            self.there.sent = 0
            pull = self.pull(entry["id"])
            self.assertEqual(pull["source"], source)
            self.assertEqual(pull["model"], entry["id"])
            if has == "neither":
                self.assert_pulled(pull, model(MiB, 8))
                continue
            self.assertEqual(self.pull(source)["id"], pull["id"], "its source is the same")
            told = entry["sha256"] if has == "digest" else f"has {MiB} bytes, and the catalogue knows it with {entry['size_bytes']}"
            self.assert_failed(self.look(pull), "corrupt", told)
            self.assertLess(self.there.sent, 100, "nothing of it was fetched")
            owner(self.house, "DELETE", f"/lares/v1/pulls/{pull['id']}")

    def test_a_source_that_gives_other_bytes_than_the_first_time(self):
        first, second = model(MiB, 41), model(2 * MiB, 42)
        self.there.add_hub("maker/changes", [("changes.gguf", first)])
        self.assert_pulled(self.pull("hf:maker/changes"), first)
        owner(self.house, "DELETE", "/lares/v1/models/changes")
        self.there.add_hub("maker/changes", [("changes.gguf", second)])
        self.assert_failed(self.pull("hf:maker/changes"), "corrupt", digest_of(first) + " came from there on ",
                           "--sha256 " + digest_of(second))
        done = subprocess.run([str(self.house.bin / "lares"), "models", "pull", "hf:maker/changes", "--sha256", digest_of(second)],
                              env=self.house.environment, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(digest_of(self.file("changes.gguf").read_bytes()), digest_of(second))

    def test_from_a_folder_on_this_disk(self):
        folder = pathlib.Path(self.folder) / "disk"
        folder.mkdir()
        (folder / "here.gguf").write_bytes(b"GGUF here")
        pull = self.pull(str(folder))
        self.assertEqual((pull["state"], pull["model"]), ("done", "here"), pull)
        self.assertTrue((folder / "here.gguf").exists())
        self.assertFalse(self.file("here.gguf").exists())

    def test_two_pulls_of_one_model_are_one(self):
        content = model(12 * MiB, 4)
        self.there.add_hub("maker/two", [("two.gguf", content)])
        self.there.behave["pause_s"] = 0.02
        first, second = self.begin("hf:maker/two"), self.begin("hf:maker/two")
        self.assertEqual(first["id"], second["id"])
        self.assert_pulled(self.end(first), content)
        self.assertLess(self.there.sent, 13 * MiB)

    def test_a_token_goes_to_the_hub_alone(self):
        token = pathlib.Path(self.folder) / "token"
        token.write_text("hf_secret\n")
        house = self.start(hub_token_file=str(token))
        self.addCleanup(house.stop)
        content = model(MiB, 5)
        self.there.add_hub("maker/gated", [("gated.gguf", content)], gated="hf_secret")
        self.assertEqual(self.end(self.begin("hf:maker/gated", house), house)["state"], "done")
        self.assertTrue(any("Authorization" in headers for *_, headers in self.there.seen("hub.test")))
        self.assertTrue(self.there.seen("storage.test"))
        for *_, headers in self.there.seen("storage.test"):
            self.assertNotIn("Authorization", headers)
        status = self.pull("hf:maker/gated")
        self.assert_failed(status, "denied", "models.hub_token_file")
        self.assertNotIn("HF_TOKEN", status["error"]["message"])

    def test_the_environment_s_token_goes_to_hugging_face_alone(self):
        self.there.add_hub("maker/mirror", [("mirror.gguf", model(MiB, 9))])
        house = House(arguments=FAKE, settings=self.there.settings(), environment={"HF_TOKEN": "hf_secret"})
        self.addCleanup(house.stop)
        self.assertEqual(self.end(self.begin("hf:maker/mirror", house), house)["state"], "done")
        self.assertTrue(self.there.requests)
        for *_, headers in self.there.requests:
            self.assertNotIn("Authorization", headers)

    def test_no_process_with_a_network_is_left(self):
        self.there.add_hub("maker/left", [("left.gguf", model(MiB, 6))])
        self.pull("hf:maker/left")
        wait_until(lambda: "lares-egress" not in self.house.pids().values(), "lares-egress ends")
        checks = {line["check"]: line for line in owner(self.house, "GET", "/lares/v1/doctor")}
        self.assertTrue(checks["network"]["ok"], checks["network"])

    def test_what_is_asked_for_is_not_compressed_and_says_no_more_than_needed(self):
        self.there.add_hub("maker/asked", [("asked.gguf", model(MiB, 7))])
        self.pull("hf:maker/asked")
        for host, _, _, headers in self.there.requests:
            self.assertEqual(headers.get("Accept-Encoding"), "identity")
            self.assertFalse(set(headers) - {"Host", "User-Agent", "Accept", "Accept-Encoding", "Range", "If-Range"},
                             headers)


class OnTheWay(WithRegistries):
    """What goes wrong and passes."""

    def prepared(self, name, size=20 * MiB, seed=11):
        content = model(size, seed)
        self.there.add_hub(f"maker/{name}", [(f"{name}.gguf", content)])
        return content

    def test_connections_that_are_lost_again_and_again(self):
        content = self.prepared("lost")
        self.there.behave["drop_after"] = 3 * MiB
        pull = self.begin("hf:maker/lost")
        self.assert_pulled(self.end(pull), content)

    def test_too_many_requests(self):
        content = self.prepared("many", 9 * MiB)
        self.there.behave["storage.test"] = AtFirst(3, lambda request: request.answer(429, b"", [("Retry-After", "1")]),
                                                    when=lambda request: "/blob/" in request.path and for_bytes(request))
        begun = time.monotonic()
        self.assert_pulled(self.pull("hf:maker/many"), content)
        self.assertGreater(time.monotonic() - begun, 0.9)

    def test_a_registry_that_is_busy_when_it_is_asked_first(self):
        content = self.prepared("busy", MiB)
        for status in (429, 503):
            self.there.behave["hub.test"] = AtFirst(
                2, lambda request, status=status: request.answer(status, b"", [("Retry-After", "1")]), when=lambda _: True)
            begun = time.monotonic()
            self.assert_pulled(self.pull("hf:maker/busy"), content)
            self.assertGreater(time.monotonic() - begun, 1.9)
            owner(self.house, "DELETE", "/lares/v1/models/busy")
        self.there.behave["hub.test"] = lambda request: request.answer(429, b"", [("Retry-After", "200")]) or True
        self.assert_failed(self.pull("hf:maker/busy"), "busy", "asked again in 200 s")

    def test_a_server_with_trouble(self):
        content = self.prepared("trouble", 9 * MiB)
        self.there.behave["storage.test"] = AtFirst(2, lambda request: request.answer(503))
        self.assert_pulled(self.pull("hf:maker/trouble"), content)

    def test_a_connection_on_which_nothing_comes(self):
        content = self.prepared("stalls", 9 * MiB)
        self.there.behave["storage.test"] = AtFirst(2, lambda _: time.sleep(8))
        self.assert_pulled(self.pull("hf:maker/stalls"), content)

    def test_a_signed_address_that_has_ended(self):
        content = self.prepared("signed")
        self.there.behave["storage.test"] = AtFirst(2, lambda request: request.answer(403, b"<Error>Request has expired</Error>"))
        self.assert_pulled(self.pull("hf:maker/signed"), content)

    def test_transfers_that_end_while_the_address_is_asked_for_again(self):
        content = self.prepared("meanwhile", 24 * MiB)  # three chunks at once
        ended = AtFirst(1, lambda request: request.answer(403))

        def slow(request):
            if ended.left == 0 and "/resolve/" in request.path:
                time.sleep(1)
            return False
        self.there.behave.update({"storage.test": ended, "hub.test": slow, "pause_s": 0.03})
        self.assert_pulled(self.pull("hf:maker/meanwhile"), content)

    def test_another_etag_of_the_same_content(self):
        content = self.prepared("etag")
        self.there.behave["pause_s"] = 0.02
        pull = self.begin("hf:maker/etag")
        wait_until(lambda: self.look(pull)["bytes_done"] > 2 * MiB, "some of it is here")
        self.there.behave["etag"] = '"e2"'
        self.assert_pulled(self.end(pull), content)

    def test_a_file_that_changes_meanwhile_is_begun_again(self):
        old, new = model(60 * MiB, 12), model(60 * MiB, 13)  # more chunks than connections
        self.there.contents["/changing.gguf"] = old
        self.there.behave["pause_s"] = 0.02
        pull = self.begin(f"https://site.test:{self.there.port}/changing.gguf")
        wait_until(lambda: self.look(pull)["bytes_done"] > 2 * MiB, "some of it is here")
        self.there.contents["/changing.gguf"] = new
        self.there.behave["etag"] = '"e2"'
        wait_until(lambda: self.look(pull)["state"] == "waiting", "it sees the change")
        self.there.behave.pop("pause_s")
        self.assert_pulled(self.end(pull), new)

    def test_a_server_that_begins_to_send_the_whole_file(self):
        content = self.prepared("whole", 9 * MiB)
        self.there.behave["storage.test"] = AtFirst(2, lambda request: request.answer(200, b"all of it"))
        pull = self.begin("hf:maker/whole")
        waits = wait_until(lambda: self.look(pull).get("error"), "it says why it waits")
        self.assertIn("'storage.test': the file changed there", waits["message"])
        self.assert_pulled(self.end(pull), content)

    def test_it_is_stopped_and_goes_on(self):
        content = self.prepared("paused", 24 * MiB)
        self.there.behave["pause_s"] = 0.02
        pull = self.begin("hf:maker/paused")
        wait_until(lambda: self.look(pull)["bytes_done"] > 9 * MiB, "some of it is here")
        stopped = owner(self.house, "POST", f"/lares/v1/pulls/{pull['id']}/stop", {})
        self.assertEqual((stopped["state"], stopped["error"]["code"]), ("waiting", "cancelled"))
        wait_until(lambda: "lares-egress" not in self.house.pids().values(), "lares-egress ends")
        self.there.behave.pop("pause_s")
        self.assertEqual(self.begin("hf:maker/paused")["id"], pull["id"])
        self.assert_pulled(self.end(pull), content)
        self.assertLess(self.there.sent, 24 * MiB + 8 * MiB)

    def test_it_is_cancelled_and_leaves_nothing(self):
        self.prepared("cancelled")
        self.there.behave["pause_s"] = 0.05
        pull = self.begin("hf:maker/cancelled")
        wait_until(lambda: self.look(pull)["bytes_done"] > MiB, "some of it is here")
        self.assertEqual(owner(self.house, "DELETE", f"/lares/v1/pulls/{pull['id']}")["state"], "cancelled")
        folder = self.house.home / "share" / "models" / ".pulls" / pull["id"]
        wait_until(lambda: not folder.exists(), "what was fetched is removed")
        wait_until(lambda: pull["id"] not in [one["id"] for one in owner(self.house, "GET", "/lares/v1/pulls")], "it is off the list")

    def test_lares_egress_is_killed(self):
        content = self.prepared("killed", 24 * MiB)
        self.there.behave["pause_s"] = 0.02
        pull = self.begin("hf:maker/killed")
        wait_until(lambda: self.look(pull)["bytes_done"] > 9 * MiB, "some of it is here")
        for pid, name in self.house.pids().items():
            if name == "lares-egress":
                os.kill(pid, signal.SIGKILL)
        self.there.behave.pop("pause_s")
        self.assert_pulled(self.end(pull), content)
        self.assertLess(self.there.sent, 24 * MiB + 9 * MiB)

    def test_the_daemon_is_killed_and_the_next_one_goes_on_by_itself(self):
        content = self.prepared("crash", 32 * MiB)
        house = self.start()
        self.addCleanup(lambda: house.stop())
        self.there.behave["pause_s"] = 0.02
        pull = self.begin("hf:maker/crash", house)
        wait_until(lambda: self.look(pull, house)["bytes_done"] > 9 * MiB, "some of it is here")
        house.process.kill()
        house.process.wait()
        self.there.behave.pop("pause_s")
        house = self.start(keep_home=house.home)
        self.assertEqual(self.end(pull, house)["state"], "done")
        self.assertEqual(digest_of(self.file("crash.gguf", house).read_bytes()), digest_of(content))
        self.assertLess(self.there.sent, 32 * MiB + 9 * MiB)

    def test_after_a_reboot_damage_is_seen_and_fetched_again(self):
        content = self.prepared("reboot", 24 * MiB)
        house = self.start()
        self.addCleanup(lambda: house.stop())
        self.there.behave["pause_s"] = 0.02
        pull = self.begin("hf:maker/reboot", house)
        wait_until(lambda: self.look(pull, house)["bytes_done"] > 17 * MiB, "some of it is here")
        house.process.kill()
        house.process.wait()
        folder = house.home / "share" / "models" / ".pulls" / pull["id"]
        order = json.loads((folder / "pull.json").read_text())
        order["boot"] = "an earlier one"
        (folder / "pull.json").write_text(json.dumps(order))
        with open(folder / "part", "r+b") as part:  # what was promised and not kept
            for at in range(0, 24 * MiB, MiB):
                part.seek(at)
                part.write(b"\0" * 512)
        self.there.behave.pop("pause_s")
        house = self.start(keep_home=house.home)
        self.assertEqual(self.end(pull, house)["state"], "done")
        self.assertEqual(digest_of(self.file("reboot.gguf", house).read_bytes()), digest_of(content))


class Hostile(WithRegistries):
    """What a registry or somebody on the way may try."""

    def assert_nothing_left(self):
        self.assertEqual([file.name for file in (self.house.home / "share" / "models").glob("*.gguf")
                          if not file.name.startswith("fake")], [])

    def tearDown(self):
        super().tearDown()
        self.assert_nothing_left()

    def test_a_digest_that_lies(self):
        self.there.add_hub("evil/digest", [("digest.gguf", model(MiB), lambda e: e["lfs"].update(sha256="0" * 64))])
        self.assert_failed(self.pull("hf:evil/digest"), "corrupt", "0" * 64)

    def test_a_size_that_lies(self):
        for lie in (5, 1 << 62, -1, "9"):
            def change(entry, lie=lie):
                entry["size"] = entry["lfs"]["size"] = lie
            self.there.add_hub("evil/size", [("size.gguf", model(MiB), change)])
            self.assertEqual(self.pull("hf:evil/size")["state"], "failed")

    def test_more_than_there_is_room_for(self):
        def lie(entry):
            entry["size"] = entry["lfs"]["size"] = 1 << 41
        self.there.add_hub("evil/room", [("room.gguf", model(MiB), lie)])

        def large(request):  # the storage says the same
            if request.headers.get("Range") == "bytes=0-0":
                request.answer(206, b"G", [("Content-Range", f"bytes 0-0/{1 << 41}")])
                return True
            return False
        self.there.behave["storage.test"] = large
        failed = self.pull("hf:evil/room")
        self.assert_failed(failed, "no_room", "2.0 TiB" if "2.0 TiB" in str(failed) else "2048", "free")

    def test_ranges_that_were_not_asked_for(self):
        self.there.add_hub("evil/range", [("range.gguf", model(MiB))])
        self.there.behave["shift_range"] = 1
        self.assert_failed(self.pull("hf:evil/range"), "corrupt", "sends others")

    def test_more_bytes_than_the_range_has(self):
        self.there.add_hub("evil/more", [("more.gguf", model(MiB))])
        self.there.behave["too_many"] = 5
        self.assert_failed(self.pull("hf:evil/more"), "corrupt", "were asked for")

    def test_a_body_that_comes_compressed(self):
        self.there.add_hub("evil/gzip", [("gzip.gguf", model(MiB))])
        for host in ("hub.test", "storage.test"):
            self.there.behave.clear()
            self.there.behave[host] = lambda r: r.answer(200, b"\x1f\x8b", [("Content-Encoding", "gzip")]) or True
            self.assert_failed(self.pull("hf:evil/gzip"), "corrupt", "compressed")

    def test_a_body_without_an_end(self):
        def endless(request):
            request.send_response(200)
            request.end_headers()
            while True:
                request.wfile.write(b'{"a":' * 10_000)
        self.there.behave["hub.test"] = endless
        self.assert_failed(self.pull("hf:evil/endless"), "corrupt", "more than")

    def test_a_head_without_an_end(self):
        def endless(request):
            request.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while True:
                request.wfile.write(b"X-Filler: " + b"x" * 1000 + b"\r\n")
        self.there.behave["hub.test"] = endless
        self.assertEqual(self.pull("hf:evil/head")["state"], "failed")

    def test_a_slow_drip(self):
        def drip(request):
            request.send_response(200)
            request.end_headers()
            for _ in range(60):
                request.wfile.write(b" ")
                time.sleep(0.5)
        self.there.behave["hub.test"] = drip
        begun = time.monotonic()
        self.assert_failed(self.pull("hf:evil/drip"), "timeout")
        self.assertLess(time.monotonic() - begun, 25)

    def test_ways_that_lead_elsewhere(self):
        port = self.there.port
        self.there.add_hub("evil/leads", [("leads.gguf", model(MiB))])
        for where in ("file:///etc/passwd", "http://127.0.0.1:1/", f"https://127.0.0.1:{port}/", "https://[::1]/",
                      f"https://evil.test:{port}/x", "ftp://storage.test/", f"http://storage.test:{port}/x",
                      f"https://storage.test@evil.test:{port}/", f"https://user:x@storage.test:{port}/", "gopher://x/",
                      "https://169.254.169.254/latest/meta-data/", "", "https://storage.test:22/"):
            with self.subTest(where):
                self.there.behave["hub.test"] = lambda r, where=where: (
                    "/resolve/" in r.path and (r.redirect(where) or True))
                failed = self.pull("hf:evil/leads")
                self.assertEqual(failed["state"], "failed", failed)
                self.assertIn(failed["error"]["code"], ("denied", "invalid"), failed)
        self.assertEqual(self.there.seen("evil.test"), [])

    def test_a_circle(self):
        port = self.there.port
        self.there.behave["hub.test"] = lambda r: r.redirect(f"https://hub.test:{port}{r.path}") or True
        self.assert_failed(self.pull("hf:evil/circle"), "corrupt", "on and on")

    def test_a_challenge_that_sends_the_token_elsewhere(self):
        self.there.add_tag("library/evil:latest", model(MiB))
        self.there.behave.update(token="t", realm=f"https://evil.test:{self.there.port}/steal")
        self.assert_failed(self.pull("ollama:evil"), "denied", "evil.test")
        self.assertEqual(self.there.seen("evil.test"), [])

    def test_authorities_that_are_none(self):
        none = pathlib.Path(self.folder) / "none.pem"
        none.write_text("-----BEGIN NOTHING-----\n")
        house = self.start(authorities_file=str(none))
        self.addCleanup(house.stop)
        self.assert_failed(self.end(self.begin("hf:evil/none", house), house), "invalid", "models.authorities_file")

    def test_a_certificate_that_proves_nothing(self):
        house = self.start(authorities_file="")
        self.addCleanup(house.stop)
        failed = self.end(self.begin("hf:evil/certificate", house), house)
        self.assert_failed(failed, "denied", "certificate")

    def test_a_certificate_that_has_run_out_or_a_clock_that_is_wrong(self):
        self.there.behave["certificate"] = "old"
        self.assert_failed(self.pull("hf:evil/certificate"), "denied", "certificate has expired", "the clock wrong?")

    def test_an_address_of_the_own_network(self):
        house = self.start(private_addresses=False)
        self.addCleanup(house.stop)
        failed = self.end(self.begin("hf:evil/private", house), house)
        self.assert_failed(failed, "denied", "loopback address 127.0.0.1")
        self.assertEqual(self.there.requests, [])

    def test_layers_whose_digests_are_paths(self):
        def lie(layers, _):
            layers[0]["digest"] = "sha256:../../../../etc/passwd"
        self.there.add_tag("library/evil:path", model(MiB), lie=lie)
        self.assert_failed(self.pull("ollama:evil:path"), "corrupt")

    def test_text_that_is_not_what_its_digest_says(self):
        def lie(layers, blobs):
            blobs[layers[1]["digest"][7:]] = b"another"
        self.there.add_tag("library/evil:text", model(MiB), [("license", b"Licence")], lie=lie)
        self.assert_failed(self.pull("ollama:evil:text"), "corrupt", "license")

    def test_json_that_is_none(self):
        for body in (b"<html>", b"[" * 100_000, b'{"sha":1}', b"\xff\xfe", b"null"):
            self.there.behave["hub.test"] = lambda r, body=body: r.answer(200, body) or True
            self.assert_failed(self.pull("hf:evil/json"), "corrupt")

    def test_what_is_not_there(self):
        self.assert_failed(self.pull("ollama:nothing"), "not_found", "nothing")
        self.assert_failed(self.pull("hf:no/body"), "denied", "no/body")
        self.there.add_hub("evil/none", [("README.md", b"x")])
        self.assert_failed(self.pull("hf:evil/none"), "not_found", "GGUF")

    def test_no_connection(self):
        house = self.start(hub_url="https://localhost:1", hosts="localhost:1")
        self.addCleanup(house.stop)
        self.assert_failed(self.end(self.begin("hf:a/b", house), house), "offline")

    def test_a_model_in_parts(self):
        self.there.add_hub("evil/parts", [("p-00001-of-00002.gguf", b"GGUF"), ("p-00002-of-00002.gguf", b"GGUF")])
        self.assert_failed(self.pull("hf:evil/parts"), "unsupported", "several files")

    def test_what_is_no_model(self):
        self.there.add_hub("evil/html", [("html.gguf", b"<html>" * 99)])
        self.assert_failed(self.pull("hf:evil/html"), "invalid", "HTML")


class SmallDisk(WithRegistries):
    """A disk of 128 MiB, in mount namespaces of its own."""

    @classmethod
    def setUpClass(cls):
        if os.environ.get("LARES_SMALL_DISK") != "1":
            raise unittest.SkipTest("it is started by itself in a namespace, by SmallDiskInside")
        super().setUpClass()

    @classmethod
    def start(cls, keep_home=None, **more):
        home = pathlib.Path(tempfile.mkdtemp(prefix="lares-home-"))
        models = home / "share" / "models"
        models.mkdir(parents=True, mode=0o700)
        os.chmod(home / "share", 0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128m,mode=700", "none", models], check=True)
        return super().start(keep_home=home, **more)

    def test_a_full_disk_is_told_with_both_numbers_and_passes(self):
        content = model(20 * MiB, 21)
        self.there.add_hub("maker/full", [("full.gguf", content)])
        filler = self.file("filler")
        filler.write_bytes(b"\0" * (60 * MiB))
        failed = self.pull("hf:maker/full")
        self.assert_failed(failed, "no_room", "needs 84 MiB", "MiB are free")
        filler.unlink()
        self.assert_pulled(self.pull("hf:maker/full"), content)

    def test_a_disk_that_fills_in_mid_pull_does_not_matter(self):
        content = model(20 * MiB, 22)
        self.there.add_hub("maker/fills", [("fills.gguf", content)])
        self.there.behave["pause_s"] = 0.02
        pull = self.begin("hf:maker/fills")
        wait_until(lambda: self.look(pull)["bytes_done"] > MiB, "some of it is here")
        with open(self.file("filler"), "wb") as filler:
            try:
                while True:
                    filler.write(b"\0" * MiB)
                    filler.flush()
            except OSError:
                pass
        ended = self.end(pull)
        self.file("filler").unlink()
        if ended["state"] == "failed":  # the journal found no room: said, and it goes on
            self.assert_failed(ended, "no_room")
            ended = self.pull("hf:maker/fills")
        self.assert_pulled(ended, content)


class SmallDiskInside(unittest.TestCase):
    def test_on_a_small_disk(self):
        if os.environ.get("LARES_SMALL_DISK") == "1":
            self.skipTest("inside already")
        tried = subprocess.run(["unshare", "-m", "true"], capture_output=True)
        if tried.returncode:
            self.skipTest("no mount namespaces here: " + tried.stderr.decode(errors="replace").strip())
        done = subprocess.run(["unshare", "-m", sys.executable, "-B", __file__, "SmallDisk"],
                              env={**os.environ, "LARES_SMALL_DISK": "1"}, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr[-4000:])


class ByHand(WithRegistries):
    """The command line."""

    def lares(self, *words, **more):
        return subprocess.run([str(self.house.bin / "lares"), *words], env=self.house.environment, capture_output=True,
                              text=True, timeout=120, **more)

    def test_it_shows_how_far_it_is_and_says_what_came(self):
        content = model(9 * MiB, 31)
        self.there.add_hub("maker/shown", [("shown.gguf", content)])
        self.there.behave["pause_s"] = 0.02  # so that there is something to show
        done = self.lares("models", "pull", "hf:maker/shown", "--name", "by-hand")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("pulled by-hand (9.0 MiB)", done.stdout.replace("9 MiB", "9.0 MiB"))
        self.assertIn("fetching", done.stderr)
        listed = self.lares("models", "pull", "--list")
        self.assertIn("hf:maker/shown", listed.stdout)
        again = self.lares("models", "pull", "hf:maker/none", "--json")
        self.assertEqual(again.returncode, 4, again.stderr)

    def test_ctrl_c_stops_it_and_the_same_command_goes_on(self):
        content = model(24 * MiB, 32)
        self.there.add_hub("maker/ctrl-c", [("ctrl-c.gguf", content)])
        self.there.behave["pause_s"] = 0.03
        process = subprocess.Popen([str(self.house.bin / "lares"), "models", "pull", "hf:maker/ctrl-c"],
                                   env=self.house.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        find = lambda: next(one for one in owner(self.house, "GET", "/lares/v1/pulls")  # noqa: E731
                            if one["source"] == "hf:maker/ctrl-c")
        wait_until(lambda: any(one["source"] == "hf:maker/ctrl-c" and one["bytes_done"] > 9 * MiB
                               for one in owner(self.house, "GET", "/lares/v1/pulls")), "some of it is here")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, err)
        self.assertIn("the same command goes on", err)
        self.assertEqual(find()["state"], "waiting")
        self.there.behave.pop("pause_s")
        done = self.lares("models", "pull", "hf:maker/ctrl-c")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertLess(self.there.sent, 24 * MiB + 9 * MiB)

    def test_what_waits_is_listed_while_no_daemon_runs(self):
        self.there.add_hub("maker/rests", [("rests.gguf", model(24 * MiB, 34))])
        self.there.behave["pause_s"] = 0.02
        house = self.start()
        self.addCleanup(lambda: house.stop())
        pull = self.begin("hf:maker/rests", house)
        wait_until(lambda: self.look(pull, house)["bytes_done"] > 9 * MiB, "some of it is here")
        owner(house, "POST", f"/lares/v1/pulls/{pull['id']}/stop", {})
        house.process.terminate()
        house.process.wait()
        lares = lambda *words: subprocess.run([str(house.bin / "lares"), "models", "pull", *words],  # noqa: E731
                                              env=house.environment, capture_output=True, text=True, timeout=60)
        listed = lares("--list", "--json")
        (kept,) = json.loads(listed.stdout)
        self.assertEqual((kept["source"], kept["state"], kept["bytes_total"]), ("hf:maker/rests", "waiting", 24 * MiB))
        self.assertGreater(kept["bytes_done"], 8 * MiB)
        self.assertIn("it was stopped", lares("--list").stdout)
        house = self.start(keep_home=house.home)
        (again,) = owner(house, "GET", "/lares/v1/pulls")
        self.assertEqual((again["id"], again["bytes_done"]), (pull["id"], kept["bytes_done"]))

    def test_cancel_removes_it(self):
        self.there.add_hub("maker/gone", [("gone.gguf", model(24 * MiB, 33))])
        self.there.behave["pause_s"] = 0.1
        self.assertEqual(self.lares("models", "pull", "hf:maker/gone", "--detach").returncode, 0)
        done = self.lares("models", "pull", "--cancel", "hf:maker/gone")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("removed", done.stdout)
        self.assertEqual(self.lares("models", "pull", "--cancel", "hf:maker/gone").returncode, 3)
        self.assertEqual(self.lares("models", "pull", "llama3").returncode, 2)


class Outbound(unittest.TestCase):
    """In a network namespace whose packets are listened to: none is for elsewhere until something is pulled."""

    def test_nothing_leaves_without_a_pull(self):
        if os.environ.get("LARES_OUTBOUND") == "1":
            return self.inside()
        if subprocess.run(["unshare", "-n", "ip", "link"], capture_output=True).returncode:
            self.skipTest("no network namespaces here")
        done = subprocess.run(["unshare", "-n", sys.executable, "-B", __file__, "Outbound"],
                              env={**os.environ, "LARES_OUTBOUND": "1"}, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr[-4000:])
        return None

    def inside(self):
        for words in ("link set lo up", "addr add 10.9.9.1/24 dev lo", "route add default dev lo"):
            subprocess.run(["ip", *words.split()], check=True)
        sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.ntohs(3))  # every protocol
        outward = []

        def listen():
            while True:
                packet = sniffer.recv(65536)
                four = packet[0] >> 4 == 4 and packet[16] != 127
                six = packet[0] >> 4 == 6 and packet[24:40] != b"\0" * 15 + b"\1"
                if four or six:
                    outward.append(packet[:40])
        threading.Thread(target=listen, daemon=True).start()
        packets = lambda: len(outward)  # noqa: E731
        before = packets()
        settings = '[models]\nname_servers = "8.8.8.8"\npreload = true\n'
        house = House(arguments=FAKE, settings=settings)
        try:
            self.assertEqual(ask(house.port, chat(max_tokens=4))[0], 200)
            owner(house, "GET", "/lares/v1/doctor")
            time.sleep(3)
            self.assertEqual(packets() - before, 0, "packets left without a pull")
            pull = owner(house, "POST", "/lares/v1/pulls", {"source": "hf:a/b"})
            wait_until(lambda: packets() > before, "a pull asks for its host's address, and is counted", 30)
            owner(house, "DELETE", f"/lares/v1/pulls/{pull['id']}")
            wait_until(lambda: "lares-egress" not in house.pids().values(), "lares-egress ends")
            rest = packets()
            time.sleep(2)
            self.assertEqual(packets(), rest)
        finally:
            house.stop()


class Rebinding(unittest.TestCase):
    """With a public address on this machine, in a network namespace, names can change what they stand for."""

    PUBLIC = "93.184.216.34"

    def test_a_name_that_changes_its_address(self):
        if os.environ.get("LARES_REBINDING") == "1":
            return self.inside()
        if subprocess.run(["unshare", "-n", "ip", "link"], capture_output=True).returncode:
            self.skipTest("no network namespaces here")
        done = subprocess.run(["unshare", "-n", sys.executable, "-B", __file__, "Rebinding"],
                              env={**os.environ, "LARES_REBINDING": "1"}, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr[-4000:])
        return None

    def inside(self):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        subprocess.run(["ip", "addr", "add", f"{self.PUBLIC}/32", "dev", "lo"], check=True)
        folder = tempfile.mkdtemp(prefix="lares-pull-")
        there = Registries(folder, self.PUBLIC)
        house = House(arguments=FAKE, settings=there.settings(private_addresses=False))
        try:
            content = model(MiB)
            there.add_hub("maker/public", [("public.gguf", content)])
            begin = lambda source: owner(house, "POST", "/lares/v1/pulls", {"source": source})  # noqa: E731
            look = lambda pull: owner(house, "GET", f"/lares/v1/pulls/{pull['id']}")  # noqa: E731
            end = lambda pull: wait_until(lambda: look(pull)["state"] in OVER and look(pull), "it ends")  # noqa: E731
            # the first answer is public and is kept; the second, which nobody asks for any more, is not
            there.names.answers["hub.test"] = [self.PUBLIC, "127.0.0.1"]
            self.assertEqual(end(begin("hf:maker/public"))["state"], "done")
            self.assertEqual([kind for name, kind in there.names.asked if name == "hub.test"].count(1), 1)
            # the next process asks anew, and is told the other
            failed = end(begin("hf:maker/other"))
            self.assertEqual(failed["error"]["code"], "denied", failed)
            self.assertIn("127.0.0.1", failed["error"]["message"])
            # where it is led has an address of the own network
            there.names.answers["hub.test"] = [self.PUBLIC]
            there.names.answers["storage.test"] = ["10.0.0.7"]
            there.add_hub("maker/inward", [("inward.gguf", content)])
            failed = end(begin("hf:maker/inward"))
            self.assertEqual(failed["error"]["code"], "denied", failed)
            self.assertIn("private address 10.0.0.7", failed["error"]["message"])
        finally:
            house.stop()
            there.stop()
            shutil.rmtree(folder, ignore_errors=True)


class Sandbox(unittest.TestCase):
    def test_lares_egress_reaches_nothing_but_the_internet(self):
        done = subprocess.run([programs() / "lares-egress", "--escape-probes"], capture_output=True, text=True,
                              env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        self.assertGreaterEqual(len(report["escapes"]), 75)
        self.assertEqual([one for one in report["escapes"] if not one["denied"]], [])
        self.assertTrue(any(layer.startswith("seccomp") for layer in report["layers"]))


if __name__ == "__main__":
    run_tests()
