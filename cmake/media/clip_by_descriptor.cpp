// clip.cpp as it is, but that it reads its file from a descriptor: a worker can open no file by
// name. The "name" is the descriptor's number.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ext/stdio_filebuf.h>
#include <istream>

#include "clip-impl.h"
#include "clip.h"
#include "ggml.h"
#include "gguf.h"
#include "mtmd_backends.h"

namespace {

int copy_of(const std::string& number) {
  char* end = nullptr;
  const long descriptor = std::strtol(number.c_str(), &end, 10);
  return number.empty() || *end != '\0' ? -1 : ::dup(static_cast<int>(descriptor));
}

gguf_context* gguf_by_descriptor(const char* number, gguf_init_params params) {
  const int copy = copy_of(number);
  FILE* const file = copy < 0 ? nullptr : ::fdopen(copy, "rb");
  if (!file) return nullptr;
  std::rewind(file);
  gguf_context* const read = gguf_init_from_file_ptr(file, params);
  std::fclose(file);
  return read;
}

// Short of a tensor's bytes is an error here: clip.cpp does not look.
class DescriptorStream : public std::istream {
 public:
  explicit DescriptorStream(const std::string& number)
      : std::istream(nullptr), bytes_(copy_of(number), std::ios::in | std::ios::binary) {
    rdbuf(&bytes_);
    if (!bytes_.is_open()) setstate(std::ios::failbit);
    exceptions(std::ios::badbit | std::ios::eofbit);
  }
  void close() { bytes_.close(); }

 private:
  __gnu_cxx::stdio_filebuf<char> bytes_;
};

}  // namespace

#define gguf_init_from_file gguf_by_descriptor
#define open_ifstream_binary DescriptorStream
#include "clip.cpp"

ggml_backend_t clip_backend(clip_ctx* context) { return context->backend_cpu; }

mtmd_bytes clip_memory(clip_ctx* context) {
  mtmd_bytes bytes;
  for (const auto& [device, size] : context->mem_usage) bytes.weights += size;
  for (const auto& [device, size] : context->mem_compute) bytes.compute += size;
  return bytes;
}
