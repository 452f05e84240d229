// The fake engine's options: --load-ms, --render-ms (what a chat takes to be rendered),
// --tokens-per-s, --prompt-tokens-per-s, --size (of memory that it says it has; "300MiB"),
// --context-train, --window, --parked (bytes for conversations that rest), --no-template,
// --pooling (=rank: it scores), --nan-after=N (logits are no numbers then),
// --break-after=N (decoding gives an error then), --draft-right, --adapter (the file is one),
// --projector-file (the file is one), --sees and --hears (it has a projector: 8 by 8 pixels are a
// row, and 10 ms).
#pragma once

#include <cstdint>

#include "engine/model.h"

namespace lares::engine::fake {

struct Settings {
  uint64_t load_ms = 0;
  uint64_t render_ms = 0;
  uint64_t tokens_per_s = 0;  // 0: as fast as it goes
  uint64_t prompt_tokens_per_s = 0;
  uint64_t parked_bytes = 0;  // 0: for twice its cells
  uint64_t size_bytes = MiB(1).n;
  uint64_t context_train = 8192;
  uint64_t window = 0;
  uint64_t nan_after = UINT64_MAX;
  uint64_t break_after = UINT64_MAX;
  uint64_t draft_right = 100;
  bool has_template = true;
  bool pooling = false;
  bool ranks = false;
  bool adapter = false;
  bool projector = false;
  bool sees = false;
  bool hears = false;
};

// Takes the options that it knows out of `options`. Invalid: one is not a count or a size.
Result<Settings> take_settings(Options& options);

}  // namespace lares::engine::fake
