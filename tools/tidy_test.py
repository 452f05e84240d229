#!/usr/bin/env python3
"""Tests of tools/tidy.py: each rule finds what it should in a small tree, and stays silent on its neighbour."""

import os
import pathlib
import tempfile
import unittest

import tidy

HEADER = "// A thing.\n#pragma once\n"


class Rules(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)

    def tearDown(self):
        self.folder.cleanup()

    def write(self, name, text, mode=0o644):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        os.chmod(path, mode)

    def found(self, rule):
        return [(name, line) for name, line, _ in rule(tidy.Tree(self.root))]

    def test_a_room_includes_only_what_its_row_has(self):
        self.write("src/base/text.h", HEADER)
        self.write("src/wire/frame.h", HEADER)
        self.write("src/base/bad.cpp", '#include "base/text.h"\n#include "wire/frame.h"\n')
        self.write("src/wire/good.cpp", '#include "base/text.h"\n#include "wire/frame.h"\n')
        self.assertEqual(self.found(tidy.rooms), [("src/base/bad.cpp", 2)])

    def test_nobody_includes_app(self):
        self.write("src/app/home.h", HEADER)
        for room in tidy.ROOMS:
            self.write(f"src/{room}/uses.cpp", '#include "app/home.h"\n')
        self.assertEqual(len(self.found(tidy.rooms)), len(tidy.ROOMS) - 1)

    def test_the_engine_is_known_to_the_worker_only(self):
        self.write("src/engine/model.h", HEADER)
        self.write("src/app/laresd_main.cpp", '#include "engine/model.h"\n')
        self.write("src/app/worker_main.cpp", '#include "engine/model.h"\n')
        self.assertEqual(self.found(tidy.rooms), [("src/app/laresd_main.cpp", 1)])

    def test_an_include_without_a_room_or_a_file_is_found(self):
        self.write("src/base/a.cpp", '#include "a.h"\n#include "base/gone.h"\n')
        self.write("src/misc/b.cpp", "")
        self.assertEqual(self.found(tidy.rooms), [("src/base/a.cpp", 1), ("src/base/a.cpp", 2), ("src/misc/b.cpp", 1)])

    def test_a_target_keeps_to_its_row(self):
        self.write("src/CMakeLists.txt", "lares_room(base LIBRARIES json)\nlares_room(wire USES base)\n"
                                         "lares_room(sched USES base inventory host)\n")
        self.assertEqual(self.found(tidy.room_targets), [("src/CMakeLists.txt", 3)])

    def test_a_library_is_included_through_its_door(self):
        self.write("src/base/json.h", HEADER + "#include <nlohmann/json.hpp>\n#include <vector>\n")
        self.write("src/wire/m.cpp", "#include <nlohmann/json.hpp>\n#include <sys/types.h>\n#include <unistd.h>\n")
        self.write("src/engine/backends/llama.cpp", "#include <llama.h>\n#include <chat.h>\n")
        self.write("src/host/h.cpp", "#include <llama.h>\n#include <strange/thing.hpp>\n#include <odd.h>\n")
        self.assertEqual(self.found(tidy.doors), [("src/host/h.cpp", 1), ("src/host/h.cpp", 2), ("src/host/h.cpp", 3),
                                                  ("src/wire/m.cpp", 1)])

    def test_banned_code_is_found_outside_comments_and_strings(self):
        self.write("src/base/a.cpp", "// std::expected, get_it()\n"
                                     'auto s = "throw get_it() NULL";\n'
                                     "std::expected<int, int> e;\n"
                                     "int get_it();\n"
                                     "x.get_it(); std::get_if<0>(&v); y->get_ref();\n"
                                     "co_await z;\n"
                                     "std::mutex m;\n")
        self.write("src/base/mutex.h", "std::mutex m;\n")
        self.write("src/api/http.cpp", "co_await z;\n")
        self.write("src/base/a_test.cpp", "std::this_thread::sleep_for(1s);\n")
        self.assertEqual(sorted(self.found(tidy.banned_code)),
                         [("src/base/a.cpp", 3), ("src/base/a.cpp", 4), ("src/base/a.cpp", 6), ("src/base/a.cpp", 7),
                          ("src/base/a_test.cpp", 1)])

    def test_tests_of_real_processes_may_wait_and_helpers_may_do_as_tests_do(self):
        self.write("src/host/worker_test.cpp", "std::this_thread::sleep_for(1ms);\n")
        self.write("src/host/testing/child.cpp", "int n = atoi(text);\n#include <gtest/gtest.h>\n")
        self.assertEqual(self.found(tidy.banned_code) + self.found(tidy.doors), [])

    def test_assertions_cannot_be_switched_off(self):
        self.write("CMakeLists.txt", 'string(REPLACE "-DNDEBUG" "" FLAGS "${FLAGS}")\n')
        self.write("cmake/x.cmake", "add_compile_definitions(NDEBUG)\n")
        self.write("src/base/a.h", HEADER + "#define NDEBUG\n")
        self.assertEqual(sorted(self.found(tidy.banned_code)), [("cmake/x.cmake", 1), ("src/base/a.h", 3)])

    def test_empty_words_in_messages_are_found(self):
        self.write("src/base/a.cpp", '// failed to, quoted: "x"\n#include "failed to"\nauto a = "Failed to read";\n'
                                     'auto b = R"(something went wrong)";\nauto c = "the read failed at 3";\n')
        self.assertEqual(self.found(tidy.banned_words), [("src/base/a.cpp", 3), ("src/base/a.cpp", 4)])

    def test_places_of_one_machine_are_found(self):
        self.write("docs/a.md", "see /w" + "ork/main and the py" + "pi.org host\nworks on /tmp and with PyPI\n")
        self.assertEqual(self.found(tidy.foreign_words), [("docs/a.md", 1), ("docs/a.md", 1)])

    def test_open_ends_are_found(self):
        self.write("src/base/a.cpp", "// TO" + "DO later\n// to do is a verb\nmktemp -d x.XXXXXX\n")
        self.assertEqual(self.found(tidy.open_ends), [("src/base/a.cpp", 1)])

    def test_headers_open_with_words_and_guard_themselves(self):
        self.write("src/base/a.h", "#pragma once\n")
        self.write("src/base/b.h", "// B.\n")
        self.write("src/base/c.h", HEADER)
        self.assertEqual(self.found(tidy.headers), [("src/base/a.h", 1), ("src/base/b.h", 1)])

    def test_what_nothing_reaches_is_dead(self):
        self.write("src/base/used.h", HEADER)
        self.write("src/base/unused.h", HEADER)
        self.write("src/base/used.cpp", '#include "base/used.h"\n')
        self.write("src/app/x_main.cpp", "")
        self.write("src/app/y_main.cpp", "")
        self.write("src/CMakeLists.txt", "lares_program(x x_main.cpp)\n")
        self.write("tools/lonely.py", "")
        self.write("tools/called", "")
        self.write("dev", "run tools/called\n")
        self.assertEqual(sorted(self.found(tidy.dead_files)),
                         [("src/app/y_main.cpp", 1), ("src/base/unused.h", 1), ("tools/lonely.py", 1)])

    def test_paths_in_documents_exist(self):
        self.write("src/base/text.h", HEADER)
        self.write("src/base/text.cpp", "")
        self.write("dev", "")
        self.write("docs/bench.md", "")
        self.write("README.md", "`base/text.h` `src/base/` `base/text.*` `./dev` [b](docs/bench.md) `/v1/models`\n"
                                "`api/endpoints/NAME.cpp` `--help` `a/b` `lares serve`\n"
                                "`base/gone.h` `tools/x` [c](docs/gone.md) `GONE.md`\n")
        self.assertEqual(self.found(tidy.map_paths), [("README.md", 3)] * 4)

    def test_tests_that_documents_name_are_in_the_file_named(self):
        self.write("src/app/a_test.cpp", "TEST_F(HandedTest, Once) {}\n"
                                         "TEST(Asking, SaysSo) {}\n// Elsewhere\n")
        self.write("tests/system/b_test.py", "class Damage(Base):\n    def test_a_cut(self):\n        pass\n")
        self.write("tests/page/c_test.mjs", 'describe("first open", () => {});\n')
        self.write("docs/a.md", "`src/app/a_test.cpp` (Asking, Handed, SaysSo, Says…: each once)\n"
                                "`src/app/a_test.cpp`: a sentence; `tests/system/b_test.py`: Damage, which cuts\n"
                                "the same: Damage; `tests/page/c_test.mjs` (first open), axe\n"
                                "`src/app/a_test.cpp` (Elsewhere); `tests/system/b_test.py`: Asking\n"
                                "the same: Damag\n")
        self.assertEqual(self.found(tidy.named_tests), [("docs/a.md", 4), ("docs/a.md", 4), ("docs/a.md", 5)])

    def test_code_names_only_notes_that_exist(self):
        self.write("docs/decisions/0001-a.md", "")
        self.write("src/base/a.h", HEADER + "// docs/decisions/0001-a.md and docs/decisions/0009-b.md\n")
        self.assertEqual(self.found(tidy.map_paths), [("src/base/a.h", 3)])

    def test_blanks_tabs_and_missing_line_breaks_are_found(self):
        self.write("src/base/a.cpp", "int a; \n\tint b;\nint c;")
        self.write("tests/corpus/json/x.txt", "a  \t")
        self.assertEqual(sorted(self.found(tidy.whitespace)), [("src/base/a.cpp", n) for n in (1, 2, 3)])

    def test_executable_bits_follow_the_interpreter_line(self):
        self.write("tools/a.py", "#!/usr/bin/env python3\n", 0o644)
        self.write("tools/b.py", "x = 1\n", 0o755)
        self.write("tools/c.py", "#!/usr/bin/env python3\n", 0o755)
        self.assertEqual(self.found(tidy.executable_bits), [("tools/a.py", 1), ("tools/b.py", 1)])

    def test_large_files_are_found(self):
        self.write("docs/picture.svg", "x" * (tidy.BLOB_BYTES_MAX + 1))
        self.assertEqual(self.found(tidy.blobs), [("docs/picture.svg", 1)])

    def test_content_in_a_log_line_is_found(self):
        self.write("src/app/a.cpp", 'log.info("x", {{"a", request.body}});\n'
                                    'log_.warn("prompt too long", {{"bytes", prompt.size()}});\n'
                                    'log_->error("x",\n  {{"t", delta->text}});\n'
                                    'log().info("x", {{"n", m.prompt_tokens}, {"id", id}});\n'
                                    'log.info("the text of it", {{"why", error.message}});\n')
        self.assertEqual(self.found(tidy.logged_content), [("src/app/a.cpp", 1), ("src/app/a.cpp", 3)])

    def test_long_functions_are_measured(self):
        body = "  x();\n" * tidy.FUNCTION_LINES_MENTIONED
        text = f"namespace a {{\nint f() {{\n{body}}}\n\nint g() {{\n  x();\n}}\n}}\n"
        self.assertEqual(tidy.long_functions(text), {"int f() {": tidy.FUNCTION_LINES_MENTIONED + 2})


if __name__ == "__main__":
    unittest.main()
