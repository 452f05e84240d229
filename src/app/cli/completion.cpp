// lares completion: what a shell needs to complete our words.
#include "app/cli/help.h"

namespace lares::app {
namespace {

constexpr Word kWords[] = {{"SHELL", "bash, zsh or fish", Word::Count::One, "bash zsh fish"}};
constexpr Example kExamples[] = {
    {"source <(lares completion bash)", "For this bash; in ~/.bashrc, for every one."},
    {"lares completion zsh > ~/.zfunc/_lares", "For zsh, in a folder of its $fpath."},
    {"lares completion fish > ~/.config/fish/completions/lares.fish", "For fish."},
};

Result<int> run(Context& context, const Arguments& arguments) {
  TRY_AS(const std::string script,
         completion_script(arguments.words().front(), Registered<Verb>::all()));
  TRY(context.screen.out(script));
  return 0;
}

constexpr Verb kVerb{
    .name = "completion",
    .summary = "print the completion script of a shell",
    .more = "",
    .options = {},
    .words = kWords,
    .examples = kExamples,
    .run = run,
    .needs_home = false,
};
const Registered<Verb> kRegistered{kVerb};

}  // namespace
}  // namespace lares::app
