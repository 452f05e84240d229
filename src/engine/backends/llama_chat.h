// A model's chat template, by llama-common's engine.
#pragma once

#include <chat.h>

#include "engine/model.h"

struct llama_model;

namespace lares::engine::llama {

class ChatTemplate {
 public:
  // Never fails: what is wrong with the template is told by render().
  ChatTemplate(const llama_model* model, Pulse& pulse);

  bool present() const { return !source_.empty(); }
  const std::string& source() const { return source_; }
  Result<Rendered> render(const Json& messages, const Json& kwargs) const;

 private:
  std::string source_;
  std::string wrong_;
  common_chat_templates_ptr templates_;
};

}  // namespace lares::engine::llama
