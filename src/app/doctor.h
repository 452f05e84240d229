// Doctor: what this machine has, what is used of it and what is not and why, which of our promises
// hold here, and what to do about each that does not. Blocking (files, processes): for the
// background thread.
#pragma once

#include "app/core.h"
#include "app/home.h"
#include "base/json.h"

namespace lares::app {

// [{check, ok, detail, next}], in the order to read them. ok is true, false, or null for what is
// only told.
Json examine(const DoctorFacts& facts, const Home& home, const Programs& programs);

}  // namespace lares::app
