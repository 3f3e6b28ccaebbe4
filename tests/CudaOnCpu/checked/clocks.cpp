#include "clocks.h"

#include <algorithm>

namespace cuda_on_cpu::checked {

namespace {

// Both are sorted, and so is the result.
void join(std::vector<std::uint32_t>& to, const std::vector<std::uint32_t>& from) {
    if (from.empty()) return;
    std::vector<std::uint32_t> all;
    std::set_union(to.begin(), to.end(), from.begin(), from.end(), std::back_inserter(all));
    to = std::move(all);
}

}  // namespace

void Clocks::start_launch() {
    launch_start_ = ++now_;
    block_starts_.clear();
    releases_.clear();
    variables_.clear();
    threads_.assign(kThreadsMax, {});
}

void Clocks::start_block() {
    block_start_ = ++now_;
    block_starts_.push_back(now_);
    // Nothing of this block is older than its start.
    for (Seen& seen : seen_) seen = {};
    for (Time& met : met_) met = 0;
    for (auto& acquired : warp_acquired_) acquired.clear();
    if (!releases_.empty()) threads_.assign(kThreadsMax, {});
    else for (std::uint32_t t = 0; t < executor->block.threads; ++t) threads_[t].has_fenced = false;
    has_acquisitions_ = false;
}

void Clocks::order_warp(std::uint32_t warp) {
    seen_[warp].when[warp] = now_++;
    if (!has_acquisitions_) return;
    const std::uint32_t first = warp * kWarpSize;
    for (std::uint32_t t = first; t < first + kWarpSize; ++t) join(warp_acquired_[warp], threads_[t].acquired);
}

void Clocks::pass_barrier(std::uint32_t warps) {
    Seen all;
    std::vector<std::uint32_t> acquired;
    for (std::uint32_t w = 0; w < kWarpsMax; ++w) {
        if ((warps >> w & 1) == 0) continue;
        for (std::uint32_t v = 0; v < kWarpsMax; ++v) all.when[v] = std::max(all.when[v], seen_[w].when[v]);
        if (!has_acquisitions_) continue;
        join(acquired, warp_acquired_[w]);
        for (std::uint32_t t = w * kWarpSize; t < (w + 1) * kWarpSize; ++t) join(acquired, threads_[t].acquired);
    }
    for (std::uint32_t w = 0; w < kWarpsMax; ++w) {
        if ((warps >> w & 1) != 0) all.when[w] = now_;
    }
    for (std::uint32_t w = 0; w < kWarpsMax; ++w) {
        if ((warps >> w & 1) == 0) continue;
        seen_[w] = all;
        if (has_acquisitions_) warp_acquired_[w] = acquired;
    }
    ++now_;
}

std::uint32_t Clocks::block_at(Time when) const {
    const auto after = std::upper_bound(block_starts_.begin(), block_starts_.end(), when);
    return static_cast<std::uint32_t>(after - block_starts_.begin() - 1);
}

Clocks::Thread& Clocks::own() { return threads_[current->thread]; }

bool Clocks::tells(const Release& release, std::uint32_t block, std::uint32_t thread, Time when) const {
    return release.block == block && thread < release.told.size() && when <= release.told[thread];
}

bool Clocks::has_acquired(std::uint32_t thread, Time when) const {
    if (!has_acquisitions_) return false;
    const std::uint32_t block = block_at(when);
    const auto in = [&](const std::vector<std::uint32_t>& acquired) {
        return std::any_of(acquired.begin(), acquired.end(),
                           [&](std::uint32_t i) { return tells(releases_[i], block, thread, when); });
    };
    return in(threads_[current->thread].acquired) || in(warp_acquired_[current->thread / kWarpSize]);
}

bool Clocks::has_acquired_block(Time when) const {
    if (!has_acquisitions_) return false;
    const std::uint32_t block = block_at(when);
    const auto in = [&](const std::vector<std::uint32_t>& acquired) {
        return std::any_of(acquired.begin(), acquired.end(),
                           [&](std::uint32_t i) { return releases_[i].block == block && when <= releases_[i].latest; });
    };
    return in(threads_[current->thread].acquired) || in(warp_acquired_[current->thread / kWarpSize]);
}

void Clocks::acquire_read() {
    Thread& thread = own();
    if (thread.read.empty()) return;
    join(thread.acquired, thread.read);
    thread.read.clear();
    has_acquisitions_ = true;
}

void Clocks::fence() {
    acquire_read();
    Thread& thread = own();
    thread.has_fenced = true;
    thread.fence = now_;
    thread.fence_seen = seen_[current->thread / kWarpSize];
    ++now_;
}

// A release tells all that its thread has seen. A relaxed update tells what fences have made visible: its own thread's, and
// those of threads that it has met since.
void Clocks::add_release(const void* at, bool is_ordered) {
    const std::uint32_t self = current->thread, threads = executor->block.threads;
    const Seen& seen = seen_[self / kWarpSize];
    Release release{block_at(now_), 0, std::vector<Time>(threads), own().acquired};
    Seen warps;
    const auto tell = [&](std::uint32_t thread, Time when, const Seen& before) {
        release.told[thread] = std::max(release.told[thread], when);
        for (std::uint32_t w = 0; w < kWarpsMax; ++w) warps.when[w] = std::max(warps.when[w], before.when[w]);
    };
    if (is_ordered) tell(self, now_, seen);
    for (std::uint32_t t = 0; t < threads; ++t) {
        const Thread& thread = threads_[t];
        if (thread.has_fenced && (t == self || thread.fence <= seen.when[t / kWarpSize])) tell(t, thread.fence, thread.fence_seen);
    }
    for (std::uint32_t t = 0; t < threads; ++t) {
        release.told[t] = std::max(release.told[t], warps.when[t / kWarpSize]);
        release.latest = std::max(release.latest, release.told[t]);
    }
    if (release.latest == 0) return;
    join(release.acquired, warp_acquired_[self / kWarpSize]);
    std::vector<std::uint32_t>& variable = variables_[at];
    if (is_ordered) variable.clear();
    join(variable, release.acquired);
    variable.push_back(static_cast<std::uint32_t>(releases_.size()));
    releases_.push_back(std::move(release));
}

void Clocks::update(const void* at) {
    if (const auto found = variables_.find(at); found != variables_.end()) join(own().read, found->second);
    add_release(at, false);
}

void Clocks::acquire(const void* at) {
    const auto found = variables_.find(at);
    if (found == variables_.end()) return;
    join(own().acquired, found->second);
    has_acquisitions_ = true;
}

// A store that releases is a fence and a store to the hardware (Lustig et al., "A Formal Analysis of the NVIDIA PTX Memory
// Consistency Model", mapping of C++ to PTX).
void Clocks::release(const void* at) {
    acquire_read();
    add_release(at, true);
    ++now_;
}

}  // namespace cuda_on_cpu::checked
