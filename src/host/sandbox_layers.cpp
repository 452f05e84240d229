#include "host/sandbox_layers.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "base/text.h"

namespace lares::host {
namespace {

constexpr rlim_t kDescriptorsMax = 64;

// Landlock by number: Debian 12's header knows ABI 2 of what kernels have.
constexpr long kLandlockCreateRuleset = 444;
constexpr long kLandlockRestrictSelf = 446;
constexpr unsigned kLandlockVersion = 1U << 0;
struct LandlockRuleset {
  uint64_t handled_access_fs;
  uint64_t handled_access_net;  // from ABI 4
  uint64_t scoped;              // from ABI 6
};
constexpr size_t kSizeAbi1 = 8;
constexpr size_t kSizeAbi4 = 16;
constexpr size_t kSizeAbi6 = 24;

// The file rights of each ABI: each came with a kernel, and an unknown bit is refused.
uint64_t landlock_file_rights(long abi) {
  int rights = 13;            // execute ... make_sym
  if (abi >= 2) rights = 14;  // refer
  if (abi >= 3) rights = 15;  // truncate
  if (abi >= 5) rights = 16;  // ioctl_dev
  return (uint64_t{1} << rights) - 1;
}

bool write_text(const char* path, std::string_view text) {
  const Fd fd(::open(path, O_WRONLY | O_CLOEXEC));
  return fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

std::string first_line(const char* path) {
  const auto content = read_file(path, KiB(1));
  return content ? std::string(trimmed(*content)) : std::string();
}

// Who said no, as far as the system tells: the person can change it.
std::string why_no_user_namespace(int reason) {
  std::string why = error_name(reason);
  if (first_line("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1")
    return why + ", AppArmor restricts them to named programs (Ubuntu 23.10 and later)";
  if (first_line("/proc/sys/kernel/unprivileged_userns_clone") == "0")
    return why + ", kernel.unprivileged_userns_clone is 0";
  if (reason == ENOSPC) return why + ", user.max_user_namespaces is reached";
  if (reason == EINVAL) return why + ", the kernel has none or other threads run";
  if (reason == EPERM) return why + ", a container or the system's policy forbids them";
  return why;
}

// Replaces the root by an empty read-only folder in memory. Returns what was refused, or "".
std::string empty_root() {
  if (::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return cat("making mounts private: ", error_name(errno));
  const char* target = nullptr;
  for (const char* folder : {"/tmp", "/proc", "/dev", "/run", "/usr"}) {
    struct stat info{};
    if (::stat(folder, &info) == 0 && S_ISDIR(info.st_mode)) {
      target = folder;
      break;
    }
  }
  if (!target) return "no folder to mount on";
  constexpr unsigned long kFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (::mount("none", target, "tmpfs", kFlags, "size=4k,nr_inodes=2,mode=500") != 0)
    return cat("mounting an empty folder: ", error_name(errno));
  if (::chdir(target) != 0) return cat("entering it: ", error_name(errno));
  if (::mount("", ".", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | kFlags, nullptr) != 0)
    return cat("making it read-only: ", error_name(errno));
  if (::syscall(SYS_pivot_root, ".", ".") == 0) {
    if (::umount2(".", MNT_DETACH) != 0) return cat("letting the old root go: ", error_name(errno));
  } else if (::chroot(".") !=
             0) {  // the old root is the kernel's own first one: it cannot be pivoted
    return cat("changing the root: ", error_name(errno));
  }
  if (::chdir("/") != 0) return cat("entering the new root: ", error_name(errno));
  return "";
}

}  // namespace

std::string error_name(int errno_value) {
  const char* name = ::strerrorname_np(errno_value);
  return name ? name : cat("error ", errno_value);
}

size_t threads_running() {
  std::error_code refused;
  size_t count = 0;
  auto it = std::filesystem::directory_iterator("/proc/self/task", refused);
  for (; !refused && it != std::filesystem::directory_iterator(); it.increment(refused)) count++;
  return count;
}

void leave_namespaces(SandboxReport& report, Reach reach) {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  std::string entered;
  if (::unshare(CLONE_NEWUSER) == 0) {
    entered = " user";
    // without a mapping we are "nobody" to ourselves, which is as well; so a refusal does not
    // matter
    write_text("/proc/self/setgroups", "deny");
    write_text("/proc/self/uid_map", cat(uid, " ", uid, " 1"));
    write_text("/proc/self/gid_map", cat(gid, " ", gid, " 1"));
  } else {
    report.missing.push_back(cat("user namespace: ", why_no_user_namespace(errno)));
  }
  struct Kind {
    int flag;
    const char* name;
  };
  bool mounts = false;
  std::string refused;
  int reason = 0;
  for (const Kind& kind :
       {Kind{CLONE_NEWNET, "net"}, Kind{CLONE_NEWIPC, "ipc"}, Kind{CLONE_NEWUTS, "uts"},
        Kind{CLONE_NEWCGROUP, "cgroup"}, Kind{CLONE_NEWNS, "mnt"}}) {
    if (kind.flag == CLONE_NEWNET && reach == Reach::Internet) continue;
    if (::unshare(kind.flag) == 0) {
      entered += cat(" ", kind.name);
      mounts = mounts || kind.flag == CLONE_NEWNS;
    } else {
      reason = errno;
      refused += cat(" ", kind.name);
    }
  }
  if (!entered.empty()) report.layers.push_back(cat("namespaces:", entered));
  if (!refused.empty())
    report.missing.push_back(cat("namespaces:", refused, ": ", error_name(reason)));
  if (!mounts) {
    report.missing.emplace_back("empty root: it needs a mount namespace");
  } else if (const std::string why = empty_root(); !why.empty()) {
    report.missing.push_back(cat("empty root: ", why));
  } else {
    report.layers.emplace_back("empty root");
  }
}

void drop_capabilities(SandboxReport& report) {
  // bounding and ambient sets matter only for exec, which seccomp forbids; refusals are no loss
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
    ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> none{};
  if (::syscall(SYS_capset, &header, none.data()) == 0) {
    report.layers.emplace_back("no capabilities");
  } else {
    report.missing.push_back(cat("no capabilities: ", error_name(errno)));
  }
}

void limit_resources(SandboxReport& report, int highest, Reach reach) {
  bool held = true;
  const auto limit = [&](auto what, rlim_t most) {
    const rlimit value{most, most};
    held = ::setrlimit(what, &value) == 0 && held;
  };
  limit(RLIMIT_CORE, 0);
  if (reach == Reach::Nothing) limit(RLIMIT_FSIZE, 0);
  limit(RLIMIT_MSGQUEUE, 0);
  limit(RLIMIT_MEMLOCK, 0);
  limit(RLIMIT_NOFILE, kDescriptorsMax);
  if (held) {
    report.layers.emplace_back("limits");
  } else {
    report.missing.push_back(cat("limits: ", error_name(errno)));
  }
#ifdef SYS_close_range
  if (::syscall(SYS_close_range, static_cast<unsigned>(highest) + 1, ~0U, 0) == 0) return;
#endif
  for (int fd = highest + 1; fd < static_cast<int>(kDescriptorsMax) * 16; fd++) ::close(fd);
}

void restrict_by_landlock(SandboxReport& report, Reach reach) {
  const long abi = ::syscall(kLandlockCreateRuleset, nullptr, 0, kLandlockVersion);
  if (abi < 0) {
    const int reason = errno;
    const char* why = reason == ENOSYS       ? "the kernel has none"
                      : reason == EOPNOTSUPP ? "it is switched off at boot (lsm=)"
                                             : "a container or the system's policy forbids it";
    report.missing.push_back(cat("landlock: ", why, " (", error_name(reason), ")"));
    return;
  }
  LandlockRuleset rules{.handled_access_fs = landlock_file_rights(abi)};
  size_t size = kSizeAbi1;
  if (abi >= 4) {
    constexpr uint64_t kBindTcp = 1;
    constexpr uint64_t kConnectTcp = 2;
    rules.handled_access_net = reach == Reach::Internet ? kBindTcp : kBindTcp | kConnectTcp;
    size = kSizeAbi4;
  }
  if (abi >= 6) {
    rules.scoped = 3;  // abstract unix sockets, signals
    size = kSizeAbi6;
  }
  const Fd ruleset(static_cast<int>(::syscall(kLandlockCreateRuleset, &rules, size, 0)));
  if (!ruleset || ::syscall(kLandlockRestrictSelf, ruleset.get(), 0) != 0) {
    report.missing.push_back(cat("landlock: ", error_name(errno)));
    return;
  }
  report.layers.push_back(cat("landlock:", abi));
}

}  // namespace lares::host
