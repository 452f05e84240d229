// The page docs/api.md: every endpoint, and what may stand in a request, as the tables say it.
#include <algorithm>
#include <set>

#include "api/endpoint.h"
#include "base/text.h"

namespace lares::api {
namespace {

constexpr std::string_view kHead = R"(# What programs can ask

Made from the tables in `src/api`, as is `GET /openapi.json`, where each answer has its schema too. Over the
Unix socket the caller is the person; over loopback a program of the same user has the right `app`, and the
token that `lares token` shows gives `owner`. A field that is not listed is ignored, as OpenAI's and Ollama's
clients expect, but within `lares` and `structured_outputs`; a value that cannot be is refused, with the field's
name, as is what goes beyond a limit that stands only in the schema; the limits of a body, of schemas, grammars
and tools are in [configuration.md](configuration.md). An error is `{"error": {"message", "type",
"param", "code"}}`: 400 what was asked wrongly, 401 and 403 without the right, 404 what is not there, 413 too many
bytes, 429 with Retry-After too much at once, 500 a file that is damaged or a disk that fails, 502 a worker that died, 503 what
is not to be had now, 507 no room in memory or on the disk, 504 what took too long (`lares.deadline_ms`:
of a whole answer nothing is sent then).

| endpoint | right | what it does |
|---|---|---|
)";

std::string quoted(const OrderedJson& value) {
  return cat("`", value.is_string() ? value.get<std::string>() : value.dump(), "`");
}

std::string type_of(const OrderedJson& schema) {
  std::string out;
  const auto add = [&](const std::string& word) { out += cat(out.empty() ? "" : ", ", word); };
  if (schema.contains("enum")) {
    for (const OrderedJson& word : schema["enum"]) add(quoted(word));
  } else if (schema.contains("anyOf")) {
    for (const OrderedJson& each : schema["anyOf"])
      out += cat(out.empty() ? "" : " or ", type_of(each));
  } else if (schema.contains("type") && schema["type"].is_array()) {
    for (const OrderedJson& word : schema["type"])
      out += cat(out.empty() ? "" : " or ", word.get<std::string>());
  } else if (schema.contains("type")) {
    out = schema["type"].get<std::string>();
    const std::string items =
        out == "array" && schema.contains("items") ? type_of(schema["items"]) : "";
    if (!items.empty()) out = cat("list of ", items);
  }
  return out;
}

std::string limits_of(const OrderedJson& schema) {
  const auto is = [&](const char* name) { return schema.contains(name); };
  const auto number = [&](const char* name) { return schema[name].dump(); };
  if (is("minimum") && is("maximum"))
    return cat(", ", number("minimum"), " to ", number("maximum"));
  if (is("minimum")) return cat(", at least ", number("minimum"));
  if (is("maxItems")) return cat(", at most ", number("maxItems"));
  if (is("maxLength")) return cat(", at most ", number("maxLength"), " characters");
  return "";
}

std::string row(const std::string& name, const OrderedJson& schema, bool required) {
  std::string value = type_of(schema) + limits_of(schema);
  if (schema.contains("default")) value += cat("; else ", quoted(schema["default"]));
  if (required) value += cat(value.empty() ? "" : "; ", "required");
  return cat("| `", name, "` | ", value, " | ", schema.value("description", ""), " |\n");
}

class Page {
 public:
  std::string made(std::span<const Endpoint* const> endpoints) {
    std::string out(kHead);
    for (const Endpoint* endpoint : endpoints)
      out += cat("| `", endpoint->name, "` | ", consent::name(endpoint->right), " | ",
                 endpoint->summary, " |\n");
    // the one that others say the same as comes first
    std::vector<const Endpoint*> ordered(endpoints.begin(), endpoints.end());
    std::stable_partition(ordered.begin(), ordered.end(), [](const Endpoint* endpoint) {
      return endpoint->name == "POST /v1/chat/completions";
    });
    for (const Endpoint* endpoint : ordered) add(out, *endpoint);
    return out;
  }

 private:
  void add(std::string& out, const Endpoint& endpoint) {
    if (endpoint.schema.empty() && endpoint.query.empty()) return;
    out += cat("\n## ", endpoint.name, "\n");
    if (!endpoint.query.empty()) {
      out += cat("\n| in the query | value | what it is |\n|---|---|---|\n");
      const OrderedJson query = OrderedJson::parse(endpoint.query);
      for (const auto& [name, schema] : query.items()) out += row(name, schema, false);
    }
    if (endpoint.schema.empty()) return;
    const OrderedJson schema = OrderedJson::parse(endpoint.schema);
    const OrderedJson fields = schema.value("properties", OrderedJson::object());
    if (fields.empty()) return;
    const OrderedJson required = schema.value("required", OrderedJson::array());
    std::string rows, others;
    for (const auto& [name, field] : fields.items()) {
      const bool must = std::find(required.begin(), required.end(), name) != required.end();
      const std::string own = row(name, field, must);
      if (!said_.insert(own).second)
        others += cat(others.empty() ? "" : ", ", "`", name, "`");
      else
        rows += own;
      if (name != "lares") continue;
      const OrderedJson inside = field.value("properties", OrderedJson::object());
      for (const auto& [inner, its] : inside.items()) {
        if (const std::string line = row(cat(name, ".", inner), its, false);
            said_.insert(line).second)
          rows += line;
      }
    }
    if (!rows.empty()) out += cat("\n| field | value | what it is |\n|---|---|---|\n", rows);
    if (!others.empty()) out += cat("\nAs above: ", others, ".\n");
  }

  std::set<std::string> said_;
};

}  // namespace

std::string api_page(std::span<const Endpoint* const> endpoints) { return Page().made(endpoints); }

}  // namespace lares::api
