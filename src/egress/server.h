// Server: lares-egress answering laresd over its control socket: one order, then the end. It says
// that it lives while it waits for the network, and stops when it is told to or when the socket
// closes. One thread; called after the sandbox is entered.
#pragma once

#include <string>
#include <vector>

#include "egress/resolver.h"
#include "wire/pull.h"

namespace lares::egress {

struct Surroundings {
  std::string hosts_file;             // the text of /etc/hosts
  std::vector<Address> name_servers;  // of /etc/resolv.conf
  wire::Hello hello;
};

// Returns the exit status.
int serve(const Surroundings& surroundings, int control, int part, int journal);

}  // namespace lares::egress
