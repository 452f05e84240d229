#include "app/draft_models.h"

#include "base/text.h"

namespace lares::app {

Result<DraftModels> parse_draft_models(std::string_view text) {
  DraftModels out;
  bool has_all = false;
  for (const std::string& word : split(text, ' ')) {
    if (word.empty()) continue;
    const size_t sign = word.find('=');
    const bool one = sign != std::string::npos;
    const bool twice = one ? out.models.contains(word.substr(0, sign)) : has_all;
    if (sign == 0 || twice || word.find('=', sign + 1) != std::string::npos) {
      return Error{
          Code::Invalid,
          cat("models.draft has '", utf8_repaired(word.substr(0, 64)),
              twice ? "' beside another for the same"
                    : "', which is neither a model nor MODEL=DRAFT",
              "; it takes one draft model for all, and MODEL=DRAFT for others, with blanks "
              "between them; MODEL= for none")};
    }
    if (one) {
      out.models[word.substr(0, sign)] = word.substr(sign + 1);
    } else {
      out.all = word;
      has_all = true;
    }
  }
  return out;
}

}  // namespace lares::app
