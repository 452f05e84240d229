# lares_page_files(TARGET FOLDER): an OBJECT library that defines api::page_files() (src/api/page_files.h) over the built
# page in FOLDER; "" is no page. FOLDER/files.txt is the list that tools/bootstrap wrote: PATH TYPE ETAG FILE by tabs, and
# FILE.gz beside each FILE. The bytes come in by .incbin, so that no tool is needed and nothing is compiled twice.
function(lares_page_files target folder)
  set(source ${CMAKE_BINARY_DIR}/page/${target})
  set(bytes "    .section .note.GNU-stack,\"\",@progbits\n    .section .rodata\n")
  set(names "")
  set(rows "")
  set(parts "")
  if(folder)
    if(NOT EXISTS ${folder}/files.txt)
      message(FATAL_ERROR "LARES_PAGE='${folder}' has no files.txt; build the page with tools/bootstrap page")
    endif()
    set_property(DIRECTORY ${CMAKE_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${folder}/files.txt)
    file(STRINGS ${folder}/files.txt lines ENCODING UTF-8)
    set(number 0)
    foreach(line IN LISTS lines)
      string(REPLACE ";" "\\;" line "${line}")
      string(REPLACE "\t" ";" fields "${line}")
      list(GET fields 0 path)
      list(GET fields 1 type)
      list(GET fields -2 etag)
      list(GET fields -1 file)
      foreach(part identity gzip)
        set(name lares_${target}_${number}_${part})
        string(REPLACE "-" "_" name ${name})
        set(of ${folder}/${file})
        if(part STREQUAL "gzip")
          string(APPEND of ".gz")
        endif()
        string(APPEND bytes "    .balign 16\n    .global ${name}\n    .hidden ${name}\n${name}:\n    .incbin \"${of}\"\n"
                            "    .global ${name}_end\n    .hidden ${name}_end\n${name}_end:\n    .byte 0\n")
        string(APPEND names "extern const char ${name}[], ${name}_end[];\n")
        list(APPEND parts ${of})
        set(${part} "between(${name}, ${name}_end)")
      endforeach()
      string(APPEND rows "      PageFile{\"${path}\", \"${type}\", \"\\\"${etag}\\\"\", ${identity}, ${gzip}},\n")
      math(EXPR number "${number} + 1")
    endforeach()
  endif()
  if(rows)
    set(body "  static const std::array files{\n${rows}  };\n  return files;\n")
  else()
    set(body "  return {};\n")
  endif()
  file(CONFIGURE OUTPUT ${source}.S CONTENT "${bytes}" @ONLY)
  file(CONFIGURE OUTPUT ${source}.cpp @ONLY CONTENT "// Written by cmake/page.cmake.
#include <array>

#include \"api/page_files.h\"

extern \"C\" {
@names@}

namespace lares::api {
namespace {
[[maybe_unused]] std::string_view between(const char* begin, const char* end) {
  return {begin, static_cast<size_t>(end - begin)};
}
}  // namespace

std::span<const PageFile> page_files() {
@body@}

}  // namespace lares::api
")
  add_library(${target} OBJECT ${source}.cpp ${source}.S)
  set_source_files_properties(${source}.S PROPERTIES OBJECT_DEPENDS "${parts}")
  target_link_libraries(${target} PUBLIC lares-flags)
endfunction()
