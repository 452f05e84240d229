// A planted bug that fuzzing must find: when it does not, the fuzzers see nothing. Never run by the
// replay, unless it is asked for by name.
#include <cstdlib>

#include "base/fuzz.h"

FUZZ(canary) {
  if (bytes.size() >= 4 && bytes[0] == 'b' && bytes[1] == 'u' && bytes[2] == 'g' && bytes[3] == '!')
    std::abort();
}
