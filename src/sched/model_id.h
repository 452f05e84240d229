// ModelId: what names a model in this room and to those who use it: its id in the list of models.
#pragma once

#include <string>

namespace lares::sched {

using ModelId = std::string;

}  // namespace lares::sched
