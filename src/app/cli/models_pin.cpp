// lares models pin, lares models unpin: whether others' need of room may send a model down.
#include "app/cli/plain_text.h"
#include "app/cli/show.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr Option kOptions[] = {kJson};
constexpr Word kWords[] = {
    {"NAME", "a model, by its name or the beginning of it", Word::Count::One, "model"}};
constexpr Example kPinExamples[] = {
    {"lares models pin qwen2.5-1.5b", "Keeps it at hand."},
};
constexpr Example kUnpinExamples[] = {
    {"lares models unpin qwen2.5-1.5b", "Lets it go when others need room."},
};

template <bool kPin>
Result<int> run(Context& context, const Arguments& arguments) {
  const std::string path =
      cat("/lares/v1/models/", path_escaped(arguments.words().front()), kPin ? "/pin" : "/unpin");
  TRY_AS(const Json told, ask(context.daemon, "POST", path, Json::object()));
  if (arguments.has("--json")) return print_json(context, told);
  TRY(context.screen.out(plain_line(cat(kPin ? "pinned " : "unpinned ", text_of(told, "model"),
                                        "; it is ", text_of(told, "rung"), " now")) +
                         "\n"));
  return 0;
}

constexpr Verb kPin{
    .name = "models pin",
    .summary = "keep a model in memory, once it is there, against others that need room",
    .more =
        "It stays pinned when the daemon is started again. A pinned model still goes when you "
        "evict it, or when this machine runs out of memory.",
    .options = kOptions,
    .words = kWords,
    .examples = kPinExamples,
    .run = run<true>,
};
constexpr Verb kUnpin{
    .name = "models unpin",
    .summary = "let others take a pinned model's room again",
    .more = "",
    .options = kOptions,
    .words = kWords,
    .examples = kUnpinExamples,
    .run = run<false>,
};
const Registered<Verb> kPinRegistered{kPin};
const Registered<Verb> kUnpinRegistered{kUnpin};

}  // namespace
}  // namespace lares::app
