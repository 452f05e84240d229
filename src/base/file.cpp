#include "base/file.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/text.h"

namespace lares {

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = other.release();
  }
  return *this;
}

void Fd::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Error system_error(std::string_view doing, int errno_value) {
  Code code = Code::Io;
  switch (errno_value) {
    case ENOENT: code = Code::NotFound; break;
    case EACCES:
    case EPERM: code = Code::Denied; break;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case ENOMEM: code = Code::NoRoom; break;
    default: break;
  }
  std::array<char, 128> buffer{};
  return {code, cat(doing, ": ", strerror_r(errno_value, buffer.data(), buffer.size()))};
}

Result<std::string> read_whole(const Fd& fd, Bytes max, std::string_view doing) {
  std::string content;
  std::array<char, 65536> block{};
  for (;;) {
    const ssize_t got = ::read(fd.get(), block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(doing, errno);
    if (got == 0) return content;
    content.append(block.data(), static_cast<size_t>(got));
    if (content.size() > max.n)
      return Error{Code::Invalid,
                   cat(doing, ": larger than ", max, ", the most that we read whole")};
  }
}

Result<std::string> read_file(const std::filesystem::path& path, Bytes max) {
  const std::string doing = cat("reading '", path.string(), "'");
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return system_error(doing, errno);
  return read_whole(fd, max, doing);
}

std::filesystem::path damaged_name(const std::filesystem::path& file) {
  return cat(file.string(), kDamaged, random_hex(4));
}

namespace {

Result<> sync_folder(const std::filesystem::path& folder) {
  const Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return system_error(cat("opening '", folder.string(), "'"), errno);
  if (::fsync(fd.get()) != 0) return system_error(cat("syncing '", folder.string(), "'"), errno);
  return Unit{};
}

Result<> write_all(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t put = ::write(fd, content.data(), content.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return system_error("writing", errno);
    content.remove_prefix(static_cast<size_t>(put));
  }
  return Unit{};
}

}  // namespace

Result<> write_file(const std::filesystem::path& path, std::string_view content, unsigned mode) {
  const std::string doing = cat("writing '", path.string(), "'");
  const std::filesystem::path temporary = path.string() + ".new-" + random_hex(4);
  Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!fd) return system_error(doing, errno);
  const auto give_up = [&](Error error) -> Result<> {
    ::unlink(temporary.c_str());
    return std::move(error).within(doing);
  };
  if (auto written = write_all(fd.get(), content); !written)
    return give_up(std::move(written).error());
  if (::fsync(fd.get()) != 0) return give_up(system_error("syncing", errno));
  fd.reset();
  if (::rename(temporary.c_str(), path.c_str()) != 0)
    return give_up(system_error("renaming", errno));
  return sync_folder(path.has_parent_path() ? path.parent_path() : std::filesystem::path("."));
}

Result<> make_private_folder(const std::filesystem::path& folder) {
  const std::string doing = cat("making folder '", folder.string(), "'");
  std::filesystem::path so_far;
  for (const auto& part : folder) {
    so_far /= part;
    if (::mkdir(so_far.c_str(), 0700) == 0 || errno == EEXIST) continue;
    // "/" and read-only parents answer other errors although the folder is there
    struct stat there{};
    const int why = errno;
    if (::stat(so_far.c_str(), &there) == 0 && S_ISDIR(there.st_mode)) continue;
    return system_error(doing, why);
  }
  struct stat info{};
  if (::stat(folder.c_str(), &info) != 0) return system_error(doing, errno);
  if (!S_ISDIR(info.st_mode))
    return Error{Code::Io, cat(doing, ": a file of this name is in the way")};
  if (info.st_uid != ::geteuid())
    return Error{Code::Denied, cat(doing, ": it belongs to user ", info.st_uid, ", not to you (",
                                   ::geteuid(), ")")};
  return Unit{};
}

std::string random_hex(size_t count) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(count * 2);
  std::array<unsigned char, 64> bytes{};
  while (out.size() < count * 2) {
    const ssize_t got = ::getrandom(bytes.data(), bytes.size(), 0);
    assert(got > 0);
    for (ssize_t i = 0; i < got && out.size() < count * 2; i++) {
      out += kDigits[bytes[static_cast<size_t>(i)] >> 4];
      out += kDigits[bytes[static_cast<size_t>(i)] & 15];
    }
  }
  return out;
}

}  // namespace lares
