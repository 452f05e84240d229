// lares models show: all that is known of one model.
#include "app/cli/show.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr Option kOptions[] = {kJson};
constexpr Word kWords[] = {
    {"NAME", "a model, by its name or the beginning of it", Word::Count::One, "model"}};
constexpr Example kExamples[] = {
    {"lares models show smollm2",
     "Shows what its file says of itself, and what it needs in memory."},
};

Result<int> run(Context& context, const Arguments& arguments) {
  TRY_AS(const Json model, ask(context.daemon, "GET",
                               cat("/lares/v1/models/", path_escaped(arguments.words().front()))));
  if (arguments.has("--json")) return print_json(context, model);
  const Json& info = member_of(model, "info");
  const auto number = [&](std::string_view name, std::string_view unit) {
    const uint64_t n = count_of(info, name);
    return n == 0 ? std::string() : cat(n, unit);
  };
  Facts facts;
  facts.add("name", text_of(model, "id") + (flag_of(model, "default") ? " (the default)" : ""));
  facts.add("for", text_of(model, "use"));
  facts.add("state", state_of(model));
  facts.add("file", text_of(model, "file"));
  facts.add("size", size_of(model, "size_bytes"));
  facts.add("needs", cat(size_of(model, "needs_bytes"), " of memory"));
  facts.add("calls itself", text_of(info, "name"));
  facts.add("architecture", text_of(info, "architecture"));
  if (const double parameters = number_of(info, "parameters"); parameters > 0)
    facts.add("parameters", parameters >= 1e9 ? cat(rate_words(parameters / 1e9), " billion")
                                              : cat(rate_words(parameters / 1e6), " million"));
  facts.add("format", text_of(info, "quantization"));
  facts.add("layers", number("layers", ""));
  facts.add("context", number("context_train", " tokens"));
  facts.add("window", number("sliding_window", " tokens"));
  facts.add("vocabulary", number("vocabulary", " tokens"));
  facts.add("vectors of", number("embedding_length", " numbers"));
  facts.add("pooling", text_of(info, "pooling"));
  facts.add("licence", text_of(info, "licence"));
  TRY(context.screen.out(facts.print()));
  return 0;
}

constexpr Verb kVerb{
    .name = "models show",
    .summary = "show all that is known of one model",
    .more = "",
    .options = kOptions,
    .words = kWords,
    .examples = kExamples,
    .run = run,
};
const Registered<Verb> kRegistered{kVerb};

}  // namespace
}  // namespace lares::app
