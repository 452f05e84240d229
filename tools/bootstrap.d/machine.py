"""What this CPU claims, which of the engine's variants that calls for, and how many compilers fit into memory."""

import os
import platform
import re

from places import ROOT
from screen import UNSUPPORTED, Stop

VARIANTS = ROOT / "src" / "inventory" / "cpu_variants.inc"  # the daemon's list: what is built here is what it looks for
ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}  # other names of what the list calls
COMPILER_BYTES = 1 << 30  # the largest file of the build, measured: 0.9 GiB

# What a variant falls back to when the CPU, or its hypervisor, cannot do what it claims: another one is enough.
FALLBACKS = ("haswell", "sse42", "x64", "armv8.0_1")


def cpu_line():
    """The first line of /proc/cpuinfo that lists abilities, as the script `lares` compares it."""
    with open("/proc/cpuinfo", errors="replace") as f:
        for line in f:
            if line.startswith(("flags", "Features")):
                return line.rstrip("\n").strip()
    return ""


def all_variants(architecture=None):
    """[(name, the flags of /proc/cpuinfo that it needs)], best first."""
    architecture = architecture or platform.machine()
    architecture = ARCHITECTURES.get(architecture, architecture)
    found = [(name, needs) for of, name, needs in re.findall(r'^VARIANT\("(.+)", "(.+)", "(.*)"\)$', VARIANTS.read_text(), re.MULTILINE)
             if of == architecture]
    if not found:
        raise Stop(UNSUPPORTED, f"this machine is a '{architecture}'; Lares is made for x86-64 (and, untested, for arm64)")
    return found


def variants_for(line, architecture=None):
    """The best variant that the CPU claims, and a fallback below it when there is one."""
    flags = set(line.partition(":")[2].split())
    able = [name for name, needs in all_variants(architecture) if set(needs.split()) <= flags]
    return [able[0], *[name for name in FALLBACKS if name in able[1:]][:1]]


def jobs():
    """As many compilers as processors, and no more than fit into the memory that is free."""
    processors = len(os.sched_getaffinity(0))
    with open("/proc/meminfo") as f:
        free = next((int(line.split()[1]) * 1024 for line in f if line.startswith("MemAvailable")), COMPILER_BYTES)
    return max(1, min(processors, free // COMPILER_BYTES))
