#include "app/pull_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "app/pull_source.h"
#include "base/text.h"
#include "inventory/models.h"

namespace lares::app {

namespace fs = std::filesystem;

std::string boot_id() {
  auto text = read_file("/proc/sys/kernel/random/boot_id", KiB(1));
  return text ? std::string(trimmed(*text)) : "";
}

Result<Fd> open_part(const fs::path& file, int flags) {
  Fd fd(::open(file.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return system_error(cat("opening '", file.string(), "'"), errno);
  return fd;
}

Result<Unit> reserve(const fs::path& file, uint64_t size, const std::string& what) {
  TRY_AS(const Fd fd, open_part(file, O_RDWR));
  struct stat info{};
  struct statvfs disk{};
  if (::fstat(fd.get(), &info) != 0 || ::fstatvfs(fd.get(), &disk) != 0)
    return system_error(cat("making room for ", what), errno);
  const auto held = static_cast<uint64_t>(info.st_blocks) * 512;
  const uint64_t missing = size > held ? size - held : 0;
  const uint64_t free = static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize;
  const auto no_room = [&] {
    return Error{Code::NoRoom, cat("making room for ", what, ": it needs ",
                                   Bytes{missing + kDiskSpare.n}, " more on the disk, and ",
                                   Bytes{free}, " are free; make room, and pull it again")};
  };
  // what lies in it already needs nothing more, not even the spare room
  if (missing > 0 && missing + kDiskSpare.n > free) return no_room();
  if (static_cast<uint64_t>(info.st_size) > size && ::ftruncate(fd.get(), 0) != 0)
    return system_error(cat("making room for ", what), errno);
  if (::fallocate(fd.get(), 0, 0, static_cast<off_t>(size)) == 0) return Unit{};
  if (errno == ENOSPC || errno == EDQUOT) return no_room();
  if (errno != EOPNOTSUPP && errno != ENOSYS)
    return system_error(cat("making room for ", what), errno);
  // a file system that reserves nothing: then at least it has its size
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0)
    return system_error(cat("making room for ", what), errno);
  return Unit{};
}

Result<PullOpened> open_pull(const fs::path& folder, const std::string& authorities,
                             const std::string& token_file, const std::string& hub_url) {
  TRY(make_private_folder(folder));
  PullOpened opened;
  TRY_AS(opened.part, open_part(folder / kPullPart, O_RDWR | O_CREAT));
  TRY_AS(opened.journal, open_part(folder / kPullJournal, O_RDWR | O_CREAT));
  if (!authorities.empty()) {
    auto pem = read_file(authorities, MiB(4));
    if (!pem) return std::move(pem).error().within("models.authorities_file");
    opened.authorities = *std::move(pem);
  }
  if (!token_file.empty()) {
    auto token = read_file(token_file, KiB(16));
    if (!token) return std::move(token).error().within("models.hub_token_file");
    opened.token = trimmed(*token);
  } else if (const char* token = std::getenv("HF_TOKEN"); token && is_hugging_face(hub_url)) {
    opened.token = trimmed(token);
  }
  return opened;
}

bool is_hugging_face(std::string_view hub_url) {
  static constexpr std::string_view kOrigin = "https://huggingface.co";
  if (!hub_url.starts_with(kOrigin)) return false;
  std::string_view rest = hub_url.substr(kOrigin.size());
  if (rest.starts_with(":443")) rest.remove_prefix(4);
  return rest.empty() || rest.starts_with('/');
}

Result<Fd> open_pulled(const fs::path& file) {
  TRY_AS(Fd fd, open_part(file, O_RDONLY));
  char first[512] = {};
  const ssize_t got = ::pread(fd.get(), first, sizeof first, 0);
  if (got < 0) return system_error(cat("reading '", file.string(), "'"), errno);
  const std::string kind = inventory::file_kind(std::string_view(first, static_cast<size_t>(got)));
  if (kind != "GGUF")
    return Error{Code::Invalid,
                 cat("what came is ", kind, ", not a GGUF model; name another source")};
  return fd;
}

Result<Unit> move_pulled(const fs::path& from, const fs::path& file, const Texts& texts) {
  const Error taken{Code::Invalid,
                    cat("'", file.string(), "' is there already; give another name with --name")};
  std::error_code failed;
  if (fs::exists(file, failed)) return taken;
  for (const auto& [path, text] : texts) TRY(write_file(path, text));
  const std::string doing = cat("moving the model to '", file.string(), "'");
  int moved = ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, file.c_str(), RENAME_NOREPLACE);
  // a file system that does not know it
  if (moved != 0 && (errno == EINVAL || errno == ENOSYS))
    moved = ::rename(from.c_str(), file.c_str());
  if (moved != 0) return errno == EEXIST ? taken : system_error(doing, errno);
  const Fd folder(::open(file.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder || ::fsync(folder.get()) != 0) return system_error(doing, errno);
  return Unit{};
}

void move_pulled_back(const fs::path& from, const fs::path& file, const Texts& texts) {
  static_cast<void>(::rename(file.c_str(), from.c_str()) != 0);
  std::error_code ignored;
  for (const auto& [path, text] : texts) fs::remove(path, ignored);
}

std::vector<fs::path> kept_pulls(const fs::path& models) {
  std::vector<fs::path> folders;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(models / kPullsFolder, failed)) {
    if (entry.is_directory(failed)) folders.push_back(entry.path());
  }
  return folders;
}

Json read_besides(const fs::path& file) {
  const auto text = read_file(file, KiB(64));
  auto read = text ? parse_json(*text) : Result<Json>(text.error());
  return read && read->is_object() ? *std::move(read) : Json();
}

Result<Json> read_order(const fs::path& folder) {
  TRY_AS(const std::string text, read_file(folder / kPullOrder, KiB(64)));
  TRY_AS(Json order, parse_json(text));
  const std::string doing = cat("reading the pull in '", folder.string(), "'");
  if (!order.is_object() || !order.contains("source") || !order["source"].is_string())
    return Error{Code::Corrupt, cat(doing, ": it names no source")};
  if (auto source = pull_source_from(order["source"].get<std::string>()); !source)
    return std::move(source).error().within(doing);
  return order;
}

void remove_folder(const fs::path& folder) {
  std::error_code ignored;
  fs::remove_all(folder, ignored);
}

Result<fs::path> model_on_disk(const fs::path& path) {
  std::error_code failed;
  if (!fs::is_directory(path, failed)) return path;
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(path, failed)) {
    if (lower(entry.path().extension().string()) == ".gguf") found.push_back(entry.path());
  }
  if (found.size() == 1) return found.front();
  if (found.empty())
    return Error{Code::NotFound, cat("'", path.string(), "' holds no .gguf file"), "source"};
  std::sort(found.begin(), found.end());
  return Error{Code::Invalid,
               cat("'", path.string(), "' holds ", found.size(), " .gguf files; name one, as '",
                   found.front().string(), "'"),
               "source"};
}

}  // namespace lares::app
