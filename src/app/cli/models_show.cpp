// lares models show: all that is known of one model.
#include "app/cli/plain_text.h"
#include "app/cli/show.h"
#include "app/pull_digests.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr Option kOptions[] = {
    kJson,
    {"--template", '\0', "", "its chat template: what the model reads of a chat"},
};
constexpr Word kWords[] = {
    {"NAME", "a model, by its name or the beginning of it", Word::Count::One, "model"}};
constexpr Example kExamples[] = {
    {"lares models show smollm2",
     "Shows what its file says of itself, and what it needs in memory."},
    {"lares models show smollm2 --template", "Shows the template that its chats go through."},
};

std::string template_words(const Json& model) {
  const Json& chat = member_of(model, "template");
  if (!chat.is_object()) return "";
  const std::string known = text_of(chat, "known");
  return known.empty()
             ? "unknown, read it: lares models show " + text_of(model, "id") + " --template"
             : cat("known: ", known);
}

// The template itself to standard output, what is known of it beside.
Result<int> show_template(Context& context, const Json& model) {
  const Json& chat = member_of(model, "template");
  const std::string id = text_of(model, "id");
  if (!chat.is_object())
    return Error{Code::NotFound, cat("model '", id,
                                     "' has no chat template: it is not made for chats, "
                                     "or its file was not read yet")};
  const std::string known = text_of(chat, "known");
  context.screen.say(
      plain(cat("lares: template ", text_of(chat, "sha256"), ", ",
                known.empty() ? "unknown: nobody vouches for it" : cat("known: ", known), "\n")));
  const std::string text = text_of(chat, "text");
  if (text.empty())
    return Error{Code::Unsupported, cat("the template of '", id,
                                        "' is too long to be kept; a tool for "
                                        "GGUF files shows its key tokenizer.chat_template")};
  TRY(context.screen.out(plain(text) + (text.ends_with('\n') ? "" : "\n")));
  return 0;
}

Result<int> run(Context& context, const Arguments& arguments) {
  TRY_AS(const Json model, ask(context.daemon, "GET",
                               cat("/lares/v1/models/", path_escaped(arguments.words().front()))));
  if (arguments.has("--json")) return print_json(context, model);
  if (arguments.has("--template")) return show_template(context, model);
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
  facts.add("known as", text_of(model, "title"));
  facts.add("calls itself", text_of(info, "name"));
  facts.add("architecture", text_of(info, "architecture"));
  if (const Json& adapter = member_of(info, "adapter"); adapter.is_object()) {
    facts.add("adapter", cat(text_of(adapter, "kind"), " of rank ", count_of(adapter, "rank"), ", ",
                             count_of(adapter, "tensors"), " matrices"));
  }
  if (text_of(model, "use") == "chat") facts.add("takes", inputs_of(model));
  if (const Json& projector = member_of(model, "projector"); projector.is_object()) {
    facts.add("projector",
              cat(text_of(projector, "file"), " (", size_of(projector, "size_bytes"),
                  text_of(projector, "kind").empty() ? "" : ", ", text_of(projector, "kind"), ")"));
  }
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
  facts.add("template", template_words(model));
  const Json& pulled = member_of(model, "pulled");
  facts.add("pulled from", text_of(pulled, "source"));
  facts.add("pulled", count_of(pulled, "pulled_ms") > 0
                          ? day_of(static_cast<int64_t>(count_of(pulled, "pulled_ms")))
                          : "");
  facts.add("sha256", text_of(pulled, "sha256"));
  const std::string link = text_of(info, "licence_link");
  facts.add("licence", cat(text_of(info, "licence"), link.empty() ? "" : cat(" (", link, ")")));
  facts.add("  at its source", text_of(pulled, "licence"));
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
