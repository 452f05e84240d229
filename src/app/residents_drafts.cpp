// Which model drafts for which, before its worker has looked at both.
#include <algorithm>

#include "app/residents.h"
#include "base/text.h"
#include "inventory/info.h"
#include "wire/draft_rows.h"

namespace lares::app {

Residents::Draft Residents::draft_for(const inventory::Model& model) const {
  Draft draft;
  if (inventory::pools(model.use) || model.use == inventory::Use::Adapter) return draft;
  draft.name = options_.drafts.of(model.id);
  if (draft.name.empty()) return draft;
  const auto refuse = [&](std::string why) {
    draft.refused = cat("drafting for '", model.id, "' with '", draft.name, "': ", why);
    return draft;
  };
  const auto found = models_.find(draft.name);
  if (!found) return refuse(found.error().message);
  const inventory::Model& other = **found;
  if (other.id == model.id && !options_.drafts.names(model.id)) return {};
  draft.name = other.id;
  if (inventory::pools(other.use) || other.use == inventory::Use::Adapter) {
    return refuse(cat("it is listed for the use '", inventory::use_name(other.use),
                      "'; name a model for chats or completions in models.draft"));
  }
  // most that cannot draft are found out without a look into the file
  const uint64_t own = inventory::count_in(model.info, "vocabulary");
  const uint64_t its = inventory::count_in(other.info, "vocabulary");
  if (own > 0 && its > 0 && std::max(own, its) - std::min(own, its) > wire::kVocabularyFillMax) {
    return refuse(cat("its vocabulary is another: of ", grouped(its), " tokens and not ",
                      grouped(own),
                      "; name a smaller model of the same family in models.draft, or none"));
  }
  const auto measured = drafts_measured_.find(other.id);
  const Bytes bytes = measured != drafts_measured_.end()
                          ? measured->second
                          : inventory::needs_to_draft(other, options_.shape);
  const Bytes all = inventory::needs(model, options_.shape) + bytes;
  if (all > ladder_.budget()) {
    return refuse(cat("both together need ", all, ", but memory.budget allows ", ladder_.budget(),
                      "; name a smaller one, or raise memory.budget"));
  }
  draft.model = &other;
  draft.bytes = bytes;
  return draft;
}

}  // namespace lares::app
