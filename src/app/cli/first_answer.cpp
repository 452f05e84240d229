#include "app/cli/first_answer.h"

#include <fcntl.h>

#include "app/cli/show.h"
#include "base/file.h"
#include "base/text.h"
#include "inventory/models.h"

namespace lares::app {

Json larger_model(const Json& catalogue, Bytes embedded) {
  if (!catalogue.is_array() || catalogue.empty()) return nullptr;
  const Json& first = catalogue.front();
  const bool larger = flag_of(first, "fits") && !flag_of(first, "have") &&
                      count_of(first, "size_bytes") > embedded.n &&
                      number_of(member_of(first, "predicted"), "tokens_per_s") > 0;
  return larger ? first : Json();
}

std::string first_answer_line(std::string_view model, Bytes size, const Json& larger) {
  std::string line = cat("This was ", model, size.n > 0 ? cat(" (", size, ")") : "",
                         ", a very small model: its sums and its languages other than English are "
                         "often wrong.");
  if (!larger.is_object()) return line;
  line +=
      cat(" ", text_of(larger, "title"), " ", text_of(larger, "quantization"), " (",
          size_of(larger, "size_bytes"), ", about ",
          rate_words(number_of(member_of(larger, "predicted"), "tokens_per_s")), " tokens/s here");
  return line +
         (flag_of(larger, "recommended")
              ? ") fits this machine better"
              : ") is the quickest of the better ones, though slower here than people read") +
         "; `lares models search` lists it and others";
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
  // a pipe is not kept waiting for that
  const bool watched = context.screen.is_terminal(Stream::Out);
  auto catalogue = [&] {
    const InterruptsDaemon interrupts_daemon(context.daemon);
    const Waiting waiting(context.screen, "measuring what this machine can do, once");
    return ask(context.daemon, "GET",
               watched ? "/lares/v1/catalogue" : "/lares/v1/catalogue?measure=no");
  }();
  const std::string line =
      first_answer_line(answer.model, size, catalogue ? larger_model(*catalogue, size) : Json());
  if (watched) {
    (void)static_cast<bool>(
        context.screen.out(cat("\n", shaded(context.screen, Stream::Out, Shade::Dim, line), "\n")));
  } else {
    context.screen.say(cat("lares: ", line, "\n"));
  }
}

}  // namespace lares::app
