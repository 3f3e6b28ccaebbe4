// Runs kernels on the CPU: a fiber a CUDA thread, one block after the other, and everything that fibers of a warp or a
// block do together. A kernel that does what CUDA forbids ends with a fault that says what and where.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>

namespace cuda_on_cpu {

inline constexpr std::uint32_t kWarpSize = 32;

// One kernel of the build. Its constructor makes it known by its name.
struct Kernel {
    const char* name;
    std::size_t args_bytes;
    std::uint32_t threads_max;
    void (*body)(const void* args);
    const Kernel* next;

    Kernel(const char* name, std::size_t args_bytes, std::uint32_t threads_max, void (*body)(const void*));
};

// Null if there is none.
const Kernel* find_kernel(const char* name);

struct Grid {
    std::uint32_t x = 1, y = 1, z = 1;
    std::uint32_t threads = kWarpSize;
    std::uint32_t shared_bytes = 0;
};

// The order in which what CUDA leaves open happens. Any order must give the same result.
enum class Order { ascending, descending, random };
struct Schedule {
    Order order = Order::ascending;
    std::uint64_t seed = 1;
    const std::atomic<bool>* stop = nullptr;  // ends kernels that wait in a loop with wait_a_little, once true
};

// Runs all blocks on the calling thread. An empty text, or what went wrong and where. Any number of OS threads may
// launch at once.
std::string launch(const Kernel& kernel, const Grid& grid, const void* args, const Schedule& schedule = {});

// ---- what kernels call, through on_cpu.h ----

// What a lane brings to a meeting of its warp.
struct Words {
    std::uint32_t word[8] = {};
    bool is_live = false;  // false for lanes that have left the kernel

    Words() = default;
    Words(std::initializer_list<std::uint32_t> values) {
        std::size_t i = 0;
        for (const std::uint32_t value : values) word[i++] = value;
    }
    Words(std::uint32_t value) { word[0] = value; }
    static Words absent() {
        Words words;
        for (std::uint32_t& word : words.word) word = 0xffffffff;  // what nobody brought is no number
        return words;
    }
};

enum class Meeting : std::uint8_t { none, barrier, shuffle, shuffle_xor, shuffle_up, ballot, reduce, mma, load_matrices };

// Where in the sources a meeting stands: lanes of a warp must meet at the same place.
struct Site {
    const char* file = "";
    std::uint32_t line = 0;
};
#define COC_HERE cuda_on_cpu::Site here = {__builtin_FILE(), __builtin_LINE()}

struct Block {
    std::uint32_t threads, x, y, z, grid_x, grid_y, grid_z;
};

// A fiber: one CUDA thread of the running block.
struct Lane {
    std::uint32_t thread = 0;
    void* stack_pointer = nullptr;
};

extern constinit thread_local Lane* current __attribute__((tls_model("initial-exec")));
const Block& block();

// What the lanes of a warp multiply together: b by columns.
struct Tiles {
    float a[16][16], b[8][16];
};
// Those that belong to the lane's next meeting.
Tiles& next_tiles();

// Waits for all lanes of the warp that have not left; they must all be at the same meeting. Valid until the lane's next
// meeting but one. Only a barrier orders memory.
const Words* meet_warp(Meeting meeting, const Words& own, Site here);

// Waits at a barrier for so many threads of the block.
void meet_block(std::uint32_t barrier, std::uint32_t threads, Site here);

void* shared_variable(const void* key, const char* name, std::size_t bytes, std::size_t alignment);
void* dynamic_shared();

// Both addresses aligned to `bytes`; zeros where the source is null.
void copy_async(void* target, const void* source, std::size_t bytes);
void copy_async_commit();
void copy_async_wait(std::uint32_t open_max);

// Accesses that count as the kernel's, whole or not at all: their addresses must be aligned to `bytes`.
void load_checked(void* target, const void* source, std::size_t bytes);
void store_checked(void* target, const void* source, std::size_t bytes);

std::uint32_t atomic_add(std::uint32_t* at, std::uint32_t value);
unsigned long long atomic_add(unsigned long long* at, unsigned long long value);
void fence(bool is_system);
void store_release(std::uint32_t* at, std::uint32_t value);
std::uint32_t load_acquire(const std::uint32_t* at);

// Lets the block's other threads run.
void wait_a_little();
std::uint64_t nanoseconds();

// Ends the kernel with a fault.
[[noreturn]] void fail(const std::string& what);

}  // namespace cuda_on_cpu
