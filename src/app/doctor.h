// Doctor: what this machine has, what is used of it and what is not and why, which of our promises
// hold here, and what to do about each that does not. Blocking (files, processes): for the
// background thread.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "app/core.h"
#include "app/home.h"
#include "base/json.h"

namespace lares::app {

// [{check, ok, detail, next}], in the order to read them. ok is true, false, or null for what is
// only told.
Json examine(const DoctorFacts& facts, const Home& home, const Programs& programs);

// How many of the sockets with these inodes a table of /proc/net (tcp, udp, tcp6, udp6) shows as
// connected to an address that is not this machine's own.
size_t outward_sockets(std::string_view table, const std::set<std::string>& inodes);

}  // namespace lares::app
