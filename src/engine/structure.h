// Structure: what an answer must look like, and how it is taken apart into thoughts, text and calls
// of tools. The words between options.h, which reads what was asked, the backends, which know how a
// model writes these things, and the batcher. Nothing here computes; compute thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/units.h"

namespace lares::engine {

struct Tool {
  std::string name;
  std::string description;
  std::string parameters;  // JSON Schema, as text: the order of its properties counts
  bool strict = false;     // what of it cannot be enforced is an error
};

enum class ToolChoice : uint8_t { Auto, Required };

// What the text of an answer must be; at most one is given. Texts from outside: not looked into
// yet.
struct Must {
  std::string schema;   // JSON Schema
  std::string grammar;  // GBNF, from its rule 'root' on
  std::string regex;    // the whole text is what it matches
  std::vector<std::string> choice;
  bool strict = false;  // of a schema: what of it cannot be enforced is an error
  std::string param;    // the field that errors name
  bool empty() const {
    return schema.empty() && grammar.empty() && regex.empty() && choice.empty();
  }
};

struct Structure {
  std::vector<Tool> tools;
  ToolChoice tool_choice = ToolChoice::Auto;
  bool parallel_tool_calls = true;
  Must must;
  // Tokens of thinking before the answer; 0: none, nullopt: as long as the model likes.
  std::optional<Tokens> thinking_max;
  bool exact = false;      // the request named that number, so one that cannot be is an error
  bool automatic = false;  // thinking_max is to be chosen by the question (thinking_budget.h)
  bool lowered = false;    // thinking_max is less than was asked for, so that an answer fits
  std::optional<std::chrono::milliseconds> deadline;  // the whole answer is to be there by then
  std::string effort;  // for templates that have a word for it: "low", "medium", "high"; ""
  // Asks for nothing that a plain chat has not; how long it thinks is another matter.
  bool empty() const { return tools.empty() && must.empty(); }
};

struct ToolCall {
  std::string id;  // "" where the model gave none
  std::string name;
  std::string arguments;  // a JSON text, or the beginning of one
};

// What the beginning of an answer says.
struct Said {
  std::string reasoning;
  std::string text;
  std::vector<ToolCall> calls;
};

// How a model writes one answer, made by its backend when the chat is rendered. Does not change.
class AnswerFormat {
 public:
  virtual ~AnswerFormat() = default;
  // `raw`: all that was written so far. More of it says the same and more, as far as models keep to
  // their format. Corrupt when it is not in this format.
  virtual Result<Said> read(const std::string& raw) const = 0;
  // Control tokens that are a part of the format: their names are in what read() is given.
  std::vector<int32_t> shown;
};

// What a Sampler must keep to: a backend's own, carried from rendering to the sampler.
class Constraint {
 public:
  virtual ~Constraint() = default;
};

// The part of a Generate's body that says these things (wire/message.h): every field, its type and
// its size, not what is in the texts. Invalid, with the field in `param`. Pure.
Result<Structure> read_structure(const Json& body, bool chat);

}  // namespace lares::engine
