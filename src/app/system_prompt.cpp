#include "app/system_prompt.h"

#include <array>
#include <ctime>

#include "base/text.h"

namespace lares::app {

std::string system_prompt(WallTime now) {
  static constexpr std::array kDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday"};
  static constexpr std::array kMonths = {"January",   "February", "March",    "April",
                                         "May",       "June",     "July",     "August",
                                         "September", "October",  "November", "December"};
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm local{};
  localtime_r(&seconds, &local);
  return cat("You are a helpful AI assistant named Lares, on this person's computer. Today is ",
             kDays[static_cast<size_t>(local.tm_wday)], ", ", local.tm_mday, " ",
             kMonths[static_cast<size_t>(local.tm_mon)], " ", local.tm_year + 1900, ".");
}

}  // namespace lares::app
