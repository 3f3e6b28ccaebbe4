// For checks of kernels without a driver: buffers that lie in the arena against a page that nobody may touch, and launches in
// every order that CUDA leaves open. A check is a gtest that builds a kernel's arguments from Buffers, calls launch_all and
// compares what the buffers hold then; it runs on the plain and on the checked build.
#pragma once
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "arena.h"
#include "executor.h"

namespace cuda_on_cpu::kit {

// Memory as a device has it: unwritten at first (all bits set: NaN in every format), and ending less than `alignment` bytes
// in front of a page that faults.
template <typename T>
class Buffer {
public:
    explicit Buffer(std::size_t count, std::size_t alignment = 16, MemoryKind kind = MemoryKind::device)
        : count_(count) {
        constexpr std::size_t kPage = 4096;
        const std::size_t bytes = (count * sizeof(T) + alignment - 1) / alignment * alignment;
        const std::size_t pages = (bytes + kPage - 1) / kPage * kPage;
        mapped_ = pages + 2 * kPage;
        map_ = static_cast<char*>(mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        if (map_ == MAP_FAILED || (pages != 0 && mprotect(map_ + kPage, pages, PROT_READ | PROT_WRITE) != 0)) std::abort();
        data_ = reinterpret_cast<T*>(map_ + kPage + pages - bytes);
        std::memset(map_ + kPage, 0xff, pages);
        const std::string label = "a buffer of " + std::to_string(count) + " x " + std::to_string(sizeof(T)) + " bytes";
        if (kind == MemoryKind::device) arena_add_device(data_, count * sizeof(T), label);
        else arena_add_host(data_, count * sizeof(T), label);
    }
    explicit Buffer(const std::vector<T>& values, std::size_t alignment = 16) : Buffer(values.size(), alignment) { fill(values); }
    ~Buffer() {
        arena_remove(data_);
        munmap(map_, mapped_);
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    void fill(const std::vector<T>& values) {
        std::memcpy(data_, values.data(), values.size() * sizeof(T));
        arena_written(data_, values.size() * sizeof(T));
    }
    void fill(const T& value) { fill(std::vector<T>(count_, value)); }

    // Unwritten again.
    void clear() {
        const std::size_t bytes = count_ * sizeof(T);
        std::memset(static_cast<void*>(data_), 0xff, bytes);
        arena_remove(data_);
        arena_add_device(data_, bytes, "a buffer of " + std::to_string(count_) + " x " + std::to_string(sizeof(T)) + " bytes");
    }

    T* data() { return data_; }
    const T* data() const { return data_; }
    std::size_t size() const { return count_; }
    T& operator[](std::size_t i) { return data_[i]; }
    const T& operator[](std::size_t i) const { return data_[i]; }
    std::vector<T> copy() const { return std::vector<T>(data_, data_ + count_); }

private:
    std::size_t count_ = 0;
    std::size_t mapped_ = 0;
    char* map_ = nullptr;
    T* data_ = nullptr;
};

// All orders; random ones by several seeds.
inline std::vector<Schedule> schedules() {
    std::vector<Schedule> all{{Order::ascending, 1}, {Order::descending, 1}};
    for (std::uint64_t seed = 1; seed <= 3; ++seed) all.push_back({Order::random, seed});
    return all;
}

inline const Kernel& kernel(const char* name) {
    const Kernel* const found = find_kernel(name);
    if (found == nullptr) ADD_FAILURE() << "no kernel " << name;
    if (found == nullptr) std::abort();
    return *found;
}

// What a launch says: empty if all went well.
template <typename Args>
std::string launch_once(const char* name, const Grid& grid, const Args& args, const Schedule& schedule = {}) {
    if (kernel(name).args_bytes != sizeof args) return std::string(name) + " takes arguments of another size";
    return launch(kernel(name), grid, &args, schedule);
}

// Launches in every order; before each `reset()` makes the outputs what they were, after each `check()` looks at them.
template <typename Args, typename Reset, typename Check>
void launch_all(const char* name, const Grid& grid, const Args& args, Reset reset, Check check) {
    for (const Schedule& schedule : schedules()) {
        reset();
        SCOPED_TRACE(std::string(name) + ", order " + std::to_string(static_cast<int>(schedule.order)) + ", seed " +
                     std::to_string(schedule.seed));
        ASSERT_EQ(launch_once(name, grid, args, schedule), "");
        check();
        if (::testing::Test::HasFailure()) return;
    }
}

// Numbers between -1 and 1, the same for the same seed.
inline std::vector<float> numbers(std::size_t count, std::uint32_t seed = 1) {
    std::mt19937 random(seed);
    std::vector<float> values(count);
    for (float& value : values) value = static_cast<float>(random() % 65536) / 32768 - 1;
    return values;
}

// 16-bit elements: to nearest even for bf16, by the compiler for f16.
inline std::uint16_t to_bf16(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, 4);
    return static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
inline float from_bf16(std::uint16_t bits) {
    const std::uint32_t wide = static_cast<std::uint32_t>(bits) << 16;
    float value;
    std::memcpy(&value, &wide, 4);
    return value;
}
inline std::uint16_t to_f16(float value) {
    const auto narrow = static_cast<_Float16>(value);
    std::uint16_t bits;
    std::memcpy(&bits, &narrow, 2);
    return bits;
}
inline float from_f16(std::uint16_t bits) {
    _Float16 value;
    std::memcpy(&value, &bits, 2);
    return static_cast<float>(value);
}

}  // namespace cuda_on_cpu::kit
