#include "pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>

namespace lk {
namespace {

// Between two decode steps lie sampling and bookkeeping, well below a millisecond; a longer gap is idleness.
constexpr std::int64_t kParkNanos = 5'000'000;
constexpr std::int64_t kParkNanosSaving = 100'000;

// A pause takes 40 to 140 cycles: about 10 microseconds of spinning before the core is offered to others.
constexpr int kSpinsBeforeYield = 256;
constexpr int kSpinsBeforeYieldSaving = 16;

void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

bool pin(const std::vector<int>& cpus) {
    cpu_set_t* mask = CPU_ALLOC(65536);
    const std::size_t bytes = CPU_ALLOC_SIZE(65536);
    CPU_ZERO_S(bytes, mask);
    for (const int cpu : cpus) CPU_SET_S(static_cast<std::size_t>(cpu), bytes, mask);
    const bool pinned = sched_setaffinity(0, bytes, mask) == 0;
    CPU_FREE(mask);
    return pinned;
}

std::int64_t now_nanos() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

std::uint32_t* futex_word(std::atomic<std::uint32_t>& value) { return reinterpret_cast<std::uint32_t*>(&value); }

}  // namespace

Pool::Pool(const ThreadPlan& plan, const Options& options)
    : spins_before_yield_(options.power_saving ? kSpinsBeforeYieldSaving : kSpinsBeforeYield),
      park_nanos_(options.park_micros > 0      ? options.park_micros * std::int64_t{1000}
                  : options.power_saving ? kParkNanosSaving
                                         : kParkNanos),
      finished_((plan.seats.size() + kGroup - 1) / kGroup),
      left_(finished_.size()) {
    for (const Rank& rank : plan.ranks) rank_sizes_.push_back(rank.threads);
    std::vector<int> next(plan.ranks.size(), 0);
    for (const Seat& seat : plan.seats) {
        const auto rank = static_cast<std::size_t>(seat.rank);
        workers_.push_back({static_cast<int>(workers_.size()), seat.rank, next[rank]++, rank_sizes_[rank]});
        seats_.push_back(seat.cpus);
    }
    for (int index = 1; index < size(); ++index) {
        threads_.emplace_back([this, index] { work(index); });
    }
}

Pool::~Pool() {
    stopping_.store(true, std::memory_order_relaxed);
    start(nullptr, nullptr);
    for (auto& thread : threads_) thread.join();
}

bool Pool::attach() { return pin(seats_[0]); }

void Pool::start(Job job, const void* context) {
    if (size() == 1) return;
    job_ = job;
    context_ = context;
    for (Counter& counter : finished_) counter.value.store(0, std::memory_order_relaxed);
    // Sequentially consistent, as is parking: either the worker sees the new generation, or we see the parked worker.
    generation_.fetch_add(1, std::memory_order_seq_cst);
    if (parked_.load(std::memory_order_seq_cst) > 0) {
        syscall(SYS_futex, futex_word(generation_), FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
    }
}

void Pool::join() {
    for (std::size_t group = 0; group < finished_.size(); ++group) {
        const int others = members(group) - (group == 0 ? 1 : 0);
        int spins = 0;
        while (finished_[group].value.load(std::memory_order_acquire) != static_cast<std::uint32_t>(others))
            relax(spins);
    }
}

void Pool::work(int index) {
    pthread_setname_np(pthread_self(), ("lk-" + std::to_string(index)).c_str());
    if (!pin(seats_[static_cast<std::size_t>(index)])) unpinned_.store(true, std::memory_order_relaxed);
    Counter& finished = finished_[static_cast<std::size_t>(index / kGroup)];
    for (std::uint32_t seen = 0;;) {
        seen = await_job(seen);
        if (stopping_.load(std::memory_order_relaxed)) return;
        job_(context_, workers_[static_cast<std::size_t>(index)]);
        finished.value.fetch_add(1, std::memory_order_release);
    }
}

std::uint32_t Pool::await_job(std::uint32_t seen) {
    std::int64_t idle_since = 0;
    int spins = 0;
    for (int round = 1;; ++round) {
        const std::uint32_t now = generation_.load(std::memory_order_acquire);
        if (now != seen) return now;
        relax(spins);
        if (round % 64 != 0) continue;
        const std::int64_t time = now_nanos();
        if (idle_since == 0) idle_since = time;
        if (time - idle_since > park_nanos_) park(seen);
    }
}

void Pool::park(std::uint32_t seen) {
    parked_.fetch_add(1, std::memory_order_seq_cst);
    while (generation_.load(std::memory_order_seq_cst) == seen) {
        syscall(SYS_futex, futex_word(generation_), FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0);
    }
    parked_.fetch_sub(1, std::memory_order_seq_cst);
}

int Pool::members(std::size_t group) const {
    return std::min(size() - static_cast<int>(group) * kGroup, kGroup);
}

// True for the one who comes last. Acquires what the others wrote before they came.
bool Pool::leave(const Worker& worker) {
    const auto group = static_cast<std::size_t>(worker.index / kGroup);
    const auto in_group = left_[group].value.fetch_add(1, std::memory_order_acq_rel) + 1;
    if (in_group != static_cast<std::uint32_t>(members(group))) return false;
    return groups_left_.fetch_add(1, std::memory_order_acq_rel) + 1 == left_.size();
}

void Pool::barrier() {
    if (size() == 1) return;
    const std::uint32_t passed = passed_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == static_cast<std::uint32_t>(size())) {
        arrived_.store(0, std::memory_order_relaxed);
        passed_.store(passed + 1, std::memory_order_release);
        return;
    }
    int spins = 0;
    while (passed_.load(std::memory_order_acquire) == passed) relax(spins);
}

void Pool::relax(int& spins) const {
    if (++spins < spins_before_yield_) {
        pause();
    } else {
        sched_yield();
    }
}

}  // namespace lk
