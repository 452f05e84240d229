// lares chat: the loop, its commands, and the verb.
#include "app/cli/chat.h"

#include <fcntl.h>

#include <array>
#include <cstdlib>
#include <filesystem>

#include "app/cli/compaction.h"
#include "app/cli/first_answer.h"
#include "app/cli/plain_text.h"
#include "app/cli/prompt.h"
#include "app/cli/show.h"
#include "app/cli/table.h"
#include "app/system_prompt.h"
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
    Command{"/new", "", "begin another conversation; this one stays in `lares chat --list`"},
    Command{"/model", "[NAME]", "who answers from now on; alone: who can"},
    Command{"/system", "[TEXT]", "the system prompt; alone: show it; \"\" for none"},
    Command{"/retry", "", "ask the last question again"},
    Command{"/undo", "", "take the last summary of earlier turns back, and what came after it"},
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
         "Ctrl-C         stop thinking, or the answer\n"
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

Conversation::Conversation(Context& context, Lines& lines, Start start)
    : context_(context),
      lines_(lines),
      sampling_(std::move(start.sampling)),
      system_(std::move(start.system)),
      system_given_(start.system_given),
      transcript_(context.daemon, start.keep) {
  if (!sampling_.model.empty()) (void)transcript_.set_model(sampling_.model);
}

Result<> Conversation::go_on(const std::string& which) {
  TRY(transcript_.go_on(which));
  if (sampling_.model.empty()) {
    sampling_.model = transcript_.model();
  } else {
    TRY(transcript_.set_model(sampling_.model));
  }
  const auto& turns = transcript_.turns();
  for (const Transcript::Turn& turn : turns) {
    if (turn.role == "system" && !system_given_) system_ = turn.text;
  }
  note(plain_line(
      cat("going on with '", transcript_.title(), "', ", counted(turns.size(), "message"))));
  // the last exchange, so that the person knows where they are
  const std::vector<size_t> view = transcript_.in_view();
  for (size_t i = view.size() - std::min<size_t>(2, view.size()); i < view.size(); i++) {
    const Transcript::Turn& turn = turns[view[i]];
    note(plain(cat(turn.role == "user" ? "> " : "", turn.text)));
  }
  return Unit{};
}

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
    transcript_.begin_again();
    note("a new conversation");
  } else if (name == "/model") {
    set_model(rest);
  } else if (name == "/system") {
    set_system(rest);
  } else if (name == "/retry") {
    retry();
  } else if (name == "/undo") {
    undo();
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
    if (auto set = transcript_.set_model(sampling_.model); !set) say_not_kept(set.error().message);
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
  system_given_ = true;
  note(system_.empty() ? "no system prompt from now on" : "the system prompt is set");
}

void Conversation::retry() {
  if (!transcript_.ask_again()) {
    note("there is no question to ask again");
    return;
  }
  answer();
}

void Conversation::undo() {
  const InterruptsDaemon interrupts_daemon(context_.daemon);
  const auto undone = transcript_.undo();
  if (!undone) {
    say_not_kept(undone.error().message);
  } else if (*undone) {
    note("the summary is taken back; all that was said before it is in view again");
  } else {
    note("nothing was summarised here");
  }
}

void Conversation::say_not_kept(std::string_view why) {
  note(plain_line(cat("this conversation is not kept: ", why)));
}

void Conversation::save(const std::string& file) {
  if (file.empty()) {
    note("/save wants the name of a new file");
    return;
  }
  std::string text;
  size_t saved = 0;
  for (const Transcript::Turn& turn : transcript_.turns()) {
    if (turn.role != "user" && turn.role != "assistant") continue;
    text += cat("## ", turn.role == "user" ? "You" : "Lares", "\n\n", turn.text, "\n\n");
    saved++;
  }
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
  note(plain_line(cat("saved ", counted(saved, "message"), " to ", path.string())));
}

void Conversation::ask(const std::string& message) {
  if (auto text = check_text("the message", message); !text) {
    context_.screen.say(error_line(text.error()));
    status_ = row(text.error().code).exit_status;
    return;
  }
  {
    const InterruptsDaemon interrupts_daemon(context_.daemon);
    const auto kept = transcript_.ask(message, system_given_ ? system_ : "");
    if (!kept) say_not_kept(kept.error().message);
  }
  answer();
}

// The context was full, and now has room.
bool Conversation::compacted() {
  auto made = compact(context_, sampling_, transcript_);
  if (made) return *made;
  context_.screen.say(error_line(made.error()));
  return false;
}

void Conversation::answer() {
  status_ = 0;
  auto answered =
      stream_answer(context_, sampling_, transcript_.messages(system_), transcript_.place());
  for (int times = 0; times < kCompactionsMax && !answered &&
                      answered.error().code == Code::TooLong && compacted();
       times++)
    answered =
        stream_answer(context_, sampling_, transcript_.messages(system_), transcript_.place());
  if (!answered) {
    const Error& error = answered.error();
    context_.screen.say(error_line(error));
    status_ = row(error.code).exit_status;
    if (!context_.screen.is_terminal(Stream::In)) return;
    if (error.code == Code::TooLong && transcript_.turns().size() > 1) {
      note("/new begins a conversation with room again; /save FILE writes this one to a file");
    } else if (row(error.code).retry) {
      note("/retry asks again");
    }
    return;
  }
  // what was seen of an answer that was stopped is part of the conversation
  transcript_.answered(answered->text, answered->message);
  if (!answered->not_kept.empty()) say_not_kept(answered->not_kept);
  if (answered->stopped) {
    note("stopped");
    return;
  }
  if (answered->reason == "length" && !sampling_.tokens_max)
    note("the context is full, so the answer is cut off; the next question makes room");
  if (answered->reason == "repeats") note(kRepeats);
  after_answer(context_, *answered);
}

namespace {

// `lares chat --list [WORDS]`
Result<int> list(Context& context, const Arguments& arguments, const std::string& words) {
  TRY_AS(const Json all, kept_conversations(context.daemon, words));
  if (arguments.has("--json")) return print_json(context, all);
  if (all.empty()) {
    context.screen.say(words.empty()
                           ? "lares: there is no conversation yet; `lares chat` begins one\n"
                           : "lares: there is no conversation with these words\n");
    return 0;
  }
  const int64_t now = unix_ms(SystemClock().wall());
  Table table(
      {{"ID"}, {"CHANGED"}, {"MESSAGES", Table::Side::Right}, {"TITLE", Table::Side::Left, true}});
  for (const Json& one : all) {
    const std::string snippet = text_of(one, "snippet");
    table.add({text_of(one, "id"), ago(count_of(one, "updated_ms"), now),
               cat(count_of(one, "messages")),
               snippet.empty() || snippet == text_of(one, "title")
                   ? text_of(one, "title")
                   : cat(text_of(one, "title"), ": ", snippet)});
  }
  TRY(context.screen.out(table.print(table_width(context))));
  return 0;
}

// `lares chat --delete ID`
Result<int> forget(Context& context, const std::string& which) {
  if (which.empty())
    return Error{Code::Invalid, "deleting: name the conversation; `lares chat --list` names them"};
  TRY_AS(const std::string id, conversation_meant(context.daemon, which));
  const std::string path = cat("/lares/v1/conversations/", path_escaped(id));
  TRY_AS(const Json found, ask(context.daemon, "GET", path));
  TRY(ask(context.daemon, "DELETE", path));
  const Json& messages = member_of(found, "messages");
  TRY(context.screen.out(plain_line(cat("deleted '", text_of(found, "title"), "', ",
                                        counted(messages.size(), "message"))) +
                         "\n"));
  return 0;
}

}  // namespace

Result<int> chat(Context& context, const Arguments& arguments) {
  // the verb `ask` gets here only without words
  std::string which;
  for (const std::string& word : arguments.words()) which += cat(which.empty() ? "" : " ", word);
  if (arguments.has("--list")) return list(context, arguments, which);
  if (arguments.has("--json"))
    return Error{Code::Invalid,
                 "reading the command line: --json is for `lares chat --list`, and for one "
                 "question: lares --json \"...\"; a conversation is text"};
  if (arguments.has("--delete")) return forget(context, which);
  const bool goes_on = arguments.has("--continue");
  if (!which.empty() && !goes_on) {
    return Error{Code::Invalid,
                 cat("reading the command line: '", which,
                     "' is more than `lares chat` takes; `lares chat --continue ", which,
                     "` goes on with that conversation, and a question is asked inside")};
  }
  if (goes_on && arguments.has("--private"))
    return Error{Code::Invalid,
                 "reading the command line: --continue goes on with what is kept, and --private "
                 "keeps nothing; choose one"};
  Conversation::Start start;
  TRY_AS(start.sampling, sampling_of(arguments));
  start.system = arguments.value("--system", system_prompt(SystemClock().wall()));
  start.system_given = arguments.has("--system");
  TRY(check_text("the system prompt", start.system));
  if (arguments.has("--private")) start.keep = Transcript::Keep::Nowhere;
  const bool person =
      context.screen.is_terminal(Stream::In) && context.screen.is_terminal(Stream::Out);
  const auto lines = person ? lines_of_terminal() : lines_of_pipe();
  if (person && !goes_on)
    context.screen.say(
        "A conversation with a model on this machine. /help lists the commands; Ctrl-D ends.\n");
  Conversation conversation(context, *lines, std::move(start));
  if (goes_on) TRY(conversation.go_on(which));
  return conversation.run();
}

namespace {

constexpr Option kOptions[] = {
    {"--continue", 'c', "", "go on with the newest conversation, or with the one that is named"},
    {"--list", '\0', "", "list the conversations, newest first; with words: those that have them"},
    {"--delete", '\0', "", "delete the one that is named, and all that was derived from it"},
    {"--private", '\0', "", "keep nothing of this conversation"},
    kModel,
    kSystem,
    kTemperature,
    kMaxTokens,
    kSeed,
    kThoughts,
    {"--json", '\0', "", "with --list: print JSON for programs instead of text for people"}};
constexpr Word kWords[] = {
    {"ID", "a conversation: its id, the beginning of it, or words in it", Word::Count::Many}};
constexpr Example kExamples[] = {
    {"lares chat", "Begins a conversation; /help inside lists its commands."},
    {"lares chat --continue", "Goes on where the last conversation ended, here or on the page."},
    {"lares chat --list newt", "Names the conversations in which this word stands."},
    {"lares chat -m qwen2.5-1.5b -s \"Answer in rhyme.\"",
     "With a certain model and another system prompt."},
    {"printf 'Hi!\\nSay that again.\\n' | lares chat", "Takes one message a line from a pipe."},
};
constexpr Verb kVerb{
    .name = "chat",
    .summary = "begin a conversation",
    .more =
        "Every turn is answered with the whole conversation in view; when that is more than the "
        "model takes, the older turns are summarised, which is said and can be undone. Ctrl-C "
        "ends what is thought before an answer, and the next one the answer; Ctrl-D ends. The "
        "daemon keeps conversations, encrypted, until they are "
        "deleted; --private keeps nothing.",
    .options = kOptions,
    .words = kWords,
    .examples = kExamples,
    .run = chat,
};
const Registered<Verb> kRegistered{kVerb};

}  // namespace
}  // namespace lares::app
