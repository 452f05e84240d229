#include "store/version.h"

#include <charconv>

#include "base/file.h"
#include "base/text.h"

namespace lares::store {

Result<> check_data_format(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "version";
  const std::string doing = cat("opening the data folder '", folder.string(), "'");
  auto content = read_file(file, KiB(4));
  if (!content) {
    if (content.error().code != Code::NotFound) return std::move(content).error().within(doing);
    return write_file(file, cat("lares-data ", kDataFormat, "\n"));
  }
  std::string_view text = trimmed(*content);
  uint32_t format = 0;
  constexpr std::string_view kWord = "lares-data ";
  if (text.starts_with(kWord)) {
    text.remove_prefix(kWord.size());
    const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), format);
    if (wrong != std::errc() || end != text.data() + text.size()) format = 0;
  }
  if (format == 0)
    return Error{Code::Corrupt,
                 cat(doing, ": '", file.string(),
                     "' is not a version file of Lares; move it away if the folder is ours")};
  if (format > kDataFormat)
    return Error{Code::Unsupported,
                 cat(doing, ": a newer Lares wrote it (data format ", format, ", this one knows ",
                     kDataFormat, "); update this program, or set LARES_HOME to another folder")};
  return Unit{};
}

}  // namespace lares::store
