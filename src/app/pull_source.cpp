#include "app/pull_source.h"

#include <algorithm>

#include "base/text.h"

namespace lares::app {
namespace {

constexpr size_t kNamePartMax = 128;
constexpr std::string_view kForms =
    "write hf:OWNER/REPO[:QUANTIZATION], ollama:NAME[:TAG], https://..., or the path of a file";

// A part of a registry's name: no blank, slash, dot-dot or letter that means something in a URL.
bool is_name_part(std::string_view part) {
  return !part.empty() && part.size() <= kNamePartMax && part != "." && part != ".." &&
         std::all_of(part.begin(), part.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == '.';
         });
}

Error wrong(std::string_view written, std::string_view what) {
  return {Code::Invalid,
          cat("'", utf8_repaired(written.substr(0, 200)), "' names no model: ", what), "source"};
}

Result<PullSource> hub(std::string_view written, std::string_view rest) {
  const size_t colon = rest.find(':');
  const std::string_view name = rest.substr(0, colon);
  PullSource source{PullSource::Kind::Hub, std::string(name), ""};
  if (colon != std::string_view::npos) source.detail = rest.substr(colon + 1);
  const std::vector<std::string> parts = split(name, '/');
  if (parts.size() != 2 || !is_name_part(parts[0]) || !is_name_part(parts[1]))
    return wrong(written, "after 'hf:' stands OWNER/REPO, as its page's address has it");
  const std::vector<std::string> folders = split(source.detail, '/');
  const bool plain = std::all_of(folders.begin(), folders.end(), [](const std::string& part) {
    return !part.empty() && part != "." && part != ".." && part.size() <= 2 * kNamePartMax &&
           std::all_of(part.begin(), part.end(),
                       [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != 0x7F; });
  });
  if (colon != std::string_view::npos && (!plain || !is_utf8(source.detail)))
    return wrong(written,
                 "after the second ':' stands a quantization, as Q4_K_M, or a file's name");
  return source;
}

Result<PullSource> registry(std::string_view written, std::string_view rest) {
  const size_t colon = rest.find(':');
  std::string name(rest.substr(0, colon));
  const std::string tag(colon == std::string_view::npos ? "latest" : rest.substr(colon + 1));
  const std::vector<std::string> parts = split(name, '/');
  const bool plain = std::all_of(parts.begin(), parts.end(), is_name_part);
  if (parts.size() > 2 || !plain || !is_name_part(tag))
    return wrong(written, "after 'ollama:' stands NAME, NAME:TAG or NAMESPACE/NAME:TAG");
  if (parts.size() == 1) name = cat("library/", name);
  return PullSource{PullSource::Kind::Registry, std::move(name), tag};
}

// The address of a page or a file of the hub, as it is copied from a browser.
Result<PullSource> hub_page(std::string_view written, std::string_view path) {
  path = path.substr(0, path.find_first_of("?#"));
  while (path.ends_with('/')) path.remove_suffix(1);
  const std::vector<std::string> parts = split(path, '/');
  if (parts.size() < 2) return wrong(written, kForms);
  std::string name = cat(parts[0], "/", parts[1]);
  const bool file = parts.size() > 4 && (parts[2] == "resolve" || parts[2] == "blob");
  if (file && parts[3] == "main") {
    name += ':';
    for (size_t i = 4; i < parts.size(); i++) name += cat(i > 4 ? "/" : "", parts[i]);
    return hub(written, name);
  }
  if (file) return PullSource{PullSource::Kind::Url, std::string(written), ""};
  return hub(written, name);
}

}  // namespace

std::string PullSource::text() const {
  switch (kind) {
    case Kind::Hub: return cat("hf:", name, detail.empty() ? "" : ":", detail);
    case Kind::Registry:
      return cat("ollama:", name.starts_with("library/") ? name.substr(8) : name, ":", detail);
    case Kind::Url:
    case Kind::Disk: break;
  }
  return name;
}

std::string place_of(const PullSource& source, std::string_view found_name) {
  if (source.kind != PullSource::Kind::Hub || source.detail.ends_with(found_name))
    return source.text();  // with the folder that the file lies in there
  return cat("hf:", source.name, ":", found_name);
}

Result<PullSource> pull_source_from(std::string_view written) {
  written = trimmed(written);
  if (written.empty() || written.size() > kSourceMax || !is_utf8(written) ||
      written.find_first_of("\n\r\t") != std::string_view::npos)
    return wrong(written, cat("it is empty or longer than ", kSourceMax, " letters"));
  for (const std::string_view begin : {"hf.co/", "huggingface.co/", "https://huggingface.co/",
                                       "https://hf.co/", "http://huggingface.co/"}) {
    if (!lower(written).starts_with(begin)) continue;
    const std::string_view rest = written.substr(begin.size());
    if (rest.find(':') != std::string_view::npos) return hub(written, rest);
    return hub_page(written, rest);
  }
  if (written.starts_with("hf:")) return hub(written, written.substr(3));
  if (written.starts_with("ollama:")) return registry(written, written.substr(7));
  if (lower(written).starts_with("https://") || lower(written).starts_with("http://")) {
    const size_t host = written.find("://") + 3;
    const std::string_view authority =
        written.substr(host, written.find_first_of("/?#", host) - host);
    if (const size_t at = authority.rfind('@'); at != std::string_view::npos)
      return wrong(cat(written.substr(0, host), "...", written.substr(host + at)),
                   "what stands before '@' would be kept and shown; leave the user name and the "
                   "password out");
    return PullSource{PullSource::Kind::Url, std::string(written), ""};
  }
  if (written.starts_with('/')) return PullSource{PullSource::Kind::Disk, std::string(written), ""};
  return wrong(written, kForms);
}

}  // namespace lares::app
