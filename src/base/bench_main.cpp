// Runs the registered micro-benchmarks: `bench-micro [--real] [NAME]`.
#include <cstdio>
#include <string>
#include <string_view>

#include "base/bench.h"

int main(int count, char** arguments) {
  bool real = false;
  std::string_view only;
  for (int i = 1; i < count; i++) {
    if (std::string_view(arguments[i]) == "--real") {
      real = true;
    } else {
      only = arguments[i];
    }
  }
  int ran = 0;
  for (const lares::BenchCase* test : lares::Registered<lares::BenchCase>::all()) {
    if (!only.empty() && test->name.find(only) == std::string_view::npos) continue;
    lares::Bench bench(real);
    test->body(bench);
    std::printf("%-44s %12.0f ns  hash %016llx\n", std::string(test->name).c_str(), bench.ns(),
                static_cast<unsigned long long>(bench.hash()));
    ran++;
  }
  if (ran == 0)
    std::fprintf(stderr, "no benchmark has '%s' in its name\n", std::string(only).c_str());
  return ran == 0 ? 3 : 0;
}
