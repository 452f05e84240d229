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

// The line itself. `model`, `size`: the embedded one. `larger`: the catalogue's entry to name
// (GET /lares/v1/catalogue), null for none.
std::string first_answer_line(std::string_view model, Bytes size, const Json& larger);

// The catalogue's first entry for this machine, the one that is recommended or, where none is quick
// enough for that, the quickest; null where it does not fit, is here already, knows no more than
// the embedded one, or where it is not known how fast it would be.
Json larger_model(const Json& catalogue, Bytes embedded);

// True for the model that Lares brings along.
bool is_embedded(std::string_view model);

// Says the line when this was the home's first answer and the embedded model gave it. The machine
// is measured for it, which takes some seconds. What goes wrong here is no error: the answer
// stands.
void after_answer(Context& context, const Answer& answer);

}  // namespace lares::app
