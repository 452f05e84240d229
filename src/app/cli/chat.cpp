// lares chat: the loop, its commands, and the verb.
#include "app/cli/chat.h"

#include <fcntl.h>

#include <array>
#include <cstdlib>
#include <filesystem>

#include "app/cli/first_answer.h"
#include "app/cli/plain_text.h"
#include "app/cli/prompt.h"
#include "app/cli/show.h"
#include "app/cli/table.h"
#include "base/file.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr std::string_view kFence = "\"\"\"";

struct Command {
  std::string_view name;
  std::string_view takes;
  std::string_view says;
};
constexpr std::array kCommands = {
    Command{"/help", "", "this list"},
    Command{"/new", "", "forget this conversation and begin another"},
    Command{"/model", "[NAME]", "who answers from now on; alone: who can"},
    Command{"/system", "[TEXT]", "the system prompt; alone: show it; \"\" for none"},
    Command{"/retry", "", "ask the last question again"},
    Command{"/save", "FILE", "write the conversation to a new file"},
    Command{"/quit", "", "end, as Ctrl-D does"},
};

std::string help_text() {
  std::string out;
  for (const Command& command : kCommands) {
    std::string left = cat(command.name, command.takes.empty() ? "" : " ", command.takes);
    left.resize(std::max<size_t>(left.size(), 16), ' ');
    out += cat(left, command.says, "\n");
  }
  return out +
         "Ctrl-C         stop the answer\n"
         "A line that ends with \\ goes on in the next; \"\"\" begins and ends a message of many "
         "lines.\n"
         "A message that begins with / is written with //.\n";
}

std::filesystem::path path_of(const std::string& written) {
  if (written.starts_with("~/")) {
    if (const char* person = std::getenv("HOME"))
      return std::filesystem::path(person) / written.substr(2);
  }
  return written;
}

}  // namespace

Json opening(const std::string& system, const std::string& prompt) {
  Json messages = Json::array();
  if (!trimmed(system).empty()) messages.push_back({{"role", "system"}, {"content", system}});
  messages.push_back({{"role", "user"}, {"content", prompt}});
  return messages;
}

Conversation::Conversation(Context& context, Lines& lines, Sampling sampling, std::string system)
    : context_(context),
      lines_(lines),
      sampling_(std::move(sampling)),
      system_(std::move(system)) {}

void Conversation::note(std::string_view text) {
  context_.screen.say(cat(shaded(context_.screen, Stream::Err, Shade::Dim, text), "\n"));
}

// One message: a line, lines joined by a backslash at their ends, or all between two """.
Lines::Got Conversation::read_message(std::string& message) {
  message.clear();
  std::string line;
  Lines::Got got = lines_.next("> ", line);
  if (got != Lines::Got::Line) return got;
  const bool fenced = line.starts_with(kFence);
  if (fenced) line.erase(0, kFence.size());
  for (;;) {
    if (message.size() + line.size() > kMessageMax) {
      note(cat("this message is longer than ", Bytes{kMessageMax},
               ", the most that is taken; it is dropped"));
      message.clear();
      return Lines::Got::Interrupted;
    }
    if (fenced && line.ends_with(kFence)) {
      message += line.substr(0, line.size() - kFence.size());
      return Lines::Got::Line;
    }
    const bool goes_on = !fenced && line.ends_with('\\');
    if (goes_on) line.pop_back();
    message += line;
    if (!fenced && !goes_on) return Lines::Got::Line;
    message += '\n';
    got = lines_.next(". ", line);
    if (got == Lines::Got::Interrupted) return got;
    if (got == Lines::Got::End) return Lines::Got::Line;  // the end of the pipe ends it too
  }
}

Result<int> Conversation::run() {
  std::string message;
  for (;;) {
    switch (read_message(message)) {
      case Lines::Got::Interrupted: continue;
      case Lines::Got::End:
        if (context_.screen.is_terminal(Stream::In)) context_.screen.say("\n");
        return status_;
      case Lines::Got::Line: break;
    }
    const std::string_view said = trimmed(message);
    if (said.empty()) continue;
    if (said.starts_with('/') && !said.starts_with("//")) {
      if (obey(std::string(said)) == Next::Quit) return status_;
    } else {
      ask(std::string(said.starts_with("//") ? said.substr(1) : said));
    }
    // with a pipe at the other end there is nobody to correct what went wrong
    if (status_ != 0 && !context_.screen.is_terminal(Stream::In)) return status_;
  }
}

Conversation::Next Conversation::obey(const std::string& command) {
  const size_t space = command.find_first_of(" \t\n");
  const std::string name = command.substr(0, space);
  const std::string rest(
      space == std::string::npos ? "" : trimmed(std::string_view(command).substr(space)));
  if (name == "/quit" || name == "/exit" || name == "/bye") return Next::Quit;
  if (name == "/help" || name == "/?") {
    context_.screen.say(help_text());
  } else if (name == "/new" || name == "/clear") {
    turns_.clear();
    note("a new conversation");
  } else if (name == "/model") {
    set_model(rest);
  } else if (name == "/system") {
    set_system(rest);
  } else if (name == "/retry") {
    retry();
  } else if (name == "/save") {
    save(rest);
  } else {
    std::vector<std::string> names;
    names.reserve(std::size(kCommands));
    for (const Command& known : kCommands) names.emplace_back(known.name);
    note(plain_line(cat("there is no command ", name, did_you_mean(name, names),
                        "; /help lists them; a message that begins with / is written with //")));
  }
  return Next::GoOn;
}

void Conversation::set_model(const std::string& name) {
  const InterruptsDaemon interrupts_daemon(context_.daemon);
  auto models = lares::app::ask(
      context_.daemon, "GET",
      name.empty() ? "/lares/v1/models" : cat("/lares/v1/models/", path_escaped(name)));
  if (!models) {
    context_.screen.say(error_line(models.error()));
    return;
  }
  if (!name.empty()) {
    sampling_.model = text_of(*models, "id");
    note(plain_line(cat(sampling_.model, " answers from now on")));
    return;
  }
  for (const Json& model : *models) {
    const std::string id = text_of(model, "id");
    const bool current =
        sampling_.model.empty() ? flag_of(model, "default") : sampling_.model == id;
    if (text_of(model, "use") == "chat")
      context_.screen.say(
          plain_line(cat(current ? "* " : "  ", id, "  ", size_of(model, "size_bytes"))) + "\n");
  }
}

void Conversation::set_system(const std::string& text) {
  if (text.empty()) {
    context_.screen.say(plain(system_.empty() ? "no system prompt" : system_) + "\n");
    return;
  }
  system_ = text == "\"\"" ? "" : text;
  note(system_.empty() ? "no system prompt from now on" : "the system prompt is set");
}

void Conversation::retry() {
  while (!turns_.empty() && text_of(turns_.back(), "role") == "assistant")
    turns_.erase(turns_.size() - 1);
  if (turns_.empty()) {
    note("there is no question to ask again");
    return;
  }
  answer();
}

void Conversation::save(const std::string& file) {
  if (file.empty()) {
    note("/save wants the name of a new file");
    return;
  }
  std::string text;
  for (const Json& turn : turns_)
    text += cat("## ", text_of(turn, "role") == "user" ? "You" : "Lares", "\n\n",
                text_of(turn, "content"), "\n\n");
  const std::filesystem::path path = path_of(file);
  const std::string doing = cat("saving '", path.string(), "'");
  // never over a file that is there
  Fd made(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!made) {
    Error error = errno == EEXIST
                      ? Error{Code::Invalid, cat(doing, ": it exists already; choose another name")}
                      : system_error(doing, errno);
    context_.screen.say(error_line(error));
    return;
  }
  made.reset();
  if (auto written = write_file(path, text); !written) {
    context_.screen.say(error_line(written.error()));
    return;
  }
  note(plain_line(cat("saved ", counted(turns_.size(), "message"), " to ", path.string())));
}

Json Conversation::messages() const {
  Json all = Json::array();
  if (!trimmed(system_).empty()) all.push_back({{"role", "system"}, {"content", system_}});
  for (const Json& turn : turns_) all.push_back(turn);
  return all;
}

void Conversation::ask(const std::string& message) {
  if (auto text = check_text("the message", message); !text) {
    context_.screen.say(error_line(text.error()));
    status_ = row(text.error().code).exit_status;
    return;
  }
  // a question that got no answer is replaced by the next one
  if (!turns_.empty() && text_of(turns_.back(), "role") == "user") turns_.erase(turns_.size() - 1);
  turns_.push_back({{"role", "user"}, {"content", message}});
  answer();
}

void Conversation::answer() {
  status_ = 0;
  auto answered = stream_answer(context_, sampling_, messages());
  if (!answered) {
    const Error& error = answered.error();
    context_.screen.say(error_line(error));
    status_ = row(error.code).exit_status;
    if (!context_.screen.is_terminal(Stream::In)) return;
    if (error.code == Code::Invalid && turns_.size() > 1) {
      note("/new begins a conversation with room again; /save FILE keeps this one");
    } else if (row(error.code).retry) {
      note("/retry asks again");
    }
    return;
  }
  // what was seen of an answer that was stopped is part of the conversation
  if (!answered->text.empty())
    turns_.push_back({{"role", "assistant"}, {"content", answered->text}});
  if (answered->stopped) {
    note("stopped");
    return;
  }
  if (answered->reason == "length" && !sampling_.tokens_max)
    note("the context is full, so the answer is cut off; /new begins again");
  after_answer(context_, *answered);
}

Result<int> chat(Context& context, const Arguments& arguments) {
  TRY_AS(Sampling sampling, sampling_of(arguments));
  std::string system = arguments.value("--system", system_prompt(SystemClock().wall()));
  TRY(check_text("the system prompt", system));
  const bool person =
      context.screen.is_terminal(Stream::In) && context.screen.is_terminal(Stream::Out);
  const auto lines = person ? lines_of_terminal() : lines_of_pipe();
  if (person)
    context.screen.say(
        "A conversation with a model on this machine. /help lists the commands; Ctrl-D ends.\n");
  return Conversation(context, *lines, std::move(sampling), std::move(system)).run();
}

namespace {

constexpr Option kOptions[] = {kModel, kSystem, kTemperature, kMaxTokens, kSeed};
constexpr Example kExamples[] = {
    {"lares chat", "Begins a conversation; /help inside lists its commands."},
    {"lares chat -m qwen2.5-1.5b -s \"Answer in rhyme.\"",
     "With a certain model and another system prompt."},
    {"printf 'Hi!\\nSay that again.\\n' | lares chat", "Takes one message a line from a pipe."},
};
constexpr Verb kVerb{
    .name = "chat",
    .summary = "begin a conversation",
    .more =
        "Every turn is answered with the whole conversation in view. Ctrl-C stops an answer, "
        "Ctrl-D "
        "ends. Nothing is kept afterwards but what /save writes.",
    .options = kOptions,
    .words = {},
    .examples = kExamples,
    .run = chat,
};
const Registered<Verb> kRegistered{kVerb};

}  // namespace
}  // namespace lares::app
