// Pairing: the daemon's answers to questions about credentials (api/service.h): page.pair,
// page.open, credentials.list, .add, .revoke. Background thread.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "app/core.h"
#include "consent/credentials.h"

namespace lares::app {

// `credentials` must outlive them. `address`: where the page
// is, "http://127.0.0.1:5273"; asked when a code is made.
std::map<std::string, Core::Question> pairing_questions(consent::Credentials& credentials,
                                                        std::function<std::string()> address);

}  // namespace lares::app
