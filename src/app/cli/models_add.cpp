// lares models add: use a model file where it lies.
#include <charconv>
#include <filesystem>

#include "app/cli/answer.h"
#include "app/cli/plain_text.h"
#include "app/cli/show.h"
#include "app/cli/table.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr Option kOptions[] = {
    kJson,
    {"--name", '\0', "NAME", "what to call it, instead of after its file"},
};
constexpr Word kWords[] = {{"FILE",
                            "a GGUF file, or a number or name that `lares models find` printed",
                            Word::Count::One, "file"}};
constexpr Example kExamples[] = {
    {"lares models add ~/Downloads/qwen2.5-1.5b-instruct-q4_k_m.gguf",
     "Uses the file where it lies."},
    {"lares models add 2 --name llama3",
     "Uses the second that `lares models find` printed, under a name of yours."},
};

// The path of the file that was meant: a file that is there, else one of those found.
Result<std::string> file_meant(Context& context, const std::string& written) {
  namespace fs = std::filesystem;
  std::error_code failed;
  const fs::path path = fs::absolute(written, failed).lexically_normal();
  if (!failed && fs::exists(path, failed)) return path.string();
  const auto not_found = [&](std::string_view hint) {
    return Error{Code::NotFound, cat("adding '", written, "': there is no such file", hint)};
  };
  if (written.find('/') != std::string::npos || written.ends_with(".gguf")) return not_found("");
  auto found = ask(context.daemon, "GET", "/lares/v1/models-found");
  if (!found) return std::move(found).error();
  size_t number = 0;
  const char* end = written.data() + written.size();
  const auto [stopped, why] = std::from_chars(written.data(), end, number);
  if (why == std::errc{} && stopped == end) {
    if (number >= 1 && number <= found->size()) return text_of((*found)[number - 1], "file");
    return not_found(cat(", and `lares models find` lists ", counted(found->size(), "model")));
  }
  std::vector<std::string> names;
  std::vector<std::string> files;
  for (const Json& model : *found) {
    names.push_back(text_of(model, "name"));
    if (names.back() == written) files.push_back(text_of(model, "file"));
  }
  if (files.size() == 1) return files.front();
  if (files.size() > 1)
    return Error{
        Code::Invalid,
        cat("adding '", written, "': ", files.size(),
            " programs have a model of this name; give its number in `lares models find`")};
  return not_found(
      cat(", and `lares models find` finds no model of this name", did_you_mean(written, names)));
}

Result<int> run(Context& context, const Arguments& arguments) {
  TRY_AS(const std::string file, file_meant(context, arguments.words().front()));
  if (!is_utf8(file))
    return Error{Code::Invalid,
                 cat("adding '", plain_line(file),
                     "': its name is not UTF-8; rename it, or link to it by another name")};
  Json order = {{"file", file}};
  if (arguments.has("--name")) order["name"] = arguments.value("--name");
  TRY_AS(const Json model, [&] {
    const Waiting waiting(context.screen, "looking into the file");
    return ask(context.daemon, "POST", "/lares/v1/models", order);
  }());
  if (arguments.has("--json")) return print_json(context, model);
  const std::string id = text_of(model, "id");
  const bool chats = text_of(model, "use") == "chat";
  TRY(context.screen.out(
      plain(cat("added ", id, " (", size_of(model, "size_bytes"), ", ",
                text_of(member_of(model, "info"), "architecture"), ", for ", text_of(model, "use"),
                ")", chats ? cat("; ask it with: lares -m ", id, " \"...\"") : "", "\n"))));
  return 0;
}

constexpr Verb kVerb{
    .name = "models add",
    .summary = "add a model file, where it lies",
    .more =
        "The file is looked into in a sandbox first; nothing is copied. It must stay where it is.",
    .options = kOptions,
    .words = kWords,
    .examples = kExamples,
    .run = run,
};
const Registered<Verb> kRegistered{kVerb};

}  // namespace
}  // namespace lares::app
