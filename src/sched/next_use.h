// NextUse: how likely a model is asked again soon, from who asked for what and when. Pure: facts
// in, numbers out; the same facts give the same numbers. Bounded: of apps, models and successors
// the least recently or least often seen are forgotten first.
//
// For each app it keeps
//   - the gaps between the uses of each model, as a histogram over bins that grow by the square
//     root of two, in which old gaps fade. Given how long the model has been unused, what is left
//     of the histogram says when it comes back: a model that comes each hour is worth little right
//     after its use and much an hour later (the histogram policy of Shahrad et al., "Serverless in
//     the Wild", ATC 2020). A model seen once has no gap: all that is known of it is the prior,
//     under which it has come for good or comes back after a time of any magnitude, so that the
//     recently used goes before the others, as with LRU, and one pass over many models
//     never displaces those that come back (LRU-K, O'Neil et al., SIGMOD 1993);
//   - which model it asks for after which, fading too: a Markov table of the first order, smoothed
//     by how often it asks for each at all, together with when it asks again for anything.
// What several apps want is joined as if they did not know of each other.
#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace lares::sched {

class NextUse {
 public:
  static constexpr size_t kAppsMax = 64;
  static constexpr size_t kModelsMax = 64;      // of an app
  static constexpr size_t kSuccessorsMax = 16;  // of a model
  static constexpr size_t kNameMax = 128;       // of an app; what is longer is cut
  // worth() is the mean over these.
  static constexpr std::array<milliseconds, 5> kHorizons = {
      milliseconds(15'000), milliseconds(60'000), milliseconds(5 * 60'000),
      milliseconds(30 * 60'000), milliseconds(2 * 3'600'000)};

  // `app` asked for `model`. Times never go back.
  void used(std::string_view app, std::string_view model, SteadyTime now);
  // Of being used within `horizon` from now, 0 to 1; 0: it was never used, or that is forgotten.
  double chance(std::string_view model, SteadyTime now, milliseconds horizon) const;
  // The same where nobody knows how long it would stay: sooner is worth more.
  double worth(std::string_view model, SteadyTime now) const;
  void forget(std::string_view model);

  size_t apps() const { return apps_.size(); }

 private:
  class Gaps {
   public:
    void add(double seconds);
    // That the next use comes within `horizon_s`, when there was none for `unused_s`.
    double chance(double unused_s, double horizon_s) const;

   private:
    static constexpr size_t kBins = 46;        // up to some 17 days
    static constexpr double kFirstBin = 0.25;  // seconds
    static const std::array<double, kBins>& ends();
    double mass_up_to(double seconds) const;
    std::array<float, kBins> bins_{};
    float sum_ = 0;
  };
  struct Asked {
    Gaps gaps;
    SteadyTime at{};
    double often = 0;                         // of the app's uses, fading
    std::map<std::string, double> next = {};  // how often which came after it, fading
  };
  struct App {
    Gaps gaps;
    SteadyTime at{};
    std::string last;
    double often = 0;  // the sum over its models
    std::map<std::string, Asked, std::less<>> models = {};
  };
  static double chance(const App& app, std::string_view model, SteadyTime now, double horizon_s);
  static double successor(const App& app, std::string_view model);
  static void note_successor(App& app, std::string_view model);
  App& app_named(std::string_view name);

  std::map<std::string, App, std::less<>> apps_;
};

}  // namespace lares::sched
