#include "engine/backends/llama_weights.h"

#include <fcntl.h>
#include <ggml-backend.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>
#include <utility>

#include "base/file.h"

// of llama-model.h, which brings all of the engine along
const std::vector<std::pair<std::string, ggml_tensor*>>& llama_internal_get_tensor_map(
    const llama_model* model);

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22  // Linux 5.14; glibc has it since 2.35
#endif

namespace lares::engine::llama {
namespace {

constexpr size_t kPiece = size_t{32} << 20;

// A buffer of the engine over memory that it was given: a mapped file.
bool is_mapped(ggml_backend_buffer_t buffer) {
  return std::string_view(ggml_backend_buft_name(ggml_backend_buffer_get_type(buffer))) ==
         "CPU_Mapped";
}

Error cannot_read(int number) {
  if (number == EFAULT)
    return {
        Code::Corrupt,
        "reading the weights: the model's file is shorter than when it was loaded; add it again"};
  return system_error("reading the weights", number);
}

// For kernels that cannot be asked to map pages: each is looked at.
void touch(uintptr_t begin, uintptr_t end, size_t page) {
  for (uintptr_t at = begin; at < end; at += page)
    static_cast<void>(*reinterpret_cast<const volatile char*>(at));
}

}  // namespace

Weights::Weights(const llama_model* model, int file) : file_(file) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  for (const auto& [name, tensor] : llama_internal_get_tensor_map(model)) {
    if (!tensor->buffer || !tensor->data) continue;
    const size_t bytes = ggml_nbytes(tensor);
    if (!is_mapped(tensor->buffer)) {
      private_ += bytes;
      continue;
    }
    const auto at = reinterpret_cast<uintptr_t>(tensor->data);
    ranges_.push_back({at / page * page, (at + bytes + page - 1) / page * page});
  }
  std::sort(ranges_.begin(), ranges_.end(),
            [](const Range& a, const Range& b) { return a.begin < b.begin; });
  std::vector<Range> joined;
  for (const Range& range : ranges_) {
    if (!joined.empty() && range.begin <= joined.back().end)
      joined.back().end = std::max(joined.back().end, range.end);
    else
      joined.push_back(range);
  }
  ranges_ = std::move(joined);
  for (const Range& range : ranges_) mapped_ += range.end - range.begin;
}

void Weights::drop(bool for_others) const {
  for (const Range& range : ranges_)
    ::madvise(reinterpret_cast<void*>(range.begin), range.end - range.begin, MADV_DONTNEED);
  if (for_others) ::posix_fadvise(file_, 0, 0, POSIX_FADV_DONTNEED);
}

Result<> Weights::fetch(const std::function<void()>& alive) const {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  for (const Range& range : ranges_) {
    for (uintptr_t at = range.begin; at < range.end; at += kPiece) {
      const uintptr_t end = std::min<uintptr_t>(at + kPiece, range.end);
      while (::madvise(reinterpret_cast<void*>(at), end - at, MADV_POPULATE_READ) != 0) {
        if (errno == EINTR || errno == EAGAIN) continue;
        if (errno != EINVAL) return cannot_read(errno);
        touch(at, end, page);
        break;
      }
      alive();
    }
  }
  return Unit{};
}

}  // namespace lares::engine::llama
