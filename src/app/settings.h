// Settings: what a person may choose in lares.toml. One table, kSettings, feeds the parser, `laresd
// --help`, `lares config` and docs/configuration.md (a test holds them together). The door to
// toml++ is settings.cpp. An unknown key is an error that names the nearest. Read once at start; a
// plain value afterwards, of which each room gets the few fields that it needs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "base/json.h"
#include "base/result.h"
#include "base/units.h"

namespace lares::app {

struct Settings {
  Bytes memory_budget{};               // 0: half of the machine's memory
  uint32_t memory_warm_after_s = 300;  // 0: never
  uint32_t memory_park_after_s = 900;
  uint32_t memory_unload_after_s = 3'600;
  std::string models_default;
  bool models_preload = true;
  uint32_t models_context = 0;
  uint32_t models_sequences = 8;
  uint32_t models_threads = 0;
  uint32_t models_batch = 512;
  std::string models_reasoning_budget;
  std::string models_draft;
  uint32_t models_reasoning_seconds = 30;
  std::string models_hosts;
  std::string models_hub_url;
  std::string models_registry_url;
  std::string models_hub_token_file;
  std::string models_authorities_file;
  std::string models_name_servers;
  bool models_private_addresses = false;
  bool models_plain_http = false;
  uint32_t models_stall_s = 30;
  std::string engine_variant;
  uint32_t compute_agent_share = 10;
  uint32_t compute_background_share = 5;
  bool compute_beside_others = true;
  bool power_background_on_battery = false;
  uint32_t power_battery_threads = 0;
  uint32_t power_temperature_max = 90;
  uint32_t api_port = 5273;
  uint32_t api_connections = 64;
  std::string log_level = "info";

  std::map<std::string, std::string, std::less<>> sources{};  // setting -> where it was set
};

// One row: what a setting is called, what it takes, and what it is for.
struct Setting {
  using Place = std::variant<bool Settings::*, uint32_t Settings::*, Bytes Settings::*,
                             std::string Settings::*>;
  std::string_view name;      // "memory.budget": table and key
  std::string_view unit;      // "bytes", "tokens", "" ...
  std::string_view standard;  // the default, as a person reads it
  std::string_view sentence;  // what it does, one sentence
  Place place;
  uint32_t min = 0;  // of whole numbers
  uint32_t max = UINT32_MAX;
  std::string_view choices = "";  // of strings: "debug info warn error"; "": any
};

std::span<const Setting> all_settings();

// The settings in `file`, on top of the defaults; a missing file is none. Invalid names file, line
// and what was wrong there.
Result<Settings> read_settings(const std::filesystem::path& file);
Result<Settings> parse_settings(std::string_view toml, std::string_view file_name);

// Sets one from a command line's text. `source` is kept for showing.
Result<> set(Settings& settings, std::string_view name, std::string_view text,
             std::string_view source);

// [{name, value, unit, default, source, says}], for `lares config`.
Json to_json(const Settings& settings);
// What a setting takes, in words: "0 to 65535", "true or false", "size, as "4 GiB"".
std::string takes(const Setting& setting);
// The whole of docs/configuration.md.
std::string settings_page();
// The table as --help shows it.
std::string settings_help();

// "4 GiB", "512MiB", "1000000": Invalid when it is no size.
Result<Bytes> parse_bytes(std::string_view text);

}  // namespace lares::app
