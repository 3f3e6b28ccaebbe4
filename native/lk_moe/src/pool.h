// Persistent, pinned workers and the cheapest fork and join that we know: one store to start, one counter a group to
// end.
//
// The thread that calls run() is worker 0. Workers spin between jobs and park on a futex after `park_micros` of
// idleness.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "thread_plan.h"

namespace lk {

// Who is working: worker `index` of all, `index_in_rank` of the `rank_size` workers of `rank`.
struct Worker {
    int index = 0;
    int rank = 0;
    int index_in_rank = 0;
    int rank_size = 1;
};

// Hands out numbers, each once, to whoever comes next.
class alignas(64) Turns {
 public:
    std::uint32_t take() { return next_.fetch_add(1, std::memory_order_relaxed); }
    void reset() { next_.store(0, std::memory_order_relaxed); }

 private:
    std::atomic<std::uint32_t> next_{0};
};

class Pool {
 public:
    struct Options {
        bool power_saving = false;
        int park_micros = 0;  // 0: the default
    };

    Pool(const ThreadPlan& plan, const Options& options);
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    int size() const { return static_cast<int>(workers_.size()); }
    int ranks() const { return static_cast<int>(rank_sizes_.size()); }
    int rank_size(int rank) const { return rank_sizes_[static_cast<std::size_t>(rank)]; }
    int parked() const { return parked_.load(std::memory_order_relaxed); }
    // True if a worker could not be pinned.
    bool unpinned() const { return unpinned_.load(std::memory_order_relaxed); }

    // Calls body(worker) on every worker, worker 0 being the caller, and returns when all have returned. The body must
    // not throw. Not reentrant; one caller at a time.
    template <typename Body>
    void run(const Body& body) {
        start([](const void* context, const Worker& worker) noexcept { (*static_cast<const Body*>(context))(worker); },
              &body);
        body(workers_[0]);
        join();
    }

    // The same; whoever returns last from the body calls last() at once, without a way back to the caller first.
    template <typename Body, typename Last>
    void run(const Body& body, const Last& last) {
        for (Counter& counter : left_) counter.value.store(0, std::memory_order_relaxed);
        groups_left_.store(0, std::memory_order_relaxed);
        run([&](const Worker& worker) {
            body(worker);
            if (leave(worker)) last();
        });
    }

    // Inside run(), by every worker: returns when all have come.
    void barrier();

    // One round of a loop that waits for somebody else, as workers wait: pauses first, then offers the core to others.
    void relax(int& spins) const;

    // Pins the calling thread to worker 0's seat. False if the kernel refuses.
    bool attach();

 private:
    using Job = void (*)(const void*, const Worker&) noexcept;

    // Workers report to the counter of their group, so that no line is fought over by more than eight.
    static constexpr int kGroup = 8;
    struct alignas(64) Counter {
        std::atomic<std::uint32_t> value{0};
    };

    void start(Job job, const void* context);
    void join();
    void work(int index);
    std::uint32_t await_job(std::uint32_t seen);
    void park(std::uint32_t seen);
    bool leave(const Worker& worker);
    int members(std::size_t group) const;

    std::vector<Worker> workers_;
    std::vector<std::vector<int>> seats_;
    std::vector<int> rank_sizes_;
    int spins_before_yield_;
    std::int64_t park_nanos_;

    // Written by the caller, then published by the generation.
    Job job_ = nullptr;
    const void* context_ = nullptr;
    alignas(64) std::atomic<std::uint32_t> generation_{0};
    alignas(64) std::atomic<int> parked_{0};
    std::atomic<bool> stopping_{false};
    std::atomic<bool> unpinned_{false};
    std::vector<Counter> finished_;
    std::vector<Counter> left_;
    alignas(64) std::atomic<std::uint32_t> groups_left_{0};
    alignas(64) std::atomic<std::uint32_t> arrived_{0};
    alignas(64) std::atomic<std::uint32_t> passed_{0};
    std::vector<std::jthread> threads_;
};

}  // namespace lk
