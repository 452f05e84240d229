// TextOut: from a token's raw bytes to text that may be shown. Holds back what could still become a
// stop string or the rest of a character; replaces what can never be UTF-8 by U+FFFD. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lares::engine {

class TextOut {
 public:
  explicit TextOut(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  enum class Stops { Count, Ignored };  // in thoughts they are no stops
  // What may be shown after these bytes; perhaps nothing yet. After stopped() there is no more.
  std::string add(std::string_view bytes, Stops in_these = Stops::Count);
  // What was held back when generation ends without a stop string, but for half a character.
  std::string rest();

  bool stopped() const { return stopped_; }
  const std::string& stop() const { return stop_; }  // the one that was met
  // Raw bytes that went in, and those of them that came out.
  size_t bytes_in() const { return in_; }
  size_t bytes_out() const { return out_; }

 private:
  std::string show(size_t bytes);
  std::vector<std::string> stops_;
  std::string held_;
  std::string stop_;
  bool stopped_ = false;
  size_t in_ = 0;
  size_t out_ = 0;
};

}  // namespace lares::engine
