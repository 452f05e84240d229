// The files of the page that this laresd carries: what `lares ui` shows, built from web/ and put
// into the program by cmake/page.cmake (LARES_PAGE). Only bytes and names; who may have them, and
// under which policy, is the door's. Constant from the start of the program to its end; any thread.
#pragma once

#include <span>
#include <string_view>

namespace lares::api {

struct PageFile {
  std::string_view path;          // as it is asked for: "/" or "/assets/index-1a2b3c4d.js"
  std::string_view content_type;  // "text/html;charset=utf-8"
  std::string_view etag;          // quoted, of the content
  std::string_view identity;      // the content itself
  std::string_view gzip;          // the same, compressed
};

// Sorted by file; every name under /assets/ has a hash of its content in it, so that it may be kept
// for ever. Empty when laresd was built without a page.
std::span<const PageFile> page_files();

// The file that is asked for by this path, null when there is none.
const PageFile* page_file(std::string_view path);

}  // namespace lares::api
