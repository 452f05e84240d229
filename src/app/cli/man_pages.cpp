#include "app/cli/man_pages.h"

#include <cctype>
#include <vector>

#include "app/cli/help.h"
#include "app/daemon_options.h"
#include "app/settings.h"
#include "base/text.h"

namespace lares::app {
namespace {

struct Row {
  std::string left;
  std::string right;
};

std::string bold(std::string_view text) { return cat("\\fB", roff(text), "\\fR"); }
std::string italic(std::string_view text) { return cat("\\fI", roff(text), "\\fR"); }

std::string begin(std::string_view name, int section, std::string_view date,
                  std::string_view what) {
  std::string capitals(name);
  for (char& c : capitals) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return cat(".\\\" Made from the program's own tables by `lares man ", name, "`.\n.TH ", capitals,
             " ", section, " \"", date, "\" \"Lares ", LARES_VERSION, "\" \"Lares\"\n.SH NAME\n",
             roff(name), " \\- ", roff(what), "\n");
}

std::string section(std::string_view title) { return cat(".SH ", title, "\n"); }

// A tagged paragraph for each row.
std::string tagged(std::span<const Row> rows) {
  std::string out;
  for (const Row& row : rows) out += cat(".TP\n", row.left, "\n", row.right, "\n");
  return out;
}

Row option_row(const Option& option) {
  std::string left =
      option.letter == '\0' ? "" : cat(bold(cat("-", std::string(1, option.letter))), ", ");
  left += bold(option.name);
  if (!option.value.empty()) left += cat(" ", italic(option.value));
  return {left, roff(option.says)};
}

std::string options_of(const Verb& verb) {
  std::vector<Row> rows;
  for (const Word& word : verb.words) rows.push_back({italic(word.name), roff(word.says)});
  for (const Option& option : verb.options) rows.push_back(option_row(option));
  return tagged(rows);
}

std::string examples_of(const Verb& verb) {
  std::vector<Row> rows;
  for (const Example& example : verb.examples)
    rows.push_back({bold(example.command), roff(example.says)});
  return tagged(rows);
}

std::string lares_page(std::string_view date, std::span<const Verb* const> verbs) {
  const Verb* asking = nullptr;
  for (const Verb* verb : verbs) {
    if (verb->name == "ask") asking = verb;
  }
  std::string out =
      begin("lares", 1, date, "answers questions with a language model on this machine");
  out +=
      cat(section("SYNOPSIS"), bold("lares"), " [", italic("OPTIONS"), "] [", italic("PROMPT"),
          "...]\n.br\n", bold("lares"), " ", italic("VERB"), " [", italic("OPTIONS"), "] [...]\n");
  if (asking != nullptr) {
    out += cat(section("DESCRIPTION"), roff(asking->more), "\n");
    out += cat(section("OPTIONS"), options_of(*asking));
    out += cat(section("EXAMPLES"), examples_of(*asking));
  }
  out += section("VERBS");
  for (const Verb* verb : verbs) {
    if (verb == asking || !verb->listed) continue;
    out += cat(".SS ", roff(usage(*verb)), "\n", roff(verb->summary), ".\n");
    if (!verb->more.empty()) out += cat(".PP\n", roff(verb->more), "\n");
    out += cat(options_of(*verb), examples_of(*verb));
  }
  out += cat(section("EXIT STATUS"), roff(exit_statuses()), "\n");
  out += section("ENVIRONMENT");
  const Row variables[] = {
      {bold("LARES_HOME"), "one folder for everything, in place of the four below"},
      {cat(bold("XDG_CONFIG_HOME"), ", ", bold("XDG_DATA_HOME"), ", ", bold("XDG_CACHE_HOME"), ", ",
           bold("XDG_RUNTIME_DIR")),
       roff(
           "where the folder 'lares' lies in each of them; without the last it is /tmp/lares-UID")},
      {bold("NO_COLOR"), "prints no colours"}};
  out += tagged(variables);
  out += section("FILES");
  const Row files[] = {
      {italic("~/.config/lares/lares.toml"),
       cat("settings, which need not be there; see ", bold("lares.toml"), "(5)")},
      {italic("~/.local/share/lares/models"), "models, each a GGUF file"},
      {italic("~/.cache/lares/laresd.log"), "the log of a daemon that was started by a question"}};
  out += tagged(files);
  out += cat(section("SEE ALSO"), bold("laresd"), "(8), ", bold("lares.toml"), "(5)\n");
  return out;
}

std::string daemon_page(std::string_view date) {
  std::string out = begin("laresd", 8, date, "the daemon of Lares");
  out += cat(section("SYNOPSIS"), bold("laresd"), " [", italic("OPTIONS"), "]\n");
  out += cat(section("DESCRIPTION"),
             roff("Serves the API of OpenAI's clients, and Lares's own, on a Unix socket and on "
                  "127.0.0.1 and [::1], to the "
                  "programs of the user it runs as and to nobody else. It runs each model in a "
                  "sandboxed process of its own, "
                  "and opens no outbound connection."),
             "\n.PP\n", bold("lares"),
             roff("(1) starts it when it is needed, so that nobody else has to. Where systemd is "
                  "to start it, at the first "
                  "connection, there are units for the user's own service manager, which nothing "
                  "enables by itself:"),
             "\n.PP\n.RS\n", bold("systemctl --user enable --now lares.socket"), "\n.RE\n.PP\n",
             roff("A socket that is handed over so must be the one of this user's folder, or "
                  "127.0.0.1 or [::1]; any other is "
                  "refused. Their port is then served, whatever api.port is set to."),
             "\n");
  out += section("OPTIONS");
  std::vector<Row> rows;
  for (const DaemonOption& option : kDaemonOptions)
    rows.push_back({bold(option.written), roff(option.says)});
  out += tagged(rows);
  out += cat(section("SIGNALS"), bold("SIGTERM"), " and ", bold("SIGINT"),
             " end it: answers in progress get an error, workers end, what was acknowledged is on "
             "disk.\n");
  out += cat(section("EXIT STATUS"), roff(exit_statuses()), "\n");
  out += section("ENVIRONMENT");
  const Row variables[] = {
      {cat(bold("LISTEN_PID"), ", ", bold("LISTEN_FDS"), ", ", bold("LISTEN_FDNAMES")),
       "sockets that a service manager opened before, as systemd hands them over"},
      {bold("NOTIFY_SOCKET"), "where to say that it serves, and that it ends"},
      {bold("LARES_HOME"), cat("as for ", bold("lares"), "(1)")}};
  out += tagged(variables);
  out += cat(section("SEE ALSO"), bold("lares"), "(1), ", bold("lares.toml"), "(5)\n");
  return out;
}

std::string settings_man_page(std::string_view date) {
  std::string out = begin("lares.toml", 5, date, "settings of Lares");
  out += cat(section("SYNOPSIS"), italic("~/.config/lares/lares.toml"), "\n");
  out += cat(section("DESCRIPTION"),
             roff("Lares needs no configuration. The file is read when the daemon starts; `lares "
                  "config` shows what is "
                  "in force and where each value comes from. A key that does not exist is an error "
                  "that names the "
                  "nearest."),
             "\n");
  out += section("SETTINGS");
  std::vector<Row> rows;
  for (const Setting& setting : all_settings())
    rows.push_back({cat(bold(setting.name), " (", roff(takes(setting)), ")"),
                    roff(cat(setting.sentence, "; by default: ", setting.standard))});
  out += tagged(rows);
  out += cat(section("EXAMPLES"),
             ".nf\n[memory]\nbudget = \"4 GiB\"\n\n[models]\npreload = false\n.fi\n");
  out += cat(section("SEE ALSO"), bold("lares"), "(1), ", bold("laresd"), "(8)\n");
  return out;
}

}  // namespace

std::string roff(std::string_view text) {
  std::string out;
  bool line_begins = true;
  for (const char c : text) {
    if (line_begins && (c == '.' || c == '\'')) out += "\\&";
    line_begins = c == '\n';
    switch (c) {
      case '\\': out += "\\e"; break;
      case '-': out += "\\-"; break;
      case '\'': out += "\\(aq"; break;
      case '`': out += "\\(ga"; break;
      case '^': out += "\\(ha"; break;
      case '~': out += "\\(ti"; break;
      case '"': out += "\\(dq"; break;
      default: out += c;
    }
  }
  return out;
}

Result<std::string> man_page(std::string_view name, std::string_view date,
                             std::span<const Verb* const> verbs) {
  if (name == "lares") return lares_page(date, verbs);
  if (name == "laresd") return daemon_page(date);
  if (name == "lares.toml") return settings_man_page(date);
  return Error{Code::Invalid,
               cat("there is no manual page '", utf8_repaired(name.substr(0, 80)), "'",
                   did_you_mean(name, std::vector<std::string>{"lares", "laresd", "lares.toml"}),
                   "; there are lares, laresd and lares.toml")};
}

}  // namespace lares::app
