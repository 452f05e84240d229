#include "app/pull_digests.h"

#include <algorithm>
#include <chrono>

#include "app/pulls_state.h"
#include "base/text.h"

namespace lares::app {

Result<PullDigests> PullDigests::from(const std::string& text) {
  const Error damaged{Code::Corrupt, "reading the digests of earlier pulls: they make no sense"};
  TRY_AS(const Json whole, parse_json(text));
  if (!whole.is_object() || count_in_order(whole, "format") != 1 || !whole.contains("places") ||
      !whole["places"].is_object() || whole["places"].size() > kMax)
    return damaged;
  PullDigests read;
  for (const auto& [place, one] : whole["places"].items()) {
    Seen seen{text_in_order(one, "sha256"), static_cast<int64_t>(count_in_order(one, "seen_ms"))};
    if (!wire::is_sha256(seen.sha256)) return damaged;
    read.seen_.emplace(place, std::move(seen));
  }
  return read;
}

std::string PullDigests::text() const {
  Json places = Json::object();
  for (const auto& [place, seen] : seen_)
    places[place] = {{"sha256", seen.sha256}, {"seen_ms", seen.seen_ms}};
  return dump({{"format", 1}, {"places", std::move(places)}}) + "\n";
}

const PullDigests::Seen* PullDigests::find(const std::string& place) const {
  const auto found = seen_.find(place);
  return found == seen_.end() ? nullptr : &found->second;
}

void PullDigests::learn(const std::string& place, Seen seen) {
  if (!seen_.contains(place) && seen_.size() >= kMax) {
    seen_.erase(std::min_element(seen_.begin(), seen_.end(), [](const auto& a, const auto& b) {
      return a.second.seen_ms < b.second.seen_ms;
    }));
  }
  seen_.insert_or_assign(place, std::move(seen));
}

std::string day_of(int64_t unix_ms) {
  const std::chrono::sys_time<std::chrono::milliseconds> when{std::chrono::milliseconds(unix_ms)};
  const std::chrono::year_month_day day{std::chrono::floor<std::chrono::days>(when)};
  const auto two = [](unsigned n) { return cat(n < 10 ? "0" : "", n); };
  return cat(static_cast<int>(day.year()), "-", two(static_cast<unsigned>(day.month())), "-",
             two(static_cast<unsigned>(day.day())));
}

}  // namespace lares::app
