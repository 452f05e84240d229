// AnswerReader: turns an answer, as it grows, into what is new of its thoughts, its text and its
// calls of tools. It knows no model's way to write these (AnswerFormat does) and loses nothing:
// what is not in the format is text. Compute thread only; owned by its request.
//
// A format is read from the beginning each time, so a long answer would take quadratic time.
// Therefore it is read again only once kIdleShare times as long has gone by as the last reading
// took: its cost is a fixed share of the time, and text is late by no more than that.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "engine/structure.h"

namespace lares::engine {

class AnswerReader {
 public:
  static constexpr int kIdleShare = 20;

  // What has come since the last time; all empty when there is nothing.
  struct News {
    std::string reasoning;
    std::string text;
    Json tool_calls;  // as in wire::Delta
    bool empty() const { return reasoning.empty() && text.empty() && tool_calls.is_null(); }
  };

  // `clock` must outlive it. `identity` makes the ids of calls to which the model gives none. Calls
  // beyond `calls_max` are not told: some formats let a model go on with another one.
  AnswerReader(std::shared_ptr<const AnswerFormat> format, const Clock& clock, uint64_t identity,
               size_t calls_max = SIZE_MAX)
      : format_(std::move(format)), clock_(clock), identity_(identity), calls_max_(calls_max) {}

  // `more` of what the model wrote; perhaps nothing is told of it yet.
  News add(std::string_view more);
  // The same of what was told of before, by another reader: `told_here` where that told something
  // after `more`.
  void again(std::string_view more, bool told_here);
  // The answer has ended: the rest of what it says.
  News end();

  bool called() const { return !told_.calls.empty(); }
  // A call has begun that is not told: nothing that is follows.
  bool over() const { return over_; }
  const AnswerFormat& format() const { return *format_; }

 private:
  News read();
  News since(Said said);
  std::string id_for(const std::string& given, size_t index) const;

  std::shared_ptr<const AnswerFormat> format_;
  const Clock& clock_;
  const uint64_t identity_;
  const size_t calls_max_;
  std::string raw_;
  size_t understood_ = 0;  // bytes of raw_ of which all has been told
  bool failed_ = false;    // the last reading
  bool over_ = false;
  size_t read_ = 0;  // bytes of raw_ that were there at the last reading
  Said told_;
  SteadyTime next_{};
};

}  // namespace lares::engine
