// lares models rm: forget a model.
#include "app/cli/plain_text.h"
#include "app/cli/show.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr Option kOptions[] = {kJson};
constexpr Word kWords[] = {{"NAME", "the whole name of a model", Word::Count::One, "model"}};
constexpr Example kExamples[] = {
    {"lares models rm qwen2.5-1.5b-instruct-q4_k_m",
     "Forgets it; a file that lies elsewhere stays."},
};

Result<int> run(Context& context, const Arguments& arguments) {
  const std::string path = cat("/lares/v1/models/", path_escaped(arguments.words().front()));
  TRY_AS(const Json model, ask(context.daemon, "GET", path));
  TRY(ask(context.daemon, "DELETE", path));
  const std::string id = text_of(model, "id");
  const bool file_too = flag_of(model, "ours");
  if (arguments.has("--json")) {
    return print_json(context, {{"id", id},
                                {"file", member_of(model, "file")},
                                {"size_bytes", member_of(model, "size_bytes")},
                                {"file_deleted", file_too}});
  }
  const std::string told =
      file_too ? cat("removed ", id, " and its file (", size_of(model, "size_bytes"), ")")
               : cat("forgot ", id, "; its file stays: ", text_of(model, "file"));
  TRY(context.screen.out(plain_line(told) + "\n"));
  return 0;
}

constexpr Verb kVerb{
    .name = "models rm",
    .summary = "forget a model; its file goes only when it lies in Lares's own folder",
    .more = "",
    .options = kOptions,
    .words = kWords,
    .examples = kExamples,
    .run = run,
};
const Registered<Verb> kRegistered{kVerb};

}  // namespace
}  // namespace lares::app
