// lares: the command line. Everything that it does stands in app/cli/.
#include <vector>

#include "app/cli/program.h"
#include "app/cli/screen.h"
#include "app/daemon_client.h"
#include "app/home.h"

int main(int count, char** words) {
  using namespace lares::app;
  const auto home = home_from_environment();
  SystemScreen screen;
  DaemonClient daemon(home ? *home : Home{}, programs().daemon);
  return run_program(std::vector<std::string>(words + std::min(count, 1), words + count), screen,
                     daemon, home);
}
