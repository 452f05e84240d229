#include "app/cli/first_answer.h"

#include <fcntl.h>

#include <array>

#include "app/cli/show.h"
#include "base/file.h"
#include "base/text.h"
#include "inventory/devices.h"
#include "inventory/models.h"

namespace lares::app {
namespace {

// Smallest first. Sizes are those of the publisher's Q4_K_M files.
constexpr std::array kBetter = {
    BetterModel{"Qwen2.5-0.5B-Instruct Q4_K_M", Bytes{491'400'032}},
    BetterModel{"Qwen2.5-1.5B-Instruct Q4_K_M", Bytes{1'117'320'736}},
    BetterModel{"Qwen2.5-3B-Instruct Q4_K_M", Bytes{2'104'932'768}},
    BetterModel{"Qwen2.5-7B-Instruct Q4_K_M", Bytes{4'683'074'240}},
    BetterModel{"Qwen2.5-14B-Instruct Q4_K_M", Bytes{8'988'110'976}},
};
constexpr double kReadingTokensPerS = 5;  // about as fast as people read

double speed_of(Bytes size, double tokens_per_s, Bytes measured_size) {
  return tokens_per_s * static_cast<double>(measured_size.n) / static_cast<double>(size.n);
}

}  // namespace

std::optional<BetterModel> better_model(Bytes memory, double tokens_per_s, Bytes size) {
  std::optional<BetterModel> best;
  for (const BetterModel& model : kBetter) {
    // a quarter more for its conversations, and two fifths of the machine for everything else
    const Bytes needs{model.size.n + model.size.n / 4 + MiB(512).n};
    if (needs.n > memory.n / 5 * 3) break;
    const bool measured = tokens_per_s > 0 && size.n > 0;
    if (measured && speed_of(model.size, tokens_per_s, size) < kReadingTokensPerS) break;
    best = model;
  }
  return best;
}

std::string first_answer_line(std::string_view model, Bytes size, double tokens_per_s,
                              Bytes memory) {
  std::string line = cat("This was ", model, size.n > 0 ? cat(" (", size, ")") : "",
                         ", a very small model: its sums and its languages other than English are "
                         "often wrong.");
  const auto better = better_model(memory, tokens_per_s, size);
  if (!better) return line;
  line += cat(" ", better->name, " (", better->size);
  if (tokens_per_s > 0 && size.n > 0)
    line +=
        cat(", about ", rate_words(speed_of(better->size, tokens_per_s, size)), " tokens/s here");
  return line + ") fits this machine better; once you have its GGUF file: lares models add FILE";
}

bool is_embedded(std::string_view model) { return model.starts_with(inventory::kEmbedded); }

void after_answer(Context& context, const Answer& answer) {
  if (!is_embedded(answer.model)) return;
  const std::string stamp = (context.home.data / "first-answer").string();
  // made only where there is none: of two first answers at once, one says it
  const Fd made(::open(stamp.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!made) return;
  Bytes size;
  if (auto model = ask(context.daemon, "GET", cat("/lares/v1/models/", path_escaped(answer.model))))
    size = Bytes{count_of(*model, "size_bytes")};
  const std::string line =
      first_answer_line(answer.model, size, answer.tokens_per_s, inventory::memory().total);
  if (context.screen.is_terminal(Stream::Out)) {
    (void)static_cast<bool>(
        context.screen.out(cat("\n", shaded(context.screen, Stream::Out, Shade::Dim, line), "\n")));
  } else {
    context.screen.say(cat("lares: ", line, "\n"));
  }
}

}  // namespace lares::app
