#include "inventory/templates.h"

#include <gtest/gtest.h>

namespace lares::inventory {
namespace {

TEST(Templates, TheEmbeddedModelsIsKnown) {
  EXPECT_EQ(known_template("872be49dbb638044ad01b60388f48d469ff2980e5f0dccdc22ec907db54d0788"),
            "ChatML, as in SmolLM2-135M-Instruct");
}

TEST(Templates, AnyOtherIsNot) {
  EXPECT_EQ(known_template(""), "");
  EXPECT_EQ(known_template("872be49dbb638044ad01b60388f48d469ff2980e5f0dccdc22ec907db54d0789"), "");
}

}  // namespace
}  // namespace lares::inventory
