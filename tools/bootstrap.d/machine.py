"""What this CPU claims, which of the engine's variants that calls for, and how many compilers fit into memory."""

import os
import platform

from screen import UNSUPPORTED, Stop

COMPILER_BYTES = 1 << 30  # the largest file of the build, measured: 0.9 GiB

# The engine's variants and the flags of /proc/cpuinfo that each needs, best first. Names and features are
# the engine's (ggml/src/CMakeLists.txt), the order that of the score it gives them.
AVX2 = "avx f16c fma avx2 bmi2"
AVX512 = f"{AVX2} avx512f avx512cd avx512vl avx512dq avx512bw"
X86 = [
    ("sapphirerapids", f"{AVX512} avx512vbmi avx512_vnni avx512_bf16 amx_tile amx_int8"),
    ("zen4", f"{AVX512} avx512vbmi avx512_vnni avx512_bf16"),
    ("cooperlake", f"{AVX512} avx512_vnni avx512_bf16"),
    ("icelake", f"{AVX512} avx512vbmi avx512_vnni"),
    ("cascadelake", f"{AVX512} avx512_vnni"),
    ("cannonlake", f"{AVX512} avx512vbmi"),
    ("skylakex", AVX512),
    ("alderlake", f"{AVX2} avx_vnni"),
    ("haswell", AVX2),
    ("piledriver", "avx f16c fma"),
    ("ivybridge", "avx f16c"),
    ("sandybridge", "avx"),
    ("sse42", "sse4_2"),
    ("x64", ""),
]
ARM = [
    ("armv9.2_2", "asimddp fphp asimdhp sve i8mm sve2 sme"),
    ("armv8.6_2", "asimddp fphp asimdhp sve i8mm sve2"),
    ("armv8.6_1", "asimddp fphp asimdhp sve i8mm"),
    ("armv8.2_3", "asimddp fphp asimdhp sve"),
    ("armv8.2_2", "asimddp fphp asimdhp"),
    ("armv8.2_1", "asimddp"),
    ("armv8.0_1", ""),
]
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
    architecture = architecture or platform.machine()
    if architecture in ("x86_64", "amd64"):
        return X86
    if architecture in ("aarch64", "arm64"):
        return ARM
    raise Stop(UNSUPPORTED, f"this machine is a '{architecture}'; Lares is made for x86-64 (and, untested, for arm64)")


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
