#include "egress/hosts.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace lares::egress {
namespace {

// Ours: only over https and its own port. Files are large and lie elsewhere than the registry's
// pages, so each registry stands here with the storage that it redirects to. What comes from there
// is held against a digest.
constexpr std::array<std::string_view, 7> kKnown = {
    "huggingface.co",              // model pages, licences, the first step to every file
    "*.huggingface.co",            // its older storage: cdn-lfs.huggingface.co, cdn-lfs-us-1...
    "*.hf.co",                     // its newer storage: cas-bridge.xethub.hf.co, cdn-lfs.hf.co...
    "registry.ollama.ai",          // manifests, the first step to every blob
    "ollama.com",                  // where the registry sends for a token
    "*.ollama.com",                //
    "*.r2.cloudflarestorage.com",  // the registry's storage
};

constexpr uint16_t kHttps = 443;
constexpr uint16_t kHttp = 80;

bool allows(std::string_view entry, const Url& url) {
  const size_t colon = entry.rfind(':');
  const bool has_port = colon != std::string_view::npos && entry.find(':') == colon;
  const bool is_bracketed = entry.starts_with('[');
  std::string_view host = entry;
  std::string port = cat(url.scheme == "https" ? kHttps : kHttp);
  if (is_bracketed) {
    const size_t end = entry.find(']');
    if (end == std::string_view::npos) return false;
    host = entry.substr(1, end - 1);
    if (end + 1 < entry.size()) port = entry.substr(end + 2);
  } else if (has_port) {
    host = entry.substr(0, colon);
    port = entry.substr(colon + 1);
  }
  return matches(lower(host), url.host) && port == cat(url.port);
}

}  // namespace

bool matches(std::string_view pattern, std::string_view host) {
  if (!pattern.starts_with("*.")) return !pattern.empty() && pattern == host;
  const std::string_view end = pattern.substr(1);
  return end.size() > 1 && host.size() > end.size() && host.ends_with(end);
}

Result<> allowed(const Url& url, const Policy& policy) {
  const bool added = std::any_of(policy.hosts.begin(), policy.hosts.end(),
                                 [&](const std::string& entry) { return allows(entry, url); });
  if (added && (url.scheme == "https" || policy.plain_http)) return Unit{};
  if (url.scheme != "https")
    return Error{Code::Denied, cat("'", url.shown(), "' is not encrypted; only https is fetched")};
  const bool known =
      url.port == kHttps && std::any_of(kKnown.begin(), kKnown.end(),
                                        [&](auto entry) { return matches(entry, url.host); });
  if (known) return Unit{};
  // whoever leads to this machine or its network means no good: nothing to add to a list
  const auto address = address_from(url.host);
  const bool inside = url.host == "localhost" || (address && !kind_of(*address).empty());
  if (inside && !policy.private_addresses)
    return Error{Code::Denied, cat("'", url.host,
                                   "' is this machine or lies in its network, not on "
                                   "the internet; no model is fetched from there")};
  return Error{
      Code::Denied,
      cat("'", url.host, "' (port ", url.port,
          ") is not among the hosts that may be fetched from; when you trust it, add it to "
          "models.hosts in lares.toml")};
}

Result<> allowed(const Address& address, std::string_view host, const Policy& policy) {
  const std::string_view kind = kind_of(address);
  if (kind.empty() || policy.private_addresses) return Unit{};
  return Error{Code::Denied,
               cat("'", host, "' stands for the ", kind, " address ", to_string(address),
                   ", which is not on the internet; when this is meant, set "
                   "models.private_addresses in lares.toml")};
}

std::vector<std::string> known_hosts() { return {kKnown.begin(), kKnown.end()}; }

}  // namespace lares::egress
