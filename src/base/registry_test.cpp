#include "base/registry.h"

#include <gtest/gtest.h>

#include <string>

namespace lares {
namespace {

struct Fruit {
  std::string_view name;
  int price;
};

// in no order, as the linker might have it
const Fruit pear{"pear", 3};
const Fruit apple{"apple", 1};
const Fruit fig{"fig", 2};
const Registered<Fruit> pear_registered{pear};
const Registered<Fruit> apple_registered{apple};
const Registered<Fruit> fig_registered{fig};

struct Twin {
  std::string_view name;
};

TEST(Registered, ListsAllByName) {
  std::string names;
  for (const Fruit* fruit : Registered<Fruit>::all()) names += std::string(fruit->name) + " ";
  EXPECT_EQ(names, "apple fig pear ");
}

TEST(Registered, FindsByNameOrSaysThereIsNone) {
  EXPECT_EQ(Registered<Fruit>::find("fig")->price, 2);
  EXPECT_EQ(Registered<Fruit>::find("figs"), nullptr);
}

TEST(RegisteredDeathTest, TwoOfOneNameAreABug) {
  EXPECT_DEATH(
      {
        const Twin one{"twin"};
        const Registered<Twin> first{one};
        const Registered<Twin> second{one};
        Registered<Twin>::all();
      },
      "name");
}

}  // namespace
}  // namespace lares
