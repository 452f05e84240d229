#include "inventory/adapters.h"

#include <algorithm>

#include "base/text.h"

namespace lares::inventory {
namespace {

std::string architecture_of(const Model& model) {
  const auto found = model.info.find("architecture");
  return found != model.info.end() && found->is_string() ? found->get<std::string>() : "";
}

// Unknown until a worker has looked into both.
bool may_go_together(const Model& adapter, const Model& model) {
  const std::string one = architecture_of(adapter);
  const std::string other = architecture_of(model);
  return one.empty() || other.empty() || one == other;
}

}  // namespace

Result<std::vector<const Model*>> adapters_named(const Models& models, const Model& model,
                                                 std::span<const std::string> names) {
  std::vector<const Model*> found;
  std::vector<std::string> known;
  for (const Model& each : models.all()) {
    if (each.use == Use::Adapter) known.push_back(each.id);
  }
  for (const std::string& name : names) {
    const auto at = std::find_if(models.all().begin(), models.all().end(),
                                 [&](const Model& each) { return each.id == name; });
    if (at == models.all().end()) {
      std::string there;
      for (size_t i = 0; i < std::min<size_t>(known.size(), 5); i++)
        there += cat(i == 0 ? "; there are: " : ", ", known[i]);
      if (known.size() > 5) there += cat(" and ", known.size() - 5, " more");
      return Error{
          Code::NotFound,
          cat("no adapter '", utf8_repaired(name.substr(0, 80)), "'",
              known.empty() ? "; there is none yet: `lares models add FILE` takes one" : there),
          "lora"};
    }
    if (at->use != Use::Adapter)
      return Error{Code::Invalid,
                   cat("'", at->id, "' is no adapter but a model; name it as 'model'"), "lora"};
    if (!may_go_together(*at, model))
      return Error{
          Code::Invalid,
          cat("adapter '", at->id, "' is for '", architecture_of(*at), "' models, but '", model.id,
              "' is '", architecture_of(model), "'; name the model that it was made for"),
          "lora"};
    found.push_back(&*at);
  }
  return found;
}

std::vector<const Model*> adapters_for(const Models& models, const Model& model,
                                       std::span<const std::string> wanted, size_t most) {
  std::vector<const Model*> found;
  const auto is_wanted = [&](const Model& each) {
    return std::find(wanted.begin(), wanted.end(), each.id) != wanted.end();
  };
  for (const bool first : {true, false}) {
    for (const Model& each : models.all()) {
      if (found.size() == most) return found;
      if (each.use == Use::Adapter && is_wanted(each) == first && may_go_together(each, model))
        found.push_back(&each);
    }
  }
  return found;
}

}  // namespace lares::inventory
