// First answer: the one line, once in a home's life, that says how small the embedded model is and
// which one fits this machine better. A file in the data folder remembers that it was said. Thread:
// the command's.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "app/cli/answer.h"
#include "app/cli/verb.h"
#include "base/units.h"

namespace lares::app {

struct BetterModel {
  std::string_view name;  // as its publisher calls it
  Bytes size;             // of the file
};

// The largest that leaves the machine room beside it and would still write faster than people read;
// none where the embedded one is all that fits, or where it was slow already (other programs may
// have been computing). `tokens_per_s`: of a model of `size` here, 0 when not measured. Decoding
// reads every weight once a token, so speed goes with 1 / size.
std::optional<BetterModel> better_model(Bytes memory, double tokens_per_s, Bytes size);

// The line itself. `model`, `size`: the embedded one.
std::string first_answer_line(std::string_view model, Bytes size, double tokens_per_s,
                              Bytes memory);

// True for the model that Lares brings along.
bool is_embedded(std::string_view model);

// Says the line when this was the home's first answer and the embedded model gave it. What goes
// wrong here is no error: the answer stands.
void after_answer(Context& context, const Answer& answer);

}  // namespace lares::app
