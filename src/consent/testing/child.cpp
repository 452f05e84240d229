// What secret_service_test starts in place of laresd: asks the desktop's keyring as that would, or
// plays a process that does it badly (the misbehaviour stands in LARES_KEYRING_CHILD).
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include "consent/secret_service.h"

int main(int count, char** words) {
  using namespace lares::consent;
  if (count < 2 || std::string_view(words[1]) != kSecretServiceWord) return 2;
  const char* const plays = std::getenv("LARES_KEYRING_CHILD");
  const std::string_view part = plays != nullptr ? plays : "";
  const auto say = [](std::string_view text) {
    return ::write(STDOUT_FILENO, text.data(), text.size()) < 0 ? 1 : 0;
  };
  if (part == "hangs") {
    for (;;) ::pause();
  }
  if (part == "floods") {
    const std::string much(1 << 20, 'x');
    return say(much);
  }
  if (part == "dies") ::raise(SIGKILL);
  if (part == "says nothing") return 0;
  if (part == "says half") return say("ok");
  if (part == "says nonsense") return say("hello\nworld");
  return secret_service_process(std::span(words + 2, static_cast<size_t>(count) - 2));
}
