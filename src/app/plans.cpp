// Core's answers about models before they are loaded: what each would need and how fast it would
// be, beside what was measured of it here (questions "plan" and "catalogue", api/service.h).

#include <algorithm>
#include <set>

#include "app/core.h"
#include "base/text.h"
#include "inventory/catalogue.h"

namespace lares::app {
namespace {

constexpr milliseconds kPassingFor{300'000};  // speeds that were measured beside other programs
constexpr size_t kAnswersLookedAt = 200;
constexpr size_t kAnswersCounted = 9;      // the newest; the middle one is told
constexpr Tokens kAnswerTokensLeast = 16;  // shorter ones measure the clock
constexpr Tokens kPromptTokensLeast = 64;

Json number_or_null(double value) { return value > 0 ? Json(value) : Json(); }

double middle(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto at = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

std::string text_in(const Json& arguments, const char* name) {
  const auto found = arguments.find(name);
  return found != arguments.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Json read_of(const inventory::Entry& entry) {
  Json all = Json::array();
  for (const inventory::Entry::Read& read : entry.read)
    all.push_back({{"url", read.url}, {"gave", read.gave}});
  return all;
}

}  // namespace

struct Core::Answered {
  double tokens_per_s = 0;  // 0: no answer was long enough
  double prompt_tokens_per_s = 0;
  size_t answers = 0;
};

Core::Answered Core::answered(const ModelId& model) const {
  std::vector<double> decode;
  std::vector<double> prefill;
  for (const route::Receipt* receipt : receipts_.newest(kAnswersLookedAt)) {
    if (receipt->model != model) continue;
    if (receipt->completion_tokens >= kAnswerTokensLeast && receipt->decode_tokens_per_s > 0 &&
        decode.size() < kAnswersCounted)
      decode.push_back(receipt->decode_tokens_per_s);
    const auto computed =
        receipt->prompt_tokens - std::min(receipt->prompt_tokens, receipt->prompt_tokens_reused);
    if (computed >= kPromptTokensLeast && receipt->prefill_tokens_per_s > 0 &&
        prefill.size() < kAnswersCounted)
      prefill.push_back(receipt->prefill_tokens_per_s);
  }
  return {middle(decode), middle(prefill), std::max(decode.size(), prefill.size())};
}

// Brings what is known of the machine's speed, then goes on: on the loop, at once where it is
// known.
void Core::with_speeds(Measure measure, const std::function<void()>& then) {
  if (residents_.engine()) return measured_first(measure, then);
  // it is being chosen on the same thread: what is posted now runs when it was
  const bool taken = slow_.post([this, measure, then] {
    loop_.post_end([this, measure, then] { measured_first(measure, then); });
  });
  if (!taken) then();
}

void Core::measured_first(Measure measure, const std::function<void()>& then) {
  const auto& engine = residents_.engine();
  const bool known = speeds_ && now() < speeds_until_;
  if (known || !surroundings_.speeds || !engine || !*engine) return then();
  if (measure == Measure::Never) return measuring_ ? then() : look_up_speeds(measure, then);
  const uint64_t id = next_asking_++;
  const Loop::TimerId limit = loop_.after(kSpeedsWaitMax, [this, id] {
    const auto late = asking_speeds_.extract(id);
    late.mapped().then();  // without them the answer says less
  });
  asking_speeds_.emplace(id, Asking{then, limit});
  if (std::exchange(measuring_, true)) return;
  look_up_speeds(measure, [this] {
    measuring_ = false;
    for (auto& [number, asking] : std::exchange(asking_speeds_, {})) {
      loop_.cancel(asking.limit);
      asking.then();
    }
  });
}

// From where they are kept, or measured.
void Core::look_up_speeds(Measure measure, const std::function<void()>& then) {
  Background& where = surroundings_.measures ? *surroundings_.measures : slow_;
  const bool taken = where.post([this, engine = **residents_.engine(), measure, then] {
    auto told = std::make_shared<Result<Json>>(surroundings_.speeds(engine, measure));
    loop_.post_end([this, told, then] {
      if (*told) {
        speeds_ = inventory::Speeds::from(**told);
        speeds_until_ = (*told)->value("passing", false) ? now() + kPassingFor : SteadyTime::max();
      } else if (const Error& error = told->error(); error.code == Code::Busy) {
        log_.info("the speed of this machine was not measured", {{"why", error.message}});
      } else if (error.code != Code::NotFound && error.code != Code::Cancelled) {
        log_.warn("the speed of this machine could not be measured", {{"why", error.message}});
      }
      then();
    });
  });
  if (!taken) then();
}

Json Core::plan_of(const inventory::Model& model, const inventory::Speeds* copies) const {
  const inventory::Shape& shape = options_.residents.shape;
  const auto estimate = inventory::estimate(model, shape, copies);
  const auto measured = inventory::measured(model, shape);
  const inventory::Estimate parts = measured ? *measured : estimate.value_or(inventory::Estimate{});
  const Bytes needs = copies ? inventory::needs(model, shape, copies) : residents_.needs(model);
  const Residents::Draft draft = copies ? Residents::Draft{} : residents_.draft_for(model);
  const bool present = residents_.seen(model.id).state != Residents::State::Absent;
  Json would_evict = Json::array();
  bool room_now = true;
  if (residents_.seen(model.id).to < Rung::Hot) {
    if (const auto plan = residents_.plan(model, needs)) {
      for (const sched::Ladder::Step& step : plan->descents) would_evict.push_back(step.model);
    } else {
      room_now = false;
    }
  }
  const auto rates = speeds_ ? inventory::predicted_rates(model.info, *speeds_) : std::nullopt;
  Json predicted;
  if (estimate || rates) {
    predicted = {{"memory_bytes", estimate ? Json(estimate->total().n) : Json()},
                 {"tokens_per_s", number_or_null(rates ? rates->tokens_per_s : 0)},
                 {"prompt_tokens_per_s", number_or_null(rates ? rates->prompt_tokens_per_s : 0)}};
  }
  const Answered here = answered(model.id);
  Json seen;
  if (measured || here.answers > 0) {
    seen = {{"memory_bytes", measured ? Json(measured->total().n) : Json()},
            {"tokens_per_s", number_or_null(here.tokens_per_s)},
            {"prompt_tokens_per_s", number_or_null(here.prompt_tokens_per_s)},
            {"answers", here.answers}};
  }
  return {{"model", model.id},
          {"weights_bytes", parts.weights.n > 0 ? parts.weights.n : model.size.n},
          {"state_bytes", parts.state.n},
          {"compute_bytes", parts.compute.n},
          {"needs_bytes", needs.n},
          {"fits", needs <= residents_.ladder().budget()},
          {"budget_bytes", residents_.ladder().budget().n},
          {"in_memory", present},
          {"room_now", room_now},
          {"would_evict", std::move(would_evict)},
          {"draft", draft.model ? Json(draft.name) : Json()},
          {"draft_bytes", draft.bytes.n},
          {"predicted", std::move(predicted)},
          {"measured", std::move(seen)}};
}

void Core::plan(const Json& arguments, const api::Reply& reply) {
  with_speeds(Measure::IfUnknown, [this, name = text_in(arguments, "name"), reply] {
    const auto model = models_.find(name);
    if (model && (*model)->use == inventory::Use::Adapter)
      return reply(Error{Code::Invalid,
                         cat("'", (*model)->id, "' is an adapter: it needs ", (*model)->size,
                             " beside the model that it goes with; plan that"),
                         "name"});
    if (model) return reply(plan_of(**model));
    const auto& entries = inventory::catalogue();
    const auto entry = std::find_if(entries.begin(), entries.end(),
                                    [&](const auto& each) { return each.id == name; });
    if (entry == entries.end()) return reply(model.error());
    const inventory::Speeds copies = inventory::speeds_for_needs(*entry, speeds_);
    reply(plan_of(entry->model(), &copies));
  });
}

void Core::catalogue(const Json& arguments, const api::Reply& reply) {
  const Measure measure =
      text_in(arguments, "measure") == "no" ? Measure::Never : Measure::IfUnknown;
  with_speeds(measure, [this, query = text_in(arguments, "query"), reply] {
    inventory::Machine machine;
    machine.budget = residents_.ladder().budget();
    machine.shape = options_.residents.shape;
    machine.speeds = speeds_;
    std::set<std::string> have;
    for (const inventory::Model& model : models_.all()) {
      have.insert(model.id);
      have.insert(lower(model.file.filename().string()));
      if (speeds_ || model.use != inventory::Use::Chat) continue;
      // the largest that answered says most
      if (const double rate = answered(model.id).tokens_per_s;
          rate > 0 && model.size > machine.of_model) {
        machine.tokens_per_s = rate;
        machine.of_model = model.size;
      }
    }
    Json all = Json::array();
    for (const inventory::Ranked& one :
         inventory::ranked(inventory::catalogue(), machine, query, have)) {
      const inventory::Entry& entry = *one.entry;
      Json seen;
      std::optional<Bytes> size_here;
      for (const inventory::Model& model : models_.all()) {
        if (inventory::entry_of(model) != &entry) continue;
        seen = plan_of(model)["measured"];
        size_here = model.size;
      }
      Json predicted;
      if (one.predicted)
        predicted = {{"tokens_per_s", number_or_null(one.predicted->tokens_per_s)},
                     {"prompt_tokens_per_s", number_or_null(one.predicted->prompt_tokens_per_s)}};
      all.push_back({{"id", entry.id},
                     {"title", entry.title},
                     {"family", entry.family},
                     {"parameters", entry.parameters},
                     {"quantization", entry.quantization},
                     {"source", entry.source()},
                     {"size_bytes", size_here.value_or(entry.size).n},
                     {"size_exact", size_here || entry.size_exact},
                     {"sha256", entry.sha256.empty() ? Json() : Json(entry.sha256)},
                     {"licence", entry.licence},
                     {"thinks", entry.thinks},
                     {"read", read_of(entry)},
                     {"context", entry.context > 0 ? Json(entry.context) : Json()},
                     {"needs_bytes", one.needs.n},
                     {"fits", one.fits},
                     {"predicted", std::move(predicted)},
                     {"measured", std::move(seen)},
                     {"have", one.have},
                     {"recommended", one.recommended},
                     {"why", one.why}});
    }
    reply(std::move(all));
  });
}

}  // namespace lares::app
