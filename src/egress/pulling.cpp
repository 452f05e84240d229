#include "egress/pulling.h"

#include <algorithm>

#include "base/text.h"
#include "egress/sha256.h"
#include "egress/sources.h"

namespace lares::egress {
namespace {

// Adds a text that is UTF-8 and short enough; others are left out, for nobody could show them.
void keep_text(wire::Found& found, std::string name, std::string text) {
  if (text.empty() || text.size() > kTextMax || !is_utf8(text) ||
      found.texts.size() >= wire::kTextsMax)
    return;
  found.text_names.push_back(std::move(name));
  found.texts.push_back(std::move(text));
}

std::string path_of(std::string_view name) {
  std::string out;
  for (const std::string& part : split(name, '/')) out += cat("/", path_part(part));
  return out;
}

// ---- Hugging Face

// How a person gives the daemon a token for this hub.
std::string token_words(const Url& hub) {
  return cat(hub.host == "huggingface.co" ? "HF_TOKEN in the daemon's environment, or " : "",
             "models.hub_token_file in lares.toml");
}

Result<Pulling> resolve_hub(Http& http, const wire::Resolve& order) {
  TRY_AS(const Url base, url_from(order.hub_url));
  if (!order.token.empty() && base.scheme == "https")  // what travels in the clear is nobody's
    http.add_credential(base.origin(), cat("Authorization: Bearer ", order.token));
  const std::string site = base.origin();
  TRY_AS(const Url page, url_from(cat(site, "/api/models", path_of(order.name), "?blobs=true")));
  TRY_AS(const Answer answer, http.get(page, {"Accept: application/json"}, kDescriptionMax));
  if (answer.head.status == 401 || answer.head.status == 403 || answer.head.status == 404) {
    // it answers 401 for what does not exist, so as not to tell
    return Error{
        answer.head.status == 404 ? Code::NotFound : Code::Denied,
        cat("'", page.host, "' shows nobody a model '", order.name,
            order.token.empty()
                ? cat("' who does not say who he is: it does not exist, or needs a token (",
                      token_words(base), ")")
                : "' with this token: it does not exist, or the token may not read it",
            " (status ", answer.head.status, ")")};
  }
  if (answer.head.status != 200) return status_error(answer.head, page, cat("'", order.name, "'"));
  TRY_AS(const HubModel model, read_hub_model(answer.body));
  TRY_AS(const HubFile file, choose_file(model, order.detail, order.name));
  const auto url_of = [&](std::string_view name) {
    return url_from(cat(site, path_of(order.name), "/resolve/", model.revision, path_of(name)));
  };
  TRY_AS(const Url url, url_of(file.name));
  const std::string licence = lower(model.licence);
  Pulling pulling;
  pulling.locate = [&http, url, name = file.name, repo = order.name, gated = model.gated,
                    token = token_words(base)]() -> Result<Located> {
    auto located = locate(http, url, cat("'", name, "'"));
    if (!located && located.error().code == Code::Denied && gated) {
      return Error{Code::Denied, cat(repo,
                                     " is given only to those who accepted its terms: do so on "
                                     "its page, and give your token as ",
                                     token)};
    }
    return located;
  };
  TRY_AS(const Located located, pulling.locate());
  if (located.size != file.size)
    return Error{Code::Corrupt,
                 cat("'", file.name, "' has ", located.size, " bytes, and the registry says ",
                     file.size, "; try again later")};
  if (const auto text = licence_file(model)) {
    TRY_AS(const Url where, url_of(text->name));
    auto got = http.get(where, {}, kTextMax);
    // the licence's name is known without its text
    if (got && got->head.status == 200) keep_text(pulling.found, "licence", std::move(got->body));
  }
  pulling.same = file.sha256.empty() ? SameBy::Etag : SameBy::Content;
  pulling.found.name = file.name.substr(file.name.rfind('/') + 1);
  pulling.found.size_bytes = file.size;
  pulling.found.sha256 = file.sha256;
  pulling.found.identity =
      !file.sha256.empty() ? cat("sha256:", file.sha256) : cat(url.text, " ", located.etag);
  pulling.found.licence = licence;
  return pulling;
}

// ---- Ollama

// Asks for a token that reads, as the registry's challenge says, and keeps it for the registry
// alone. We have no secret to send: whoever the challenge names learns which model is wanted, and
// no more.
Result<> answer_challenge(Http& http, const Url& registry, const Head& head,
                          const std::string& name) {
  const auto challenge = bearer_challenge_from(head.field("www-authenticate"));
  const auto realm = challenge.find("realm");
  if (realm == challenge.end())
    return Error{Code::Denied,
                 cat("'", registry.host, "' gives '", name, "' only to those whom it knows")};
  std::string text = realm->second;
  for (const char* parameter : {"service", "scope"}) {
    const auto found = challenge.find(parameter);
    if (found == challenge.end()) continue;
    text += cat(text.find('?') == std::string::npos ? "?" : "&", parameter, "=",
                path_part(found->second));
  }
  TRY_AS(const Url url, url_from(text));
  TRY_AS(const Answer answer, http.get(url, {"Accept: application/json"}, Bytes{64u << 10}.n));
  if (answer.head.status != 200) return status_error(answer.head, url, "a token");
  TRY_AS(const std::string token, read_token(answer.body));
  http.add_credential(registry.origin(), cat("Authorization: Bearer ", token));
  return Unit{};
}

Result<Answer> ask_registry(Http& http, const Url& registry, const Url& url,
                            const std::string& name) {
  const std::vector<std::string> headers = {
      "Accept: application/vnd.docker.distribution.manifest.v2+json, "
      "application/vnd.oci.image.manifest.v1+json"};
  TRY_AS(Answer answer, http.get(url, headers, kManifestMax));
  if (answer.head.status != 401) return answer;
  TRY(answer_challenge(http, registry, answer.head, name));
  return http.get(url, headers, kManifestMax);
}

Result<Pulling> resolve_registry(Http& http, const wire::Resolve& order) {
  TRY_AS(const Url base, url_from(order.registry_url));
  const std::string site = cat(base.origin(), "/v2", path_of(order.name));
  const std::string shown = cat(order.name, ":", order.detail);
  TRY_AS(const Url page, url_from(cat(site, "/manifests/", path_part(order.detail))));
  TRY_AS(const Answer answer, ask_registry(http, base, page, shown));
  if (answer.head.status == 404)
    return Error{Code::NotFound,
                 cat("'", page.host, "' has no model '", shown, "'; look at its spelling")};
  if (answer.head.status != 200) return status_error(answer.head, page, cat("'", shown, "'"));
  TRY_AS(const std::vector<Layer> layers, read_manifest(answer.body));
  Pulling pulling;
  const auto url_of = [&](const Layer& layer) {
    return url_from(cat(site, "/blobs/sha256:", layer.digest));
  };
  for (const Layer& layer : layers) {
    TRY_AS(const Url url, url_of(layer));
    if (layer.kind == "model") {
      pulling.found.size_bytes = layer.size;
      pulling.found.sha256 = layer.digest;
      // a token lives some minutes: a new one is asked for when the registry wants it
      pulling.locate = [&http, url, base, shown]() -> Result<Located> {
        auto located = locate(http, url, cat("'", shown, "'"));
        if (located || located.error().code != Code::Denied) return located;
        TRY_AS(const Answer refused, http.look(url, {"Range: bytes=0-0"}));
        if (refused.head.status == 401) TRY(answer_challenge(http, base, refused.head, shown));
        return locate(http, url, cat("'", shown, "'"));
      };
      continue;
    }
    const bool wanted = layer.kind == "license" || layer.kind == "template" ||
                        layer.kind == "params" || layer.kind == "system";
    if (!wanted || layer.size > kTextMax) continue;
    auto text = http.get(url, {}, kTextMax);
    if (!text || text->head.status != 200) continue;
    if (to_hex(sha256(text->body)) != layer.digest)
      return Error{Code::Corrupt, cat("'", page.host, "' sends a ", layer.kind,
                                      " that is not the one of its digest")};
    const std::string name = layer.kind == "license" ? "licence" : layer.kind;
    const auto first =
        std::find(pulling.found.text_names.begin(), pulling.found.text_names.end(), name);
    if (first == pulling.found.text_names.end()) {
      keep_text(pulling.found, name, std::move(text->body));
    } else {  // some models have two licences
      std::string& all =
          pulling.found.texts[static_cast<size_t>(first - pulling.found.text_names.begin())];
      if (is_utf8(text->body) && all.size() + text->body.size() < kTextMax)
        all += "\n\n" + text->body;
    }
  }
  TRY_AS(const Located located, pulling.locate());
  if (located.size != pulling.found.size_bytes)
    return Error{Code::Corrupt,
                 cat("'", shown, "' has ", located.size, " bytes, and its manifest says ",
                     pulling.found.size_bytes, "; try again later")};
  pulling.same = SameBy::Content;
  pulling.found.identity = cat("sha256:", pulling.found.sha256);
  const std::string last = order.name.substr(order.name.rfind('/') + 1);
  pulling.found.name = order.detail == "latest" ? last : cat(last, ":", order.detail);
  return pulling;
}

// ---- a URL

Result<Pulling> resolve_url(Http& http, const wire::Resolve& order) {
  TRY_AS(const Url url, url_from(order.name));
  Pulling pulling;
  pulling.locate = [&http, url]() { return locate(http, url, cat("'", url.shown(), "'")); };
  TRY_AS(const Located located, pulling.locate());
  const std::string name = url.path.substr(url.path.rfind('/') + 1);
  pulling.found.name = name.empty() ? url.host : name;
  pulling.found.size_bytes = located.size;
  pulling.found.identity = cat(url.text, " ", located.etag, " ", located.size);
  return pulling;
}

}  // namespace

Result<Pulling> resolve(Http& http, const wire::Resolve& order) {
  auto pulling = order.kind == "hub"        ? resolve_hub(http, order)
                 : order.kind == "registry" ? resolve_registry(http, order)
                 : order.kind == "url"      ? resolve_url(http, order)
                                            : Error{Code::Invalid, "an unknown kind of source"};
  if (pulling && pulling->found.size_bytes == 0)
    return Error{Code::Corrupt, cat("'", order.name, "' is an empty file")};
  return pulling;
}

}  // namespace lares::egress
