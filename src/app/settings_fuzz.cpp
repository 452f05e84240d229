#include "app/settings.h"
#include "base/fuzz.h"

namespace lares::app {

FUZZ(settings) { (void)parse_settings(bytes, "lares.toml"); }

}  // namespace lares::app
