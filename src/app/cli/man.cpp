// lares man: prints a manual page, for those who make packages. Not listed.
#include <algorithm>

#include "app/cli/man_pages.h"
#include "base/text.h"

namespace lares::app {
namespace {

constexpr std::string_view kDateShape = "0000-00-00";

constexpr Option kOptions[] = {{"--date", '\0', "DATE", "the date on the page, as 2026-11-26"}};
constexpr Word kWords[] = {
    {"PAGE", "lares, laresd or lares.toml", Word::Count::One, "lares laresd lares.toml"}};
constexpr Example kExamples[] = {{"lares man lares | man -l -", "Shows the page as man does."}};

bool is_date(std::string_view text) {
  return text.size() == kDateShape.size() &&
         std::equal(text.begin(), text.end(), kDateShape.begin(),
                    [](char is, char as) { return as == '0' ? is >= '0' && is <= '9' : is == as; });
}

Result<int> run(Context& context, const Arguments& arguments) {
  const std::string date = arguments.value("--date", "1970-01-01");
  if (!is_date(date))
    return Error{Code::Invalid, cat("--date is '", utf8_repaired(date.substr(0, 80)),
                                    "'; write it as 2026-11-26")};
  TRY_AS(const std::string page,
         man_page(arguments.words().front(), date, Registered<Verb>::all()));
  TRY(context.screen.out(page));
  return 0;
}

constexpr Verb kVerb{
    .name = "man",
    .summary = "print a manual page",
    .more = "",
    .options = kOptions,
    .words = kWords,
    .examples = kExamples,
    .run = run,
    .needs_home = false,
    .listed = false,
};
const Registered<Verb> kRegistered{kVerb};

}  // namespace
}  // namespace lares::app
