// lares models add: use a model file where it lies.
#include <algorithm>
#include <charconv>
#include <filesystem>

#include "app/cli/answer.h"
#include "app/cli/plain_text.h"
#include "app/cli/show.h"
#include "app/cli/table.h"
#include "base/text.h"
#include "inventory/models.h"

namespace lares::app {
namespace {

constexpr Option kOptions[] = {
    kJson,
    {"--name", '\0', "NAME", "what to call it, instead of after its file"},
    {"--projector", '\0', "FILE",
     "its projector (mmproj-*.gguf): it then takes pictures or sounds"},
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

struct File {
  std::string path;
  std::string name;  // as the program calls it that keeps it; "" for one that was named by its path
};

// The file that was meant: one that is there, else one of those found.
Result<File> file_meant(Context& context, const std::string& written) {
  namespace fs = std::filesystem;
  std::error_code failed;
  const fs::path path = fs::absolute(written, failed).lexically_normal();
  if (!failed && fs::exists(path, failed)) return File{path.string(), ""};
  // a link that leads nowhere: what looks into the file says so
  std::error_code none;
  if (failed == std::errc::too_many_symbolic_link_levels || fs::is_symlink(path, none))
    return File{path.string(), ""};
  const auto not_found = [&](std::string_view hint) {
    return Error{Code::NotFound, cat("adding '", written, "': there is no such file", hint)};
  };
  // found names may hold slashes, but never begin as these do
  for (const char* beginning : {"/", "./", "../", "~"}) {
    if (written.starts_with(beginning)) return not_found("");
  }
  auto found = ask(context.daemon, "GET", "/lares/v1/models-found");
  if (!found) return std::move(found).error();
  size_t number = 0;
  const char* end = written.data() + written.size();
  const auto [stopped, why] = std::from_chars(written.data(), end, number);
  const auto file_of = [](const Json& model) {
    return File{text_of(model, "file"), text_of(model, "name")};
  };
  if (why == std::errc{} && stopped == end) {
    if (number >= 1 && number <= found->size()) return file_of((*found)[number - 1]);
    return not_found(cat(", and `lares models find` lists ", counted(found->size(), "model")));
  }
  std::vector<std::string> names;
  std::vector<File> files;
  for (const Json& model : *found) {
    names.push_back(text_of(model, "name"));
    if (names.back() == written) files.push_back(file_of(model));
  }
  if (files.size() == 1) return files.front();
  if (files.size() > 1) {
    return Error{
        Code::Invalid,
        cat("adding '", written, "': ", files.size(),
            " programs have a model of this name; give its number in `lares models find`")};
  }
  return not_found(
      cat(", and `lares models find` finds no model of this name", did_you_mean(written, names)));
}

// What a found model is called: the last part of its name there, or all of it where another model
// has that already. A file's own name may be a hash.
Result<std::string> id_for(Context& context, const File& file) {
  TRY_AS(const Json models, ask(context.daemon, "GET", "/lares/v1/models"));
  const auto is_free = [&](const std::string& id) {
    return std::none_of(models.begin(), models.end(), [&](const Json& model) {
      return text_of(model, "id") == id && text_of(model, "file") != file.path;
    });
  };
  const std::string last = inventory::id_from(file.name.substr(file.name.rfind('/') + 1));
  if (!last.empty() && is_free(last)) return last;
  const std::string whole = inventory::id_from(file.name);
  if (whole.empty()) return whole;
  std::string id = whole;
  for (size_t number = 2; !is_free(id); number++) id = cat(whole, "-", number);
  return id;
}

Result<int> run(Context& context, const Arguments& arguments) {
  TRY_AS(const File file, file_meant(context, arguments.words().front()));
  if (!is_utf8(file.path))
    return Error{Code::Invalid,
                 cat("adding '", plain_line(file.path),
                     "': its name is not UTF-8; rename it, or link to it by another name")};
  std::string name = arguments.value("--name");
  if (!arguments.has("--name") && !file.name.empty()) {
    TRY_AS(name, id_for(context, file));
  }
  Json order = {{"file", file.path}};
  if (arguments.has("--projector")) {
    TRY_AS(const File projector, file_meant(context, arguments.value("--projector")));
    order["projector"] = projector.path;
  }
  if (arguments.has("--name") || !name.empty()) order["name"] = name;
  TRY_AS(const Json model, [&] {
    const Waiting waiting(context.screen, "looking into the file");
    return ask(context.daemon, "POST", "/lares/v1/models", order);
  }());
  if (arguments.has("--json")) return print_json(context, model);
  const std::string id = text_of(model, "id");
  const std::string use = text_of(model, "use");
  if (use == "adapter") {
    TRY(context.screen.out(
        plain(cat("added ", id, " (", size_of(model, "size_bytes"), ", an adapter for '",
                  text_of(member_of(model, "info"), "architecture"),
                  "' models); a request names it in \"lora\", beside its model\n"))));
    return 0;
  }
  TRY(context.screen.out(
      plain(cat("added ", id, " (", size_of(model, "size_bytes"), ", ",
                text_of(member_of(model, "info"), "architecture"), ", for ", use,
                inputs_of(model) == "text" ? "" : cat(", takes ", inputs_of(model)),
                use == "completion" ? " only: it has no chat template)" : ")",
                use == "chat" ? cat("; ask it with: lares -m ", id, " \"...\"") : "", "\n"))));
  return 0;
}

constexpr Verb kVerb{
    .name = "models add",
    .summary = "add a model file, where it lies",
    .more =
        "The file is looked into in a sandbox first; nothing is copied. It must stay where it is. "
        "An "
        "adapter (LoRA) is added in the same way. Without --projector the only mmproj-*.gguf "
        "beside "
        "the file is taken for its projector.",
    .options = kOptions,
    .words = kWords,
    .examples = kExamples,
    .run = run,
};
const Registered<Verb> kRegistered{kVerb};

}  // namespace
}  // namespace lares::app
