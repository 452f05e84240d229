// Result<T>: a value or an Error. A dropped Result is a compiler warning, and warnings are errors
// in our builds. What it is not: an exception, or a place for bugs (those are asserts).
// Plain values, no threads. The reasons for our own type: docs/decisions/0002-own-result.md.
#pragma once

#include <cassert>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace lares {

// Says what kind of thing went wrong. One table, in base/error.cpp, maps each to an HTTP status, an
// exit status and whether trying again can help.
enum class Code : uint8_t {
  Invalid,      // the request is wrong; it will be wrong again
  NotFound,     // no such model, request, file, route
  Denied,       // the caller lacks the right
  Busy,         // a queue is full; try again later
  NoRoom,       // it needs more memory or disk than there is
  Offline,      // it needs a network that is not there
  Cancelled,    // the caller went away or asked to stop
  Timeout,      // it took longer than the caller or a limit allows
  Corrupt,      // bytes on disk or on a wire are not what they should be
  Io,           // the operating system refused
  WorkerDied,   // the process that computed this ended
  TooLong,      // the prompt does not fit the model's context; shorten it
  Unsupported,  // we cannot do this, and say so
};

struct Error {
  Code code;
  std::string message;  // "doing: what was wrong with which values; what to do"
  std::string param{};  // the request field at fault, if one is; for API error bodies

  // Puts what was being done in front: "loading 'x': ..."
  Error within(std::string_view doing) && {
    return {code, std::string(doing) + ": " + message, std::move(param)};
  }
};

struct Unit {
  bool operator==(const Unit&) const = default;
};

template <class T = Unit>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit
  explicit operator bool() const { return state_.index() == 0; }

  // Reading the side that is not there is a bug of ours, and an assertion.
  const T& operator*() const& {
    assert(state_.index() == 0);
    return *std::get_if<0>(&state_);
  }
  T& operator*() & {
    assert(state_.index() == 0);
    return *std::get_if<0>(&state_);
  }
  T&& operator*() && {
    assert(state_.index() == 0);
    return std::move(*std::get_if<0>(&state_));
  }
  const T* operator->() const { return &**this; }
  T* operator->() { return &**this; }
  const Error& error() const& {
    assert(state_.index() == 1);
    return *std::get_if<1>(&state_);
  }
  Error&& error() && {
    assert(state_.index() == 1);
    return std::move(*std::get_if<1>(&state_));
  }

 private:
  std::variant<T, Error> state_;
};

// One row of the table in base/error.cpp.
struct CodeRow {
  Code code;
  std::string_view name;      // as it stands in JSON: "no_room"
  std::string_view api_type;  // OpenAI's error.type
  int http_status;
  int exit_status;
  bool retry;  // true: the same request may succeed later
};

const CodeRow& row(Code code);
// What an answer with that HTTP status means when it says nothing else: the first row that has it,
// else Invalid for 4xx and Io for all others.
const CodeRow& row_of_status(int http_status);

// The row of a name that came over a wire; nullptr when there is none.
const CodeRow* row_named(std::string_view name);

}  // namespace lares

#define LARES_JOIN2(a, b) a##b
#define LARES_JOIN(a, b) LARES_JOIN2(a, b)
// NOLINTBEGIN(bugprone-macro-parentheses): a declaration cannot stand in parentheses
#define LARES_TRY_AS(tmp, decl, expr)        \
  auto tmp = (expr);                         \
  if (!(tmp)) return std::move(tmp).error(); \
  decl = *std::move(tmp)
// NOLINTEND(bugprone-macro-parentheses)

// TRY(expr): returns the error of `expr` from this function, else goes on.
// TRY_AS(decl, expr): the same, and initialises `decl` with the value.
#define TRY_AS(decl, expr) LARES_TRY_AS(LARES_JOIN(try_, __LINE__), decl, expr)
#define TRY(expr)                                            \
  do {                                                       \
    if (auto r_ = (expr); !r_) return std::move(r_).error(); \
  } while (0)
