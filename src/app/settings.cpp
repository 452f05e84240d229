#include "app/settings.h"

// Its assertions are about files that are merely wrong, and end the program; what it says of them
// otherwise is an error.
#define TOML_ASSERT(condition) static_cast<void>(0)
#include <toml++/toml.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "api/door.h"
#include "api/structured.h"
#include "base/file.h"
#include "base/text.h"
#include "wire/structured_limits.h"

namespace lares::app {
namespace {

constexpr size_t kShownMax = 80;  // bytes of a value that an error repeats
constexpr Bytes kBytesLeast = MiB(1);

constexpr Setting kSettings[] = {
    {"memory.budget", "bytes", "half of the machine's memory",
     "the most that all models together may hold in memory, their conversations included",
     &Settings::memory_budget},
    {"memory.warm_after", "seconds", "300",
     "after how long without a request a model gives back the state of its conversations and its "
     "buffers, which takes milliseconds to make again; 0: never",
     &Settings::memory_warm_after_s, 0, 31'536'000},
    {"memory.park_after", "seconds", "900",
     "the same for its weights, which are mapped again in milliseconds while its file is in the "
     "system's cache; 0: never",
     &Settings::memory_park_after_s, 0, 31'536'000},
    {"memory.unload_after", "seconds", "3600",
     "the same for its process, which takes as long to start as the first time; 0: never",
     &Settings::memory_unload_after_s, 0, 31'536'000},
    {"models.default", "", "the embedded model", "the model that answers when a request names none",
     &Settings::models_default},
    {"models.preload", "", "true",
     "start the default model with the daemon, so that the first answer begins sooner",
     &Settings::models_preload},
    {"models.context", "tokens", "0",
     "the context of each model, shared by its conversations; 0: what the model was trained "
     "with, at most 8192",
     &Settings::models_context, 0, 1u << 20},
    {"models.sequences", "", "8", "how many answers one model computes at once; others wait",
     &Settings::models_sequences, 1, 64},
    {"models.threads", "", "0", "threads of each model; 0: as many as there are cores",
     &Settings::models_threads, 0, 512},
    {"models.batch", "tokens", "512", "prompt tokens that are computed in one step",
     &Settings::models_batch, 32, 4096},
    {"models.reasoning_budget", "tokens", "none",
     "the most tokens that models think before they answer, where a request does not say: \"512\", "
     "or by model, with blanks between them: \"512 qwen3-4b=2048 tiny=0\"; auto: by the question",
     &Settings::models_reasoning_budget},
    {"models.draft", "", "none",
     "a small model with the same vocabulary that says answers ahead, used while that makes them "
     "faster: for all models, or by model, with blanks between them: \"small large=tiny other=\"",
     &Settings::models_draft},
    {"models.reasoning_seconds", "s", "30",
     "how long you wait for thoughts at most, where their number goes by the question",
     &Settings::models_reasoning_seconds, 0, 3'600},
    {"models.hosts", "", "none",
     "hosts that models may be pulled from besides the registries' own and those that you name, "
     "with blanks between them: \"mirror.lan:8443 *.example.org\"",
     &Settings::models_hosts},
    {"models.hub_url", "", "https://huggingface.co", "where `hf:` leads: a mirror of Hugging Face",
     &Settings::models_hub_url},
    {"models.registry_url", "", "https://registry.ollama.ai",
     "where `ollama:` leads: a mirror of that registry", &Settings::models_registry_url},
    {"models.hub_token_file", "", "the variable HF_TOKEN of the daemon, for huggingface.co alone",
     "a file with the token for models.hub_url, which goes there over https and nowhere else",
     &Settings::models_hub_token_file},
    {"models.authorities_file", "", "the system's",
     "a file of certificates (PEM) whose holders may vouch for hosts too",
     &Settings::models_authorities_file},
    {"models.name_servers", "", "those of /etc/resolv.conf",
     "name servers to ask for the hosts of pulls, with blanks between them",
     &Settings::models_name_servers},
    {"models.private_addresses", "", "false",
     "pull from this machine's own network too, not only from the internet",
     &Settings::models_private_addresses},
    {"models.plain_http", "", "false",
     "pull without encryption from hosts in models.hosts or of a URL that you name",
     &Settings::models_plain_http},
    {"models.stall", "seconds", "30", "after how long without a byte a connection is given up",
     &Settings::models_stall_s, 1, 600},
    {"engine.variant", "", "the fastest that computes rightly here",
     "the build of the engine's CPU code to use, by name: haswell, icelake, zen4, ...",
     &Settings::engine_variant},
    {"compute.background_share", "%", "5",
     "of the time that others compute for somebody who waits, and of the places that come free, "
     "how much background requests get",
     &Settings::compute_background_share, 1, 90},
    {"compute.agent_share", "%", "10", "the same for requests of agents, beside those of persons",
     &Settings::compute_agent_share, 1, 90},
    {"compute.beside_others", "", "true",
     "compute with a thread less for each core that other programs use",
     &Settings::compute_beside_others},
    {"power.background_on_battery", "", "false",
     "let background requests go on when this machine runs on battery",
     &Settings::power_background_on_battery},
    {"power.battery_threads", "", "0",
     "threads of each model on battery or when it is too hot; 0: half as many as otherwise",
     &Settings::power_battery_threads, 0, 512},
    {"power.temperature_max", "degrees Celsius", "90",
     "from which temperature of the processor on background requests wait; 0: never",
     &Settings::power_temperature_max, 0, 150},
    {"api.port", "", "5273",
     "the port on 127.0.0.1 and [::1]; 0: any free one, written to the file 'port' beside the "
     "socket",
     &Settings::api_port, 0, 65535},
    {"api.connections", "", "64",
     "connections that one user's programs may have open at a time, to the port and to the socket "
     "each; an "
     "answer that is streamed takes one",
     &Settings::api_connections, 1, 4096},
    {"log.level", "", "info", "the least important lines to log: debug, info, warn or error",
     &Settings::log_level, 0, 0, "debug info warn error"},
};

const Setting* find(std::string_view name) {
  for (const Setting& setting : kSettings) {
    if (setting.name == name) return &setting;
  }
  return nullptr;
}

Error unknown(std::string_view name) {
  std::vector<std::string> names;
  for (const Setting& setting : kSettings) names.emplace_back(setting.name);
  const std::string hint = did_you_mean(name, names);
  return {Code::Invalid, cat("there is no setting '", utf8_repaired(name.substr(0, kShownMax)), "'",
                             hint.empty() ? "; `lares config` lists them all" : hint)};
}

std::string_view type_name(const Setting& setting) {
  if (std::holds_alternative<bool Settings::*>(setting.place)) return "true or false";
  if (std::holds_alternative<uint32_t Settings::*>(setting.place)) return "a whole number";
  if (std::holds_alternative<Bytes Settings::*>(setting.place)) return "a size, as \"4 GiB\"";
  return "a text in quotes";
}

Error wrong(const Setting& setting, std::string_view is) {
  return {Code::Invalid, cat(setting.name, " is ", is, "; it takes ", type_name(setting))};
}

std::string in_quotes(std::string_view text) {
  return cat("'", utf8_repaired(text.substr(0, kShownMax)), "'");
}

// A value as an error names it.
std::string written(const toml::node& node) {
  if (const auto text = node.value_exact<std::string>()) return in_quotes(*text);
  if (const auto number = node.value_exact<int64_t>()) return cat(*number);
  if (const auto number = node.value_exact<double>()) return cat(*number);
  if (const auto flag = node.value_exact<bool>()) return *flag ? "true" : "false";
  if (const auto* list = node.as_array()) return cat("an array of ", list->size());
  if (const auto* table = node.as_table()) return cat("a table of ", table->size());
  return "a date or a time";
}

Result<> put_number(Settings& settings, const Setting& setting, int64_t value) {
  if (value < setting.min || value > setting.max)
    return Error{Code::Invalid,
                 cat(setting.name, " is ", value, "; it takes ", setting.min, " to ", setting.max)};
  settings.*std::get<uint32_t Settings::*>(setting.place) = static_cast<uint32_t>(value);
  return Unit{};
}

Result<> put_text(Settings& settings, const Setting& setting, std::string_view value) {
  if (!setting.choices.empty()) {
    const std::vector<std::string> choices = split(setting.choices, ' ');
    if (std::find(choices.begin(), choices.end(), value) == choices.end())
      return Error{Code::Invalid, cat(setting.name, " is ", in_quotes(value), "; choose from ",
                                      setting.choices, did_you_mean(value, choices))};
  }
  settings.*std::get<std::string Settings::*>(setting.place) = std::string(value);
  return Unit{};
}

Result<> put_bytes(Settings& settings, const Setting& setting, std::string_view value) {
  auto size = parse_bytes(value);
  if (!size) return std::move(size).error().within(setting.name);
  if (*size < kBytesLeast)
    return Error{Code::Invalid, cat(setting.name, " is ", *size, "; it takes at least ",
                                    kBytesLeast, ", as \"4 GiB\"")};
  settings.*std::get<Bytes Settings::*>(setting.place) = *size;
  return Unit{};
}

Result<> put_node(Settings& settings, const Setting& setting, const toml::node& node) {
  if (std::holds_alternative<bool Settings::*>(setting.place)) {
    const auto value = node.value_exact<bool>();
    if (!value) return wrong(setting, written(node));
    settings.*std::get<bool Settings::*>(setting.place) = *value;
    return Unit{};
  }
  if (std::holds_alternative<uint32_t Settings::*>(setting.place)) {
    const auto value = node.value_exact<int64_t>();
    if (!value) return wrong(setting, written(node));
    return put_number(settings, setting, *value);
  }
  if (std::holds_alternative<Bytes Settings::*>(setting.place)) {
    if (const auto count = node.value_exact<int64_t>()) {
      if (*count < 0) return wrong(setting, cat(*count));
      return put_bytes(settings, setting, cat(*count));
    }
    const auto text = node.value_exact<std::string>();
    if (!text) return wrong(setting, written(node));
    return put_bytes(settings, setting, *text);
  }
  const auto text = node.value_exact<std::string>();
  if (!text) return wrong(setting, written(node));
  return put_text(settings, setting, *text);
}

// Tables nest: [memory] budget = ... and memory.budget = ... are one.
Result<> read_table(Settings& settings, const toml::table& table, const std::string& prefix,
                    std::string_view file) {
  for (auto&& [key, node] : table) {
    const std::string name = prefix + std::string(key.str());
    const auto at = [&](Error error) {
      return std::move(error).within(cat(file, ":", node.source().begin.line));
    };
    const Setting* setting = find(name);
    if (!setting) {
      if (const toml::table* inner = node.as_table(); inner && !inner->empty()) {
        TRY(read_table(settings, *inner, name + ".", file));
        continue;
      }
      if (node.is_table()) continue;  // [memory] with nothing in it
      return at(unknown(name));
    }
    if (auto done = put_node(settings, *setting, node); !done) return at(std::move(done).error());
    settings.sources[name] = cat(file, ":", node.source().begin.line);
  }
  return Unit{};
}

std::string shown(const Settings& settings, const Setting& setting) {
  return std::visit(
      [&](auto place) -> std::string {
        const auto& value = settings.*place;
        if constexpr (std::is_same_v<decltype(place), bool Settings::*>) {
          return value ? "true" : "false";
        } else if constexpr (std::is_same_v<decltype(place), std::string Settings::*>) {
          return value.empty() ? std::string(setting.standard) : value;
        } else if constexpr (std::is_same_v<decltype(place), Bytes Settings::*>) {
          return value.n == 0 ? std::string(setting.standard) : to_string(value);
        } else {
          return cat(value);
        }
      },
      setting.place);
}

}  // namespace

std::span<const Setting> all_settings() { return kSettings; }

Result<Bytes> parse_bytes(std::string_view text) {
  const std::string_view whole = trimmed(text);
  const auto no_size = [&] {
    return Error{Code::Invalid,
                 cat(in_quotes(whole), " is no size; write it as \"4 GiB\" or \"512 MiB\"")};
  };
  double number = 0;
  const auto [end, failed] = std::from_chars(whole.data(), whole.data() + whole.size(), number);
  if (failed != std::errc() || !std::isfinite(number) || number < 0) return no_size();
  const std::string unit = lower(trimmed(whole.substr(static_cast<size_t>(end - whole.data()))));
  struct SizeUnit {
    std::string_view name;
    uint64_t bytes;
  };
  static constexpr SizeUnit kUnits[] = {{"", 1},
                                        {"b", 1},
                                        {"kib", 1ull << 10},
                                        {"mib", 1ull << 20},
                                        {"gib", 1ull << 30},
                                        {"tib", 1ull << 40},
                                        {"kb", 1'000},
                                        {"mb", 1'000'000},
                                        {"gb", 1'000'000'000},
                                        {"tb", 1'000'000'000'000}};
  for (const SizeUnit& known : kUnits) {
    if (known.name != unit) continue;
    const double bytes = number * static_cast<double>(known.bytes);
    if (bytes > 9e18) return no_size();
    return Bytes{static_cast<uint64_t>(bytes)};
  }
  return no_size();
}

Result<Settings> parse_settings(std::string_view text, std::string_view file_name) {
  toml::table table;
  try {  // its mode without exceptions asserts on some files that are merely wrong
    table = toml::parse(text, file_name);
  } catch (const toml::parse_error& error) {
    return Error{Code::Invalid,
                 cat(file_name, ":", error.source().begin.line, ": ", error.description())};
  }
  Settings settings;
  TRY(read_table(settings, table, "", file_name));
  return settings;
}

Result<Settings> read_settings(const std::filesystem::path& file) {
  auto text = lares::read_file(file, MiB(1));
  if (!text) {
    if (text.error().code == Code::NotFound) return Settings{};
    return std::move(text).error();
  }
  return parse_settings(*text, file.string());
}

Result<> set(Settings& settings, std::string_view name, std::string_view text,
             std::string_view source) {
  const Setting* setting = find(name);
  if (!setting) return unknown(name);
  if (std::holds_alternative<bool Settings::*>(setting->place)) {
    if (text != "true" && text != "false") return wrong(*setting, in_quotes(text));
    settings.*std::get<bool Settings::*>(setting->place) = text == "true";
  } else if (std::holds_alternative<uint32_t Settings::*>(setting->place)) {
    int64_t value = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failed != std::errc() || end != text.data() + text.size())
      return wrong(*setting, in_quotes(text));
    TRY(put_number(settings, *setting, value));
  } else if (std::holds_alternative<Bytes Settings::*>(setting->place)) {
    TRY(put_bytes(settings, *setting, text));
  } else {
    TRY(put_text(settings, *setting, text));
  }
  settings.sources[std::string(name)] = std::string(source);
  return Unit{};
}

Json to_json(const Settings& settings) {
  Json all = Json::array();
  for (const Setting& setting : kSettings) {
    const auto source = settings.sources.find(setting.name);
    all.push_back({{"name", setting.name},
                   {"value", shown(settings, setting)},
                   {"unit", setting.unit},
                   {"default", setting.standard},
                   {"source", source == settings.sources.end() ? "default" : source->second},
                   {"says", setting.sentence}});
  }
  return all;
}

std::string takes(const Setting& setting) {
  if (std::holds_alternative<uint32_t Settings::*>(setting.place))
    return cat(setting.min, " to ", setting.max, setting.unit.empty() ? "" : " ", setting.unit);
  return std::string(type_name(setting));
}

namespace {

// The front door's limits, which no setting changes.
std::string limits_of_the_door() {
  const api::Limits limits;
  return cat(
      "\n## Limits that are not set\n\nA request that is over one of these is refused with the "
      "number.\n\n| what | at most | status |\n|---|---|---|\n",
      "| the head of a request | ", limits.head, " | 431 |\n",              //
      "| a line of the head | ", limits.line, " | 431, the first 414 |\n",  //
      "| header fields | ", limits.lines, " | 431 |\n",                     //
      "| a body | ", limits.body, " | 413 |\n",                             //
      "| bodies that are being read, together | ", limits.bodies, " | 429 |\n",
      "| time for a head | ", limits.head_time.count() / 1000, " s | 408 |\n",
      "| time for a body | ", limits.body_time.count() / 1000, " s, ",
      limits.body_idle.count() / 1000, " s between two pieces | 408 |\n",
      "| connections of other users without a token, together | ", limits.unauthenticated,
      " | 429 |\n");
}

// Of what an answer must be, and of tools.
std::string limits_of_structure() {
  return cat(
      "\n## Limits of structured output\n\nOf `response_format`, `structured_outputs`, "
      "`json_schema`, `grammar`, the `guided_` fields and `tools`. What is over one of these is "
      "refused with 400, the place and the number; a grammar also where telling which tokens may "
      "come next would not end in time.\n\n| what | at most |\n|---|---|\n",
      "| texts of one request, together | ", Bytes{api::kStructureBytesMax}, " |\n", "| tools | ",
      api::kToolsMax, ", with names of ", api::kToolNameMax, " characters |\n", "| choices | ",
      api::kChoicesOfTextMax, " |\n",  //
      "| a schema | ", Bytes{api::kSchemaBytesMax}, ", ", wire::kSchemaDepthMax, " levels deep, ",
      wire::kSchemaNodesMax, " parts |\n",  //
      "| properties of one object | ", wire::kSchemaPropertiesMax, ", ", wire::kSchemaOptionalMax,
      " of them not required, with names of ", wire::kSchemaNameMax, " bytes |\n",
      "| places that a `$ref` leads to | ", wire::kSchemaRefsMax, " |\n",
      "| `minItems`, `maxItems`, `minLength`, `maxLength` | ", wire::kSchemaCountMax, "; together ",
      wire::kSchemaCountsMax, "; a greater most is taken as ", wire::kSchemaCountMax, " |\n",
      "| values of all `enum` | ", wire::kSchemaValuesMax,
      "; different characters behind one "
      "beginning ",
      wire::kSchemaBranchesMax, " |\n",  //
      "| a regex or `pattern` | ", Bytes{api::kRegexBytesMax}, ", ", wire::kRegexDepthMax,
      " levels deep, ", wire::kRegexTimesMax, " times of one repetition |\n",  //
      "| a grammar | ", Bytes{api::kGrammarBytesMax}, ", ", wire::kGrammarDepthMax,
      " parentheses deep, ", wire::kGrammarElementsMax,
      " signs once repetitions are written out |\n");
}
static_assert(api::kStructureBytesMax <= wire::kStructureBytesMax);
static_assert(api::kToolsMax == wire::kToolsMax && api::kRegexBytesMax == wire::kRegexBytesMax);
static_assert(api::kChoicesOfTextMax == wire::kChoicesMax);

}  // namespace

std::string settings_page() {
  std::string page =
      "# Configuration\n\n"
      "Lares needs no configuration. What can be chosen stands in `lares.toml`, in the folder "
      "`~/.config/lares` (`$XDG_CONFIG_HOME/lares`, or `$LARES_HOME/config`). The file is read "
      "when "
      "the daemon starts; `lares config` shows what is in force and where each value comes from. A "
      "key that does not exist is an error that names the nearest.\n\n"
      "```toml\n[memory]\nbudget = \"4 GiB\"\n\n[models]\npreload = false\n```\n\n"
      "| setting | takes | default | what it does |\n|---|---|---|---|\n";
  for (const Setting& setting : kSettings) {
    page += cat("| `", setting.name, "` | ", takes(setting), " | ", setting.standard, " | ",
                setting.sentence, " |\n");
  }
  return page + limits_of_the_door() + limits_of_structure();
}

std::string settings_help() {
  std::string help;
  for (const Setting& setting : kSettings) {
    std::string name(setting.name);
    name.resize(std::max<size_t>(name.size() + 1, 18), ' ');
    help += cat("  ", name, setting.sentence, " (default: ", setting.standard, ")\n");
  }
  return help;
}

}  // namespace lares::app
