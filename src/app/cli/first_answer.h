// First answer: the one line, once in a home's life, that says how small the embedded model is and
// which one of the catalogue fits this machine better. A file in the data folder remembers that it
// was said. Thread: the command's.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "app/cli/answer.h"
#include "app/cli/verb.h"
#include "base/units.h"

namespace lares::app {

// The line itself. `model`, `size`: the embedded one. `better`: the catalogue's entry for this
// machine (GET /lares/v1/catalogue), null for none.
std::string first_answer_line(std::string_view model, Bytes size, const Json& better);

// The catalogue's entry for this machine: the one that is recommended, unless it is here already or
// knows no more than the embedded one. Null for none.
Json better_model(const Json& catalogue, Bytes embedded);

// True for the model that Lares brings along.
bool is_embedded(std::string_view model);

// Says the line when this was the home's first answer and the embedded model gave it. What goes
// wrong here is no error: the answer stands.
void after_answer(Context& context, const Answer& answer);

}  // namespace lares::app
