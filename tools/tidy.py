#!/usr/bin/env python3
"""The rules of the house that a machine can hold: run by `./dev tidy`, in about a second.

A rule is a function from the Tree to findings; RULES lists them. A finding fails the run and says what to
write instead. Mentions (long files, long functions) are printed and fail nothing.
What it is not: a compiler. It reads lines, and where a rule of words would need a parser it stays silent
rather than wrong.

    tools/tidy.py [FOLDER]        the tree to look at, by default the one that this file is in
"""

import fnmatch
import os
import pathlib
import re
import subprocess
import sys

# DESIGN's table: which rooms a room may include, beside itself.
ROOMS = {
    "base": [],
    "wire": ["base"],
    "store": ["base"],
    "consent": ["base", "store"],
    "inventory": ["base", "wire", "store"],
    "engine": ["base", "wire"],
    "train": ["base", "wire", "engine"],
    "host": ["base", "wire"],
    "egress": ["base", "wire"],
    "sched": ["base", "inventory"],
    "route": ["base", "store", "consent", "inventory", "sched"],
    "index": ["base", "store", "consent"],
    "agent": ["base", "store", "consent", "route", "index"],
    "api": ["base", "consent", "inventory", "route", "index", "agent"],
    "app": ["base", "wire", "store", "consent", "inventory", "engine", "train", "host", "egress", "sched", "route",
            "index", "agent", "api"],
}
# Rooms that only one program links; in app only files with its word in their name may know them.
PROGRAM_ROOMS = {"engine": "worker", "train": "worker", "egress": "egress"}

# One door for each library: the files of src/ that may include its headers.
DOORS = [
    (r"nlohmann/", ["base/json.h"]),
    (r"(spdlog|fmt)/", ["base/log.cpp"]),
    (r"boost/", ["api/http*.cpp", "api/connection.*", "api/client*.cpp", "api/beast.cpp"]),
    (r"seccomp\.h", ["host/sandbox.cpp"]),
    (r"sqlite3\w*\.h", ["store/sqlite.cpp"]),
    (r"sodium\w*\.h|sodium/", ["consent/secret_bytes.cpp", "consent/key_file.cpp"]),
    (r"curl/", ["egress/http.cpp", "egress/url.cpp"]),
    (r"openssl/", ["egress/http.cpp", "egress/sha256.cpp", "store/state_sealing.cpp"]),
    (r"toml\+\+/|toml\.hpp", ["app/settings.cpp"]),
    (r"CLI/", ["app/cli/*"]),
    (r"(histedit|editline/readline)\.h", ["app/cli/*"]),
    (r"(llama[\w-]*|ggml[\w-]*|gguf)\.h", ["engine/*"]),
    (r"mtmd\w*\.h", ["engine/backends/llama_media.*", "engine/backends/llama_log.cpp"]),
    (r"stb/", ["engine/picture_file.cpp"]),
    (r"miniaudio/", ["engine/sound_file.cpp"]),
    # llama-common's headers have plain names
    (r"(arg|chat|chat-auto-parser|common|sampling|speculative|log|json-schema-to-grammar)\.h", ["engine/*"]),
    (r"(gtest|gmock)/", ["*_test.cpp", "*_testing.h", "*/testing/*"]),
    (r"sanitizer/", ["base/fuzz_main.cpp", "engine/*"]),
]
SYSTEM_FOLDERS = ("sys/", "linux/", "net/", "netinet/", "arpa/", "asm/")
SYSTEM_HEADERS = set("""cpuid cxxabi dirent dlfcn elf errno execinfo fcntl fnmatch ftw getopt glob grp ifaddrs
    immintrin langinfo libgen limits link locale malloc netdb paths poll pthread pwd resolv sched signal spawn
    stdio stdlib string strings syslog termios time ucontext unistd utime wchar x86intrin""".split())

# Helpers of tests may use what a test needs.
HELPERS = ["*_testing.h", "*/testing/*"]
# Tests of real sockets and real processes, which have their own time.
REAL_TIME_TESTS = ["host/*_test.cpp", "consent/secret_service_test.cpp", "api/http_test.cpp", "api/client_test.cpp", "app/*_process_test.cpp"]
# Where the front door's coroutines may be; nowhere else has any.
COROUTINES = ["api/http*.cpp", "api/connection.*", "api/client*.cpp"]

# (pattern in code with comments and strings taken out, what to write instead, files it holds for)
BANNED_CODE = [
    (r"\bstd::expected\b", "use Result<T> (base/result.h)", "*"),
    (r"\bstd::(async|future|promise|shared_future)\b", "no futures: send a message to the Loop", "*"),
    (r"\busing namespace std\s*;", "name what is used", "*"),
    (r"(?<![\w.>:])get_(?!if\b)[a-z]\w*\s*\(", "no get_: a noun for what answers, a verb for what changes", "*"),
    (r"\bNULL\b", "use nullptr", "*"),
    (r"\b(sprintf|vsprintf|strcpy|strcat|gets|strtok|atoi|atol|atof)\s*\(", "use cat(), std::string or from_chars", "*"),
    (r"(?<![\w.>:])(system|popen|tmpnam|mktemp)\s*\(", "start programs by argument list; make files with base/file", "*"),
    (r"(?<![\w.>:])(rand|srand)\s*\(", "use a seeded std::mt19937, or random_hex for secrets", "*"),
    (r"\bthrow\b", "errors are a Result<T>; bugs are an assert", "*"),
    (r"\bsleep_for\b|\bsleep_until\b|(?<![\w.>])u?sleep\s*\(", "use FakeClock and run_one(); a test does not wait",
     "*_test.cpp"),
    (r"\bstd::(recursive_|shared_|timed_)?mutex\b|\bstd::(lock_guard|unique_lock|scoped_lock|condition_variable\w*)\b",
     "use Mutex, MutexLock and Condition with GUARDED_BY (base/mutex.h)", "*"),
    (r"\bNDEBUG\b", "assertions are always on (docs/decisions/0007-assertions-always.md)", "*"),
]
# (pattern in a string literal, what to write instead)
BANNED_WORDS = [
    (r"\b[Ff]ailed to\b|\b[Ff]ailure to\b", "say what was wrong with which value: 'reading 'x': it is empty; …'"),
    (r"\b[Ii]nvalid input\b", "name the value and what it should be"),
    (r"\b[Ss]omething went wrong\b|\b[Aa]n error (has )?occurred\b|\b[Uu]nexpected error\b", "say what went wrong"),
    (r"\b[Ss]uccessfully\b", "say what is so now"),
    (r"\bOops\b|\b[Pp]lease\b", "say what to do"),
]
# Written so that this file does not hold them itself: places and registry hosts have no business in the tree.
FOREIGN = [
    (r"/w" r"ork/(main|shared|steering|\.library)|/t" r"mp/(bash_jobs|dl|htools)", "a path of one machine"),
    (r"\bpy" r"pi\.org|\bpython" r"hosted\.|\bnpm" r"js\.|\b(static|index)\.cr" r"ates\.io|\bproxy\.go" r"lang\."
     r"|\bdeb\.deb" r"ian\.|\brep" r"o1?\.maven", "a registry's host: name the package"),
]
OPEN_WORDS = r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b"

LINES_MENTIONED = 600
FUNCTION_LINES_MENTIONED = 70
BLOB_BYTES_MAX = 1_000_000
# Inputs and expectations keep their bytes as they are.
VERBATIM = ("tests/corpus/", "tests/golden/", "tests/cases/", "tests/real/", "LICENSE")
TEXT = (".cpp", ".h", ".py", ".md", ".txt", ".cmake", ".json", ".toml", ".sh", ".case", ".in", ".yml", ".service")
# What a person of ours logs by name is content; sizes and counts of it are not.
CONTENT = r"(?:\b|\.|->)(payload|body|text|prompt|messages|content|completion|reply_text|inputs|vectors|authorization)\b" \
          r"(?!\s*(\(\s*\))?\s*(\.|->)\s*(size|length|empty)\b)(?!\w*_(tokens|bytes|ms))"


class Tree:
    """The files to look at, read once."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.files = self._names()
        self._text = {}

    def _names(self):
        # A clone that belongs to somebody else is looked at all the same: nothing of it is run.
        listed = subprocess.run(["git", "-c", "safe.directory=*", "-C", str(self.root), "ls-files", "-co",
                                 "--exclude-standard", "-z"], capture_output=True, text=True)
        if listed.returncode == 0:
            names = listed.stdout.split("\0")
        else:  # an unpacked archive
            names = [str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()]
            names = [name for name in names if not name.startswith(("build/", ".cache/", ".git/"))]
        return sorted({name for name in names if name and (self.root / name).is_file()})

    def text(self, name):
        if name not in self._text:
            self._text[name] = (self.root / name).read_text(encoding="utf-8", errors="replace")
        return self._text[name]

    def under(self, prefix, *suffixes):
        return [name for name in self.files if name.startswith(prefix) and name.endswith(suffixes or "")]

    def sources(self):
        return self.under("src/", ".cpp", ".h")

    def lines(self, name):
        return enumerate(self.text(name).split("\n"), 1)

    def is_text(self, name):
        if name.startswith(VERBATIM) and not name.endswith(".py"):
            return False
        return name.endswith(TEXT) or "." not in os.path.basename(name)


def matches(name, patterns):
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def blanked(text, keep_strings=False):
    """C++ with comments (and the insides of string literals) turned into spaces, line by line the same."""
    out, at = [], 0
    token = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)
    for found in token.finditer(text):
        out.append(text[at:found.start()])
        piece = found.group(0)
        hidden = re.sub(r"[^\n]", " ", piece)
        if piece.startswith("/"):
            out.append(hidden)
        elif keep_strings or piece.startswith("'"):
            out.append(piece)
        elif piece.startswith("R"):
            out.append(hidden)
        else:
            out.append('"' + hidden[1:-1] + '"')
        at = found.end()
    out.append(text[at:])
    return "".join(out)


def literals(text):
    """(line, literal) of every string literal outside comments; includes are no literals."""
    for found in re.finditer(r'R"(\w*)\((?P<raw>.*?)\)\1"|"(?P<plain>(?:\\.|[^"\\\n])*)"', blanked(text, True), re.S):
        line_start = text.rfind("\n", 0, found.start()) + 1
        if not text[line_start:found.start()].lstrip().startswith("#include"):
            yield text.count("\n", 0, found.start()) + 1, found.group("raw") or found.group("plain") or ""


def room_of(name):
    return name.split("/")[1]


# ---- rules


def rooms(tree):
    """Includes follow the table of rooms."""
    for name in tree.sources():
        room = room_of(name)
        if room not in ROOMS:
            if name.count("/") > 1:
                yield name, 1, f"'{room}' is no room of DESIGN's table; put the file into one"
            continue
        for number, line in tree.lines(name):
            found = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not found:
                continue
            target = found.group(1)
            other = target.split("/")[0]
            if other not in ROOMS or "/" not in target:
                yield name, number, f'"{target}" names no room; include our files as "room/file.h", others with <>'
            elif other != room and other not in ROOMS[room]:
                may = ", ".join(ROOMS[room]) or "no other room"
                yield name, number, f"{room}/ may include {may}; not {other}/"
            elif f"src/{target}" not in tree.files:
                yield name, number, f'"{target}" does not exist'
            elif (room == "app" and other in PROGRAM_ROOMS and PROGRAM_ROOMS[other] not in name
                  and not name.endswith("_test.cpp")):
                yield name, number, f"{other}/ is linked into lares-{PROGRAM_ROOMS[other]} only; in app only its files include it"


def room_targets(tree):
    """The CMake targets keep to the same table."""
    name = "src/CMakeLists.txt"
    if name not in tree.files:
        return
    for found in re.finditer(r"lares_room\((\w+)([^)]*)\)", tree.text(name)):
        room, rest = found.group(1), found.group(2)
        uses = re.search(r"USES\s+([a-z\s]+)", rest)
        for other in (uses.group(1).split() if uses else []):
            if other not in ROOMS.get(room, []):
                line = tree.text(name).count("\n", 0, found.start()) + 1
                yield name, line, f"the target of {room}/ uses {other}/, which its row does not have"


def doors(tree):
    """Each library is included through its one door."""
    for name in tree.sources():
        inner = name[len("src/"):]
        for number, line in tree.lines(name):
            found = re.match(r"\s*#\s*include\s+<([^>]+)>", line)
            if not found:
                continue
            header = found.group(1)
            door = next((where for pattern, where in DOORS if re.match(pattern, header)), None)
            if door is not None:
                if not matches(inner, door):
                    yield name, number, f"<{header}> is behind a door: only {', '.join(door)} may include it"
            elif "." in header and not header.startswith(SYSTEM_FOLDERS) and header[:-2] not in SYSTEM_HEADERS:
                yield name, number, f"<{header}> has no door; give it one in DOORS of tools/tidy.py"
            elif "/" in header and not header.startswith(SYSTEM_FOLDERS):
                yield name, number, f"<{header}> has no door; give it one in DOORS of tools/tidy.py"


def banned_code(tree):
    """Words of code that have a better one."""
    for name in tree.sources():
        code, inner = blanked(tree.text(name)).split("\n"), name[len("src/"):]
        for pattern, instead, files in BANNED_CODE:
            if not fnmatch.fnmatch(name, files) or matches(inner, HELPERS) or inner == "base/mutex.h":
                continue
            if files == "*_test.cpp" and matches(inner, REAL_TIME_TESTS):
                continue
            for number, line in enumerate(code, 1):
                found = re.search(pattern, line)
                if found:
                    yield name, number, f"'{found.group(0).strip()}' is banned: {instead}"
        if not matches(inner, COROUTINES):
            for number, line in enumerate(code, 1):
                if re.search(r"\bco_(await|return|yield)\b", line):
                    yield name, number, "coroutines live only in the front door (docs/decisions/0003-run-loop.md)"
    for name in tree.files:
        if name == "CMakeLists.txt" or name.endswith((".cmake", "CMakeLists.txt", "Presets.json")):
            for number, line in tree.lines(name):
                if "NDEBUG" in line and "REPLACE" not in line and not line.lstrip().startswith("#"):
                    yield name, number, "assertions are always on (docs/decisions/0007-assertions-always.md)"


def banned_words(tree):
    """Words of messages that say nothing."""
    for name in tree.sources():
        for number, literal in literals(tree.text(name)):
            for pattern, instead in BANNED_WORDS:
                found = re.search(pattern, literal)
                if found:
                    yield name, number, f"'{found.group(0)}' in a message: {instead}"


def foreign_words(tree):
    """Nothing in the tree knows one machine or a registry's host."""
    for name in tree.files:
        if name.startswith("tests/corpus/") or not (tree.is_text(name) or name.startswith(VERBATIM)):
            continue
        for number, line in tree.lines(name):
            for pattern, what in FOREIGN:
                found = re.search(pattern, line)
                if found:
                    yield name, number, f"'{found.group(0)}' is {what}"


def open_ends(tree):
    """Nothing is left open in the code."""
    for name in tree.files:
        if name.startswith(("src/", "tests/", "tools/", "web/", "bench/", "cmake/")) and tree.is_text(name):
            for number, line in tree.lines(name):
                found = re.search(OPEN_WORDS, line)
                if found:
                    yield name, number, f"'{found.group(0)}': do it now, or open an issue and say nothing here"


def headers(tree):
    """A header opens with what it is, and guards itself."""
    for name in tree.under("src/", ".h"):
        lines = tree.text(name).split("\n")
        if not lines[0].startswith("// "):
            yield name, 1, "a header opens with a comment: what it is, what it is not, who owns it, which thread"
        if "#pragma once" not in lines:
            yield name, 1, "no #pragma once"


def dead_files(tree):
    """Every file is reached from somewhere."""
    included = set()
    for name in tree.sources():
        included.update(f"src/{target}" for target in re.findall(r'#\s*include\s+"([^"]+)"', tree.text(name)))
    for name in tree.under("src/", ".h"):
        if name not in included:
            yield name, 1, "nobody includes this header; use it or remove it"
    lists = "".join(tree.text(name) for name in tree.files if name.endswith(("CMakeLists.txt", ".cmake")))
    for name in tree.under("src/", "_main.cpp"):
        if os.path.basename(name) not in lists:
            yield name, 1, "no CMake list names this main; build it or remove it"
    for name in tree.under("tools/"):
        base = os.path.basename(name)
        if base.endswith("_test.py") or name.count("/") > 1:
            continue
        others = (other for other in tree.files if other != name and tree.is_text(other)
                  and not os.path.basename(other).startswith(os.path.splitext(base)[0] + "_test"))
        if not any(base in tree.text(other) for other in others):
            yield name, 1, "no other file names this tool; use it, document it or remove it"


ROOT_FILES = ("dev", "check", "lares")
PLACES = ("src", "web", "tests", "bench", "tools", "cmake", "docs", "packaging", "third_party", ".ci")


def map_paths(tree):
    """Paths that the documents name exist."""
    folders = {str(parent) for name in tree.files for parent in pathlib.PurePath(name).parents}
    documents = [name for name in tree.files if name.endswith(".md") and (
        "/" not in name or name.startswith("docs/")) and name != "CHANGELOG.md"]
    everything = tree.files + sorted(folders)
    for name in documents:
        for number, line in tree.lines(name):
            spans = re.findall(r"`([^`\s]+)`", line) + re.findall(r"\]\(([^)#\s]+)\)", line)
            for span in spans:
                path = span[2:] if span.startswith("./") else span
                path = path.rstrip("/")
                first = path.split("/")[0]
                if re.search(r"[A-Z]{4}|[<>{}$:=(]", path) and not path.endswith(".md") or path.startswith(("/", "http")):
                    continue  # a placeholder, a route, a setting
                if first in ROOMS and "/" in span:
                    path = f"src/{path}"
                elif not (first in PLACES and "/" in span or span.startswith("./") and "/" not in path
                          or path.endswith(".md")):
                    continue
                here = os.path.normpath(os.path.join(os.path.dirname(name), path))
                if not (path in everything or here in everything or matches_any(everything, path)):
                    yield name, number, f"`{span}` does not exist"
    for name in tree.files:
        if tree.is_text(name) and not name.endswith((".md", "tidy_test.py")):
            for number, line in tree.lines(name):
                for path in re.findall(r"\bdocs/[\w/-]+\.md\b", line):
                    if path not in tree.files:
                        yield name, number, f"{path} does not exist"


# `tests/x_test.py`: One, Another   `src/x_test.cpp` (One, Begi…: a remark)   the same: One, which is the file named last
NAMED_TESTS = re.compile(r"(?:`((?:src|tests|tools)/[\w/.-]*_test\.\w+)`|\bthe same)"
                         r"(?: \(([^):]*)[^)]*\)|: ([A-Z]\w*…?(?:, [A-Z]\w*…?)*))?")


def defines_test(text, name):
    """Whether a test's file has a class, fixture, suite or test of that name; a name that ends in … is the beginning of one."""
    word = re.escape(name.rstrip("…")) + ("" if name.endswith("…") else r"\b")
    in_cpp = word if name.endswith("…") else rf"(?:{word}|{re.escape(name)}Test\b)"
    return re.search(rf"^class {word}|^ +def {word}|^TEST\w*\((?:{in_cpp}|\w+, {word})|\b(?:describe|test)\([\"`].*?{word}", text, re.M)


def named_tests(tree):
    """Tests that the documents name stand in the file that is named for them."""
    for name in tree.files:
        if not name.endswith(".md") or "/" in name and not name.startswith("docs/"):
            continue
        last = None
        for number, line in tree.lines(name):
            for found in NAMED_TESTS.finditer(line):
                last = found.group(1) or last
                tests = found.group(2) or found.group(3)
                if not tests or last not in tree.files:
                    continue  # that the file exists is map_paths' to say
                for test in tests.split(", "):
                    if not defines_test(tree.text(last), test):
                        yield name, number, f"'{test}' is no test of {last}; name the file where it is"


def matches_any(names, pattern):
    return "*" in pattern and any(fnmatch.fnmatch(name, pattern) for name in names)


def whitespace(tree):
    """Lines end where their text ends, and files with a line break."""
    for name in tree.files:
        if not tree.is_text(name):
            continue
        text = tree.text(name)
        if text and not text.endswith("\n"):
            yield name, text.count("\n") + 1, "no line break at the end of the file"
        for number, line in tree.lines(name):
            if line != line.rstrip():
                yield name, number, "blanks at the end of the line"
            if "\t" in line and name.endswith((".cpp", ".h", ".py", ".cmake")):
                yield name, number, "a tab; indent with spaces"


def executable_bits(tree):
    """What has an interpreter line can be started, and nothing else can."""
    for name in tree.files:
        path = tree.root / name
        with open(path, "rb") as f:
            shebang = f.read(2) == b"#!"
        executable = os.access(path, os.X_OK) and bool(path.stat().st_mode & 0o111)
        if shebang and not executable:
            yield name, 1, f"starts with #! and cannot be started: chmod +x {name}"
        if executable and not shebang:
            yield name, 1, f"can be started and has no #! line: chmod -x {name}"


def blobs(tree):
    """No large files: what is large is fetched by pin."""
    for name in tree.files:
        size = (tree.root / name).stat().st_size
        if size > BLOB_BYTES_MAX:
            yield name, 1, f"{size} bytes; at most {BLOB_BYTES_MAX}: fetch it by a pin in third_party/"


def logged_content(tree):
    """Content is never logged: only ids, sizes, names and durations."""
    for name in tree.sources():
        if name.startswith("src/base/log"):
            continue
        code = blanked(tree.text(name))
        for found in re.finditer(r"\blog\w*(?:\(\))?(?:\.|->)(?:debug|info|warn|error)\(([^;]*);", code):
            content = re.search(CONTENT, found.group(1))
            if content:
                line = code.count("\n", 0, found.start()) + 1
                yield name, line, (f"'{content.group(1)}' looks like content in a log line; log its size or an id "
                                   "(docs/decisions/0006-content-never-logged.md)")


RULES = [rooms, room_targets, doors, banned_code, banned_words, foreign_words, open_ends, headers, dead_files,
         map_paths, named_tests, whitespace, executable_bits, blobs, logged_content]


# ---- mentions


def long_functions(text):
    """{signature: lines} of functions defined at the first column."""
    found, start, signature = {}, None, ""
    for number, line in enumerate(blanked(text).split("\n")):
        if start is None:
            if re.match(r"^(?!namespace|class|struct|enum|union|extern|#|\}|const\w*\s[^(]*=)\S.*\{$", line):
                start, signature = number, line
        elif line.startswith("}"):
            if number - start + 1 > FUNCTION_LINES_MENTIONED and "(" in signature:
                found[signature] = number - start + 1
            start = None
    return found


def mentions(tree):
    """What newly became long, against the commit before: to look at, not to obey."""
    def before(name):
        old = subprocess.run(["git", "-c", "safe.directory=*", "-C", str(tree.root), "show", f"HEAD~1:{name}"], capture_output=True, text=True,
                             errors="replace")
        return old.stdout if old.returncode == 0 else ""

    for name in tree.files:
        if not name.endswith((".cpp", ".h", ".py")) or name.startswith("tests/"):
            continue
        text = tree.text(name)
        count, functions = text.count("\n"), {}
        if name.endswith((".cpp", ".h")):
            functions = long_functions(text)
        if count <= LINES_MENTIONED and not functions:
            continue
        old = before(name)
        if old == text:
            continue
        if count > LINES_MENTIONED >= old.count("\n"):
            yield name, 1, f"{count} lines now; is it still one thing?"
        known = long_functions(old)
        for signature, lines in functions.items():
            if signature not in known:
                yield name, 1, f"{lines} lines now: {signature.rstrip(' {')}"


def main(arguments):
    root = arguments[0] if arguments else pathlib.Path(__file__).resolve().parent.parent
    tree = Tree(root)
    count = 0
    for rule in RULES:
        for name, line, message in rule(tree):
            print(f"{name}:{line}: {message}  [{rule.__name__}]")
            count += 1
    for name, line, message in mentions(tree):
        print(f"{name}:{line}: mentioned only: {message}")
    print(f"tidy: {len(tree.files)} files, {len(RULES)} rules, " + (f"{count} findings" if count else "clean"))
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
