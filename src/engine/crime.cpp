#include "engine/crime.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "base/text.h"

namespace lares::engine {
namespace {

constexpr std::array<std::string_view, 13> kNames = {
    "exit0",     "exit1",     "kill",       "abort",    "hang",       "silent",  "flood",
    "log-flood", "bad-frame", "huge-frame", "wrong-id", "wrong-type", "two-ends"};
constexpr std::array<std::string_view, 4> kPlaces = {"hello", "load", "loaded", "request"};

[[noreturn]] void sleep_for_ever() {
  for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
}

Result<uint64_t> count(std::string_view text, std::string_view option) {
  uint64_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc() || end != text.data() + text.size() || number == 0) {
    return Error{Code::Invalid, cat("--", option, ": '", text, "' is not a count of tokens")};
  }
  return number;
}

}  // namespace

Result<Crime> Crime::from(Options& options) {
  Crime crime;
  if (const auto found = options.find("die-after"); found != options.end()) {
    crime.name_ = "kill";
    crime.where_ = Where::AtToken;
    TRY_AS(crime.countdown_, count(found->second, "die-after"));
    options.erase(found);
  }
  if (const auto found = options.find("crime"); found != options.end()) {
    crime.name_ = found->second;
    if (std::find(kNames.begin(), kNames.end(), crime.name_) == kNames.end()) {
      const std::vector<std::string> known(kNames.begin(), kNames.end());
      return Error{Code::Invalid, cat("--crime='", crime.name_, "' is no crime",
                                      did_you_mean(crime.name_, known))};
    }
    options.erase(found);
  }
  if (const auto found = options.find("crime-at"); found != options.end()) {
    const std::string_view where = found->second;
    const auto place = std::find(kPlaces.begin(), kPlaces.end(), where);
    if (place != kPlaces.end()) {
      crime.where_ = static_cast<Where>(place - kPlaces.begin());
    } else if (where.starts_with("token:")) {
      crime.where_ = Where::AtToken;
      TRY_AS(crime.countdown_, count(where.substr(6), "crime-at"));
    } else {
      return Error{Code::Invalid,
                   cat("--crime-at='", where, "' is not hello, load, loaded, request or token:N")};
    }
    options.erase(found);
  }
  return crime;
}

void Crime::at(Where where, uint64_t id, Line& line) {
  if (where != where_ || name_.empty()) return;
  if (where == Where::AtToken && --countdown_ > 0) return;
  commit(id, line);
  name_.clear();
}

void Crime::commit(uint64_t id, Line& line) const {
  if (name_ == "exit0") std::_Exit(0);
  if (name_ == "exit1") std::_Exit(1);
  if (name_ == "kill") std::raise(SIGKILL);  // the sandbox refuses kill(), not tgkill() to itself
  if (name_ == "abort") std::abort();
  if (name_ == "hang") sleep_for_ever();
  if (name_ == "silent") {
    line.fall_silent();
    sleep_for_ever();
  }
  if (name_ == "bad-frame") {
    line.send_raw("HTTP/1.1 200 OK\r\n\r\n");
    sleep_for_ever();
  }
  if (name_ == "huge-frame") {
    std::string header = wire::encode({static_cast<uint8_t>(wire::Type::Delta), id, ""});
    header.replace(4, 4, 4, '\xff');
    line.send_raw(header);
    sleep_for_ever();
  }
  if (name_ == "wrong-id")
    line.send(wire::to_frame(wire::Delta{"whose?", nullptr, 1}, id + 1'000'000));
  if (name_ == "wrong-type") line.send({250, id, ""});
  if (name_ == "two-ends") {
    line.send(wire::to_frame(wire::Done{}, id));
    line.send(wire::to_frame(wire::Done{}, id));
  }
  if (name_ == "flood") {
    const std::string frame =
        wire::encode(wire::to_frame(wire::Delta{std::string(60'000, 'x'), nullptr, 1}, id));
    for (;;) line.send_raw(frame);
  }
  if (name_ == "log-flood") {
    const std::string words(4000, 'l');
    for (;;) {
      if (::write(STDERR_FILENO, words.data(), words.size()) < 0) sleep_for_ever();
    }
  }
}

}  // namespace lares::engine
