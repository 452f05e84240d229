"""The licences of everything that a package holds or links: the list is components.json, and it is held against what
was really compiled (Ninja's record of every file that a compiler read) and linked (what each program asks the loader
for), so that a library that comes in without its line stops the packing.

Standard library only. tools/package calls this; tests/packaging has its tests.
"""

import json
import pathlib
import re
import subprocess
import textwrap

HERE = pathlib.Path(__file__).resolve().parent
# Headers and libraries of the compiler and the C library: their terms lay nothing on a program that is built with them.
TOOLCHAIN_FOLDERS = ("/usr/lib/gcc/", "/usr/include/c++/", "/usr/include/x86_64-linux-gnu/", "/usr/include/aarch64-linux-gnu/")
TOOLCHAIN_PACKAGES = re.compile(r"^(libc6-dev|linux-libc-dev|libcrypt-dev|libstdc\+\+-\d+-dev|libgcc-\d+-dev)(:|$)")
TOOLCHAIN_LIBRARIES = re.compile(r"^(libc|libm|libstdc\+\+|libgcc_s|ld-linux[\w-]*)\.so\.\d+$")


def components():
    return json.loads((HERE / "components.json").read_text(encoding="utf-8"))


def compiled_by(path, parts, places):
    """The component whose file this is, by the longest beginning of its path; None: nobody's."""
    best, length = None, -1
    for part in parts:
        for pattern in part.get("compiled", ()):
            start = re.sub(r"\{(\w+)\}", lambda found: str(places[found.group(1)]), pattern)
            if path.startswith(start) and len(start) > length:
                best, length = part, len(start)
    return best


def linked_by(library, parts):
    return next((part for part in parts if library in part.get("linked", ())), None)


def owner(path):
    """The Debian package that has this file."""
    done = subprocess.run(["dpkg-query", "-S", path], capture_output=True, text=True)
    return done.stdout.split(": ")[0]


def unlisted(files, libraries, parts, places):
    """Lines that say what is compiled in or linked and belongs to no component, and whose component is no longer used."""
    said, used = [], {part["name"] for part in parts if part.get("bundled")}  # in the page: no compiler reads it
    for path in sorted(files):
        part = compiled_by(path, parts, places)
        if part is not None:
            used.add(part["name"])
        elif not path.startswith(TOOLCHAIN_FOLDERS) and not TOOLCHAIN_PACKAGES.match(owner(path)):
            said.append(f"'{path}' is compiled in")
    for library in sorted(libraries):
        part = linked_by(library, parts)
        if part is not None:
            used.add(part["name"])
        elif not TOOLCHAIN_LIBRARIES.match(library):
            said.append(f"'{library}' is linked")
    said += [f"'{part['name']}' is listed, but neither compiled in nor linked" for part in parts if part["name"] not in used]
    return said


def unnamed_holders(files, parts, places):
    """Lines that say which holders of copyright stand in compiled files and not in components.json."""
    said = []
    for path in sorted(files):
        part = compiled_by(path, parts, places)
        if part is None or part["files"] == "*" or part["files"] == "boost/*" or not pathlib.Path(path).is_file():
            continue
        text = pathlib.Path(path).read_text(encoding="utf-8", errors="replace")
        for found in re.finditer(r"(?:SPDX-FileCopyrightText:|Copyright\s*(?:\(c\)|©)|Copyright(?=\s+\d{4}))[ \t]*(.+)", text, re.I):
            holder = re.sub(r"^(copyright|\(c\)|©|[\d\s,–-]|present)+", "", found.group(1), flags=re.I)
            words = re.findall(r"[^\W\d_]{4,}", re.sub(r"<.*?>", "", holder))
            known = " ".join(part["copyright"]).lower().replace("ö", "oe")
            if words and not any(word.lower().replace("ö", "oe") in known for word in words):
                said.append(f"'{path}' names '{found.group(1).strip()}'")
    return said


def read_by_compilers(build):
    """Every file that Ninja recorded for what was built in this folder, as an absolute path."""
    done = subprocess.run(["ninja", "-C", str(build), "-t", "deps"], capture_output=True, text=True, check=True)
    found = set()
    for line in done.stdout.splitlines():
        if line.startswith("    "):
            path = pathlib.Path(build) / line.strip()
            found.add(str(path))
    return {str(pathlib.Path(*normal_parts(path))) for path in found}


def normal_parts(path):
    """Without '..', and with links left as they are: build/include/json is one."""
    parts = []
    for part in pathlib.Path(path).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return parts


def asked_for(programs):
    """What these ELF files ask the loader for."""
    found = set()
    for path in programs:
        text = subprocess.run(["readelf", "-d", str(path)], capture_output=True, text=True, check=True).stdout
        found.update(re.findall(r"\(NEEDED\).*\[(.+)\]", text))
    return found


def paragraphs(text):
    """A text as DEP-5 has it: each line indented, an empty one as a dot."""
    return "\n".join(" " + line if line.strip() else " ." for line in text.strip("\n").splitlines())


def copyright_text(parts):
    """The file `copyright` in Debian's machine-readable form (DEP-5)."""
    out = ["Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/", "Upstream-Name: Lares",
           "Comment:", paragraphs(textwrap.fill(
               "What is compiled into the programs and libraries of this package, or linked by them, with where its source "
               "lies in its own distribution.", 100)), ""]
    for part in parts:
        holders = ("\n" + " " * 11).join(part["copyright"])
        out += [f"Files: {part['files']}", f"Copyright: {holders}", f"License: {part['licence']}"]
        if part["files"] != "*":
            out.append(f"Comment: {part['name']}")
        out.append("")
    for licence in sorted({part["licence"] for part in parts}):
        out += [f"License: {licence}", paragraphs((HERE / "licences" / licence).read_text(encoding="utf-8")), ""]
    return "\n".join(out)
