#include "sched/next_use.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace lares::sched {

namespace {

// What is left of a count at the next one of its kind: ten gaps, some thirty uses of an app.
constexpr double kGapKept = 0.9;
constexpr double kSuccessorKept = 0.9;
constexpr double kOftenKept = 0.97;
// What is believed before anything was seen, in gaps: that it comes back at all, spread over all
// bins alike, and that it does not.
constexpr double kComesBack = 1.0;
constexpr double kNeverAgain = 0.3;
// How many uses of a successor the frequencies count for.
constexpr double kSmoothing = 1;

double seconds(SteadyTime from, SteadyTime to) {
  return std::max(0.0, std::chrono::duration<double>(to - from).count());
}

// The one that was asked for longest ago.
template <class Map>
auto oldest(Map& map) {
  return std::min_element(map.begin(), map.end(),
                          [](const auto& a, const auto& b) { return a.second.at < b.second.at; });
}

}  // namespace

// Where each bin ends, in seconds.
const std::array<double, NextUse::Gaps::kBins>& NextUse::Gaps::ends() {
  static const auto kEnds = [] {
    std::array<double, kBins> all{};
    for (size_t bin = 0; bin < kBins; bin++)
      all[bin] = kFirstBin * std::exp2(static_cast<double>(bin + 1) / 2);
    return all;
  }();
  return kEnds;
}

void NextUse::Gaps::add(double seconds) {
  const double place = seconds <= kFirstBin ? 0 : 2 * std::log2(seconds / kFirstBin);
  const auto bin = std::min(kBins - 1, static_cast<size_t>(place));
  for (float& its : bins_) its *= static_cast<float>(kGapKept);
  bins_[bin] += 1;
  sum_ = sum_ * static_cast<float>(kGapKept) + 1;
}

// Of gaps that are no longer than so many seconds, with what was believed before.
double NextUse::Gaps::mass_up_to(double seconds) const {
  double mass = 0;
  double from = 0;
  for (size_t bin = 0; bin < kBins; bin++) {
    const double until = ends()[bin];
    const double of_it = std::clamp((seconds - from) / (until - from), 0.0, 1.0);
    if (of_it <= 0) break;
    mass += of_it * (static_cast<double>(bins_[bin]) + kComesBack / kBins);
    from = until;
  }
  return mass;
}

double NextUse::Gaps::chance(double unused_s, double horizon_s) const {
  const double all = static_cast<double>(sum_) + kComesBack + kNeverAgain;
  const double past = mass_up_to(unused_s);
  const double soon = mass_up_to(unused_s + horizon_s) - past;
  const double left = std::max(all - past, kNeverAgain);
  return std::clamp(soon / left, 0.0, 1.0);
}

NextUse::App& NextUse::app_named(std::string_view name) {
  name = name.substr(0, kNameMax);
  if (const auto found = apps_.find(name); found != apps_.end()) return found->second;
  if (apps_.size() >= kAppsMax) apps_.erase(oldest(apps_));
  return apps_[std::string(name)];
}

void NextUse::note_successor(App& app, std::string_view model) {
  const auto last = app.models.find(app.last);
  if (last == app.models.end()) return;
  auto& next = last->second.next;
  for (auto& [its, count] : next) count *= kSuccessorKept;
  const std::string named(model);
  if (!next.contains(named) && next.size() >= kSuccessorsMax) {
    next.erase(std::min_element(next.begin(), next.end(),
                                [](const auto& a, const auto& b) { return a.second < b.second; }));
  }
  next[named] += 1;
}

void NextUse::used(std::string_view name, std::string_view model, SteadyTime now) {
  App& app = app_named(name);
  note_successor(app, model);
  if (!app.last.empty()) app.gaps.add(seconds(app.at, now));
  app.at = now;
  app.last = model;
  auto found = app.models.find(model);
  if (found == app.models.end()) {
    if (app.models.size() >= kModelsMax) {
      const auto gone = oldest(app.models);
      app.often -= gone->second.often;
      app.models.erase(gone);
    }
    found = app.models.emplace(std::string(model), Asked{}).first;
  } else {
    found->second.gaps.add(seconds(found->second.at, now));
  }
  found->second.at = now;
  for (auto& [its, asked] : app.models) asked.often *= kOftenKept;
  found->second.often += 1;
  app.often = app.often * kOftenKept + 1;
}

// Of being what the app asks for next.
double NextUse::successor(const App& app, std::string_view model) {
  const auto last = app.models.find(app.last);
  const auto its = app.models.find(model);
  const double often = its->second.often / std::max(app.often, 1e-9);
  if (last == app.models.end()) return often;
  double count = 0;
  double all = 0;
  for (const auto& [next, times] : last->second.next) {
    all += times;
    if (next == model) count = times;
  }
  return (count + kSmoothing * often) / (all + kSmoothing);
}

double NextUse::chance(const App& app, std::string_view model, SteadyTime now, double horizon_s) {
  const auto found = app.models.find(model);
  if (found == app.models.end()) return 0;
  const double again = found->second.gaps.chance(seconds(found->second.at, now), horizon_s);
  const double next = app.gaps.chance(seconds(app.at, now), horizon_s) * successor(app, model);
  return std::max(again, next);
}

double NextUse::chance(std::string_view model, SteadyTime now, milliseconds horizon) const {
  const double horizon_s = std::chrono::duration<double>(horizon).count();
  double not_used = 1;
  for (const auto& [name, app] : apps_) not_used *= 1 - chance(app, model, now, horizon_s);
  return 1 - not_used;
}

double NextUse::worth(std::string_view model, SteadyTime now) const {
  double sum = 0;
  for (const milliseconds horizon : kHorizons) sum += chance(model, now, horizon);
  return sum / static_cast<double>(kHorizons.size());
}

void NextUse::forget(std::string_view model) {
  for (auto& [name, app] : apps_) {
    const auto found = app.models.find(model);
    if (found != app.models.end()) {
      app.often = std::max(0.0, app.often - found->second.often);
      app.models.erase(found);
    }
    for (auto& [its, asked] : app.models) asked.next.erase(std::string(model));
    if (app.last == model) app.last.clear();
  }
}

}  // namespace lares::sched
