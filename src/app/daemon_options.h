// The options of laresd that are no settings, in one table: `laresd --help` and its manual page are
// made from it.
#pragma once

#include <string_view>

namespace lares::app {

struct DaemonOption {
  std::string_view written;  // "--port N"
  std::string_view says;     // one sentence
};

inline constexpr DaemonOption kDaemonOptions[] = {
    {"--port N", "the same as --api.port=N; 0 chooses a free one and writes it to the file 'port'"},
    {"--budget SIZE", "the same as --memory.budget=SIZE, as 3GiB"},
    {"--log-level L", "the same as --log.level=L"},
    {"--SETTING=VALUE", "any setting of lares.toml, for this run"},
    {"--self-test",
     "examines this machine as `lares doctor` does, prints it and ends; --self-test=json: for "
     "programs"},
    {"--foreground", "stays in the foreground, as it always does"},
    {"--engine=fake",
     "answers without any model, for tests; --fake=models=N lists N of them, --fake=OPTION[=VALUE] "
     "goes to their workers"},
    {"--help, --version", "print this, or the version"},
};

}  // namespace lares::app
