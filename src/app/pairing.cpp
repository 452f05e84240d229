#include "app/pairing.h"

#include "app/system_prompt.h"
#include "base/clock.h"
#include "base/text.h"

namespace lares::app {

std::map<std::string, Core::Question> pairing_questions(consent::Credentials& credentials,
                                                        std::function<std::string()> address) {
  const auto text = [](const Json& arguments, const char* name) {
    return arguments.value(name, std::string());
  };
  return {
      {"page.pair",
       [&credentials, address = std::move(address)](const Json&) -> Result<Json> {
         const auto life = std::chrono::duration_cast<std::chrono::seconds>(consent::kCodeLife);
         const std::string code = credentials.pair();
         return Json{
             {"code", code}, {"url", cat(address(), "/#code=", code)}, {"expires_s", life.count()}};
       }},
      {"page.session",
       [](const Json&) -> Result<Json> {
         return Json{{"version", LARES_VERSION}, {"system", system_prompt(SystemClock().wall())}};
       }},
      {"page.open",
       [&credentials, text](const Json& arguments) -> Result<Json> {
         TRY_AS(const auto given,
                credentials.redeem(text(arguments, "code"), text(arguments, "browser")));
         return Json{{"id", given.id}, {"secret", given.secret}};
       }},
      {"credentials.list",
       [&credentials](const Json&) -> Result<Json> {
         Json all = Json::array();
         for (const auto& given : credentials.given()) {
           all.push_back({{"id", given.id},
                          {"kind", name(given.kind)},
                          {"name", given.name},
                          {"created_ms", given.created_ms},
                          {"last_used_ms", given.last_used_ms}});
         }
         return all;
       }},
      {"credentials.add",
       [&credentials, text](const Json& arguments) -> Result<Json> {
         TRY_AS(const auto given, credentials.add_app(text(arguments, "name")));
         return Json{{"id", given.id}, {"token", given.secret}};
       }},
      {"credentials.revoke",
       [&credentials, text](const Json& arguments) -> Result<Json> {
         TRY(credentials.revoke(text(arguments, "id")));
         return Json::object();
       }},
  };
}

}  // namespace lares::app
