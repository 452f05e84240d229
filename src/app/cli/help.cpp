#include "app/cli/help.h"

#include <algorithm>

#include "app/cli/plain_text.h"
#include "app/cli/table.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr size_t kWidth = 80;
constexpr std::string_view kExits =
    "0 done; 2 usage; 3 not found; 4 denied; 5 no room; 6 busy; 7 offline; 8 timed out; 9 corrupt; "
    "10 unsupported; 11 worker died; 12 input or output; 130 cancelled.";

std::string shown_name(const Verb& verb) {
  return verb.name == "ask" ? "lares" : cat("lares ", verb.name);
}

std::string left_of(const Option& option) {
  std::string text = option.letter == '\0' ? "    " : cat("-", std::string(1, option.letter), ", ");
  text += option.name;
  if (!option.value.empty()) text += cat(" ", option.value);
  return text;
}

constexpr Option kHelp{"--help", 'h', "", "print this"};

// Two columns: what to write, and what it does.
std::string two_columns(const std::vector<std::pair<std::string, std::string>>& rows) {
  size_t widest = 0;
  for (const auto& [left, right] : rows) widest = std::max(widest, columns(left));
  std::string out;
  for (const auto& [left, right] : rows) {
    const size_t indent = 2 + widest + 2;
    out += cat("  ", left, std::string(widest - columns(left) + 2, ' '),
               wrapped(right, kWidth, indent), "\n");
  }
  return out;
}

std::vector<const Option*> options_of(const Verb& verb) {
  std::vector<const Option*> all;
  for (const Option& option : verb.options) all.push_back(&option);
  all.push_back(&kHelp);
  return all;
}

const Verb* named(std::span<const Verb* const> verbs, std::string_view name) {
  for (const Verb* verb : verbs) {
    if (verb->name == name) return verb;
  }
  return nullptr;
}

}  // namespace

std::vector<std::string> second_words(std::span<const Verb* const> verbs, std::string_view first) {
  std::vector<std::string> words;
  for (const Verb* verb : verbs) {
    const auto parts = split(verb->name, ' ');
    if (verb->listed && parts.size() == 2 && parts[0] == first) words.push_back(parts[1]);
  }
  return words;
}

std::string_view exit_statuses() { return kExits; }

std::string usage(const Verb& verb) {
  std::string line = shown_name(verb);
  if (!verb.options.empty()) line += " [OPTIONS]";
  for (const Word& word : verb.words) {
    switch (word.count) {
      case Word::Count::One: line += cat(" ", word.name); break;
      case Word::Count::Maybe: line += cat(" [", word.name, "]"); break;
      case Word::Count::Many: line += cat(" [", word.name, "...]"); break;
    }
  }
  return line;
}

std::string overall_help(std::span<const Verb* const> verbs) {
  std::string out = "Lares answers questions with a model that runs on this machine.\n\n";
  out += "Usage:\n  lares [OPTIONS] [PROMPT...]\n  lares VERB [OPTIONS] [...]\n\nVerbs:\n";
  std::vector<std::pair<std::string, std::string>> rows;
  for (const Verb* verb : verbs) {
    if (verb->listed && verb->name != "ask")
      rows.emplace_back(std::string(verb->name), std::string(verb->summary));
  }
  out += two_columns(rows);
  if (const Verb* asking = named(verbs, "ask")) {
    out += "\nWithout a verb:\n";
    rows.clear();
    for (const Option* option : options_of(*asking))
      rows.emplace_back(left_of(*option), std::string(option->says));
    out += two_columns(rows);
    out += "\nExamples:\n";
    for (const Example& example : asking->examples) out += cat("  ", example.command, "\n");
  }
  out += "\n`lares VERB --help` says more about one verb.\n";
  out += cat(wrapped(cat("Exit status: ", kExits), kWidth), "\n");
  return out;
}

std::string verb_help(const Verb& verb) {
  std::string out = cat(usage(verb), "\n\n  ", wrapped(verb.summary, kWidth, 2), "\n");
  if (!verb.more.empty()) out += cat("\n", wrapped(verb.more, kWidth), "\n");
  std::vector<std::pair<std::string, std::string>> rows;
  if (!verb.words.empty()) {
    for (const Word& word : verb.words)
      rows.emplace_back(std::string(word.name), std::string(word.says));
    out += cat("\nWords:\n", two_columns(rows));
  }
  rows.clear();
  for (const Option* option : options_of(verb))
    rows.emplace_back(left_of(*option), std::string(option->says));
  out += cat("\nOptions:\n", two_columns(rows));
  if (!verb.examples.empty()) {
    out += "\nExamples:\n";
    rows.clear();
    for (const Example& example : verb.examples)
      out += cat("  ", example.command, "\n      ", wrapped(example.says, kWidth, 6), "\n");
  }
  return out;
}

std::string commands_page(std::span<const Verb* const> verbs) {
  std::string out =
      "# Commands\n\n"
      "Made from the program's own tables by `lares help --markdown`; a test holds this page "
      "against\n"
      "them. Every table can be had as JSON with `--json`.\n\n";
  out += cat("Exit status: ", kExits, "\n\n");
  out += "## lares\n\n```\n";
  if (const Verb* asking = named(verbs, "ask")) out += verb_help(*asking);
  out += "```\n";
  for (const Verb* verb : verbs) {
    if (verb->name == "ask" || !verb->listed) continue;
    out += cat("\n## lares ", verb->name, "\n\n```\n", verb_help(*verb), "```\n");
  }
  return out;
}

namespace {

// The verbs' first words, once each.
std::vector<std::string> first_words(std::span<const Verb* const> verbs) {
  std::vector<std::string> words;
  for (const Verb* verb : verbs) {
    if (verb->name == "ask" || !verb->listed) continue;
    const std::string first = split(verb->name, ' ').front();
    if (std::find(words.begin(), words.end(), first) == words.end()) words.push_back(first);
  }
  return words;
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += cat(out.empty() ? "" : " ", word);
  return out;
}

// The command that lists what a value may be, for all three shells.
std::string lister(std::string_view completes) {
  if (completes == "model") return "lares models list --names 2>/dev/null";
  return "";
}

// "--model|-m" of an option, for a pattern of case.
std::string pattern_of(const Option& option) {
  std::string names(option.name);
  if (option.letter != '\0') names += cat("|-", std::string(1, option.letter));
  return names;
}

// The options of all verbs that take a value completed so, as one pattern; "" when there is none.
std::string options_with(std::span<const Verb* const> verbs, std::string_view completes) {
  std::vector<std::string> patterns;
  for (const Verb* verb : verbs) {
    for (const Option& option : verb->options) {
      if (option.value.empty() || option.completes != completes) continue;
      const std::string pattern = pattern_of(option);
      if (std::find(patterns.begin(), patterns.end(), pattern) == patterns.end())
        patterns.push_back(pattern);
    }
  }
  std::string out;
  for (const std::string& pattern : patterns) out += cat(out.empty() ? "" : "|", pattern);
  return out;
}

// bash cuts words at ':' and '='. The first loop puts them together again ("llama3:8b",
// "--model=x"), and at the end each completion loses what stands before the last cut, because bash
// replaces only what follows it.
constexpr std::string_view kBashBegin =
    R"sh(# lares completion for bash: source <(lares completion bash)
_lares() {
  local -a words=()
  local word last cut option= verb= i glue=
  for ((i = 1; i <= COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ ($word == [:=] || -n $glue) && ${#words[@]} -gt 0 ]]; then
      words[${#words[@]}-1]+=$word
    else
      words+=("$word")
    fi
    [[ $word == [:=] ]] && glue=1 || glue=
  done
  last=${COMP_WORDS[COMP_CWORD]}
  [[ $last == [:=] ]] && last=
  word=${words[${#words[@]}-1]}
  unset "words[${#words[@]}-1]"
  cut=${word%"$last"}
  COMPREPLY=()
  for i in "${words[@]}"; do
    if [[ -n $option ]]; then
      option=
      continue
    fi
    case $i in
      --) return ;;
)sh";
constexpr std::string_view kBashOptions = R"sh(      -*) ;;
      *) verb=${verb:+$verb }$i ;;
    esac
  done
  if [[ -z $option && $word == --*=* ]]; then
    option=${word%%=*}
    word=${word#*=}
    cut=${cut#*=}
  fi
  case $option in
)sh";
constexpr std::string_view kBashEnd = R"sh(  esac
  [[ -z $cut ]] || COMPREPLY=("${COMPREPLY[@]#"$cut"}")
}
complete -o filenames -o bashdefault -F _lares lares
)sh";

std::string bash_script(std::span<const Verb* const> verbs) {
  const auto reply = [](std::string_view words, std::string_view more = "") {
    return cat("mapfile -t COMPREPLY < <(compgen ", more, "-W \"", trimmed(words),
               "\" -- \"$word\") ;;\n");
  };
  std::string out(kBashBegin);
  std::string values;
  for (const std::string_view completes : {"", "file", "model"}) {
    const std::string options = options_with(verbs, completes);
    if (!options.empty()) values += cat(values.empty() ? "" : "|", options);
  }
  out += cat("      ", values, ") option=$i ;;\n", kBashOptions);
  out += cat("    ", options_with(verbs, "model"), ") ", reply(cat("$(", lister("model"), ")")));
  out += cat("    ", options_with(verbs, "file"),
             ") mapfile -t COMPREPLY < <(compgen -f -- \"$word\") ;;\n    '') case $verb in\n");
  std::string asking_options;
  if (const Verb* asking = named(verbs, "ask")) {
    for (const Option* option : options_of(*asking)) asking_options += cat(" ", option->name);
  }
  out += cat("      '') ", reply(cat(joined(first_words(verbs)), asking_options)));
  for (const Verb* verb : verbs) {
    if (verb->name == "ask" || !verb->listed) continue;
    std::string choices = joined(second_words(verbs, verb->name));
    for (const Option* option : options_of(*verb)) choices += cat(" ", option->name);
    std::string dynamic;
    bool files = false;
    for (const Word& word : verb->words) {
      if (word.completes == "file") {
        files = true;
      } else if (const std::string list = lister(word.completes); !list.empty()) {
        dynamic = cat(" $(", list, ")");
      } else if (!word.completes.empty()) {
        choices += cat(" ", word.completes);
      }
    }
    const std::string pattern = verb->words.empty()
                                    ? cat("'", verb->name, "'")
                                    : cat("'", verb->name, "'|'", verb->name, " '*");
    out += cat("      ", pattern, ") ", reply(cat(choices, dynamic), files ? "-f " : ""));
  }
  out += cat("      *) ", reply(asking_options), "    esac ;;\n");  // a question
  return out + std::string(kBashEnd);
}

// In single quotes for a shell, brackets and colons kept from zsh's own grammar.
std::string shell_quoted(std::string_view text, std::string_view escape = "") {
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
      continue;
    }
    if (escape.find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

std::string zsh_action(std::string_view completes) {
  if (completes == "file") return "_files";
  if (const std::string list = lister(completes); !list.empty())
    return cat("compadd -- ${(f)\"$(", list, ")\"}");
  if (!completes.empty()) return cat("(", completes, ")");
  return "";
}

std::string zsh_arguments(const Verb& verb) {
  std::string out = "_arguments";
  for (const Option* option : options_of(verb)) {
    const std::string says = shell_quoted(option->says, "[]:");
    const std::string tail =
        option->value.empty()
            ? ""
            : cat(":", option->value, ":", shell_quoted(zsh_action(option->completes)));
    out += cat(" '", option->name, "[", says, "]", tail, "'");
    if (option->letter != '\0')
      out += cat(" '-", std::string(1, option->letter), "[", says, "]", tail, "'");
  }
  for (const Word& word : verb.words) {
    const char* count = word.count == Word::Count::One     ? ":"
                        : word.count == Word::Count::Maybe ? "::"
                                                           : "*:";
    out += cat(" '", count, word.name, ":", shell_quoted(zsh_action(word.completes)), "'");
  }
  return out;
}

std::string zsh_script(std::span<const Verb* const> verbs) {
  std::string out =
      "#compdef lares\n# lares completion for zsh: lares completion zsh > a folder of $fpath, as "
      "_lares\n"
      "_lares() {\n  local -a verbs\n";
  for (const std::string& first : first_words(verbs)) {
    const std::vector<std::string> second = second_words(verbs, first);
    if (second.empty()) continue;
    out += cat("  if [[ $words[2] == ", first,
               " ]] && (( CURRENT > 3 )); then\n    case $words[3] in\n");
    for (const std::string& word : second) {
      out += cat("      ", word, ") words=(lares $words[4,-1]); (( CURRENT -= 2 )); ",
                 zsh_arguments(*named(verbs, cat(first, " ", word))), "; return ;;\n");
    }
    out += cat("    esac\n  elif [[ $words[2] == ", first,
               " ]] && (( CURRENT == 3 )); then\n    verbs=(");
    for (const std::string& word : second) {
      const Verb* verb = named(verbs, cat(first, " ", word));
      out += cat("\n      '", word, ":", shell_quoted(verb->summary, ":"), "'");
    }
    out += ")\n    _describe verb verbs; return\n  fi\n";
  }
  out += "  if (( CURRENT > 2 )); then\n    case $words[2] in\n";
  for (const Verb* verb : verbs) {
    if (verb->name == "ask" || !verb->listed || split(verb->name, ' ').size() != 1) continue;
    out += cat("      ", verb->name, ") words=(lares $words[3,-1]); (( CURRENT -= 1 )); ",
               zsh_arguments(*verb), "; return ;;\n");
  }
  out += "    esac\n  fi\n  verbs=(";
  for (const std::string& first : first_words(verbs)) {
    const Verb* verb = named(verbs, first);
    out +=
        cat("\n    '", first, ":", shell_quoted(verb != nullptr ? verb->summary : first, ":"), "'");
  }
  out += ")\n  (( CURRENT == 2 )) && _describe verb verbs\n";
  if (const Verb* asking = named(verbs, "ask")) out += cat("  ", zsh_arguments(*asking), "\n");
  out += "}\n_lares \"$@\"\n";
  return out;
}

std::string fish_script(std::span<const Verb* const> verbs) {
  std::string out =
      "# lares completion for fish: lares completion fish > ~/.config/fish/completions/lares.fish\n"
      "complete -c lares -f\n";
  const auto line = [&](std::string_view condition, std::string_view rest) {
    out += cat("complete -c lares -n '", condition, "' ", rest, "\n");
  };
  for (const std::string& first : first_words(verbs)) {
    const Verb* verb = named(verbs, first);
    line("__fish_use_subcommand",
         cat("-a ", first, verb != nullptr ? cat(" -d '", shell_quoted(verb->summary), "'") : ""));
  }
  for (const Verb* verb : verbs) {
    if (!verb->listed && verb->name != "ask") continue;
    const auto parts = split(verb->name, ' ');
    std::string condition = cat("__fish_seen_subcommand_from ", parts[0]);
    // not __fish_use_subcommand: to that an option's value is a verb
    if (verb->name == "ask")
      condition = cat("not __fish_seen_subcommand_from ", joined(first_words(verbs)));
    if (parts.size() == 2) {
      line(cat("__fish_seen_subcommand_from ", parts[0], "; and not __fish_seen_subcommand_from ",
               joined(second_words(verbs, parts[0]))),
           cat("-a ", parts[1], " -d '", shell_quoted(verb->summary), "'"));
      condition += cat("; and __fish_seen_subcommand_from ", parts[1]);
    }
    for (const Option* option : options_of(*verb)) {
      std::string rest = cat("-l ", option->name.substr(2));
      if (option->letter != '\0') rest += cat(" -s ", std::string(1, option->letter));
      if (!option->value.empty()) rest += " -r";
      if (const std::string list = lister(option->completes); !list.empty())
        rest += cat(" -a '(", list, ")'");
      line(condition, cat(rest, " -d '", shell_quoted(option->says), "'"));
    }
    for (const Word& word : verb->words) {
      if (word.completes == "file") {
        line(condition, "-F");
      } else if (const std::string list = lister(word.completes); !list.empty()) {
        line(condition, cat("-a '(", list, ")'"));
      } else if (!word.completes.empty()) {
        line(condition, cat("-a '", word.completes, "'"));
      }
    }
  }
  return out;
}

}  // namespace

Result<std::string> completion_script(std::string_view shell, std::span<const Verb* const> verbs) {
  if (shell == "bash") return bash_script(verbs);
  if (shell == "zsh") return zsh_script(verbs);
  if (shell == "fish") return fish_script(verbs);
  const std::vector<std::string> known{"bash", "zsh", "fish"};
  return Error{Code::Invalid, cat("writing a completion: '", shell,
                                  "' is none of bash, zsh and fish", did_you_mean(shell, known))};
}

}  // namespace lares::app
