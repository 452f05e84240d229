#include "app/key_questions.h"

#include <array>
#include <utility>

namespace lares::app {
namespace {

using consent::KeyKind;
using consent::Keyring;
using consent::SecretBytes;

SecretBytes taken(Json& arguments, const char* name) {
  const auto found = arguments.find(name);
  if (found == arguments.end() || !found->is_string()) return {};
  auto& text = found->get_ref<std::string&>();
  SecretBytes secret{std::string_view(text)};
  consent::wipe(text);
  return secret;
}

Result<Json> show(Keyring& keyring, const std::filesystem::path& folder, Json& /*arguments*/) {
  auto place = consent::key_place(folder);
  if (!place && place.error().code == Code::NotFound) {
    TRY(keyring.key());  // none yet: this is the first that wants one
    place = consent::key_place(folder);
  }
  if (!place) return std::move(place).error();
  return Json{{"kind", consent::name(place->kind)},
              {"locked", keyring.is_locked()},
              {"where", place->where},
              {"protects", place->protects},
              {"next", place->next}};
}

Result<Json> unlock(Keyring& keyring, const std::filesystem::path& /*folder*/, Json& arguments) {
  TRY(keyring.unlock(taken(arguments, "passphrase")));
  return Json::object();
}

Result<Json> lock(Keyring& keyring, const std::filesystem::path& /*folder*/, Json& /*arguments*/) {
  TRY(keyring.lock());
  return Json::object();
}

Result<Json> move(Keyring& keyring, const std::filesystem::path& /*folder*/, Json& arguments) {
  const SecretBytes present = taken(arguments, "passphrase");
  const SecretBytes next = taken(arguments, "next");
  TRY_AS(const KeyKind to, consent::key_kind_named(arguments.value("to", std::string())));
  if (keyring.is_locked()) (void)static_cast<bool>(keyring.key());  // the first of all may be made
  TRY_AS(const std::string left, keyring.move(to, present, next));
  return Json{{"kind", consent::name(to)}, {"left", left}};
}

Result<Json> export_copy(Keyring& keyring, const std::filesystem::path& /*folder*/,
                         Json& arguments) {
  TRY_AS(const SecretBytes copy, keyring.export_copy(taken(arguments, "passphrase")));
  return Json{{"copy", std::string(copy.reveal())}};
}

Result<Json> import_copy(Keyring& keyring, const std::filesystem::path& /*folder*/,
                         Json& arguments) {
  const SecretBytes copy = taken(arguments, "copy");
  TRY_AS(const std::string aside, keyring.import_copy(copy.reveal()));
  return Json{{"aside", aside}};
}

constexpr std::array<std::pair<std::string_view, KeyQuestion>, 6> kQuestions = {{
    {"key.show", show},
    {"key.unlock", unlock},
    {"key.lock", lock},
    {"key.move", move},
    {"key.export", export_copy},
    {"key.import", import_copy},
}};

}  // namespace

KeyQuestion key_question(std::string_view question) {
  for (const auto& [name, answer] : kQuestions) {
    if (name == question) return answer;
  }
  return nullptr;
}

}  // namespace lares::app
