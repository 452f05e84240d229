#include "app/doctor.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>
#include <string>
#include <system_error>

#include "app/variants.h"
#include "base/file.h"
#include "base/text.h"
#include "consent/keyring.h"
#include "consent/tokens.h"
#include "host/probe.h"
#include "inventory/devices.h"

namespace lares::app {
namespace {

namespace fs = std::filesystem;

constexpr Bytes kDiskLow = GiB(1);
constexpr size_t kEscapesLeast = 20;
constexpr std::string_view kElsewhere =
    "set LARES_HOME to a folder that you can write to, or have this one made so";

class Report {
 public:
  void line(const std::string& check, Json ok, const std::string& detail,
            const std::string& next = "") {
    lines_.push_back({{"check", check}, {"ok", std::move(ok)}, {"detail", detail}, {"next", next}});
  }
  Json lines() && { return std::move(lines_); }

 private:
  Json lines_ = Json::array();
};

void machine(Report& report, const DoctorFacts& facts, const Home& home) {
  const inventory::Cpu cpu = inventory::cpu();
  report.line("processor", nullptr,
              cat(cpu.model, ", ", cpu.cores, cpu.cores == 1 ? " core" : " cores"));
  const inventory::Memory memory = inventory::memory();
  const bool enough = facts.budget <= memory.total;
  report.line(
      "memory", enough,
      cat(memory.available, " of ", memory.total, " available (limit: ", memory.limit_source,
          "); models may hold ", facts.budget, " and hold ", facts.used),
      enough ? "" : "set memory.budget in lares.toml to less than the machine has");
  struct statvfs disk{};
  if (::statvfs(home.data.c_str(), &disk) == 0) {
    const Bytes free{static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize};
    report.line("disk", free >= kDiskLow, cat(free, " free for '", home.data.string(), "'"),
                free >= kDiskLow ? "" : "make room before adding models");
  }
}

void restraint(Report& report, const DoctorFacts& facts) {
  if (facts.restraint.empty()) return;
  report.line("restraint", nullptr,
              cat(facts.restraint, "; fewer threads compute",
                  facts.background_waits ? ", and background requests wait" : ""));
}

void receipts(Report& report, const DoctorFacts& facts) {
  if (!facts.receipts) return;  // no daemon runs that would write any
  const bool well = static_cast<bool>(*facts.receipts);
  report.line("receipts", well, well ? "on disk" : facts.receipts->error().message,
              well ? "" : "make room; they are in memory, and written with the next request");
}

// Why nothing can be written to a folder, in the system's words; "" when it can.
std::string why_unwritable(const fs::path& folder) {
  if (::faccessat(AT_FDCWD, folder.c_str(), W_OK, AT_EACCESS) == 0) return "";
  return std::generic_category().message(errno);
}

void missing_folder(Report& report, const fs::path& folder) {
  fs::path above = folder.parent_path();
  std::error_code none;
  while (!fs::exists(above, none) && above != above.parent_path()) above = above.parent_path();
  const std::string why = why_unwritable(above);
  report.line(cat("folder ", folder.string()), false,
              why.empty() ? "is not there" : cat("is not there and cannot be made: ", why),
              why.empty() ? "`lares stop`; the next daemon makes it" : std::string(kElsewhere));
}

void folders(Report& report, const Home& home) {
  for (const fs::path& folder : {home.config, home.data, home.models(), home.cache, home.run}) {
    struct stat info{};
    if (::stat(folder.c_str(), &info) != 0) {
      missing_folder(report, folder);
      continue;
    }
    // settings may lie where only their maker writes; the token must have got there once
    std::error_code none;
    const bool read_only = folder == home.config && fs::exists(folder / "token", none);
    const std::string why = read_only ? "" : why_unwritable(folder);
    const bool ours = info.st_uid == ::geteuid();
    const bool closed = (info.st_mode & 077) == 0;
    const bool open_to_us = (info.st_mode & 0700) == 0700;
    report.line(cat("folder ", folder.string()), ours && closed && why.empty(),
                !ours          ? "belongs to another user"
                : !why.empty() ? cat("cannot be written to: ", why)
                : closed       ? "yours alone"
                               : "others can look into it",
                !ours || (open_to_us && !why.empty()) ? std::string(kElsewhere)
                : closed && why.empty()               ? ""
                                                      : cat("chmod 700 '", folder.string(), "'"));
  }
  const auto token = consent::Tokens::open(home.config);
  report.line("token", static_cast<bool>(token),
              token ? "there, readable by you alone" : token.error().message);
}

// Where the key of what is kept lies, said plainly: from whom that protects, and from whom not.
void key(Report& report, const Home& home) {
  const auto place = consent::key_place(home.config);
  if (place) {
    report.line("key", true, cat(place->where, ": ", place->protects), place->next);
  } else if (place.error().code == Code::NotFound) {
    report.line("key", nullptr, "none yet; the first conversation makes one");
  } else {
    report.line("key", false, place.error().message);
  }
}

// What could not be read and lies beside what was begun in its place.
void damaged(Report& report, const Home& home) {
  std::vector<fs::path> found;
  for (const fs::path& folder : {home.data, home.models()}) {
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(folder, failed)) {
      const std::string name = entry.path().filename().string();
      if (name.find(kDamaged) != std::string::npos &&
          !name.ends_with("-wal"))  // it goes with its database
        found.push_back(entry.path());
    }
  }
  std::sort(found.begin(), found.end());
  for (const fs::path& file : found) {
    const std::string name = file.filename().string();
    const std::string was = name.substr(0, name.find(kDamaged));
    report.line(
        cat("damaged ", was), false,
        cat("could not be read and was set aside as '", file.string(), "'"),
        cat(was == "models.json" ? "add again what lay elsewhere with `lares models add FILE`"
            : was == "conversations.db"
                ? "if the file 'key' in the configuration folder was replaced, put the old one and "
                  "this file back while no daemon runs, or restore a copy"
                : "what could be read of it is in use",
            "; when you need it no more: rm '", file.string(), "'"));
  }
}

bool has_kind(const std::vector<inventory::Device>& devices, std::string_view kind) {
  return std::any_of(devices.begin(), devices.end(),
                     [&](const inventory::Device& device) { return device.kind == kind; });
}

void compute(Report& report, const DoctorFacts& facts, const Home& home, const Programs& programs) {
  Log silent = Log::silent();
  std::optional<Result<EngineChoice>> engine = facts.engine;
  std::optional<Result<Variants>> variants;
  if (!engine && facts.choose_engine) {
    variants = choose_variant(programs, home, facts.variant_set, silent);
    if (*variants) {
      engine = engine_choice(programs, **variants);
    } else {
      engine = variants->error();
    }
  }
  std::string variant;
  if (!engine) {
    report.line("engine", nullptr, "the CPU variants are being probed",
                "ask again in some seconds");
  } else if (!*engine) {
    report.line("engine", false, engine->error().message);
  } else {
    variant = (*engine)->variant;
    report.line("engine", true, cat("CPU variant '", variant, "' is used"));
  }
  if (variant != "fake") {
    if (!variants || !facts.variant_set.empty())
      variants = choose_variant(programs, home, "", silent);
    if (*variants) {
      for (const Probed& probed : (*variants)->probed) {
        const std::string figures =
            cat(static_cast<int64_t>(probed.prefill_gflops), " GFLOP/s in prompts, ",
                static_cast<int64_t>(probed.decode_gflops), " in answers");
        const bool used = probed.variant == variant;
        report.line(cat("CPU variant ", probed.variant), probed.ok ? Json(true) : Json(nullptr),
                    used        ? cat("used: ", figures)
                    : probed.ok ? cat("not used, because '", variant, "' is faster here: ", figures)
                    : probed.tried ? cat("not used, because in its probe it ", probed.why)
                                   : cat("not used, because it ", probed.why));
      }
    }
  }
  const std::vector<inventory::Device> devices = inventory::devices(variant);
  for (const inventory::Device& device : devices) {
    report.line(cat(device.kind == "cpu-feature" ? "CPU feature " : "", device.name), nullptr,
                device.used ? "used" : cat("not used, because ", device.why));
  }
  if (!has_kind(devices, "gpu")) report.line("GPU", nullptr, "none found");
  if (!has_kind(devices, "npu")) report.line("NPU", nullptr, "none found");
}

void sandbox(Report& report, const Programs& programs) {
  const auto said = host::probe(programs.worker.string(), {"--escape-probes"});
  if (!said || !said->is_object() || !said->contains("escapes") || !(*said)["escapes"].is_array()) {
    report.line("sandbox", false,
                said ? "its probe said nothing that makes sense" : said.error().message,
                "no model runs without a sandbox; the message says what the kernel refused");
    return;
  }
  for (const char* list : {"layers", "missing"}) {
    const Json layers = said->value(list, Json::array());
    for (const Json& layer : layers) {
      const std::string text = layer.is_string() ? layer.get<std::string>() : "";
      const bool holds = std::string_view(list) == "layers";
      report.line(cat("sandbox layer ", text.substr(0, text.find(':'))),
                  holds ? Json(true) : Json(nullptr),
                  holds ? cat("holds: ", text) : cat("not to be had here: ", text),
                  holds ? "" : "the other layers hold; this one would be a second wall");
    }
  }
  size_t denied = 0;
  const Json& escapes = (*said)["escapes"];
  for (const Json& escape : escapes) {
    if (!escape.is_object()) continue;  // not counted as denied, so the sum below says it
    const bool stopped = escape.value("denied", Json()) == Json(true);
    denied += stopped;
    const auto text = [&](const char* name) {
      const Json value = escape.value(name, Json());
      return value.is_string() ? value.get<std::string>() : "";
    };
    report.line(cat("escape: ", text("name")), stopped,
                cat(stopped ? "denied: " : "NOT denied: ", text("detail")),
                stopped ? "" : "report this with the output of `lares doctor --json`");
  }
  const bool all = denied == escapes.size() && denied >= kEscapesLeast;
  report.line("sandbox", all, cat(denied, " of ", escapes.size(), " ways out denied"));
}

// The inodes of this process's own sockets.
std::set<std::string> own_sockets() {
  std::set<std::string> inodes;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd", failed)) {
    std::error_code gone;
    const std::string link = fs::read_symlink(entry.path(), gone).string();
    if (!gone && link.starts_with("socket:[")) inodes.insert(link.substr(8, link.size() - 9));
  }
  return inodes;
}

// Looks at this daemon's own sockets, as the kernel lists them; what it starts cannot have any, for
// the sandbox has no call for them, but for lares-egress.
void network(Report& report, const DoctorFacts& facts, const Programs& programs) {
  size_t outward = 0;
  const std::set<std::string> own = own_sockets();
  for (const char* table : {"tcp", "tcp6", "udp", "udp6"}) {
    const auto text = read_file(cat("/proc/self/net/", table), MiB(32));
    if (text) outward += outward_sockets(*text, own);
  }
  report.line("network", outward == 0,
              outward > 0 ? cat("the daemon has ", outward, " connections to elsewhere")
                          : cat("the daemon speaks to nobody outside; ",
                                facts.pulls == 0 ? "nothing is pulled, so no program of ours does"
                                                 : cat("lares-egress does, for ", facts.pulls,
                                                       facts.pulls == 1 ? " pull" : " pulls")),
              outward > 0 ? "report this with the output of `lares doctor --json`" : "");
  std::error_code failed;
  if (!fs::exists(programs.egress, failed))
    report.line("pulls", false, cat("'", programs.egress.string(), "' is not there"),
                "install Lares again, or build it, to pull models");
}

void models(Report& report, const DoctorFacts& facts, const Programs& programs) {
  if (facts.models.empty()) {
    report.line(
        "models", false, "there is none",
        programs.clone.empty()
            ? std::string(
                  "`lares models add FILE`; `lares models find` lists those of other programs")
            : cat("`lares models add FILE`, or '", (programs.clone / "lares").string(),
                  "' \"hi\", which fetches a small one"));
  }
  for (const inventory::Model& model : facts.models) {
    const std::string check = cat("model ", model.id);
    const auto file = inventory::Models::open_file(model);
    if (!file) {
      report.line(check, false, file.error().message, how_to_mend(model, facts.fetcher));
    } else if (const auto why = facts.quarantined.find(model.id); why != facts.quarantined.end()) {
      report.line(check, false, cat("quarantined: ", why->second),
                  cat("`lares stop`, and the next question tries it at once; if it goes on so, ",
                      how_to_mend(model, facts.fetcher)));
    } else {
      const auto died = facts.died.find(model.id);
      report.line(check, true,
                  cat(model.size, ", for ", inventory::use_name(model.use),
                      died == facts.died.end() ? "" : cat("; ", died->second)));
    }
  }
}

}  // namespace

size_t outward_sockets(std::string_view table, const std::set<std::string>& inodes) {
  size_t outward = 0;
  for (const std::string& line : split(table, '\n')) {
    std::vector<std::string> columns;
    for (std::string& column : split(line, ' ')) {
      if (!column.empty()) columns.push_back(std::move(column));
    }
    constexpr size_t kRemote = 2;
    constexpr size_t kInode = 9;
    if (columns.size() <= kInode || !inodes.contains(columns[kInode])) continue;
    const std::string address = columns[kRemote].substr(0, columns[kRemote].find(':'));
    const bool four_local = address.size() == 8 && address.ends_with("7F");
    const bool six_local =
        address == "00000000000000000000000001000000" ||
        (address.starts_with("0000000000000000FFFF0000") && address.ends_with("7F"));
    const bool nowhere = address.find_first_not_of('0') == std::string::npos;
    outward += !four_local && !six_local && !nowhere;
  }
  return outward;
}

Json examine(const DoctorFacts& facts, const Home& home, const Programs& programs) {
  Report report;
  machine(report, facts, home);
  restraint(report, facts);
  receipts(report, facts);
  folders(report, home);
  key(report, home);
  damaged(report, home);
  models(report, facts, programs);
  compute(report, facts, home, programs);
  sandbox(report, programs);
  network(report, facts, programs);
  if (!facts.address.empty())
    report.line("clients", nullptr,
                cat("programs of yours reach this daemon with base_url=", facts.address,
                    "/v1 and any key"));
  return std::move(report).lines();
}

}  // namespace lares::app
