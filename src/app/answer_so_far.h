// AnswerSoFar: what one worker chose of an answer and its client was told, so that another worker
// can go on with it when that one dies. Keeps the ids of tokens, no text. Pure; one for each
// answer; the run loop's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "wire/message.h"

namespace lares::app {

class AnswerSoFar {
 public:
  static constexpr size_t kTokensMax = 1u << 20;  // of an answer: 4 MiB of ids

  void started(const wire::Started& started) { started_ = started; }
  // What its client is told now of what the worker said: all, but for what comes because the answer
  // has ended. That is held back until done(): a worker that dies in between has another one end
  // the answer again, which says it again. Corrupt: more tokens than an answer has.
  Result<std::vector<wire::Delta>> heard(wire::Delta delta);
  // The worker's end of it has come: what was held back.
  std::vector<wire::Delta> done();

  // Its worker has died. False: the client was told something, and it is not known of which tokens,
  // so nobody can go on with it.
  bool lost();
  // Something was told, so it is to be resumed; else it is asked anew.
  bool begun() const { return begun_; }
  size_t tokens() const { return ids_.size() / sizeof(uint32_t); }
  wire::Resume resume(std::string generate, Lane lane, uint32_t owner) const {
    return {std::move(generate), started_.chance, started_.thinking_max, ids_, lane, owner};
  }

 private:
  std::string ids_;  // as in wire::Resume
  wire::Started started_;
  uint64_t told_ = 0;  // tokens, as its Deltas count them
  bool begun_ = false;
  std::vector<wire::Delta> held_;
};

}  // namespace lares::app
