#!/usr/bin/env python3
"""A gigabyte pulled over TLS from this machine, by a daemon that is killed again and again and whose successors go on by
themselves: how many bytes were fetched more than once, and whether the digest is right. The registry is the tests' own
(tests/system/registries.py); what it counts are bytes that it handed to its sockets, those in flight included.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time

import harness

sys.path.insert(0, str(harness.ROOT / "tests" / "system"))
from registries import MiB, Registries, digest_of  # noqa: E402

CHUNK = 8 * MiB


def make_file(path, size):
    """A file that begins as a model does and cannot be compressed."""
    block = random.Random(7).randbytes(MiB)
    with open(path, "wb") as file:
        file.write(b"GGUF")
        for i in range(size // MiB):
            file.write(i.to_bytes(8, "little") + block[8:] if i else block[4:])


def main():  # the daemon is killed as a crash would: by SIGKILL, at a moment that nobody chose
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=1024, help="MiB")
    parser.add_argument("--kills", type=int, default=50)
    options = parser.parse_args()
    run = harness.Run("pull")
    folder = tempfile.mkdtemp(prefix="lares-pull-")
    file = os.path.join(folder, "large.gguf")
    size = options.size * MiB
    make_file(file, size)
    there = Registries(folder)
    there.add_hub("bench/large", [("large.gguf", file)])
    there.behave["pause_s"] = 0.02  # so that there is a middle in which to be killed
    settings = there.settings()
    house = harness.House(arguments=["--engine=fake"], settings=settings)
    pull = house.owner("/lares/v1/pulls", "POST", {"source": "hf:bench/large"})
    path = f"/lares/v1/pulls/{pull['id']}"
    kills, goal = 0, random.Random(1)
    try:
        done = 0
        while kills < options.kills:
            wanted = done + int(size / (options.kills + 2) * goal.uniform(0.3, 0.9))
            while (look := house.owner(path))["state"] != "done" and look["bytes_done"] < wanted:
                if look["state"] == "failed":
                    raise SystemExit(f"it ended: {look}")
                time.sleep(0.01)
            if look["state"] == "done":
                break
            done = look["bytes_done"]
            house.process.kill()
            house.process.wait()
            kills += 1
            house = harness.House(arguments=["--engine=fake"], settings=settings, keep_home=house.home)
        there.behave.pop("pause_s")
        while (look := house.owner(path))["state"] not in ("done", "failed"):
            time.sleep(0.05)
        model = house.home / "share" / "models" / "large.gguf"
        right = look["state"] == "done" and digest_of(str(model)) == digest_of(file)
        more = there.sent - size
        run.row("killed, and gone on with", f"{kills} times", f">= {options.kills}", kills >= options.kills)
        run.row("digest", "right" if right else f"wrong: {look}", "right", right)
        run.row("fetched more than once", f"{more / MiB:.1f} MiB", f"<= {kills * CHUNK // MiB} MiB", more <= kills * CHUNK,
                f"{more / max(kills, 1) / MiB:.2f} MiB a kill, {options.size} MiB in all")
    finally:
        house.stop()
        there.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return run.end()


if __name__ == "__main__":
    sys.exit(main())
