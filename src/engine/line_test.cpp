#include "engine/line.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

namespace lares::engine {
namespace {

// A socket whose messages keep their bounds, so that one write is one read.
class LineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
    near_ = ends[0];
    far_ = ends[1];
  }
  void TearDown() override {
    ::close(near_);
    ::close(far_);
  }
  // What one write brought; "" for none.
  std::string read() const {
    std::string bytes(1 << 20, '\0');
    const ssize_t n = ::read(far_, bytes.data(), bytes.size());
    return bytes.substr(0, n > 0 ? static_cast<size_t>(n) : 0);
  }

  int near_ = -1, far_ = -1;
};

TEST_F(LineTest, WhatIsHeldGoesAsOnePieceInItsOrder) {
  Line line(near_);
  line.send_raw("a");
  EXPECT_EQ(read(), "a");
  line.hold();
  line.send_raw("b");
  line.send_raw("c");
  EXPECT_EQ(read(), "");
  line.let_go();
  EXPECT_EQ(read(), "bc");
  line.send_raw("d");
  EXPECT_EQ(read(), "d");
  line.hold();
  line.let_go();
  EXPECT_EQ(read(), "") << "nothing was said";
}

TEST_F(LineTest, MuchIsNotHeldForLong) {
  Line line(near_);
  line.hold();
  const std::string large(40 << 10, 'x');
  line.send_raw(large);
  EXPECT_EQ(read(), "");
  line.send_raw(large);
  EXPECT_EQ(read().size(), 2 * large.size());
  line.send_raw("y");
  EXPECT_EQ(read(), "");
  line.let_go();
  EXPECT_EQ(read(), "y");
}

}  // namespace
}  // namespace lares::engine
