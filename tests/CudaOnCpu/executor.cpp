#include "executor.h"

#include <sched.h>
#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <random>
#include <vector>

namespace cuda_on_cpu {

thread_local Lane* current = nullptr;

namespace {

constexpr std::size_t kStackBytes = 128 << 10;
constexpr std::uint32_t kThreadsMax = 1024;
constexpr std::size_t kStaticSharedMax = 48 << 10;
constexpr std::size_t kSharedMax = 227 << 10;
constexpr unsigned char kPoison = 0xff;  // a NaN in every format, and no index

const Kernel* first_kernel = nullptr;

extern "C" void cuda_on_cpu_switch(void** save, void* to);
asm(R"(
.text
.globl cuda_on_cpu_switch
.hidden cuda_on_cpu_switch
cuda_on_cpu_switch:
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, (%rdi)
    mov %rsi, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret
)");

enum class State { runnable, at_warp, at_block, left };

struct Copy {
    void* target;
    const void* source;
    std::size_t bytes;
    std::uint32_t group;
};

struct Fiber : Lane {
    State state = State::runnable;
    Meeting meeting = Meeting::none;
    std::uint32_t barrier = 0;
    std::uint32_t barrier_threads = 0;
    std::uint32_t meetings = 0;
    std::uint32_t groups = 0;
    std::vector<Copy> copies;
};

struct SharedVariable {
    const void* key;
    void* address;
};

// What one OS thread needs to run blocks.
struct Executor {
    Block block{};
    const Kernel* kernel = nullptr;
    const void* args = nullptr;
    void* scheduler = nullptr;
    char* stacks = nullptr;
    std::vector<Fiber> fibers;
    std::vector<Words> words;  // [warp][parity][lane]
    std::vector<SharedVariable> variables;
    unsigned char* shared = nullptr;
    std::size_t shared_used = 0;
    std::size_t dynamic_bytes = 0;
    std::string fault;
    std::minstd_rand random;
    Order order = Order::ascending;

    Executor() : fibers(kThreadsMax), words(kThreadsMax * 2) {
        stacks = static_cast<char*>(mmap(nullptr, kStackBytes * kThreadsMax, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
        shared = static_cast<unsigned char*>(std::aligned_alloc(1024, kSharedMax + 1024));
        if (stacks == MAP_FAILED || shared == nullptr) std::abort();
    }
    ~Executor() {
        munmap(stacks, kStackBytes * kThreadsMax);
        std::free(shared);
    }
};

thread_local Executor* executor = nullptr;

Fiber& fiber() { return *static_cast<Fiber*>(current); }

void leave() { cuda_on_cpu_switch(&current->stack_pointer, executor->scheduler); }

extern "C" void cuda_on_cpu_enter() {
    executor->kernel->body(executor->args);
    fiber().state = State::left;
    leave();
    std::abort();
}

void prepare(Fiber& lane, std::uint32_t thread, char* stack) {
    lane.thread = thread;
    lane.state = State::runnable;
    lane.meetings = 0;
    lane.groups = 0;
    lane.copies.clear();
    auto* top = reinterpret_cast<std::uint64_t*>(stack + kStackBytes);
    *--top = 0;  // what the entry would return to: a function starts with its stack 8 beyond a multiple of 16
    *--top = reinterpret_cast<std::uint64_t>(&cuda_on_cpu_enter);
    for (int i = 0; i < 6; ++i) *--top = 0;
    lane.stack_pointer = top;
}

void resume(Fiber& lane) {
    current = &lane;
    cuda_on_cpu_switch(&executor->scheduler, lane.stack_pointer);
    current = nullptr;
}

std::string at_block() {
    const Block& b = executor->block;
    return std::string(" in ") + executor->kernel->name + ", block (" + std::to_string(b.x) + ", " + std::to_string(b.y) +
           ", " + std::to_string(b.z) + ")";
}

void fault(const std::string& what) {
    if (executor->fault.empty()) executor->fault = what + at_block();
}

// 0, 1, 2 ... count - 1 in the schedule's order.
void order(std::vector<std::uint32_t>& indices, std::uint32_t count) {
    indices.resize(count);
    for (std::uint32_t i = 0; i < count; ++i) indices[i] = executor->order == Order::descending ? count - 1 - i : i;
    if (executor->order == Order::random) {
        for (std::uint32_t i = count; i > 1; --i) std::swap(indices[i - 1], indices[executor->random() % i]);
    }
}

Words* words_of(std::uint32_t warp, std::uint32_t parity) {
    return &executor->words[(warp * 2 + parity) * kWarpSize];
}

// Runs a warp until all of its lanes wait at the block's barriers or have left.
void run_warp(std::uint32_t warp) {
    thread_local std::vector<std::uint32_t> lanes;
    const std::uint32_t first = warp * kWarpSize;
    const std::uint32_t count = std::min(kWarpSize, executor->block.threads - first);
    for (;;) {
        order(lanes, count);
        for (const std::uint32_t l : lanes) {
            Fiber& lane = executor->fibers[first + l];
            if (lane.state == State::runnable) resume(lane);
            if (!executor->fault.empty()) return;
        }
        std::uint32_t waiting = 0, live = 0;
        Meeting meeting = Meeting::none;
        for (std::uint32_t l = 0; l < count; ++l) {
            Fiber& lane = executor->fibers[first + l];
            if (lane.state == State::left) continue;
            ++live;
            if (lane.state != State::at_warp) continue;
            ++waiting;
            if (meeting != Meeting::none && meeting != lane.meeting) return fault("lanes of a warp meet for different things");
            meeting = lane.meeting;
        }
        if (waiting == 0) return;
        if (waiting != live) return fault("lanes of a warp wait for each other at different places");
        for (std::uint32_t l = 0; l < count; ++l) {
            Fiber& lane = executor->fibers[first + l];
            if (lane.state == State::at_warp) lane.state = State::runnable;
            // What a lane that has left brought to earlier meetings counts no more.
            if (lane.state == State::left) words_of(warp, 0)[l].is_live = words_of(warp, 1)[l].is_live = false;
        }
    }
}

// Lets those go on whose barrier is complete; false if nobody can.
bool release_barriers() {
    bool released = false;
    const std::uint32_t threads = executor->block.threads;
    for (std::uint32_t barrier = 0; barrier < 16; ++barrier) {
        std::uint32_t arrived = 0, expected = 0;
        for (std::uint32_t t = 0; t < threads; ++t) {
            const Fiber& lane = executor->fibers[t];
            if (lane.state != State::at_block || lane.barrier != barrier) continue;
            ++arrived;
            if (expected != 0 && expected != lane.barrier_threads) fault("threads disagree about the size of a barrier");
            expected = lane.barrier_threads;
        }
        if (arrived == 0 || arrived < expected) continue;
        released = true;
        for (std::uint32_t t = 0; t < threads; ++t) {
            Fiber& lane = executor->fibers[t];
            if (lane.state == State::at_block && lane.barrier == barrier) lane.state = State::runnable;
        }
    }
    return released;
}

void run_block() {
    std::memset(executor->shared, kPoison, kSharedMax);
    executor->variables.clear();
    executor->shared_used = 0;
    const std::uint32_t threads = executor->block.threads, warps = (threads + kWarpSize - 1) / kWarpSize;
    for (std::uint32_t t = 0; t < threads; ++t) prepare(executor->fibers[t], t, executor->stacks + t * kStackBytes);
    std::vector<std::uint32_t> order_of_warps;
    for (;;) {
        order(order_of_warps, warps);
        for (const std::uint32_t warp : order_of_warps) {
            run_warp(warp);
            if (!executor->fault.empty()) return;
        }
        std::uint32_t left = 0;
        for (std::uint32_t t = 0; t < threads; ++t) left += executor->fibers[t].state == State::left ? 1 : 0;
        if (left == threads) return;
        if (!release_barriers()) return fault("threads wait at a barrier that others will never reach");
        if (!executor->fault.empty()) return;
    }
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
    thread_local Executor own;
    executor = &own;
    own.kernel = &kernel;
    own.args = args;
    own.fault.clear();
    own.dynamic_bytes = grid.shared_bytes;
    own.random.seed(static_cast<std::uint32_t>(schedule.seed));
    own.order = schedule.order;
    own.block = {grid.threads, 0, 0, 0, grid.x, grid.y, grid.z};
    if (grid.threads == 0 || grid.threads > kernel.threads_max) return std::string(kernel.name) + ": more threads than its bound";
    if (grid.x == 0 || grid.y == 0 || grid.z == 0) return std::string(kernel.name) + ": an empty grid";
    if (grid.shared_bytes > kSharedMax) return std::string(kernel.name) + ": more shared memory than a block can have";
    const std::uint64_t blocks = std::uint64_t{grid.x} * grid.y * grid.z;
    for (std::uint64_t i = 0; i < blocks && own.fault.empty(); ++i) {
        const std::uint64_t at = schedule.order == Order::ascending ? i : blocks - 1 - i;
        own.block.x = static_cast<std::uint32_t>(at % grid.x);
        own.block.y = static_cast<std::uint32_t>(at / grid.x % grid.y);
        own.block.z = static_cast<std::uint32_t>(at / grid.x / grid.y);
        run_block();
    }
    return own.fault;
}

const Block& block() { return executor->block; }

const Words* meet_warp(Meeting meeting, const Words& own) {
    Fiber& lane = fiber();
    Words* const words = words_of(lane.thread / kWarpSize, lane.meetings % 2);
    words[lane.thread % kWarpSize] = own;
    words[lane.thread % kWarpSize].is_live = true;
    ++lane.meetings;
    lane.meeting = meeting;
    lane.state = State::at_warp;
    leave();
    return words;
}

void meet_block(std::uint32_t barrier, std::uint32_t threads) {
    Fiber& lane = fiber();
    lane.barrier = barrier;
    lane.barrier_threads = threads;
    lane.state = State::at_block;
    leave();
}

void* shared_variable(const void* key, std::size_t bytes, std::size_t alignment) {
    for (const SharedVariable& variable : executor->variables) {
        if (variable.key == key) return variable.address;
    }
    // From the end downwards: dynamic shared memory lies at the start.
    executor->shared_used = (executor->shared_used + bytes + alignment - 1) / alignment * alignment;
    if (executor->shared_used > kStaticSharedMax) fail("more than 48 KiB of static shared memory");
    if (executor->shared_used + executor->dynamic_bytes > kSharedMax) fail("more shared memory than a block can have");
    void* const address = executor->shared + kSharedMax - executor->shared_used;
    executor->variables.push_back({key, address});
    return address;
}

void* dynamic_shared() { return executor->shared; }

void copy_async(void* target, const void* source, std::size_t bytes) {
    if ((reinterpret_cast<std::uintptr_t>(target) | reinterpret_cast<std::uintptr_t>(source)) % bytes != 0) {
        fail("an asynchronous copy between addresses that are not aligned");
    }
    std::memset(target, kPoison, bytes);
    fiber().copies.push_back({target, source, bytes, fiber().groups});
}

void copy_async_commit() { ++fiber().groups; }

void copy_async_wait(std::uint32_t open_max) {
    Fiber& lane = fiber();
    std::size_t kept = 0;
    for (const Copy& copy : lane.copies) {
        if (copy.group + open_max >= lane.groups) {
            lane.copies[kept++] = copy;
        } else if (copy.source == nullptr) {
            std::memset(copy.target, 0, copy.bytes);
        } else {
            load_checked(copy.target, copy.source, copy.bytes);
        }
    }
    lane.copies.resize(kept);
}

void load_checked(void* target, const void* source, std::size_t bytes) { std::memcpy(target, source, bytes); }

std::uint32_t atomic_add(std::uint32_t* at, std::uint32_t value) { return __atomic_fetch_add(at, value, __ATOMIC_RELAXED); }
void fence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void store_release(std::uint32_t* at, std::uint32_t value) { __atomic_store_n(at, value, __ATOMIC_RELEASE); }
std::uint32_t load_acquire(const std::uint32_t* at) { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }
void wait_a_little() { sched_yield(); }

std::uint64_t nanoseconds() {
    return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

void fail(const std::string& what) {
    fault(what);
    fiber().state = State::left;
    leave();
    std::abort();
}

}  // namespace cuda_on_cpu
