#include "engine/options.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/text.h"

namespace lares::engine {
namespace {

// Something of the request's, short enough to be quoted.
std::string quoted(const Json& value) { return utf8_repaired(dump(value).substr(0, 32)); }

Error wrong(std::string_view field, std::string_view what) {
  return {Code::Invalid, cat("'", field, "' ", what), std::string(field)};
}

// Reads the fields of one body and remembers the first thing that was wrong.
class Fields {
 public:
  explicit Fields(const Json& body) : body_(body) {}

  // nullptr when absent or null.
  const Json* find(const char* name) {
    const auto found = body_.find(name);
    return found == body_.end() || found->is_null() ? nullptr : &*found;
  }

  void number(const char* name, float& out, double low, double high, bool above_low = false) {
    const Json* found = find(name);
    if (!found || error_) return;
    if (!found->is_number()) return fail(name, "is not a number");
    const auto value = found->get<double>();
    if (!std::isfinite(value) || value < low || value > high || (above_low && value == low)) {
      return fail(name, cat("is ", value, ", but must be ", above_low ? "above " : "from ", low,
                            above_low ? " and at most " : " to ", high));
    }
    out = static_cast<float>(value);
  }

  // True when the field was there and right.
  bool integer(const char* name, int64_t& out, int64_t low, int64_t high) {
    const Json* found = find(name);
    if (!found || error_) return false;
    const bool whole = found->is_number_integer() ||
                       (found->is_number_float() && std::isfinite(found->get<double>()) &&
                        std::floor(found->get<double>()) == found->get<double>() &&
                        std::fabs(found->get<double>()) < 9e15);
    if (!whole) {
      fail(name, "is not a whole number");
      return false;
    }
    const bool huge = found->is_number_unsigned() && found->get<uint64_t>() > INT64_MAX;
    const int64_t value = huge                       ? INT64_MAX
                          : found->is_number_float() ? static_cast<int64_t>(found->get<double>())
                                                     : found->get<int64_t>();
    if (value < low || value > high) {
      fail(name, cat("is ", quoted(*found), ", but must be from ", low, " to ", high));
      return false;
    }
    out = value;
    return true;
  }

  void flag(const char* name, bool& out) {
    const Json* found = find(name);
    if (!found || error_) return;
    if (!found->is_boolean()) return fail(name, "is not true or false");
    out = found->get<bool>();
  }

  void fail(std::string_view name, std::string_view what) {
    if (!error_) error_ = wrong(name, what);
  }
  const std::optional<Error>& error() const { return error_; }

 private:
  const Json& body_;
  std::optional<Error> error_;
};

void read_sampling(Fields& fields, Tokens vocabulary, uint32_t random_seed, bool& seeded,
                   Sampling& out) {
  fields.number("temperature", out.temperature, 0, 2);
  fields.number("top_p", out.top_p, 0, 1);
  fields.number("min_p", out.min_p, 0, 1);
  fields.number("typical_p", out.typical_p, 0, 1, true);
  fields.number("presence_penalty", out.presence_penalty, -2, 2);
  fields.number("frequency_penalty", out.frequency_penalty, -2, 2);
  fields.number("repeat_penalty", out.repeat_penalty, 0, 10, true);
  int64_t whole = 0;
  if (fields.integer("top_k", whole, -1, INT32_MAX)) {
    out.top_k = whole <= 0 || whole >= vocabulary ? 0 : static_cast<int32_t>(whole);
  }
  if (fields.integer("repeat_last_n", whole, -1, 1 << 20)) {
    out.repeat_last_n = static_cast<int32_t>(whole);
  }
  out.seed = random_seed;
  if (fields.integer("seed", whole, INT64_MIN, INT64_MAX) && whole != -1) {
    seeded = true;
    const auto wide = static_cast<uint64_t>(whole);
    out.seed = static_cast<uint32_t>(wide ^ (wide >> 32));
  }
  if (out.seed == UINT32_MAX) out.seed--;  // engines take that value for "choose one"
  fields.flag("ignore_eos", out.ignore_eos);
}

void read_breakers(Fields& fields, std::vector<std::string>& out) {
  constexpr const char* kName = "dry_sequence_breakers";
  const Json* found = fields.find(kName);
  if (!found) return;
  if (!found->is_array()) return fields.fail(kName, "is not an array of strings");
  if (found->size() > kBreakersMax) {
    return fields.fail(
        kName, cat("has ", found->size(), " strings, at most ", kBreakersMax, " are allowed"));
  }
  out.clear();
  for (const Json& item : *found) {
    if (!item.is_string()) return fields.fail(kName, "is not an array of strings");
    const auto& text = item.get_ref<const std::string&>();
    if (text.empty() || text.size() > kBreakerBytesMax || text.find('\0') != std::string::npos) {
      return fields.fail(kName, cat("has a string of ", text.size(), " bytes; each needs 1 to ",
                                    kBreakerBytesMax, ", none of them zero"));
    }
    out.push_back(text);
  }
}

void read_rarer_sampling(Fields& fields, Sampling& out) {
  fields.number("xtc_probability", out.xtc_probability, 0, 1);
  fields.number("xtc_threshold", out.xtc_threshold, 0, 1);
  fields.number("dry_multiplier", out.dry_multiplier, 0, 100);
  fields.number("dry_base", out.dry_base, 1, 100);
  fields.number("mirostat_tau", out.mirostat_tau, 0, 100);
  fields.number("mirostat_eta", out.mirostat_eta, 0, 1);
  fields.number("top_n_sigma", out.top_n_sigma, -1, 100);
  fields.number("dynatemp_range", out.dynatemp_range, 0, 2);
  fields.number("dynatemp_exponent", out.dynatemp_exponent, 0, 100);
  int64_t whole = 0;
  if (fields.integer("dry_allowed_length", whole, 0, 65'536))
    out.dry_allowed_length = static_cast<int32_t>(whole);
  if (fields.integer("dry_penalty_last_n", whole, -1, 65'536))
    out.dry_penalty_last_n = static_cast<int32_t>(whole);
  if (fields.integer("mirostat", whole, 0, 2)) out.mirostat = static_cast<int32_t>(whole);
  read_breakers(fields, out.dry_sequence_breakers);
}

void read_logit_bias(Fields& fields, Tokens vocabulary, Sampling& out) {
  const Json* found = fields.find("logit_bias");
  if (!found) return;
  if (!found->is_object()) return fields.fail("logit_bias", "is not an object");
  if (found->size() > kLogitBiasMax) {
    return fields.fail("logit_bias", cat("has ", found->size(), " entries, at most ", kLogitBiasMax,
                                         " are allowed"));
  }
  for (const auto& [key, value] : found->items()) {
    uint32_t token = 0;
    const auto [end, problem] = std::from_chars(key.data(), key.data() + key.size(), token);
    if (problem != std::errc() || end != key.data() + key.size() || token >= vocabulary) {
      return fields.fail("logit_bias", cat("names token '", utf8_repaired(key.substr(0, 32)),
                                           "', but token ids here are 0 to ", vocabulary - 1));
    }
    if (!value.is_number() || !(std::fabs(value.get<double>()) <= 100)) {
      return fields.fail("logit_bias",
                         cat("of token ", token, " is not a number from -100 to 100"));
    }
    out.logit_bias.emplace_back(static_cast<Token>(token), value.get<float>());
  }
}

void read_stops(Fields& fields, std::vector<std::string>& out) {
  const Json* found = fields.find("stop");
  if (!found) return;
  const Json list = found->is_string() ? Json::array({*found}) : *found;
  if (!list.is_array()) return fields.fail("stop", "is neither a string nor an array of strings");
  if (list.size() > kStopsMax) {
    return fields.fail("stop",
                       cat("has ", list.size(), " strings, at most ", kStopsMax, " are allowed"));
  }
  for (const Json& item : list) {
    if (!item.is_string()) return fields.fail("stop", "is not an array of strings");
    const auto& text = item.get_ref<const std::string&>();
    if (text.empty()) return fields.fail("stop", "has an empty string, which would stop at once");
    if (text.size() > kStopBytesMax) {
      return fields.fail("stop", cat("has a string of ", text.size(), " bytes, at most ",
                                     kStopBytesMax, " are allowed"));
    }
    out.push_back(text);
  }
}

void read_prompt(Fields& fields, Tokens vocabulary, GenerateOptions& out) {
  const Json* found = fields.find("prompt");
  if (!found) return fields.fail("prompt", "is missing");
  if (found->is_string()) {
    out.prompt = found->get<std::string>();
    return;
  }
  if (!found->is_array()) {
    return fields.fail("prompt", "is neither a string nor an array of token ids");
  }
  std::vector<Token> tokens;
  tokens.reserve(found->size());
  for (const Json& item : *found) {
    const auto token = token_id(item, vocabulary);
    if (!token) {
      return fields.fail(
          "prompt", cat("has ", quoted(item), ", but token ids here are 0 to ", vocabulary - 1));
    }
    tokens.push_back(*token);
  }
  out.prompt = std::move(tokens);
}

void read_adapters(Fields& fields, std::span<const std::string> names, std::vector<Adapter>& out) {
  const Json* found = fields.find("lora");
  if (!found) return;
  if (!found->is_array() || found->size() > kLoraMax)
    return fields.fail("lora", cat("is not an array of at most ", kLoraMax, " adapters"));
  for (const Json& item : *found) {
    const Json id = item.is_object() ? item.value("id", Json()) : Json();
    const Json scale = item.is_object() ? item.value("scale", Json()) : Json();
    const auto* name = id.get_ptr<const std::string*>();
    if (!name || !scale.is_number() || !(std::fabs(scale.get<double>()) <= kScaleMax))
      return fields.fail("lora", cat("has something that is no {id, scale} with a scale from ",
                                     -kScaleMax, " to ", kScaleMax));
    const auto at = std::find(names.begin(), names.end(), *name);
    if (at == names.end())
      return fields.fail("lora", cat("names '", utf8_repaired(name->substr(0, 64)),
                                     "', which this model's worker does not have; retry"));
    const auto index = static_cast<size_t>(at - names.begin());
    if (std::any_of(out.begin(), out.end(), [&](const Adapter& a) { return a.index == index; }))
      return fields.fail("lora", cat("names '", *name, "' twice"));
    out.push_back({index, scale.get<float>()});
  }
  std::erase_if(out, [](const Adapter& adapter) { return adapter.scale == 0; });
  std::sort(out.begin(), out.end(),
            [](const Adapter& a, const Adapter& b) { return a.index < b.index; });
}

std::string text_in(Fields& fields, const char* name) {
  const Json* found = fields.find(name);
  if (!found) return "";
  if (!found->is_string()) fields.fail(name, "is not a string");
  return found->is_string() ? found->get<std::string>() : "";
}

void read_gap(Fields& fields, GenerateOptions& out) {
  Gap& gap = out.gap.emplace();
  gap.prefix = text_in(fields, "input_prefix");
  gap.suffix = text_in(fields, "input_suffix");
  gap.prompt = text_in(fields, "prompt");
  const Json* extra = fields.find("input_extra");
  if (!extra) return;
  if (!extra->is_array() || extra->size() > kExtrasMax)
    return fields.fail("input_extra", cat("is not an array of at most ", kExtrasMax, " files"));
  for (const Json& file : *extra) {
    const auto text = [&](const char* name) -> const std::string* {
      const auto found = file.is_object() ? file.find(name) : file.end();
      return found == file.end() ? nullptr : found->get_ptr<const std::string*>();
    };
    if (!text("text") || !text("filename"))
      return fields.fail("input_extra", "has something that is no {\"filename\", \"text\"}");
    gap.extra.push_back({*text("filename"), *text("text")});
  }
}

}  // namespace

std::optional<Token> token_id(const Json& value, Tokens vocabulary) {
  if (!value.is_number_integer()) return std::nullopt;
  if (!value.is_number_unsigned() && value.get<int64_t>() < 0) return std::nullopt;
  if (value.get<uint64_t>() >= vocabulary) return std::nullopt;
  return value.get<Token>();
}

Result<GenerateOptions> read_options(const wire::Generate& message, Tokens vocabulary,
                                     uint32_t random_seed, std::span<const std::string> adapters) {
  if (!message.body.is_object()) return Error{Code::Invalid, "the request is not an object"};
  GenerateOptions out;
  Fields fields(message.body);
  if (message.kind == "chat") {
    out.chat = true;
    const Json* messages = fields.find("messages");
    if (!messages) {
      fields.fail("messages", "is missing");
    } else if (!messages->is_array() || messages->empty()) {
      fields.fail("messages", "is not an array of at least one message");
    } else {
      out.messages = *messages;
    }
    if (const Json* kwargs = fields.find("chat_template_kwargs")) {
      if (!kwargs->is_object()) fields.fail("chat_template_kwargs", "is not an object");
      out.template_kwargs = *kwargs;
    }
  } else if (message.kind == "completion") {
    read_prompt(fields, vocabulary, out);
    fields.flag("echo", out.echo);
  } else if (message.kind == "infill") {
    read_gap(fields, out);
  } else {
    return Error{Code::Invalid, cat("'", utf8_repaired(message.kind.substr(0, 32)),
                                    "' is none of 'chat', 'completion' and 'infill'")};
  }
  int64_t whole = 0;
  if (fields.integer("max_tokens", whole, 0, INT32_MAX)) {
    out.max_tokens = static_cast<Tokens>(whole);
  }
  read_stops(fields, out.stops);
  bool logprobs = false;
  fields.flag("stop_repeating", out.stop_repeating);
  fields.flag("logprobs", logprobs);
  if (logprobs) out.top = 0;
  if (fields.integer("top_logprobs", whole, 0, kTopLogprobsMax)) {
    if (!logprobs && whole > 0) fields.fail("top_logprobs", "needs 'logprobs' to be true");
    if (logprobs) out.top = static_cast<unsigned>(whole);
  }
  read_sampling(fields, vocabulary, random_seed, out.seeded, out.sampling);
  read_rarer_sampling(fields, out.sampling);
  read_adapters(fields, adapters, out.adapters);
  read_logit_bias(fields, vocabulary, out.sampling);
  TRY_AS(out.structure, read_structure(message.body, out.chat));
  if (fields.error()) return *fields.error();
  return out;
}

}  // namespace lares::engine
