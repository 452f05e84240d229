// lares-egress: the one process with a network. laresd starts one for each pull, and none
// otherwise.
//
//   lares-egress            fetches what the control socket says into the descriptors it was handed
//   lares-egress --hash     digests a file, in a sandbox without a network
//   lares-egress --escape-probes   tries to leave its own sandbox; one line of JSON
//
// It opens no file once it is in the sandbox: certificates, name servers and the hosts file are
// read before. There is no option that leaves the sandbox out.
#include <fcntl.h>

#include <csignal>
#include <cstdio>
#include <string_view>

#include "base/file.h"
#include "base/text.h"
#include "egress/dns.h"
#include "egress/http.h"
#include "egress/server.h"
#include "egress/sha256.h"
#include "host/sandbox.h"

namespace {

using namespace lares;
using host::Reach;

constexpr int kExitUsage = 2;

int complain(const Error& error, int status) {
  std::fprintf(stderr, "lares-egress: %s\n", error.message.c_str());
  return status;
}
int complain(const Error& error) { return complain(error, row(error.code).exit_status); }

int try_to_escape() {
  const auto report = host::escape_report(wire::kJournalFd, Reach::Internet);
  if (!report) return complain(report.error());
  std::printf("%s\n", dump(*report).c_str());
  return 0;
}

// A file of the system that may be missing.
std::string system_file(const char* path) {
  auto text = read_file(path, MiB(1));
  return text ? *std::move(text) : "";
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  bool hashing = false;
  bool escaping = false;
  for (int i = 1; i < argc; i++) {
    const std::string_view argument = argv[i];
    hashing = hashing || argument == "--hash";
    escaping = escaping || argument == "--escape-probes";
    if (argument != "--hash" && argument != "--escape-probes")
      return complain({Code::Invalid, cat("'", argument, "' is not an option")}, kExitUsage);
  }
  if (!hashing) {
    if (auto ready = egress::Http::prepare(); !ready) return complain(ready.error());
  }
  static_cast<void>(egress::sha256(""));  // OpenSSL looks for its algorithms now
  if (escaping) return try_to_escape();
  if (::fcntl(wire::kControlFd, F_GETFD) < 0)
    return complain({Code::Invalid, "there is no control socket; laresd starts this program"},
                    kExitUsage);
  egress::Surroundings surroundings;
  if (!hashing) {
    surroundings.hosts_file = system_file("/etc/hosts");
    surroundings.name_servers = egress::name_servers_in(system_file("/etc/resolv.conf"));
  }
  auto entered = hashing ? host::enter_sandbox(wire::kPartFd, Reach::Nothing)
                         : host::enter_sandbox(wire::kJournalFd, Reach::Internet);
  if (!entered) return complain(entered.error());
  surroundings.hello = {"egress", hashing ? "hash" : "network", entered->layers, entered->missing};
  return egress::serve(surroundings, wire::kControlFd, wire::kPartFd, wire::kJournalFd);
}
