// laresd: the daemon. Puts the rooms together, runs the loop, and takes everything apart again in
// order.
//
// Threads: main is the run loop (workers are its children and die with it); HttpServer has the
// network thread; Background does what may block; one thread waits for signals. It opens no
// outbound socket, links no engine and parses no foreign format.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <stop_token>
#include <thread>

#include "api/http.h"
#include "api/page_files.h"
#include "app/activation.h"
#include "app/conversations.h"
#include "app/core.h"
#include "app/daemon_options.h"
#include "app/doctor.h"
#include "app/home.h"
#include "app/machine.h"
#include "app/machine_watch.h"
#include "app/pairing.h"
#include "app/pressure_watch.h"
#include "app/settings.h"
#include "app/variants.h"
#include "base/text.h"
#include "consent/keyring.h"
#include "inventory/catalogue.h"
#include "inventory/devices.h"
#include "store/version.h"

namespace lares::app {
namespace {

constexpr rlim_t kDescriptorsWanted = 16'384;
constexpr milliseconds kEndMax{5'000};    // then it ends although a worker is still there
constexpr milliseconds kFlushMax{1'000};  // for the last bytes of answers to leave
constexpr unsigned kFakesMax = 64;

struct Arguments {
  std::vector<std::pair<std::string, std::string>> settings;  // --NAME=VALUE of the table
  bool fake = false;
  unsigned fake_models = 1;
  std::vector<std::string> fake_options;  // passed to the fake engine's workers
  bool self_test = false;
  bool as_json = false;
  bool help = false;
  bool version = false;
};

void print_help() {
  std::string options;
  for (const DaemonOption& option : kDaemonOptions) {
    std::string written(option.written);
    written.resize(std::max<size_t>(written.size() + 1, 19), ' ');
    options += cat("  ", written, option.says, "\n");
  }
  std::printf(
      "laresd: the daemon of Lares. `lares` starts it when it is needed.\n"
      "\n"
      "  laresd [--port N] [--SETTING=VALUE ...]\n"
      "\n%s\n"
      "Settings, here or in lares.toml:\n%s\n"
      "Examples:\n"
      "  laresd --port 0\n"
      "  laresd --memory.budget=2GiB --log.level=debug\n",
      options.c_str(), settings_help().c_str());
}

Result<Arguments> read_arguments(int count, char** given) {
  Arguments arguments;
  for (int i = 1; i < count; i++) {
    std::string_view word = given[i];
    if (!word.starts_with("--"))
      return Error{Code::Invalid,
                   cat("'", utf8_repaired(word), "' is not an option; see laresd --help")};
    word.remove_prefix(2);
    const size_t equals = word.find('=');
    std::string name(word.substr(0, equals));
    std::string value(equals == std::string_view::npos ? "" : word.substr(equals + 1));
    // --port 5273 and --log-level debug, as people write them
    const auto word_after = [&]() -> Result<> {
      if (equals != std::string_view::npos) return Unit{};
      if (i + 1 == count)
        return Error{Code::Invalid, cat("--", name, " needs a value; see laresd --help")};
      value = given[++i];
      return Unit{};
    };
    if (name == "help") {
      arguments.help = true;
    } else if (name == "self-test") {
      arguments.self_test = true;
      arguments.as_json = value == "json";
    } else if (name == "foreground") {
      continue;
    } else if (name == "version") {
      arguments.version = true;
    } else if (name == "engine") {
      if (value != "fake" && value != "llama")
        return Error{Code::Invalid,
                     cat("--engine is '", utf8_repaired(value), "'; it is llama or fake")};
      arguments.fake = value == "fake";
    } else if (name == "fake" && value.starts_with("models=")) {
      const std::string number = value.substr(7);
      const auto [end, wrong] =
          std::from_chars(number.data(), number.data() + number.size(), arguments.fake_models);
      if (wrong != std::errc() || end != number.data() + number.size() ||
          arguments.fake_models > kFakesMax)
        return Error{Code::Invalid, cat("--fake=models is '", utf8_repaired(number),
                                        "'; it takes 0 to ", kFakesMax)};
    } else if (name == "fake") {
      arguments.fake_options.push_back("--" + value);
    } else {
      if (name == "port" || name == "log-level" || name == "budget") {
        TRY(word_after());
        name = name == "port" ? "api.port" : name == "budget" ? "memory.budget" : "log.level";
      } else if (equals == std::string_view::npos) {
        return Error{Code::Invalid, cat("--", utf8_repaired(name), " needs a value: --",
                                        utf8_repaired(name), "=...; see laresd --help")};
      }
      arguments.settings.emplace_back(std::move(name), std::move(value));
    }
  }
  return arguments;
}

Level level_named(std::string_view name) {
  if (name == "debug") return Level::Debug;
  if (name == "warn") return Level::Warn;
  if (name == "error") return Level::Error;
  return Level::Info;
}

// Holds a folder for this process; the file says who has it. Both the run folder (sockets) and the
// data folder (stores) are held: with XDG they can belong together in different ways.
Result<Fd> lock_folder(const std::filesystem::path& folder, const Home& home) {
  const std::filesystem::path file = Home::lock(folder);
  Fd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return unwritable(system_error(cat("opening '", file.string(), "'"), errno));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    const auto text = read_file(file, KiB(8));
    const int64_t pid = text ? holder_from(*text).pid : 0;
    return Error{Code::Busy,
                 cat("another laresd (process ", pid > 0 ? std::to_string(pid) : "?", ") serves '",
                     home.data.string(),
                     "'; stop it with `lares stop`, or set LARES_HOME for a second one")};
  }
  const std::string own = to_text({::getpid(), home.socket()});
  if (::ftruncate(fd.get(), 0) != 0 ||
      ::pwrite(fd.get(), own.data(), own.size(), 0) != static_cast<ssize_t>(own.size()))
    return system_error(cat("writing '", file.string(), "'"), errno);
  return fd;
}

void set_limits() {
  ::umask(077);
  std::signal(SIGPIPE, SIG_IGN);
  const rlimit no_core{0, 0};
  (void)::setrlimit(RLIMIT_CORE, &no_core);  // a core dump would hold what people wrote
#ifndef __SANITIZE_ADDRESS__                 // whose leak checker must trace us
  (void)::prctl(PR_SET_DUMPABLE, 0);         // and so would a debugger of another program
#endif
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < kDescriptorsWanted) {
    files.rlim_cur = files.rlim_max == RLIM_INFINITY ? kDescriptorsWanted
                                                     : std::min(files.rlim_max, kDescriptorsWanted);
    (void)::setrlimit(RLIMIT_NOFILE, &files);
  }
}

// SIGTERM and SIGINT become a message to the loop; the thread ends with stop().
class Signals {
 public:
  // Blocks them in this thread and so in all that it starts: call before any other thread is made.
  Signals() {
    sigemptyset(&set_);
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) sigaddset(&set_, number);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  }
  void start(std::function<void(int)> on_signal) {
    thread_ = std::thread([this, on_signal = std::move(on_signal)] {
      for (;;) {
        int number = 0;
        if (sigwait(&set_, &number) != 0) continue;
        if (number == SIGUSR1) return;  // our own: time to end
        on_signal(number);
      }
    });
  }
  ~Signals() {
    if (!thread_.joinable()) return;
    pthread_kill(thread_.native_handle(), SIGUSR1);
    thread_.join();
  }

 private:
  sigset_t set_{};
  std::thread thread_;
};

EngineChoice fake_engine(const Programs& programs, const Arguments& arguments) {
  EngineChoice choice{programs.worker.string(),
                      {"--engine=fake"},
                      /*embedder_arguments=*/{"--pooling"},
                      "fake",
                      /*hands_model=*/false,
                      /*ranker_arguments=*/{"--pooling=rank"},
                      /*adapter_arguments=*/{"--adapter"},
                      /*projector_arguments=*/{"--sees"},
                      /*projector_file_arguments=*/{"--projector-file"}};
  choice.arguments.insert(choice.arguments.end(), arguments.fake_options.begin(),
                          arguments.fake_options.end());
  return choice;
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  for (std::string& word : split(text, ' ')) {
    if (!word.empty()) words.push_back(std::move(word));
  }
  return words;
}

Pulls::Options pull_options(const Settings& settings, const Home& home, const Programs& programs) {
  Pulls::Options options;
  options.models = home.models();
  options.program = programs.egress;
  if (!settings.models_hub_url.empty()) options.hub_url = settings.models_hub_url;
  if (!settings.models_registry_url.empty()) options.registry_url = settings.models_registry_url;
  options.hosts = words_of(settings.models_hosts);
  options.name_servers = words_of(settings.models_name_servers);
  options.authorities_file = settings.models_authorities_file;
  options.hub_token_file = settings.models_hub_token_file;
  options.private_addresses = settings.models_private_addresses;
  options.plain_http = settings.models_plain_http;
  options.stall_s = settings.models_stall_s;
  options.catalogue = [](const std::string& name) -> std::optional<Pulls::Known> {
    for (const inventory::Entry& entry : inventory::catalogue()) {
      if (entry.id == name || entry.source() == name)
        return Pulls::Known{entry.source(), entry.sha256, entry.size_exact ? entry.size.n : 0};
    }
    return std::nullopt;
  };
  return options;
}

// Files that stand for the fake engine's models. Never among real ones.
Result<> list_fakes(const Home& home, unsigned count) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(home.models(), ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".gguf") && !name.starts_with("fake")) return Unit{};
  }
  const auto place = [&](const std::string& name) -> Result<> {
    const std::filesystem::path file = home.models() / (name + ".gguf");
    if (std::filesystem::exists(file, ignored)) return Unit{};
    return write_file(file, std::string_view("GGUF\3\0\0\0", 8));
  };
  for (unsigned i = 0; i < count; i++) TRY(place(cat("fake-", i)));
  return place("fake-embedder");
}

// The folders, made and ours. A store that a newer Lares wrote is left as it is.
Result<Home> open_home() {
  TRY_AS(Home home, home_from_environment());
  std::error_code ignored;
  if (std::filesystem::exists(home.data / "version", ignored))
    TRY(store::check_data_format(home.data));
  if (auto made = make(home); !made) return unwritable(std::move(made).error());
  return home;
}

Result<Settings> all_settings(const Home& home, const Arguments& arguments) {
  TRY_AS(Settings settings, read_settings(home.config / "lares.toml"));
  for (const auto& [name, value] : arguments.settings)
    TRY(set(settings, name, value, "the command line"));
  return settings;
}

// The command that fetches what is missing of the models that come with Lares; "" where it cannot.
std::string fetcher(const Programs& parts) {
  return parts.clone.empty() ? "" : cat("'", (parts.clone / "lares").string(), "'");
}

// What doctor finds without a daemon: what keeps one from starting too, so nothing here needs a
// home that is as it should be.
Result<Json> examined(const Arguments& arguments) {
  TRY_AS(const Home home, home_from_environment());
  Json lines = Json::array();
  const auto wrong = [&](std::string_view check, const Result<>& holds) {
    if (!holds)
      lines.push_back(
          {{"check", check}, {"ok", false}, {"detail", holds.error().message}, {"next", ""}});
  };
  (void)static_cast<bool>(make(home));  // the lines about folders say what is wrong
  std::error_code ignored;
  if (std::filesystem::exists(home.data / "version", ignored))
    wrong("data", store::check_data_format(home.data));
  auto settings = all_settings(home, arguments);
  if (!settings) {
    wrong("settings", settings.error());
    settings = Settings{};
  }
  Log log = Log::silent();
  const auto models = inventory::Models::look(home.models(), log);
  if (!models) wrong("list of models", models.error());
  const Programs parts = programs();
  DoctorFacts facts;
  if (models) facts.models = models->all();
  facts.budget = settings->memory_budget;
  if (facts.budget.n == 0) facts.budget = Bytes{inventory::memory().total.n / 2};
  facts.fetcher = fetcher(parts);
  facts.choose_engine = true;
  facts.variant_set = settings->engine_variant;
  if (arguments.fake) facts.engine = fake_engine(parts, arguments);
  for (Json& line : examine(facts, home, parts)) lines.push_back(std::move(line));
  return lines;
}

// Prints what doctor finds. As text it is Unsupported when something does not hold.
Result<> self_test(const Arguments& arguments) {
  TRY_AS(const Json lines, examined(arguments));
  if (arguments.as_json) {
    std::printf("%s\n", dump(lines).c_str());
    return Unit{};
  }
  size_t wrong = 0;
  for (const Json& line : lines) {
    const bool bad = line["ok"] == Json(false);
    wrong += bad;
    std::printf("%s %s: %s\n",
                bad                    ? "WRONG"
                : line["ok"].is_null() ? "     "
                                       : "ok   ",
                line["check"].get<std::string>().c_str(),
                line["detail"].get<std::string>().c_str());
  }
  if (wrong > 0)
    return Error{Code::Unsupported,
                 cat(wrong, wrong == 1 ? " check does not hold" : " checks do not hold",
                     "; `lares doctor` says what to do")};
  return Unit{};
}

Result<> serve(const Arguments& arguments, Signals& signals) {
  TRY_AS(Activation activation, take_activation());
  TRY_AS(const Home home, open_home());
  TRY_AS(api::Handed handed, api::sort_handed(std::move(activation.sockets), home.socket()));
  const bool activated = handed.any();
  TRY_AS(Settings settings, all_settings(home, arguments));
  Log log("laresd", level_named(settings.log_level));
  TRY_AS(const Fd run_lock, lock_folder(home.run, home));
  TRY_AS(const Fd data_lock, lock_folder(home.data, home));
  TRY(store::check_data_format(home.data));
  if (arguments.fake) TRY(list_fakes(home, arguments.fake_models));
  TRY_AS(const auto credentials,
         consent::Credentials::open(home.config, [] { return unix_ms(SystemClock().wall()); }));
  if (!credentials->set_aside().empty())
    log.error("credentials.json could not be read and was set aside; pair apps and pages again",
              {{"file", credentials->set_aside().string()}});
  TRY_AS(inventory::Models models, inventory::Models::open(home.models(), log));

  const Programs parts = programs();
  const SystemClock clock;
  Loop loop(clock);
  Background slow;      // questions, probes
  Background measures;  // how fast this machine is, which may have to wait for its turns
  std::stop_source no_measuring;
  Background disk;   // receipts, in their order
  Background kept;   // conversations
  Background pulls;  // what pulls do with the disk: large, and nobody's answer waits for it
  TRY_AS(
      route::Receipts receipts,
      route::Receipts::open(home.data, [&](Task task) { return disk.post(std::move(task)); }, log));

  const inventory::Memory memory = inventory::memory();
  Core::Options options;
  options.residents.budget =
      settings.memory_budget.n > 0 ? settings.memory_budget : Bytes{memory.total.n / 2};
  options.residents.machine = memory.total;
  if (options.residents.budget > memory.total)
    log.warn("memory.budget is more than this machine has",
             {{"budget_bytes", options.residents.budget.n}, {"machine_bytes", memory.total.n}});
  options.residents.shape = {settings.models_context, settings.models_sequences,
                             settings.models_batch};
  options.residents.threads = settings.models_threads;
  Leases leases(clock,
                {settings.compute_agent_share / 100.0, settings.compute_background_share / 100.0});
  options.residents.leases = &leases;
  options.background_share = settings.compute_background_share / 100.0;
  TRY_AS(options.residents.thinking_max, parse_thinking_max(settings.models_reasoning_budget));
  const auto after = [](uint32_t seconds) {
    return milliseconds(seconds > 0 ? int64_t{1000} * seconds : -1);
  };
  options.residents.idle = {after(settings.memory_warm_after_s),
                            after(settings.memory_park_after_s),
                            after(settings.memory_unload_after_s)};
  TRY_AS(options.residents.drafts, parse_draft_models(settings.models_draft));
  options.residents.thinking_max.seconds = settings.models_reasoning_seconds;
  options.models_default = settings.models_default;
  options.models_preload = settings.models_preload;

  const auto tell = [&](std::string_view state) {
    if (auto told = tell_manager(activation.notify, state); !told)
      log.warn("the service manager was not told",
               {{"state", state}, {"why", told.error().message}});
  };
  const std::filesystem::path port_file = home.run / "port";
  std::error_code unheard;
  api::HttpServer* door = nullptr;
  bool stopping = false;
  std::function<void()> stop;  // set below; on the loop
  Core::Surroundings surroundings;
  surroundings.settings = to_json(settings);
  surroundings.status = {{"version", LARES_VERSION},
                         {"pid", ::getpid()},
                         {"home", home.data.string()},
                         {"config", (home.config / "lares.toml").string()},
                         {"socket", home.socket().string()}};
  const char* person = std::getenv("HOME");
  surroundings.person = person ? person : "/";
  options.residents.fetcher = fetcher(parts);
  surroundings.doctor = [&](const DoctorFacts& facts) { return examine(facts, home, parts); };
  if (!arguments.fake) {
    surroundings.speeds = [&](const EngineChoice& engine, Measure measure) {
      return machine_speeds(parts, home, engine.variant, settings.models_threads, measure, leases,
                            no_measuring.get_token(), log);
    };
    surroundings.measures = &measures;
  }
  surroundings.stop = [&] { stop(); };
  surroundings.status["page"] = !api::page_files().empty();
  std::string address;  // set below, before anybody can ask
  surroundings.more = pairing_questions(*credentials, [&] { return address; });

  const auto spawn = [&](host::WorkerSpec spec, host::Worker::OnEvent on_event) {
    return host::Worker::spawn(std::move(spec), loop, log, std::move(on_event));
  };
  Core core(loop, log, std::move(models), std::move(receipts), slow, spawn, std::move(options),
            std::move(surroundings));
  consent::SecretService desktop;
  // LARES_HOME promises all under one folder, the key too
  consent::Keyring keyring(
      home.config, desktop,
      {.first = std::getenv("LARES_HOME") != nullptr ? consent::Keyring::First::File
                                                     : consent::Keyring::First::ServiceWhereOpen});
  KeptConversations conversations(core, loop, log, kept, keyring, home.config, home.data);
  stop = [&] {
    if (std::exchange(stopping, true)) return;
    log.info("ending");
    no_measuring.request_stop();
    tell("STOPPING=1");
    // who comes from now on is not to be told that we end, but waits for the lock and starts the
    // next; a service manager, whose socket it is, does that itself
    if (activated) {
      if (door) door->accept_no_more();
    } else {
      std::filesystem::remove(home.socket(), unheard);
    }
    std::filesystem::remove(port_file, unheard);
    core.shut_down([&] { conversations.settle([&] { loop.stop(); }); });
    loop.after(kEndMax, [&] { loop.stop(); });
  };
  // What runs in the background refers to the core and to what stands above it.
  struct EndFirst {
    Background& background;
    ~EndFirst() { background.end(); }
  };
  const EndFirst slow_ends_first{slow};
  struct StopMeasuring {
    std::stop_source& source;
    ~StopMeasuring() { source.request_stop(); }
  };
  const EndFirst measures_end_first{measures};
  const StopMeasuring before_that{no_measuring};
  const EndFirst kept_ends_first{kept};
  const EndFirst pulls_end_first{pulls};

  const unsigned threads =
      settings.models_threads > 0 ? settings.models_threads : std::max(1U, inventory::cpu().cores);
  const PressureWatch pressure(
      [&](const std::string& why) { loop.post_end([&core, why] { core.relieve(why); }); });
  const MachineWatch watch(leases,
                           {.threads = threads,
                            .background_on_battery = settings.power_background_on_battery,
                            .battery_threads = settings.power_battery_threads,
                            .temperature_max = static_cast<double>(settings.power_temperature_max),
                            .beside_others = settings.compute_beside_others},
                           [&](const sched::Restraint::Decision& decision) {
                             loop.post_end([&, decision] { core.set_restraint(decision); });
                           });

  const auto tell_port = [&](uint16_t port) {
    address = cat("http://127.0.0.1:", port);
    core.set_address(address);
    return write_file(port_file, cat(port, "\n"));
  };
  api::Limits limits;
  limits.connections_per_uid = settings.api_connections;
  TRY_AS(auto server, api::HttpServer::open({.socket = home.socket(),
                                             .port = static_cast<uint16_t>(settings.api_port),
                                             .on_port = tell_port,
                                             .handed = std::move(handed),
                                             .credentials = credentials.get(),
                                             .limits = limits},
                                            conversations, log));
  door = server.get();
  if (activated && settings.api_port != 0 && server->port() != settings.api_port)
    log.warn("the service manager's port is served, not the one that is set",
             {{"port", server->port()}, {"set", settings.api_port}});
  core.set_pulls(pulls, pull_options(settings, home, parts));
  // After the door, whose port may be taken, and before all that can wait: the first worker should
  // start as soon as it can.
  if (arguments.fake) {
    core.set_engine(fake_engine(parts, arguments));
  } else {
    // the first time ever this takes seconds; requests that come meanwhile wait
    const bool posted = slow.post([&] {
      auto variants = choose_variant(parts, home, settings.engine_variant, log);
      loop.post_end([&, variants = std::move(variants)]() mutable {
        if (variants) {
          core.set_engine(engine_choice(parts, *variants));
        } else {
          core.set_engine(std::move(variants).error());
        }
      });
    });
    assert(posted);
  }

  signals.start([&](int) { loop.post_end([&] { stop(); }); });

  log.info("serving", {{"port", server->port()}, {"version", LARES_VERSION}});
  tell("READY=1");
  loop.run();

  server->stop(kFlushMax);
  if (auto saved = credentials->save_uses(); !saved)
    log.warn("when apps and pages were last used could not be kept",
             {{"why", saved.error().message}});
  log.info("ended");
  return Unit{};
}

}  // namespace
}  // namespace lares::app

int main(int count, char** given) {
  using namespace lares;
  if (count > 1 && given[1] == consent::kSecretServiceWord)
    return consent::secret_service_process(std::span(given + 2, static_cast<size_t>(count) - 2));
  const auto complain = [](const Error& error) {
    std::fprintf(stderr, "laresd: %s\n", error.message.c_str());
    return row(error.code).exit_status;
  };
  auto arguments = app::read_arguments(count, given);
  if (!arguments) return complain(arguments.error());
  if (arguments->help) {
    app::print_help();
    return 0;
  }
  if (arguments->version) {
    std::printf("laresd %s\n", LARES_VERSION);
    return 0;
  }
  app::set_limits();
  if (arguments->self_test) {
    auto tested = app::self_test(*arguments);
    return tested ? 0 : complain(tested.error());
  }
  app::Signals signals;
  auto served = app::serve(*arguments, signals);
  return served ? 0 : complain(served.error());
}
