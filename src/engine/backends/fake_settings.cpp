#include "engine/backends/fake_settings.h"

#include <charconv>

#include "base/text.h"

namespace lares::engine::fake {
namespace {

// Takes a count out of the options; sizes may have a unit.
Result<> take(Options& options, const char* name, uint64_t& out) {
  const auto found = options.find(name);
  if (found == options.end()) return Unit{};
  const std::string& text = found->second;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), out);
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  if (unit == "KiB") out = KiB(out).n;
  if (unit == "MiB") out = MiB(out).n;
  if (unit == "GiB") out = GiB(out).n;
  if (problem != std::errc() ||
      (!unit.empty() && unit != "KiB" && unit != "MiB" && unit != "GiB")) {
    return Error{Code::Invalid, cat("--", name, "='", text, "' is not a count or a size")};
  }
  options.erase(found);
  return Unit{};
}

}  // namespace

Result<Settings> take_settings(Options& options) {
  Settings settings;
  TRY(take(options, "load-ms", settings.load_ms));
  TRY(take(options, "render-ms", settings.render_ms));
  TRY(take(options, "tokens-per-s", settings.tokens_per_s));
  TRY(take(options, "prompt-tokens-per-s", settings.prompt_tokens_per_s));
  TRY(take(options, "size", settings.size_bytes));
  TRY(take(options, "context-train", settings.context_train));
  TRY(take(options, "window", settings.window));
  TRY(take(options, "parked", settings.parked_bytes));
  TRY(take(options, "nan-after", settings.nan_after));
  TRY(take(options, "break-after", settings.break_after));
  TRY(take(options, "draft-right", settings.draft_right));
  settings.has_template = options.erase("no-template") == 0;
  settings.adapter = options.erase("adapter") != 0;
  settings.projector = options.erase("projector-file") != 0;
  settings.sees = options.erase("sees") != 0;
  settings.hears = options.erase("hears") != 0;
  settings.ranks = options.contains("pooling") && options["pooling"] == "rank";
  settings.pooling = options.erase("pooling") != 0;
  return settings;
}

}  // namespace lares::engine::fake
