#include "app/cli/missing.h"

#include <algorithm>

namespace lares::app {
namespace {

struct Missing {
  std::string_view verb;
  int takes;  // words that follow it where it exists; a prompt in quotes may come after a name
  std::string_view instead;
};

constexpr std::string_view kPull =
    "`lares models pull SOURCE` fetches one, as hf:OWNER/REPO:QUANTIZATION or ollama:NAME; `lares "
    "models find` lists what other programs keep on this disk";
constexpr std::string_view kLog =
    "the daemon's log is ~/.cache/lares/laresd.log, or cache/laresd.log in $LARES_HOME; `lares "
    "serve` runs the daemon with its log on the terminal";
constexpr std::string_view kList = "`lares models list` shows the models that are here";
constexpr std::string_view kRemove = "`lares models rm NAME` takes a model from the list";

constexpr Missing kMissing[] = {
    {"add", 1, "`lares models add FILE` uses a model file where it lies"},
    {"cloud", 1, "there is no cloud yet; nothing leaves this computer"},
    {"delete", 1, kRemove},
    {"download", 1, kPull},
    {"find", 0, "`lares models find` lists what other programs keep on this disk"},
    {"list", 0, kList},
    {"load", 1, "a model is loaded when it is asked: lares -m MODEL \"...\""},
    {"log", 0, kLog},
    {"logs", 0, kLog},
    {"ls", 0, kList},
    {"pull", 1, kPull},
    {"push", 1, "nothing is uploaded; nothing leaves this computer"},
    {"remove", 1, kRemove},
    {"restart", 0, "`lares stop`, then `lares start`"},
    {"rm", 1, kRemove},
    {"run", 1,
     "a model that is here is asked with: lares -m MODEL \"...\", and `lares chat -m MODEL` begins "
     "a conversation; `lares models add FILE` brings one in"},
    {"search", 1,
     "`lares models search` ranks models for this machine, and `lares models pull SOURCE` fetches "
     "one"},
    {"server", 1, "`lares start` begins the daemon, and `lares serve` runs it in the foreground"},
    {"show", 1, "`lares models show NAME` says all about a model"},
    {"unload", 1, "idle models make room by themselves; `lares stop` ends all of them"},
    {"webui", 0, "`lares ui` opens the page"},
};

const Missing* missing(std::string_view verb) {
  const auto* const found = std::find_if(std::begin(kMissing), std::end(kMissing),
                                         [&](const Missing& each) { return each.verb == verb; });
  return found == std::end(kMissing) ? nullptr : found;
}

}  // namespace

std::string_view instead_of(std::string_view verb) {
  const Missing* found = missing(verb);
  return found == nullptr ? "" : found->instead;
}

std::string_view instead_of(std::span<const std::string> words) {
  const Missing* found = words.empty() ? nullptr : missing(words[0]);
  if (found == nullptr) return "";
  auto follow = std::count_if(words.begin() + 1, words.end(),
                              [](const std::string& word) { return !word.starts_with('-'); });
  const bool quoted = words.back().find(' ') != std::string::npos;
  if (found->takes > 0 && follow == found->takes + 1 && quoted) follow--;  // run MODEL "PROMPT"
  return follow > found->takes ? "" : found->instead;
}

}  // namespace lares::app
