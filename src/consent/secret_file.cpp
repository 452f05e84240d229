#include "consent/secret_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "base/text.h"

namespace lares::consent {

Result<std::string> read_secret_file(const std::filesystem::path& file, Bytes max,
                                     std::string_view what, std::string_view remedy) {
  const std::string doing = cat("reading the ", what, " '", file.string(), "'");
  const auto unsafe = [&](std::string_view is, std::string_view or_else = "") {
    return Error{Code::Denied, cat(doing, ": ", is, "; ", remedy, or_else)};
  };
  const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd && errno == ELOOP) return unsafe("it is a link");
  if (!fd) return system_error(doing, errno);
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return system_error(doing, errno);
  if (!S_ISREG(info.st_mode)) return unsafe("it is not a file");
  if (info.st_uid != ::geteuid())
    return unsafe(cat("it belongs to user ", info.st_uid, ", not to you (", ::geteuid(), ")"));
  if ((info.st_mode & 077) != 0)
    return unsafe("other users can read it, so it is no secret",
                  " (or 'chmod 600' it, if nobody else uses this computer)");
  auto content = read_whole(fd, max, doing);
  if (!content && content.error().code == Code::Invalid)
    return Error{Code::Corrupt, cat(content.error().message, "; ", remedy)};
  return content;
}

Result<> create_secret_file(const std::filesystem::path& file, std::string_view content,
                            std::string_view what) {
  const std::string doing = cat("creating the ", what, " '", file.string(), "'");
  const std::filesystem::path temporary = file.string() + ".new-" + random_hex(4);
  TRY(write_file(temporary, content, 0600));
  const int linked = ::link(temporary.c_str(), file.c_str());  // never replaces
  const int why = errno;
  ::unlink(temporary.c_str());
  if (linked != 0 && why != EEXIST) return system_error(doing, why);
  const Fd folder(::open(file.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder || ::fsync(folder.get()) != 0) return system_error(doing, errno);
  return Unit{};
}

}  // namespace lares::consent
