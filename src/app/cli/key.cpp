// lares key: where the key lies that seals what is kept, and the orders about it. Passphrases come
// from the terminal, unseen, or line by line from a pipe; never from an argument or a variable,
// which other programs can read.
#include "app/cli/plain_text.h"
#include "app/cli/show.h"
#include "app/cli/verb.h"
#include "base/text.h"
#include "consent/secret_bytes.h"

namespace lares::app {
namespace {

using consent::SecretBytes;

constexpr Bytes kPipeMax = KiB(64);

constexpr Option kStdin{"--stdin", '\0', "",
                        "read what is asked for from a pipe, one line each, in the order asked"};
constexpr Option kOnlyJson[] = {kJson};
constexpr Option kWithStdin[] = {kStdin};
constexpr Option kMoveOptions[] = {
    {"--to", '\0', "PLACE", "secret-service (the desktop's keyring), passphrase, or file"}, kStdin};
constexpr Option kExportOptions[] = {
    {"--yes", '\0', "", "print the key: whoever sees it can read all that is sealed"}, kStdin};

// What the person says in secret, one after another.
class Secrets {
 public:
  Secrets(Context& context, const Arguments& arguments)
      : context_(context), piped_(arguments.has("--stdin")) {}

  Result<SecretBytes> ask(const std::string& prompt) {
    if (piped_) return line();
    if (!context_.screen.is_terminal(Stream::In))
      return Error{Code::Invalid,
                   "a passphrase is typed on a terminal; from a pipe it is taken with --stdin"};
    return context_.screen.read_hidden(prompt);
  }
  // On a terminal twice, since it is not seen.
  Result<SecretBytes> ask_new() {
    TRY_AS(SecretBytes chosen, ask("new passphrase: "));
    if (piped_) return chosen;
    TRY_AS(const SecretBytes again, ask("the same again: "));
    if (!chosen.same_as(again))
      return Error{Code::Invalid, "the two are not the same; nothing was changed"};
    return chosen;
  }

 private:
  Result<SecretBytes> line() {
    if (!read_) {
      TRY_AS(std::string all, context_.screen.read_all(kPipeMax));
      rest_ = SecretBytes(all);
      consent::wipe(all);
      read_ = true;
    }
    const std::string_view left = rest_.reveal().substr(at_);
    if (left.empty())
      return Error{Code::Invalid,
                   "reading standard input: it ended before all was said; one line "
                   "is wanted for each passphrase"};
    const size_t end = std::min(left.find('\n'), left.size());
    at_ += std::min(end + 1, left.size());
    return SecretBytes(left.substr(0, end));
  }

  Context& context_;
  const bool piped_;
  bool read_ = false;
  SecretBytes rest_;
  size_t at_ = 0;
};

// Sends an order; the secrets among its fields are wiped.
Result<Json> order(Context& context, const char* what, const Json& plain,
                   std::initializer_list<std::pair<const char*, const SecretBytes*>> secrets) {
  Json body = plain;
  for (const auto& [name, secret] : secrets) {
    if (secret->empty()) continue;
    if (!is_utf8(secret->reveal()))
      return Error{Code::Invalid, "what was given is not UTF-8; it must be text"};
    body[name] = std::string(secret->reveal());
  }
  auto done = ask(context.daemon, "POST", cat("/lares/v1/key/", what), body);
  for (const auto& [name, secret] : secrets) {
    if (!secret->empty()) consent::wipe(body[name].get_ref<std::string&>());
  }
  return done;
}

Result<Json> place(Context& context) { return ask(context.daemon, "GET", "/lares/v1/key"); }

// The present passphrase, where the key has one.
Result<SecretBytes> present(Secrets& secrets, const Json& where) {
  if (text_of(where, "kind") != "passphrase") return SecretBytes();
  return secrets.ask("passphrase: ");
}

Result<int> run_show(Context& context, const Arguments& arguments) {
  TRY_AS(const Json where, place(context));
  if (arguments.has("--json")) return print_json(context, where);
  Facts facts;
  facts.add("key", cat(text_of(where, "kind"), flag_of(where, "locked") ? ", locked" : ""));
  facts.add("lies", text_of(where, "where"));
  facts.add("protects", text_of(where, "protects"));
  facts.add("next", flag_of(where, "locked") ? "lares key unlock" : text_of(where, "next"));
  TRY(context.screen.out(facts.print()));
  return 0;
}

Result<int> run_unlock(Context& context, const Arguments& arguments) {
  TRY_AS(const Json where, place(context));
  Secrets secrets(context, arguments);
  TRY_AS(const SecretBytes passphrase, present(secrets, where));
  TRY(order(context, "unlock", Json::object(), {{"passphrase", &passphrase}}));
  context.screen.say("lares: the key is unlocked until the daemon ends, or lares key lock\n");
  return 0;
}

Result<int> run_lock(Context& context, const Arguments& /*arguments*/) {
  TRY(order(context, "lock", Json::object(), {}));
  context.screen.say("lares: the key is locked; lares key unlock opens it\n");
  return 0;
}

Result<int> moved(Context& context, const Json& done, const std::string& told) {
  context.screen.say(cat("lares: ", told, "\n"));
  if (const std::string left = text_of(done, "left"); !left.empty())
    context.screen.say(cat("lares: ", plain_line(left), "\n"));
  return 0;
}

Result<int> run_move(Context& context, const Arguments& arguments) {
  const std::string to = arguments.value("--to");
  if (to.empty())
    return Error{Code::Invalid, "say where to: --to secret-service, passphrase or file"};
  TRY_AS(const Json where, place(context));
  Secrets secrets(context, arguments);
  TRY_AS(const SecretBytes passphrase, present(secrets, where));
  SecretBytes next;
  if (to == "passphrase") {
    TRY_AS(next, secrets.ask_new());
  }
  TRY_AS(const Json done,
         order(context, "move", {{"to", to}}, {{"passphrase", &passphrase}, {"next", &next}}));
  return moved(context, done,
               to == "passphrase"
                   ? "the key is sealed with the passphrase; lares key export keeps a copy, for "
                     "the day you forget it"
               : to == "secret-service"
                   ? "the key lies in the desktop's keyring; lares key export keeps a copy, for "
                     "the day that is reset"
                   : "the key lies in a file that your user alone can read");
}

Result<int> run_change(Context& context, const Arguments& arguments) {
  TRY_AS(const Json where, place(context));
  if (text_of(where, "kind") != "passphrase")
    return Error{Code::Invalid,
                 cat("the key has no passphrase: it is of the kind ", text_of(where, "kind"),
                     "; lares key move --to passphrase gives it one")};
  Secrets secrets(context, arguments);
  TRY_AS(const SecretBytes passphrase, secrets.ask("passphrase: "));
  TRY_AS(const SecretBytes next, secrets.ask_new());
  TRY_AS(const Json done, order(context, "move", {{"to", "passphrase"}},
                                {{"passphrase", &passphrase}, {"next", &next}}));
  return moved(context, done, "the passphrase is changed; what is kept was not touched");
}

Result<int> run_export(Context& context, const Arguments& arguments) {
  if (!arguments.has("--yes") || !context.screen.is_terminal(Stream::Out))
    return Error{Code::Denied,
                 "this prints the key itself, with which all that is sealed can be read: only on "
                 "a terminal, and with --yes"};
  TRY_AS(const Json where, place(context));
  Secrets secrets(context, arguments);
  TRY_AS(const SecretBytes passphrase, present(secrets, where));
  TRY_AS(Json done, order(context, "export", Json::object(), {{"passphrase", &passphrase}}));
  std::string copy = text_of(done, "copy");
  const auto shown = context.screen.out(plain_line(copy) + "\n");
  consent::wipe(copy);
  TRY(shown);
  context.screen.say(
      "lares: write it down and keep it where this computer is not; lares key import brings the "
      "key back with it\n");
  return 0;
}

Result<int> run_import(Context& context, const Arguments& arguments) {
  Secrets secrets(context, arguments);
  TRY_AS(const SecretBytes copy, secrets.ask("copy of the key: "));
  TRY_AS(const Json done, order(context, "import", Json::object(), {{"copy", &copy}}));
  const std::string aside = text_of(done, "aside");
  context.screen.say(
      cat("lares: the key is there, in a file that your user alone can read; lares key move puts "
          "it elsewhere\n",
          aside.empty() ? "" : cat("lares: what lay there is '", plain_line(aside), "'\n")));
  return 0;
}

constexpr Example kShowExamples[] = {
    {"lares key", "Shows where the key lies, and from whom that protects."}};
constexpr Example kMoveExamples[] = {
    {"lares key move --to secret-service", "Puts it into the desktop's keyring."},
    {"lares key move --to passphrase",
     "Seals it with a passphrase, which is asked for at each start of the daemon."}};
constexpr Example kUnlockExamples[] = {
    {"lares key unlock", "Asks for the passphrase; it is good until the daemon ends."},
    {"pass show lares | lares key unlock --stdin", "Takes it from a program that keeps it."}};
constexpr Example kLockExamples[] = {{"lares key lock", "Forgets the key."}};
constexpr Example kChangeExamples[] = {{"lares key change", "Asks for both, old and new."}};
constexpr Example kExportExamples[] = {{"lares key export --yes", "Prints it, to be kept."}};
constexpr Example kImportExamples[] = {{"lares key import", "Asks for what was kept."}};

constexpr Verb kShow{
    .name = "key",
    .summary = "show where the key lies that seals your conversations",
    .more =
        "What is kept is encrypted with one key. At the first start it goes to the desktop's "
        "keyring if that is there and unlocked (not with LARES_HOME), else into a file.",
    .options = kOnlyJson,
    .words = {},
    .examples = kShowExamples,
    .run = run_show,
};
constexpr Verb kMove{
    .name = "key move",
    .summary = "move the key: desktop's keyring, passphrase or file",
    .more =
        "The new place is written and read back before the old one is given up; what is sealed "
        "is not touched.",
    .options = kMoveOptions,
    .words = {},
    .examples = kMoveExamples,
    .run = run_move,
};
constexpr Verb kUnlock{
    .name = "key unlock",
    .summary = "give the daemon the passphrase of the key",
    .more =
        "After a wrong one the next try waits: a second, then twice as long each time, up to a "
        "minute.",
    .options = kWithStdin,
    .words = {},
    .examples = kUnlockExamples,
    .run = run_unlock,
};
constexpr Verb kLock{
    .name = "key lock",
    .summary = "have the daemon forget the key",
    .more =
        "Refused while an answer is being written into a conversation, and for a key in a "
        "file, where it would keep nobody from it.",
    .options = {},
    .words = {},
    .examples = kLockExamples,
    .run = run_lock,
};
constexpr Verb kChange{
    .name = "key change",
    .summary = "change the passphrase of the key",
    .more = "",
    .options = kWithStdin,
    .words = {},
    .examples = kChangeExamples,
    .run = run_change,
};
constexpr Verb kExport{
    .name = "key export",
    .summary = "print a copy of the key, for you to keep elsewhere",
    .more = "With it and your files everything that is sealed can be read, without a passphrase.",
    .options = kExportOptions,
    .words = {},
    .examples = kExportExamples,
    .run = run_export,
};
constexpr Verb kImport{
    .name = "key import",
    .summary = "bring the key back from a copy",
    .more =
        "For when the desktop's keyring was reset, the passphrase is forgotten or the file is "
        "damaged. A copy of another key is refused; what lay there is set aside.",
    .options = kWithStdin,
    .words = {},
    .examples = kImportExamples,
    .run = run_import,
};
const Registered<Verb> kShowRegistered{kShow};
const Registered<Verb> kMoveRegistered{kMove};
const Registered<Verb> kUnlockRegistered{kUnlock};
const Registered<Verb> kLockRegistered{kLock};
const Registered<Verb> kChangeRegistered{kChange};
const Registered<Verb> kExportRegistered{kExport};
const Registered<Verb> kImportRegistered{kImport};

}  // namespace
}  // namespace lares::app
