// Files as descriptors that close themselves, and the few whole-file operations that everyone
// needs. Errors carry the path and the system's words. Blocking: not for the run loop, except on
// small files in our own folders at start.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/units.h"

namespace lares {

// Owns a file descriptor; move-only.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd() { reset(); }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  void reset();
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// The error of a failed system call: cat(doing, ": ", strerror). ENOENT is NotFound, EACCES and
// EPERM are Denied, ENOSPC, EDQUOT, EFBIG and ENOMEM are NoRoom, the rest Io.
Error system_error(std::string_view doing, int errno_value);

Result<std::string> read_file(const std::filesystem::path& path, Bytes max = MiB(16));

// All that comes from an open descriptor, from where it stands; Invalid when that is over `max`.
// `doing` begins the errors.
Result<std::string> read_whole(const Fd& fd, Bytes max, std::string_view doing);

// The name under which a file that cannot be read is set aside: "models.json.damaged-1f2e3d4c".
inline constexpr std::string_view kDamaged = ".damaged-";
std::filesystem::path damaged_name(const std::filesystem::path& file);

// Replaces `path` as a whole or not at all: temporary file beside it, fsync, rename, fsync of the
// folder. The file gets `mode`.
Result<> write_file(const std::filesystem::path& path, std::string_view content,
                    unsigned mode = 0600);

// Makes the folder and those above it, 0700 where it makes one. Denied when the last one exists and
// belongs to another user.
Result<> make_private_folder(const std::filesystem::path& folder);

// `count` bytes from the kernel's generator, as lower-case hexadecimal.
std::string random_hex(size_t count);

}  // namespace lares
