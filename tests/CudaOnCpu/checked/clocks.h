// Which accesses of a launch happen before which others, as CUDA's memory model says. An executor runs one fiber at a time
// and one block after the other, so that one clock orders all that happens; what orders accesses is kept beside it: for each
// pair of warps, up to when the one has seen what the other did.
#pragma once
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "fibers.h"

namespace cuda_on_cpu::checked {

using Time = std::uint32_t;

// Up to when a thread of each warp of its block has seen the others' accesses.
struct Seen {
    Time when[kWarpsMax] = {};
};

class Clocks {
public:
    Time now() const { return now_; }
    Time launch_start() const { return launch_start_; }
    Time block_start() const { return block_start_; }

    void start_launch();
    void start_block();
    // True if so much time has gone by that the clock has to start anew before another launch.
    bool is_late() const { return now_ > 1u << 31; }
    void start_anew() { now_ = 1; }

    void meet_warp(std::uint32_t warp) { met_[warp] = now_++; }
    void order_warp(std::uint32_t warp);
    void pass_barrier(std::uint32_t warps);

    // Has the thread that runs seen what `thread` did at `when`? The time lies in this launch.
    bool has_seen(std::uint32_t thread, Time when) const {
        const std::uint32_t own = current->thread;
        if (when < block_start_) return has_acquired(thread, when);
        if (thread == own || when <= seen_[own / kWarpSize].when[thread / kWarpSize]) return true;
        return has_acquired(thread, when);
    }
    // The same of what `thread`, or any of a warp's, read in this block. What a lane has read before it votes or shuffles, it
    // has: any meeting of a warp orders reads before later writes.
    bool has_seen_read(std::uint32_t thread, Time when) const {
        const std::uint32_t own = current->thread / kWarpSize, warp = thread / kWarpSize;
        return (own == warp && when <= met_[warp]) || has_seen(thread, when);
    }
    bool has_seen_reads(std::uint32_t warp, Time when) const {
        const std::uint32_t own = current->thread / kWarpSize;
        return when <= seen_[own].when[warp] || (own == warp && when <= met_[warp]);
    }
    // Whether the block that ran at `when` has told the running thread about that time.
    bool has_acquired_block(Time when) const;

    // The thread that runs: a fence; an atomic update; a load that acquires; a store that releases.
    void fence();
    void update(const void* at);
    void acquire(const void* at);
    void release(const void* at);

private:
    // What a thread has told whoever reads a variable: up to when it is told of each of its block's threads, and of which
    // other releases.
    struct Release {
        std::uint32_t block = 0;
        Time latest = 0;
        std::vector<Time> told;
        std::vector<std::uint32_t> acquired;
    };
    // What a thread knows beyond its warp.
    struct Thread {
        bool has_fenced = false;
        Time fence = 0;
        Seen fence_seen;
        std::vector<std::uint32_t> acquired;
        std::vector<std::uint32_t> read;  // seen by relaxed operations: acquired at the next fence
    };

    bool has_acquired(std::uint32_t thread, Time when) const;
    bool tells(const Release& release, std::uint32_t block, std::uint32_t thread, Time when) const;
    std::uint32_t block_at(Time when) const;
    Thread& own();
    void acquire_read();
    void add_release(const void* at, bool is_ordered);

    Time now_ = 1, launch_start_ = 1, block_start_ = 1;
    Seen seen_[kWarpsMax];
    Time met_[kWarpsMax] = {};
    std::vector<Time> block_starts_;
    std::vector<Release> releases_;
    std::unordered_map<const void*, std::vector<std::uint32_t>> variables_;
    std::vector<Thread> threads_;
    std::vector<std::uint32_t> warp_acquired_[kWarpsMax];
    bool has_acquisitions_ = false;
};

}  // namespace cuda_on_cpu::checked
