#include "executor.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <numeric>

#include "fibers.h"
#include "observer.h"
#include "weak.h"

namespace cuda_on_cpu {

Observer* observer = nullptr;

namespace {

constinit const Kernel* first_kernel = nullptr;

std::string place(Site site) {
    const std::string file = site.file;
    return file.substr(file.find_last_of('/') + 1) + ":" + std::to_string(site.line);
}

// 0, 1, 2 ... count - 1 in the schedule's order.
void order(std::vector<std::uint32_t>& indices, std::uint32_t count) {
    indices.resize(count);
    std::iota(indices.begin(), indices.end(), 0u);
    if (executor->order == Order::descending) std::reverse(indices.begin(), indices.end());
    if (executor->order == Order::random) std::shuffle(indices.begin(), indices.end(), executor->random);
}

Words* words_of(std::uint32_t warp, std::uint32_t parity) {
    return &executor->words[(warp * 2 + parity) * kWarpSize];
}

std::uint32_t lanes_of(std::uint32_t warp) { return std::min(kWarpSize, executor->block.threads - warp * kWarpSize); }

// Lets the lanes of a warp go on once all that have not left are at the same meeting. False if they cannot.
bool release_warp(Fiber* lanes, std::uint32_t warp) {
    const std::uint32_t count = lanes_of(warp);
    const Fiber* first = nullptr;
    for (std::uint32_t l = 0; l < count; ++l) {
        const Fiber& lane = lanes[l];
        if (lane.state == State::left) continue;
        // Who pauses may yet come.
        if (lane.state == State::pausing || lane.state == State::runnable) return false;
        if (first == nullptr) first = &lane;
        if (lane.state != first->state || (lane.state == State::at_warp && lane.meeting != first->meeting) ||
            lane.site.line != first->site.line || lane.site.file != first->site.file) {
            set_fault("lanes of a warp wait at different places, " + place(first->site) + " (thread " +
                      std::to_string(first->thread) + ") and " + place(lane.site) + " (thread " +
                      std::to_string(lane.thread) + "),");
            return false;
        }
    }
    if (first == nullptr || first->state != State::at_warp) return false;
    const Meeting meeting = first->meeting;
    for (std::uint32_t l = 0; l < count; ++l) {
        // What a lane that has left brought to earlier meetings counts no more.
        if (lanes[l].state == State::left) words_of(warp, 0)[l] = words_of(warp, 1)[l] = Words::absent();
        else lanes[l].state = State::runnable;
    }
    if (observer == nullptr) return true;
    if (meeting == Meeting::barrier) observer->warp_ordered(warp);
    else observer->warp_met(warp);
    return true;
}

// Runs a warp until none of its lanes can go on by itself. True if any did.
bool run_warp(std::uint32_t warp) {
    thread_local std::vector<std::uint32_t> indices;
    Fiber* const lanes = &executor->fibers[warp * kWarpSize];
    const std::uint32_t count = lanes_of(warp);
    bool ran = false;
    do {
        order(indices, count);
        for (const std::uint32_t l : indices) {
            if (lanes[l].state != State::runnable) continue;
            resume(lanes[l]);
            ran = true;
            if (!executor->fault.empty()) return true;
        }
    } while (release_warp(lanes, warp));
    return ran;
}

void prepare_block() {
    const std::uint32_t threads = executor->block.threads;
    std::memset(executor->dynamic_begin(), kPoison, executor->dynamic_bytes);
    executor->variables.clear();
    executor->static_bytes = 0;
    executor->static_begin = executor->dynamic_begin() - kSharedGap;
    for (Barrier& barrier : executor->barriers) barrier = {};
    for (std::uint32_t t = 0; t < threads; ++t) executor->prepare(t);
    const std::uint32_t warps = (threads + kWarpSize - 1) / kWarpSize;
    std::fill_n(executor->words.begin(), warps * 2 * kWarpSize, Words::absent());
    if (observer == nullptr) return;
    observer->block_starts();
    if (executor->dynamic_bytes != 0) observer->shared_defined("dynamic memory", executor->dynamic_begin(), executor->dynamic_bytes);
}

// Nobody can go on: lets those that pause look again, or says why nobody will.
void wake_or_fault() {
    bool paused = false;
    const Fiber* waiting = nullptr;
    for (std::uint32_t t = 0; t < executor->block.threads; ++t) {
        Fiber& lane = executor->fibers[t];
        if (lane.state == State::at_block || lane.state == State::at_warp) waiting = &lane;
        if (lane.state != State::pausing) continue;
        lane.state = State::runnable;
        paused = true;
    }
    if (paused) {
        if (executor->stop != nullptr && executor->stop->load(std::memory_order_relaxed)) set_fault("stopped while it waited");
        else sched_yield();
    } else if (waiting != nullptr && waiting->state == State::at_block) {
        const Barrier& barrier = executor->barriers[waiting->barrier];
        set_fault("threads wait at a barrier that others will never reach: " + std::to_string(barrier.arrived) + " of " +
                  std::to_string(barrier.expected) + " at " + place(waiting->site));
    } else {
        set_fault("threads wait for each other");
    }
}

void run_block() {
    prepare_block();
    const std::uint32_t threads = executor->block.threads;
    std::vector<std::uint32_t> warps;
    for (;;) {
        order(warps, (threads + kWarpSize - 1) / kWarpSize);
        bool ran = false;
        for (const std::uint32_t warp : warps) {
            ran = run_warp(warp) || ran;
            if (!executor->fault.empty()) return;
        }
        if (std::all_of(executor->fibers.begin(), executor->fibers.begin() + threads,
                        [](const Fiber& lane) { return lane.state == State::left; })) {
            return;
        }
        if (!ran) wake_or_fault();
        if (!executor->fault.empty()) return;
    }
}

// The warps whose lanes wait at the barrier go on.
void release_barrier(std::uint32_t barrier) {
    std::uint32_t warps = 0;
    for (std::uint32_t t = 0; t < executor->block.threads; ++t) {
        Fiber& lane = executor->fibers[t];
        if (lane.state != State::at_block || lane.barrier != barrier) continue;
        lane.state = State::runnable;
        warps |= 1u << t / kWarpSize;
    }
    executor->barriers[barrier] = {};
    if (observer != nullptr) observer->barrier_passed(warps);
}

std::string check_shape(const Kernel& kernel, const Grid& grid) {
    if (grid.threads == 0 || grid.threads > kThreadsMax || grid.threads > kernel.threads_max) {
        return std::to_string(grid.threads) + " threads in a block, where at most " + std::to_string(kernel.threads_max) +
               " may be";
    }
    if (grid.x == 0 || grid.y == 0 || grid.z == 0) return "an empty grid";
    if (grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535) return "a grid of too many blocks";
    if (grid.shared_bytes > kSharedMax) return "more shared memory than a block can have";
    return "";
}

bool is_aligned(const void* address, std::size_t bytes) { return reinterpret_cast<std::uintptr_t>(address) % bytes == 0; }

void check_aligned(const void* address, std::size_t bytes) {
    if (is_aligned(address, bytes)) return;
    char text[80];
    std::snprintf(text, sizeof text, "an access of %zu bytes to a misaligned address, %p", bytes, address);
    fail(text);
}

}  // namespace

Kernel::Kernel(const char* name, std::size_t args_bytes, std::uint32_t threads_max, void (*body)(const void*))
    : name(name), args_bytes(args_bytes), threads_max(threads_max), body(body), next(first_kernel) {
    first_kernel = this;
}

const Kernel* find_kernel(const char* name) {
    for (const Kernel* kernel = first_kernel; kernel != nullptr; kernel = kernel->next) {
        if (std::strcmp(kernel->name, name) == 0) return kernel;
    }
    return nullptr;
}

std::string launch(const Kernel& kernel, const Grid& grid, const void* args, const Schedule& schedule) {
    if (const std::string wrong = check_shape(kernel, grid); !wrong.empty()) return wrong + " in kernel " + kernel.name;
    // On the heap: what is thread_local here must fit what is left of the static storage of threads when the library is loaded.
    thread_local const auto owned = std::make_unique<Executor>();
    Executor& own = *owned;
    executor = &own;
    catch_signals();
    own.make_stacks((grid.threads + kWarpSize - 1) / kWarpSize * kWarpSize);
    own.kernel = &kernel;
    own.args = args;
    own.stop = schedule.stop;
    own.fault.clear();
    own.dynamic_bytes = grid.shared_bytes;
    own.random.seed(static_cast<std::uint32_t>(schedule.seed));
    own.order = schedule.order;
    own.block = {grid.threads, 0, 0, 0, grid.x, grid.y, grid.z};
    const std::uint64_t blocks = std::uint64_t{grid.x} * grid.y * grid.z;
    // Any odd step that shares no factor with the number of blocks visits each of them once.
    std::uint64_t step = schedule.order == Order::descending ? blocks - 1 : 1, at = 0;
    if (schedule.order == Order::random) {
        at = own.random() % blocks;
        do step = own.random() % blocks + 1;
        while (std::gcd(step, blocks) != 1);
    } else if (schedule.order == Order::descending) {
        at = blocks - 1;
    }
    if (observer != nullptr) observer->launch_starts();
    for (std::uint64_t i = 0; i < blocks && own.fault.empty(); ++i, at = (at + step) % blocks) {
        own.block_index = at;
        own.block.x = static_cast<std::uint32_t>(at % grid.x);
        own.block.y = static_cast<std::uint32_t>(at / grid.x % grid.y);
        own.block.z = static_cast<std::uint32_t>(at / grid.x / grid.y);
        run_block();
    }
    if (observer != nullptr) observer->launch_ends();
    executor = nullptr;
    return own.fault;
}

void set_fault(const std::string& what) {
    if (!executor->fault.empty()) return;
    const Block& b = executor->block;
    executor->fault = what + " in kernel " + executor->kernel->name + ", block (" + std::to_string(b.x) + ", " +
                      std::to_string(b.y) + ", " + std::to_string(b.z) + ")";
    if (current != nullptr) executor->fault += ", thread " + std::to_string(current->thread);
}

void fail(const std::string& what) {
    set_fault(what);
    fiber().state = State::left;
    leave();
    std::abort();
}

const Block& block() { return executor->block; }

Tiles& next_tiles() { return executor->tiles[fiber().thread / kWarpSize * 2 + fiber().meetings % 2]; }

const Words* meet_warp(Meeting meeting, const Words& own, Site here) {
    Fiber& lane = fiber();
    Words* const words = words_of(lane.thread / kWarpSize, lane.meetings++ % 2);
    Words& mine = words[lane.thread % kWarpSize];
    mine = own;
    mine.is_live = true;
    lane.meeting = meeting;
    lane.site = here;
    lane.state = State::at_warp;
    leave();
    return words;
}

void meet_block(std::uint32_t number, std::uint32_t threads, Site here) {
    if (number >= kBarriers) fail("a barrier number above 15");
    // sync_block counts all threads, whole warps or not.
    if (threads == 0 || threads > executor->block.threads || (threads % kWarpSize != 0 && threads != executor->block.threads)) {
        fail("a barrier for " + std::to_string(threads) + " threads");
    }
    Fiber& lane = fiber();
    Barrier& barrier = executor->barriers[number];
    if (barrier.arrived != 0 && barrier.expected != threads) fail("threads disagree about the size of a barrier");
    barrier.expected = threads;
    lane.barrier = number;
    lane.site = here;
    lane.state = State::at_block;
    if (++barrier.arrived == threads) release_barrier(number);
    leave();
}

void* shared_variable(const void* key, const char* name, std::size_t bytes, std::size_t alignment) {
    for (const SharedVariable& variable : executor->variables) {
        if (variable.key == key) return variable.address;
    }
    // Downwards from where dynamic shared memory starts.
    executor->static_bytes = (executor->static_bytes + bytes + alignment - 1) / alignment * alignment;
    if (executor->static_bytes > kStaticSharedMax) fail("more than 48 KiB of static shared memory");
    if (executor->static_bytes + executor->dynamic_bytes > kSharedMax) fail("more shared memory than a block can have");
    unsigned char* address = executor->static_begin - bytes;
    address -= reinterpret_cast<std::uintptr_t>(address) % alignment;
    executor->static_begin = address - kSharedGap;
    std::memset(address, kPoison, bytes);
    executor->variables.push_back({key, address, bytes});
    if (observer != nullptr) observer->shared_defined(name, address, bytes);
    return address;
}

void* dynamic_shared() { return executor->dynamic_begin(); }

void copy_async(void* target, const void* source, std::size_t bytes) {
    check_aligned(target, bytes);
    check_aligned(source, bytes);
    Fiber& lane = fiber();
    if (observer != nullptr) {
        if (source != nullptr) observer->reads(source, bytes);
        observer->starts_copy(target, bytes);
    }
    std::memset(target, kPoison, bytes);
    lane.copies.push_back({target, source, bytes, lane.groups});
}

void copy_async_commit() { ++fiber().groups; }

void copy_async_wait(std::uint32_t open_max) {
    Fiber& lane = fiber();
    std::size_t kept = 0;
    for (const Copy& copy : lane.copies) {
        if (copy.group + open_max >= lane.groups) {
            lane.copies[kept++] = copy;
            continue;
        }
        if (copy.source == nullptr) std::memset(copy.target, 0, copy.bytes);
        else std::memcpy(copy.target, copy.source, copy.bytes);
        if (observer != nullptr) observer->ends_copy(copy.target, copy.bytes);
    }
    lane.copies.resize(kept);
}

void load_checked(void* target, const void* source, std::size_t bytes) {
    check_aligned(source, bytes);
    if (observer != nullptr) observer->reads(source, bytes);
    std::memcpy(target, source, bytes);
}

void store_checked(void* target, const void* source, std::size_t bytes) {
    check_aligned(target, bytes);
    if (observer != nullptr) observer->writes(target, bytes);
    std::memcpy(target, source, bytes);
}

namespace {
template <typename T>
T add_atomically(T* at, T value) {
    check_aligned(at, sizeof *at);
    if (observer != nullptr) observer->updates_atomically(at, sizeof *at);
    return __atomic_fetch_add(at, value, __ATOMIC_RELAXED);
}
}  // namespace

std::uint32_t atomic_add(std::uint32_t* at, std::uint32_t value) { return add_atomically(at, value); }
unsigned long long atomic_add(unsigned long long* at, unsigned long long value) { return add_atomically(at, value); }

void fence(bool is_system) {
    if (observer != nullptr) observer->fences(is_system);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void store_release(std::uint32_t* at, std::uint32_t value) {
    check_aligned(at, sizeof *at);
    if (observer != nullptr) observer->stores_atomically(at, sizeof *at);
    __atomic_store_n(at, value, __ATOMIC_RELEASE);
    if (weak_is_used()) weak_store(at, value);
}

std::uint32_t load_acquire(const std::uint32_t* at) {
    check_aligned(at, sizeof *at);
    if (observer != nullptr) observer->loads_atomically(at, sizeof *at);
    if (!weak_is_used()) return __atomic_load_n(at, __ATOMIC_ACQUIRE);
    const std::uint32_t value = weak_load(at);
    weak_refresh();
    return value;
}

void wait_a_little() {
    fiber().state = State::pausing;
    leave();
}

std::uint64_t nanoseconds() {
    return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

}  // namespace cuda_on_cpu
