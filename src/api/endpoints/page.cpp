// GET / and /assets/{name}: the page of `lares ui`, as this program carries it (page_files.h). It
// holds nothing of the person, so anybody may have it; what it then asks for needs its cookie. Its
// policy lets it load and ask nothing but this daemon, and run no text as a script.
#include "api/endpoint.h"
#include "api/page_files.h"
#include "base/text.h"

namespace lares::api {
namespace {

constexpr std::string_view kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; font-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types lares dompurify";

// Whether one of a list's words, without its parameters but with a weight over nought, is `word`.
bool accepts(std::string_view list, std::string_view word) {
  for (const std::string& each : split(list, ',')) {
    const std::vector<std::string> parts = split(each, ';');
    if (lower(trimmed(parts[0])) != word) continue;
    const std::string_view weight = parts.size() > 1 ? trimmed(parts[1]) : std::string_view();
    return weight != "q=0" && weight != "q=0.0" && weight != "q=0.00" && weight != "q=0.000";
  }
  return false;
}

void send(const PageFile& file, const Request& request, Responder& responder) {
  std::map<std::string, std::string> headers = {
      {"Content-Security-Policy", std::string(kPolicy)},
      {"Cross-Origin-Opener-Policy", "same-origin"},
      {"ETag", std::string(file.etag)},
      {"Vary", "Accept, Accept-Encoding"},
      // names under /assets/ change with their content
      {"Cache-Control", file.path == "/" ? "no-cache" : "private, max-age=31536000, immutable"}};
  if (request.header("if-none-match") == file.etag)
    return responder.whole(304, std::string(file.content_type), "", std::move(headers));
  const bool compressed = !file.gzip.empty() && accepts(request.header("accept-encoding"), "gzip");
  if (compressed) headers["Content-Encoding"] = "gzip";
  responder.whole(200, std::string(file.content_type),
                  std::string(compressed ? file.gzip : file.identity), std::move(headers));
}

void root(const Request& request, std::shared_ptr<Responder> responder, Service& /*service*/) {
  // programs look here whether somebody answers
  const PageFile* const file =
      accepts(request.header("accept"), "text/html") ? page_file("/") : nullptr;
  if (file) return send(*file, request, *responder);
  responder->whole(200, "text/plain; charset=utf-8", "Lares is running\n", {{"Vary", "Accept"}});
}

void asset(const Request& request, std::shared_ptr<Responder> responder, Service& /*service*/) {
  const PageFile* const file = page_file(request.path);
  if (file) return send(*file, request, *responder);
  responder->error({Code::NotFound, cat("looking for '", utf8_repaired(request.path.substr(0, 80)),
                                        "': the page has no such file; load the page anew")});
}

const Endpoint kRoot{
    .name = "GET /",
    .right = consent::Right::None,
    .summary = "The page for a browser; for others, says in words that Lares is running.",
    .run = root,
};
const Endpoint kAsset{
    .name = "GET /assets/{name}",
    .right = consent::Right::None,
    .summary = "A file of the page.",
    .run = asset,
};
const Registered<Endpoint> kRootRegistered{kRoot};
const Registered<Endpoint> kAssetRegistered{kAsset};

}  // namespace
}  // namespace lares::api
