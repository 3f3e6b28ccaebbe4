// What one OS thread needs to run blocks: the state that executor.cpp, faults.cpp and checked/ share.
#pragma once
#include <random>
#include <vector>

#include "executor.h"

namespace cuda_on_cpu {

inline constexpr std::size_t kStackBytes = 64 << 10;
inline constexpr std::uint32_t kThreadsMax = 1024;
inline constexpr std::uint32_t kWarpsMax = kThreadsMax / kWarpSize;
inline constexpr std::uint32_t kBarriers = 16;
inline constexpr std::size_t kStaticSharedMax = 48 << 10;
inline constexpr std::size_t kSharedMax = 227 << 10;
// Between variables, so that an index past the end of one does not meet another; for all of them, in front of the rest.
inline constexpr std::size_t kSharedGap = 64;
inline constexpr std::size_t kSharedGaps = 64 << 10;
inline constexpr unsigned char kPoison = 0xff;  // a NaN in every format, and no index

enum class State : std::uint8_t { runnable, pausing, at_warp, at_block, left };

struct Copy {
    void* target;
    const void* source;
    std::size_t bytes;
    std::uint32_t group;
};

struct Fiber : Lane {
    State state = State::left;
    Meeting meeting = Meeting::none;
    std::uint32_t barrier = 0;
    std::uint32_t meetings = 0;
    std::uint32_t groups = 0;
    Site site{};
    std::vector<Copy> copies;
};

struct Barrier {
    std::uint32_t arrived = 0;
    std::uint32_t expected = 0;
};

struct SharedVariable {
    const void* key;
    void* address;
    std::size_t bytes;
};

// What a signal handler left for the fiber that it interrupted.
struct Trap {
    int signal = 0;
    const void* address = nullptr;
    const void* instruction = nullptr;
};

struct Executor {
    Block block{};
    std::uint64_t block_index = 0;
    const Kernel* kernel = nullptr;
    const void* args = nullptr;
    const std::atomic<bool>* stop = nullptr;
    void* scheduler = nullptr;  // its stack pointer, while a fiber runs
    char* stacks = nullptr;
    std::uint32_t stacks_ready = 0;
    std::vector<Fiber> fibers;
    std::vector<Words> words;  // [warp][parity][lane]
    std::vector<Tiles> tiles;  // [warp][parity]
    Barrier barriers[kBarriers];
    std::vector<SharedVariable> variables;
    unsigned char* shared = nullptr;  // kSharedMax bytes that end at a page that nobody may touch
    std::size_t static_bytes = 0;
    unsigned char* static_begin = nullptr;  // the next variable ends below
    std::size_t dynamic_bytes = 0;
    std::string fault;
    Trap trap;
    std::minstd_rand random;
    Order order = Order::ascending;
    void* signal_stack = nullptr;

    Executor();
    ~Executor();
    Executor(const Executor&) = delete;
    Executor& operator=(const Executor&) = delete;

    char* stack_of(std::uint32_t thread) const;  // its lowest byte
    void make_stacks(std::uint32_t threads);
    void prepare(std::uint32_t thread);
    unsigned char* dynamic_begin() const;
};

extern constinit thread_local Executor* executor __attribute__((tls_model("initial-exec")));

inline Fiber& fiber() { return *static_cast<Fiber*>(current); }

// Runs a fiber until it meets others or leaves; back to the scheduler.
void resume(Fiber& lane);
void leave();

// Writes down the launch's first fault, with the block and, on a fiber, the thread.
void set_fault(const std::string& what);

// Makes faults of the processor (illegal addresses, divisions by zero) on a fiber ends of its kernel. Once a process.
void catch_signals();

// Gives the calling OS thread a stack for signals if it has none; null, or what remove_signal_stack takes.
void* make_signal_stack();
void remove_signal_stack(void* stack);

}  // namespace cuda_on_cpu
