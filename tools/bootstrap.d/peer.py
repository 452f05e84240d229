"""The peer of the benches: llama-server of the engine's own source, built as its makers build it. Nothing of Lares uses it.

CACHE/peer/native/bin/llama-server is built with its own defaults for this CPU, without AMX where GCC 12 would crash it (see
cmake/engine/CMakeLists.txt). CACHE/peer/haswell/bin holds only another libggml-cpu.so: the same server held to AVX2 is the
same program with that folder in LD_LIBRARY_PATH. On a CPU with AMX there is also zen4, all that ours is without AMX.
"""

import build
import fetch
import machine
from places import CACHE, need_room, read_stamp, write_stamp

PEER_BYTES = 900 << 20  # its whole source and its objects
AMX_OFF = "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
# Variants by upstream's names and options (ggml/src/CMakeLists.txt).
HASWELL = ("-DGGML_NATIVE=OFF", "-DGGML_SSE42=ON", "-DGGML_AVX=ON", "-DGGML_AVX2=ON", "-DGGML_BMI2=ON", "-DGGML_FMA=ON", "-DGGML_F16C=ON")
ZEN4 = (*HASWELL, "-DGGML_AVX512=ON", "-DGGML_AVX512_VBMI=ON", "-DGGML_AVX512_VNNI=ON", "-DGGML_AVX512_BF16=ON")


def build_peer(pin):
    """The path of llama-server; its source is unpacked whole beside the engine's."""
    tree = fetch.unpacked(pin, fetch.WHOLE) / "vendor" / "llama.cpp"
    options = ["-DCMAKE_BUILD_TYPE=Release", "-DLLAMA_USE_PREBUILT_UI=OFF", "-DLLAMA_OPENSSL=OFF", "-DLLAMA_BUILD_TESTS=OFF",
               "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_NUMBER=0", "-DLLAMA_BUILD_COMMIT=unknown", *build.launchers()]
    amx = " amx_tile" in machine.cpu_line()
    native = [*options, *([f"-DCMAKE_C_FLAGS={AMX_OFF}", f"-DCMAKE_CXX_FLAGS={AMX_OFF}"] if amx else [])]
    build_one("native", tree, native, "llama-server", "building the peer, llama-server")
    build_one("haswell", tree, [*options, *HASWELL], "ggml-cpu", "building the peer's AVX2 variant")
    if amx:
        build_one("zen4", tree, [*options, *ZEN4], "ggml-cpu", "building the peer's variant without AMX")
    return CACHE / "peer" / "native" / "bin" / "llama-server"


def build_one(name, tree, options, target, doing):
    folder = CACHE / "peer" / name
    stamp = folder / ".built"
    call = "\n".join([str(tree), *options, target, ""])
    if read_stamp(stamp) == call:
        return
    need_room(CACHE, PEER_BYTES, doing)
    build.configure(folder, tree, options, f"preparing {name}")
    build.ninja(folder, [target], doing)
    write_stamp(stamp, call)
