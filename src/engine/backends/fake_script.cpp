#include "engine/backends/fake_script.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>

#include "base/text.h"

namespace lares::engine::fake {
namespace {

constexpr std::string_view kCall = "<tool_call>";
constexpr std::string_view kCallEnd = "</tool_call>";
// All before the tag, and without what could be its beginning.
std::string up_to(std::string_view text, std::string_view tag) {
  const size_t at = text.find(tag);
  if (at != std::string_view::npos) return std::string(text.substr(0, at));
  size_t held = std::min(tag.size() - 1, text.size());
  while (held > 0 && !text.ends_with(tag.substr(0, held))) held--;
  return std::string(text.substr(0, text.size() - held));
}

Token first_token(std::string_view text, Special special) {
  if (special == Special::Parsed && text[0] == '<') {
    for (size_t i = 0; i < kControls.size(); i++) {
      if (text.starts_with(kControls[i])) return static_cast<Token>(kBegin + i);
    }
  }
  size_t best = 0;
  Token token = static_cast<unsigned char>(text[0]);
  for (size_t i = 0; i < kWords.size(); i++) {
    if (kWords[i][0] == text[0] && kWords[i].size() > best && text.starts_with(kWords[i])) {
      best = kWords[i].size();
      token = static_cast<Token>(kFirstWord + i);
    }
  }
  return token;
}

size_t number_after(std::string_view text, size_t most) {
  size_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return std::min(number, most);
}

}  // namespace

std::string raw_piece(Token token) {
  if (is_media(token)) return "";
  if (token < kBegin) return {static_cast<char>(token)};
  if (token == kClock) return cat(std::chrono::steady_clock::now().time_since_epoch().count(), " ");
  if (token < kFirstWord) return "";
  return std::string(kWords[token - kFirstWord]);
}

std::string text_of(std::span<const Token> tokens) {
  std::string text;
  for (const Token token : tokens) text += raw_piece(token);
  return text;
}

std::vector<Token> tokens_of(std::string_view text, Special special) {
  std::vector<Token> tokens = {kBegin};
  while (!text.empty()) {
    const Token token = first_token(text, special);
    tokens.push_back(token);
    text.remove_prefix(token < kBegin       ? 1
                       : token < kFirstWord ? kControls[token - kBegin].size()
                                            : kWords[token - kFirstWord].size());
  }
  return tokens;
}

Result<Said> FakeFormat::read(const std::string& raw) const {
  Said said;
  std::string_view rest = raw;
  if (rest.starts_with(kThink)) {
    rest.remove_prefix(kThink.size());
    const size_t end = rest.find(kThinkEnd);
    said.reasoning = up_to(rest, kThinkEnd);
    rest = end == std::string_view::npos ? "" : rest.substr(end + kThinkEnd.size());
  } else if (kThink.starts_with(rest)) {
    return said;
  }
  if (!calls_) {
    said.text = rest;
    return said;
  }
  said.text = up_to(rest, kCall);
  for (size_t at = rest.find(kCall); at != std::string_view::npos; at = rest.find(kCall)) {
    rest.remove_prefix(at + kCall.size());
    const size_t end = rest.find(kCallEnd);
    if (end == std::string_view::npos) break;
    const auto call = parse_json(rest.substr(0, end));
    if (!call || !call->is_object() || !call->contains("name") || !(*call)["name"].is_string())
      return Error{Code::Corrupt, "the call is no JSON"};
    said.calls.push_back(
        {"", (*call)["name"].get<std::string>(), dump(call->value("arguments", Json::object()))});
    rest.remove_prefix(end + kCallEnd.size());
  }
  return said;
}

Script script_for(std::span<const Token> prompt, const Constraint* constraint) {
  const auto* const fake = static_cast<const FakeConstraint*>(constraint);
  if (fake && !fake->says.empty()) {
    const auto said = tokens_of(fake->says, Special::AsText);
    return {{said.begin() + 1, said.end()}, 0};
  }
  // the last message of a chat, from its last picture or sound on, or the last line of a text
  const bool chat = !prompt.empty() && prompt.back() == kAssistant;
  std::string order;
  if (chat) {
    auto end = prompt.size() - 1;
    while (end > 0 && prompt[end] != kEnd) end--;
    auto begin = end;
    while (begin > 0 && !is_media(prompt[begin - 1]) &&
           (prompt[begin - 1] < kBegin || prompt[begin - 1] >= kFirstWord))
      begin--;
    order = text_of(prompt.subspan(begin, end - begin));
  } else {
    order = text_of(prompt);
    if (const size_t line = order.rfind('\n'); line != std::string::npos) order.erase(0, line + 1);
  }
  std::string answer;
  const auto after = [&](std::string_view word) -> std::optional<std::string_view> {
    if (!order.starts_with(word)) return std::nullopt;
    return std::string_view(order).substr(word.size());
  };
  if (const auto text = after("repeat: ")) {
    answer = *text;
  } else if (const auto count = after("count: ")) {
    const size_t most = number_after(*count, 1'000'000);
    for (size_t i = 1; i <= most; i++) answer += cat(i == 1 ? "" : " ", i);
  } else if (const auto hex = after("bytes: ")) {
    for (size_t i = 0; i + 1 < hex->size(); i += 2) {
      unsigned byte = 0;
      std::from_chars(hex->data() + i, hex->data() + i + 2, byte, 16);
      answer += static_cast<char>(byte);
    }
    Script script;
    for (const char byte : answer) script.answer.push_back(static_cast<unsigned char>(byte));
    return script;
  } else if (const auto random = after("random: ")) {
    return {{}, number_after(*random, 1'000'000)};
  } else if (order == "look") {
    const auto pieces = std::count_if(prompt.begin(), prompt.end(), begins_media);
    answer =
        cat(pieces, " pieces in ", std::count_if(prompt.begin(), prompt.end(), is_media), " rows");
  } else if (const auto clock = after("clock: ")) {
    return {std::vector<Token>(number_after(*clock, 100'000), kClock), 0};
  } else {
    size_t words = 0;
    for (const auto& word : split(order, ' ')) words += word.empty() ? 0 : 1;
    answer = cat("The prompt has ", words, " words.");
  }
  const auto tokens = tokens_of(answer, Special::AsText);
  return {{tokens.begin() + 1, tokens.end()}, 0};  // without the begin
}

}  // namespace lares::engine::fake
