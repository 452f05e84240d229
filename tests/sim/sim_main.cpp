// lares-sim: the scheduler under seeded days.
//
//   lares-sim                  kSeeds seeds, from seed 1 on, shared among the processors
//   lares-sim --seed=N         one seed; says what happens
//   lares-sim --seeds=N --from=M   that many, from seed M on
//   lares-sim --jobs=N         in so many processes; one for each processor without it
//   lares-sim --gang           only the days of the gang (gang_day.h), which take no house
//   lares-sim --ladder         only the days of the ladder (ladder_day.h)
//   lares-sim --keep-going     says of each seed that fails, not of the first only
//
// A seed makes a day of turns on one device (gang_day.h), one of models going up and down in one
// memory (ladder_day.h), and then a house and a day in it (house_day.h). Each process takes the
// next seed that nobody has taken, so that one that ends with an assertion tells which it was.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <thread>

#include "gang_day.h"
#include "house_day.h"
#include "ladder_day.h"

namespace {

constexpr uint64_t kSeeds = 20'000;
constexpr unsigned kJobsMax = 64;

struct Options {
  uint64_t first = 1;
  uint64_t count = kSeeds;
  unsigned jobs = std::max(1U, std::thread::hardware_concurrency());
  bool gang_only = false;
  bool ladder_only = false;
  bool keep_going = false;
  bool one = false;
};

// What the processes share.
struct Shared {
  std::atomic<uint64_t> next{0};
  std::atomic<uint64_t> failed{0};
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> seeds[kJobsMax] = {};  // that each is at
};

void report(uint64_t seed, const char* wrong) {
  std::fprintf(stderr, "seed %llu: %s\nto see it again: ./dev sim --seed=%llu\n",
               static_cast<unsigned long long>(seed), wrong, static_cast<unsigned long long>(seed));
}

std::string live(uint64_t seed, const Options& options) {
  using lares::sim::HouseDay;
  std::string wrong;
  if (!options.ladder_only) wrong = lares::sim::GangDay(seed).live();
  if (!wrong.empty() || options.gang_only) return wrong;
  wrong = lares::sim::LadderDay(seed).live();
  if (!wrong.empty() || options.ladder_only) return wrong;
  return HouseDay(seed, options.one ? HouseDay::Telling::Yes : HouseDay::Telling::No).live();
}

void run(Shared& shared, unsigned job, const Options& options) {
  while (!shared.stop) {
    const uint64_t seed = shared.next++;
    if (seed >= options.first + options.count) return;
    shared.seeds[job] = seed;
    const std::string wrong = live(seed, options);
    if (wrong.empty()) continue;
    report(seed, wrong.c_str());
    shared.failed++;
    if (!options.keep_going) shared.stop = true;
  }
}

// False: it is no option.
bool take(const char* argument, Options& options) {
  const auto number = [&](const char* name, auto& value) {
    const size_t length = std::strlen(name);
    if (std::strncmp(argument, name, length) != 0) return false;
    value = static_cast<std::remove_reference_t<decltype(value)>>(
        std::strtoull(argument + length, nullptr, 10));
    return true;
  };
  if (number("--seed=", options.first)) {
    options.count = 1;
    options.one = true;
    return true;
  }
  if (std::strcmp(argument, "--gang") == 0) return options.gang_only = true;
  if (std::strcmp(argument, "--ladder") == 0) return options.ladder_only = true;
  if (std::strcmp(argument, "--keep-going") == 0) return options.keep_going = true;
  return number("--seeds=", options.count) || number("--from=", options.first) ||
         number("--jobs=", options.jobs);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i++) {
    if (take(argv[i], options)) continue;
    std::fprintf(stderr,
                 "lares-sim: '%s' is not an option; there are --seed=N, --seeds=N, --from=N, "
                 "--jobs=N, --gang, --ladder and --keep-going\n",
                 argv[i]);
    return 2;
  }
  void* const memory =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    std::perror("lares-sim: sharing a page");
    return 2;
  }
  Shared& shared = *new (memory) Shared;
  shared.next = options.first;
  const auto jobs =
      static_cast<unsigned>(std::min<uint64_t>({options.jobs, options.count, uint64_t{kJobsMax}}));
  if (jobs <= 1) {
    run(shared, 0, options);
  } else {
    std::vector<pid_t> pids;
    for (unsigned job = 0; job < jobs; job++) {
      const pid_t pid = ::fork();
      if (pid < 0) std::perror("lares-sim: starting a process");
      if (pid < 0) break;
      if (pid == 0) {
        run(shared, job, options);
        std::exit(0);
      }
      pids.push_back(pid);
    }
    if (pids.empty()) return 2;
    for (unsigned job = 0; job < pids.size(); job++) {
      int status = 0;
      if (::waitpid(pids[job], &status, 0) == pids[job] && status == 0) continue;
      report(shared.seeds[job], "the process ended within it, as its last lines say");
      shared.failed++;
      shared.stop = shared.stop || !options.keep_going;
    }
  }
  if (shared.failed > 0) {
    std::fprintf(stderr, "%llu seeds did not hold\n",
                 static_cast<unsigned long long>(shared.failed.load()));
    return 1;
  }
  std::printf("%llu seeds held\n", static_cast<unsigned long long>(options.count));
  return 0;
}
