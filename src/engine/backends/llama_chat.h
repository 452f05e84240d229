// A model's chat template, by llama-common's engine.
#pragma once

#include <chat.h>

#include <map>
#include <string>

#include "engine/model.h"

struct llama_model;
struct llama_vocab;

namespace lares::engine::llama {

class ChatTemplate {
 public:
  // Never fails: what is wrong with the template is told by render().
  ChatTemplate(const llama_model* model, Pulse& pulse);
  // One without its model: `vocab` may be nullptr, and then no token is known to be a part of it.
  ChatTemplate(const llama_vocab* vocab, std::string source, Pulse& pulse);

  // It can tell a model of tools, or of calls.
  bool calls() const { return calls_; }
  bool present() const { return !source_.empty(); }
  const std::string& source() const { return source_; }
  // Its answers may begin with thoughts, which their format tells from the rest.
  bool thinks() const { return thinks_; }
  // `marker` stands for each picture or sound.
  Result<Rendered> render(const Chat& chat, std::string_view marker = "") const;

 private:
  void learn(const llama_model* model, Pulse& pulse);
  Result<common_chat_params> apply(const common_chat_templates_inputs& inputs) const;
  Result<common_chat_params> apply_known(const common_chat_templates_inputs& inputs) const;
  Result<Rendered> render_structure(const Chat& chat, common_chat_templates_inputs inputs) const;

  std::string source_;
  const llama_vocab* const vocab_;
  bool thinks_ = false;
  bool calls_ = false;
  std::string wrong_;
  common_chat_templates_ptr templates_;
  // The engine takes answers of this template apart in a way of its own, and not in one that it
  // finds out by trying the template: without tools, and with them.
  bool own_way_ = true, own_way_with_tools_ = true;
  mutable std::map<std::string, common_chat_params> known_;  // what it found out, for apply_known()
};

}  // namespace lares::engine::llama
