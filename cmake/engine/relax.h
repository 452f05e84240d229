// Read before ggml-cpu.c (cmake/engine/CMakeLists.txt): what its threads do while they wait for
// each other at a barrier, several hundred times for each token.
//
// Upstream's wait is a pause instruction, again and again. That is right while each thread has a
// core. Where another program computes too, the thread that is waited for may be off its core, even
// behind the very thread that waits, and each barrier then lasts until the kernel's time slice
// ends: a token takes seconds. So after a while, longer than any wait on a quiet machine, this one
// lets others run. Upstream's own discussion: ggml-org/llama.cpp, pull request 13079.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#include <sched.h>

static __thread unsigned long long lares_waits_since, lares_paused_at;

static inline void lares_pause(void) {
  const unsigned long long kNewWait = 5000;     // cycles of the time stamp counter: 2 us
  const unsigned long long kPatience = 100000;  // 30 to 50 us
  const unsigned long long now = __builtin_ia32_rdtsc();
  if (now - lares_paused_at > kNewWait) lares_waits_since = now;
  if (now - lares_waits_since > kPatience) {
    sched_yield();
    lares_paused_at = __builtin_ia32_rdtsc();
    lares_waits_since = lares_paused_at - kPatience + kPatience / 8;  // and soon again
    return;
  }
  __builtin_ia32_pause();
  lares_paused_at = now;
}
#define _mm_pause lares_pause
#endif
