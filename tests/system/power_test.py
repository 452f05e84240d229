#!/usr/bin/env python3
"""On battery and in heat: the real daemon and worker (fake engine) where /sys/class says what this test writes there.
Background requests wait and say why, interactive ones are answered with fewer threads, and both go on when the plug or
the cool is back.

The test enters a mount namespace of its own and lays an empty folder over /sys/class; where the machine does not let it,
all is skipped with the reason (exit status 77). Run by ctest and by hand:
`LARES_BIN=build/dev/bin tests/system/power_test.py [-v] [Class.test]`.
"""

import pathlib
import threading
import unittest

from client import FAKE, ask, chat, owner, run_tests, wait_until  # noqa: I001
from house import House  # found by client
from surroundings_test import CLONE_NEWNS, CannotBeMade, mount_empty, own_namespaces

SYS = pathlib.Path("/sys/class")
SUPPLY, ZONE = SYS / "power_supply", SYS / "thermal" / "thermal_zone0"


def machine(status="Full", plugged=1, degrees=40):
    """What the machine's own files say from now on."""
    for file, text in ((SUPPLY / "BAT0" / "type", "Battery"), (SUPPLY / "BAT0" / "status", status),
                       (SUPPLY / "AC" / "type", "Mains"), (SUPPLY / "AC" / "online", plugged),
                       (ZONE / "type", "x86_pkg_temp"), (ZONE / "temp", degrees * 1000)):
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(".new")
        fresh.write_text(f"{text}\n")
        fresh.replace(file)


class Later:
    """A request whose answer comes when it comes."""

    def __init__(self, port, body):
        self.came = None
        self.thread = threading.Thread(target=self.run, args=(port, body), daemon=True)
        self.thread.start()

    def run(self, port, body):
        self.came = ask(port, body)

    def text(self):
        self.thread.join()
        status, answer = self.came
        return answer["choices"][0]["message"]["content"] if status == 200 else f"{status} {answer}"


class Power(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        try:
            own_namespaces(CLONE_NEWNS)
            mount_empty(str(SYS), mode="755")
        except (CannotBeMade, OSError) as why:
            raise unittest.SkipTest(f"no namespace with a /sys/class of its own: {why}") from None

    def house(self, settings=""):
        machine()
        house = House(arguments=FAKE, settings=settings)
        self.addCleanup(house.stop)
        return house

    def background(self, house):
        return Later(house.port, chat("count: 3", lares={"priority": "background"}))

    def paused(self, house):
        return owner(house, "GET", "/lares/v1/status")["paused_lanes"] == ["background"]

    def waits(self, house, word, **says):
        """From now on background waits, for a reason that has this word in it, and a person does not."""
        machine(**says)
        wait_until(lambda: self.paused(house), f"the daemon sees {says}")
        later = self.background(house)
        status, answer = ask(house.port, chat("count: 3"))
        self.assertEqual((status, answer["choices"][0]["message"]["content"]), (200, "1 2 3"))
        model = owner(house, "GET", "/lares/v1/ps")[0]
        self.assertIn(word, model["paused"])
        self.assertIsNone(later.came, "background was answered")
        return later

    def test_on_battery_background_waits_for_the_plug(self):
        house = self.house()
        self.assertEqual(self.background(house).text(), "1 2 3")
        later = self.waits(house, "battery", status="Discharging", plugged=0)
        machine(status="Charging", plugged=1)
        self.assertEqual(later.text(), "1 2 3")
        wait_until(lambda: not self.paused(house), "the daemon says that the plug is back")

    def test_in_heat_background_waits_until_it_is_cooler(self):
        house = self.house("[power]\ntemperature_max = 80\n")
        later = self.waits(house, "81", degrees=81)
        machine(degrees=78)  # not yet cool: it would be too hot again at once
        again = self.background(house)
        self.assertEqual(ask(house.port, chat("count: 3"))[0], 200)
        self.assertIsNone(later.came)
        machine(degrees=70)
        self.assertEqual([later.text(), again.text()], ["1 2 3"] * 2)

    def test_a_setting_lets_background_go_on(self):
        house = self.house("[power]\nbackground_on_battery = true\n")
        later = self.waits(house, "95", status="Discharging", plugged=0, degrees=95)
        machine(status="Discharging", plugged=0)
        self.assertEqual(later.text(), "1 2 3")


if __name__ == "__main__":
    run_tests()
