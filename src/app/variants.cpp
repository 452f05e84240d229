#include "app/variants.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>

#include "base/file.h"
#include "base/text.h"
#include "host/probe.h"
#include "inventory/devices.h"

namespace lares::app {
namespace {

namespace fs = std::filesystem;

constexpr int kFormat = 2;

std::string microcode() {
  std::ifstream in("/proc/cpuinfo");
  std::string line;
  while (std::getline(in, line)) {
    if (line.starts_with("microcode")) return std::string(trimmed(line.substr(line.find(':') + 1)));
  }
  return "";
}

// Everything that the outcome depends on.
Json key_of(const Programs& programs, const inventory::Cpu& cpu,
            const std::vector<std::string>& built) {
  Json files = Json::object();
  for (const std::string& name : built) files[name] = file_stamp(variant_file(programs, name));
  return {{"format", kFormat},
          {"cpu", cpu.model},
          {"microcode", microcode()},
          {"flags", cpu.flags},
          {"worker", file_stamp(programs.worker)},
          {"files", files}};
}

std::vector<Probed> read_probed(const Json& list) {
  std::vector<Probed> probed;
  if (!list.is_array()) return probed;
  for (const Json& entry : list) {
    if (!entry.is_object()) return {};
    const auto text = [&](const char* name) {
      const Json value = entry.value(name, Json());
      return value.is_string() ? value.get<std::string>() : "";
    };
    const auto number = [&](const char* name) {
      const Json value = entry.value(name, Json());
      return value.is_number() ? value.get<double>() : 0.0;
    };
    probed.push_back({text("variant"), entry.value("ok", Json()) == Json(true),
                      entry.value("tried", Json()) == Json(true), text("why"),
                      number("prefill_gflops"), number("decode_gflops")});
  }
  return probed;
}

// `sure`: whether it would come out so again. A machine that is busy makes a probe late.
Probed probe(const Programs& programs, const std::string& name, milliseconds limit, bool& sure) {
  Probed probed{.variant = name};
  const auto said =
      host::probe(programs.worker.string(),
                  {cat("--probe=", variant_file(programs, name).string())}, {.limit = limit});
  if (!said) {
    probed.why = said.error().message;
    if (said.error().code == Code::Timeout || said.error().code == Code::Io) sure = false;
    return probed;
  }
  if (!said->is_object()) {
    probed.why = "its probe said nothing that makes sense";
    return probed;
  }
  const auto number = [&](const char* field) {
    const Json value = said->value(field, Json());
    return value.is_number() ? value.get<double>() : 0.0;
  };
  probed.ok = said->value("ok", Json()) == Json(true);
  probed.prefill_gflops = number("gflops_prefill");
  probed.decode_gflops = number("gflops_decode");
  if (!probed.ok)
    probed.why = cat("computes wrong products (relative error ", number("error_max"), ")");
  return probed;
}

// Reading a prompt and writing an answer weigh the same.
double worth(const Probed& probed) { return probed.prefill_gflops * probed.decode_gflops; }

Result<Variants> chosen(Variants variants, const std::string& only) {
  const Probed* best = nullptr;
  for (const Probed& probed : variants.probed) {
    if (!only.empty() && probed.variant != only) continue;
    if (!only.empty() && !probed.ok)
      return Error{Code::Unsupported, cat("engine.variant = '", only, "': it ", probed.why,
                                          "; remove the setting to have one chosen")};
    if (probed.ok && (!best || worth(probed) > worth(*best))) best = &probed;
  }
  if (best) {
    variants.chosen = best->variant;
    return variants;
  }
  std::string why;
  for (const Probed& probed : variants.probed) why += cat("; ", probed.variant, ": ", probed.why);
  return Error{Code::Unsupported, cat("no CPU variant of the engine computes rightly here", why,
                                      "; `tools/bootstrap variants all` builds the others")};
}

}  // namespace

fs::path variant_file(const Programs& programs, const std::string& name) {
  return programs.variants / cat("libggml-cpu-", name, ".so");
}

std::string file_stamp(const fs::path& file) {
  struct stat info{};
  if (::stat(file.c_str(), &info) != 0) return "absent";
  return cat(info.st_size, "-", info.st_mtim.tv_sec, ".", info.st_mtim.tv_nsec);
}

NextProbe next_probe(const std::vector<Probed>& so_far, milliseconds spent) {
  const auto right =
      std::find_if(so_far.begin(), so_far.end(), [](const Probed& probed) { return probed.ok; });
  if (so_far.size() >= kProbesCompared && right != so_far.end())
    return {false, cat("was not tried: '", right->variant,
                       "', which claims more instructions, computes right")};
  if (spent >= kProbingMax)
    return {false, cat("was not tried: the others took ", spent.count() / 1000, " s")};
  return {};
}

Json Variants::to_json() const {
  Json list = Json::array();
  for (const Probed& each : probed) {
    list.push_back({{"variant", each.variant},
                    {"ok", each.ok},
                    {"tried", each.tried},
                    {"why", each.why},
                    {"prefill_gflops", each.prefill_gflops},
                    {"decode_gflops", each.decode_gflops}});
  }
  return {{"chosen", chosen}, {"probed", list}};
}

Result<Variants> choose_variant(const Programs& programs, const Home& home, const std::string& only,
                                Log& log) {
  const inventory::Cpu cpu = inventory::cpu();
  std::vector<std::string> built;
  std::error_code ignored;
  for (const std::string& name : inventory::claimed_variants(cpu)) {
    if (!only.empty() && name != only) continue;
    if (fs::exists(variant_file(programs, name), ignored)) built.push_back(name);
  }
  if (built.empty()) {
    return Error{
        Code::Unsupported,
        only.empty()
            ? cat("no CPU variant of the engine that fits this CPU lies in '",
                  programs.variants.string(), "'; `tools/bootstrap variants all` builds them")
            : cat("engine.variant = '", only,
                  "': it was not built, or this CPU does not claim its instructions; "
                  "`lares doctor` lists what there is")};
  }

  const fs::path file =
      home.cache / (only.empty() ? "variants.json" : cat("variant-", only, ".json"));
  const Json key = key_of(programs, cpu, built);
  if (auto text = read_file(file, KiB(64))) {
    if (auto known = parse_json(*text);
        known && known->is_object() && known->value("key", Json()) == key) {
      Variants variants{read_probed(known->value("probed", Json())), ""};
      if (!variants.probed.empty()) return chosen(std::move(variants), only);
    }
  }
  Variants variants;
  bool sure = true;
  const SteadyTime began = std::chrono::steady_clock::now();
  for (const std::string& name : built) {
    const milliseconds spent{ms_between(began, std::chrono::steady_clock::now())};
    if (const NextProbe next = next_probe(variants.probed, spent); !next.wanted) {
      if (spent >= kProbingMax) sure = false;
      variants.probed.push_back({.variant = name, .tried = false, .why = next.why});
      continue;
    }
    variants.probed.push_back(
        probe(programs, name, std::min(host::kProbeMax, kProbingMax - spent), sure));
    const Probed& latest = variants.probed.back();
    log.info("CPU variant probed", {{"variant", latest.variant},
                                    {"outcome", latest.ok ? std::string("right") : latest.why},
                                    {"prefill_gflops", latest.prefill_gflops},
                                    {"decode_gflops", latest.decode_gflops}});
  }
  if (!sure) return chosen(std::move(variants), only);
  Json remembered = variants.to_json();
  remembered["key"] = key;
  if (auto written = write_file(file, dump(remembered) + "\n"); !written)
    log.warn("the CPU probes will run again at the next start", {{"why", written.error().message}});
  return chosen(std::move(variants), only);
}

EngineChoice engine_choice(const Programs& programs, const Variants& variants) {
  return {programs.worker.string(),
          {"--engine=llama", cat("--variant=", variant_file(programs, variants.chosen).string())},
          /*embedder_arguments=*/{},
          variants.chosen,
          /*hands_model=*/true};
}

}  // namespace lares::app
