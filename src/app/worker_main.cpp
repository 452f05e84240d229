// lares-worker: one model in one process, with no rights but its descriptors. laresd starts it.
//
//   lares-worker --engine=llama --variant=FILE --name=NAME     answers on the control descriptor
//     --adapters=N       so many files were handed over, too (wire/message.h)
//     --projector        and a projector
//     --draft            and that of a draft model
//   lares-worker --engine=fake [its options, engine/backends/fake_settings.h] [--crime=...]
//   lares-worker --probe=FILE        tries a CPU backend in this process; one line of JSON
//   lares-worker --measure=FILE [--threads=N]   how fast it computes here; one line of JSON
//   lares-worker --escape-probes     tries to leave its own sandbox; one line of JSON
//
// There is no option that leaves the sandbox out.
#include <fcntl.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "base/text.h"
#include "engine/lease.h"
#include "engine/server.h"
#include "host/sandbox.h"

namespace {

using namespace lares;
using engine::Backend;

constexpr int kExitUsage = 2;

int complain(const Error& error, int status) {
  std::fprintf(stderr, "lares-worker: %s\n", error.message.c_str());
  return status;
}

Result<engine::Options> read_arguments(int argc, char** argv) {
  engine::Options options;
  for (int i = 1; i < argc; i++) {
    const std::string_view argument = argv[i];
    const size_t equals = argument.find('=');
    if (!argument.starts_with("--")) {
      return Error{Code::Invalid, cat("'", argument, "' is not an option")};
    }
    const std::string name(
        argument.substr(2, equals == std::string_view::npos ? equals : equals - 2));
    options[name] = equals == std::string_view::npos ? "" : argument.substr(equals + 1);
  }
  return options;
}

std::string take(engine::Options& options, const std::string& name) {
  const auto found = options.find(name);
  if (found == options.end()) return "";
  std::string value = std::move(found->second);
  options.erase(found);
  return value;
}

int probe(const Backend& backend, const std::string& file) {
  if (!backend.probe) {
    return complain(
        {Code::Unsupported, cat("the engine '", backend.name, "' has nothing to probe")},
        kExitUsage);
  }
  auto found = backend.probe(file);
  if (!found) return complain(found.error(), 1);
  std::printf("%s\n", dump(*found).c_str());
  return 0;
}

int measure(const Backend& backend, const std::string& file, const std::string& threads) {
  if (!backend.measure) {
    return complain(
        {Code::Unsupported, cat("the engine '", backend.name, "' has nothing to measure")},
        kExitUsage);
  }
  unsigned count = 0;
  const auto [end, wrong] = std::from_chars(threads.data(), threads.data() + threads.size(), count);
  if (!threads.empty() && (wrong != std::errc() || *end != '\0' || count > 256)) {
    return complain({Code::Invalid, cat("--threads='", threads, "' is no number from 0 to 256")},
                    kExitUsage);
  }
  // it is thrown away: nobody waits for a sign of life
  engine::Lease lease(engine::handed_lease_page(), wire::kBellFd, [] {});
  auto found = backend.measure(file, count, lease);
  if (!found) return complain(found.error(), 1);
  std::printf("%s\n", dump(*found).c_str());
  return 0;
}

int try_to_escape() {
  const auto report = host::escape_report();
  if (!report) return complain(report.error(), row(report.error().code).exit_status);
  std::printf("%s\n", dump(*report).c_str());
  return 0;
}

int work(const Backend& backend, engine::Options options) {
  engine::Crime crime;
  if (backend.name == "fake") {
    auto ordered = engine::Crime::from(options);
    if (!ordered) return complain(ordered.error(), kExitUsage);
    crime = *std::move(ordered);
  }
  size_t adapters = 0;
  const std::string many = take(options, "adapters");
  const auto [end, wrong] = std::from_chars(many.data(), many.data() + many.size(), adapters);
  if (!many.empty() && (wrong != std::errc() || *end != '\0' || adapters > wire::kAdaptersMax)) {
    return complain(
        {Code::Invalid, cat("--adapters='", many, "' is no number from 0 to ", wire::kAdaptersMax)},
        kExitUsage);
  }
  const int projector = options.erase("projector") > 0 ? wire::kProjectorFd : -1;
  const bool draft = options.erase("draft") != 0;
  options.erase("name");  // for those who look at the list of processes
  auto variant = backend.prepare(options);
  if (!variant) return complain(variant.error(), row(variant.error().code).exit_status);
  if (!options.empty()) {
    return complain({Code::Invalid, cat("--", options.begin()->first, " is not an option of the ",
                                        backend.name, " engine")},
                    kExitUsage);
  }
  if (::fcntl(wire::kControlFd, F_GETFD) < 0) {
    return complain({Code::Invalid, "there is no control socket; laresd starts this program"},
                    kExitUsage);
  }
  wire::LeasePage* const lease = engine::handed_lease_page();
  auto entered =
      host::enter_sandbox(wire::kAdapterFd - 1 + static_cast<int>(adapters) + (draft ? 1 : 0));
  if (!entered) return complain(entered.error(), row(entered.error().code).exit_status);
  const wire::Hello hello{std::string(backend.name), *variant, entered->layers, entered->missing};
  return engine::serve(
      {backend, hello, wire::kModelFd, std::move(crime), lease, projector, adapters, draft},
      wire::kControlFd);
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  ::setenv("GGML_NO_BACKTRACE", "1", 1);  // it would start a debugger
  auto options = read_arguments(argc, argv);
  if (!options) return complain(options.error(), kExitUsage);
  if (options->contains("escape-probes")) return try_to_escape();

  const bool probing = options->contains("probe") || options->contains("measure");
  std::string name = take(*options, "engine");
  if (name.empty() && probing) name = "llama";
  const auto* const backend = Registered<Backend>::find(name);
  if (!backend) {
    std::vector<std::string> known;
    for (const auto* each : Registered<Backend>::all()) known.emplace_back(each->name);
    std::string list;
    for (const auto& each : known) list += cat(list.empty() ? "" : ", ", each);
    return complain({Code::Invalid, cat("--engine='", name, "' is not built in; there is ", list)},
                    kExitUsage);
  }
  if (options->contains("measure")) {
    const std::string file = take(*options, "measure");
    return measure(*backend, file, take(*options, "threads"));
  }
  if (probing) return probe(*backend, take(*options, "probe"));
  return work(*backend, *std::move(options));
}
