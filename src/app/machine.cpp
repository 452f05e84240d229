#include "app/machine.h"

#include <algorithm>
#include <fstream>

#include "app/variants.h"
#include "base/file.h"
#include "base/text.h"
#include "host/probe.h"
#include "inventory/devices.h"

namespace lares::app {
namespace {

constexpr int kFormat = 2;

// How many programs wanted to compute in the last minute.
double load() {
  std::ifstream in("/proc/loadavg");
  double last_minute = 0;
  in >> last_minute;
  return last_minute;
}

// Has a worker compute and print its answer, when it is its turn.
Result<Json> in_turns(const Programs& programs, const std::vector<std::string>& arguments,
                      Leases& leases, std::stop_token stop, milliseconds limit) {
  TRY_AS(auto joined, leases.join());
  auto& [member, ends] = joined;
  struct Leave {
    Leases& leases;
    Leases::Member member;
    ~Leave() { leases.leave(member); }
  };
  const Leave leave{leases, member};
  auto answer = host::probe(
      programs.worker.string(), arguments,
      {.limit = limit,
       .handed = {{ends.page.get(), wire::kLeaseFd}, {ends.bell.get(), wire::kBellFd}},
       .started = [&leases, member = member](pid_t pid) { leases.set_pid(member, pid); },
       .stop = std::move(stop)});
  if (answer || answer.error().code != Code::Timeout) return answer;
  const Leases::Seen seen = leases.seen(member);
  if (seen.waited < seen.held) return answer;
  return Error{Code::Busy, cat("measuring this machine: others computed for ",
                               seen.waited.count() / 1000, " of ", limit.count() / 1000, " s")};
}

}  // namespace

Result<Json> machine_speeds(const Programs& programs, const Home& home, const std::string& variant,
                            unsigned threads, Measure measure, Leases& leases, std::stop_token stop,
                            Log& log, milliseconds limit) {
  const std::filesystem::path file = variant_file(programs, variant);
  const inventory::Cpu cpu = inventory::cpu();
  const Json key = {{"format", kFormat},           {"cpu", cpu.model},
                    {"cores", cpu.cores},          {"worker", file_stamp(programs.worker)},
                    {"variant", file_stamp(file)}, {"threads", threads}};
  const std::filesystem::path cache = home.cache / "machine.json";
  if (auto text = read_file(cache, KiB(64))) {
    if (auto known = parse_json(*text); known && known->is_object() &&
                                        known->value("key", Json()) == key &&
                                        known->contains("measured"))
      return (*known)["measured"];
  }
  if (measure == Measure::Never)
    return Error{Code::NotFound, "the speed of this machine was not measured yet"};
  const bool quiet = load() < std::max(1.0, cpu.cores / 2.0);
  TRY_AS(Json measured,
         in_turns(programs, {cat("--measure=", file.string()), cat("--threads=", threads)}, leases,
                  std::move(stop), limit));
  log.info("machine measured", {{"variant", variant}, {"quiet", quiet}});
  if (!quiet) {
    measured["passing"] = true;
    return measured;
  }
  if (auto written = write_file(cache, dump({{"key", key}, {"measured", measured}}) + "\n");
      !written)
    log.warn("the speed of this machine will be measured again",
             {{"why", written.error().message}});
  return measured;
}

}  // namespace lares::app
