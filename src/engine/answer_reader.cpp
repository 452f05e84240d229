#include "engine/answer_reader.h"

#include <cstdio>

#include "base/text.h"

namespace lares::engine {
namespace {

// What `now` has more than `told`, which grows by it. Nothing where it says something else than
// before: that comes right with more text, or the model has left its format.
std::string grown(std::string& told, std::string now) {
  if (now.size() <= told.size() || !now.starts_with(told)) return "";
  // half a character waits for its other half
  now.resize(now.size() - utf8_tail(std::string_view(now).substr(told.size())));
  std::string more = now.substr(told.size());
  told = std::move(now);
  return more;
}

}  // namespace

std::string AnswerReader::id_for(const std::string& given, size_t index) const {
  if (!given.empty()) return given;
  char text[32];
  const uint64_t mixed = (identity_ + index) * 0x9e3779b97f4a7c15;
  std::snprintf(text, sizeof text, "call_%016llx",
                static_cast<unsigned long long>(mixed ^ (mixed >> 29)));
  return text;
}

AnswerReader::News AnswerReader::since(Said said) {
  // templates end thoughts with lines of their own
  if (!said.reasoning.empty()) said.text.erase(0, said.text.find_first_not_of("\r\n"));
  News news;
  news.reasoning = grown(told_.reasoning, std::move(said.reasoning));
  news.text = grown(told_.text, std::move(said.text));
  const auto tell = [&](Json fragment) {
    if (news.tool_calls.is_null()) news.tool_calls = Json::array();
    news.tool_calls.push_back(std::move(fragment));
  };
  for (size_t i = 0; i < said.calls.size(); i++) {
    over_ = over_ || i >= calls_max_;
    ToolCall& call = said.calls[i];
    if (over_ || call.name.empty()) break;
    const bool first = i == told_.calls.size();
    if (first) told_.calls.push_back({id_for(call.id, i), call.name, ""});
    std::string more = grown(told_.calls[i].arguments, std::move(call.arguments));
    if (!first && more.empty()) continue;
    tell({{"index", i},
          {"id", first ? told_.calls[i].id : ""},
          {"name", first ? told_.calls[i].name : ""},
          {"arguments", std::move(more)}});
  }
  return news;
}

AnswerReader::News AnswerReader::read() {
  const SteadyTime began = clock_.now();
  read_ = raw_.size();
  auto said = format_->read(raw_);
  const SteadyTime ended = clock_.now();
  next_ = ended + kIdleShare * (ended - began);
  failed_ = !said;
  if (!said) return {};
  News news = since(*std::move(said));
  for (const std::string* piece : {&news.reasoning, &news.text}) {
    if (piece->empty()) continue;
    const size_t at = raw_.find(*piece, understood_);
    understood_ = at == std::string::npos ? raw_.size() : at + piece->size();
  }
  if (!news.tool_calls.is_null()) understood_ = raw_.size();
  return news;
}

AnswerReader::News AnswerReader::add(std::string_view more) {
  raw_ += more;
  if (more.empty() || clock_.now() < next_) return {};
  return read();
}

void AnswerReader::again(std::string_view more, bool told_here) {
  raw_ += more;
  if (told_here) static_cast<void>(read());
}

AnswerReader::News AnswerReader::end() {
  News news;
  if (read_ < raw_.size()) news = read();
  if (failed_) news.text += raw_.substr(understood_);  // not in the format
  return news;
}

}  // namespace lares::engine
