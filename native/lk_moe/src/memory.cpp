#include "memory.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <utility>

#include "cgroup.h"
#include "files.h"
#include "guard.h"

namespace lk {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

// From linux/mempolicy.h, which needs kernel headers that not every machine has.
constexpr unsigned long kMpolBind = 2;
constexpr unsigned long kMpolInterleave = 3;

// Of all blocks of this process.
std::atomic<std::uint64_t> promised{0};

std::uint64_t resident_anonymous() {
    const auto status = read_file("/proc/self/status");
    return status ? find_number(*status, "RssAnon:").value_or(0) * 1024 : 0;
}

// What was resident before the first block.
std::uint64_t resident_at_start() {
    static const std::uint64_t bytes = resident_anonymous();
    return bytes;
}

std::size_t round_up(std::size_t value, std::size_t step) { return (value + step - 1) / step * step; }

// Address space that starts on a huge page, so that all but its end can be in huge pages.
void* map_aligned(std::size_t bytes) {
    const std::size_t slack = bytes >= kHugePage ? kHugePage : 0;
    void* mapped =
        mmap(nullptr, bytes + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) return nullptr;
    if (slack == 0) return mapped;
    const auto start = reinterpret_cast<std::uintptr_t>(mapped);
    const std::uintptr_t aligned = round_up(start, kHugePage);
    if (aligned > start) munmap(mapped, aligned - start);
    const std::uintptr_t end = start + bytes + slack;
    if (end > aligned + bytes) munmap(reinterpret_cast<void*>(aligned + bytes), end - aligned - bytes);
    return reinterpret_cast<void*>(aligned);
}

bool bind(void* data, std::size_t bytes, const std::vector<int>& nodes) {
    constexpr int kBits = 8 * sizeof(unsigned long);
    unsigned long mask[1024 / kBits] = {};
    for (const int node : nodes) mask[node / kBits] |= 1ul << (node % kBits);
    const unsigned long mode = nodes.size() > 1 ? kMpolInterleave : kMpolBind;
    return syscall(SYS_mbind, data, bytes, mode, mask, 1024ul, 0ul) == 0;
}

std::string gibibytes(std::uint64_t bytes) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2f GiB", static_cast<double>(bytes) / (1ull << 30));
    return text;
}

}  // namespace

std::uint64_t memory_free_now(const std::string& root) {
    std::uint64_t free = UINT64_MAX;
    if (const auto info = read_file(root + "/proc/meminfo")) {
        if (const auto kibibytes = find_number(*info, "MemAvailable:")) free = *kibibytes * 1024;
    }
    if (const auto left = read_cgroup_limits(root).memory_free) free = std::min(free, *left);
    return free;
}

std::uint64_t memory_available(const std::string& root) {
    const std::uint64_t start = resident_at_start();
    const std::uint64_t now = resident_anonymous();
    const std::uint64_t touched = now > start ? now - start : 0;
    const std::uint64_t all = promised.load(std::memory_order_relaxed);
    const std::uint64_t outstanding = all > touched ? all - touched : 0;
    const std::uint64_t free = memory_free_now(root);
    return free > outstanding ? free - outstanding : 0;
}

Block::Block(std::size_t bytes, const Residence& residence, const std::string& root) {
    if (bytes == 0) return;
    const std::size_t whole = round_up(bytes, kPage);

    // Small blocks are not worth reading procfs for: they cannot be what ends the process.
    constexpr std::size_t kChecked = std::size_t{16} << 20;
    resident_at_start();
    if (whole < bytes) throw OutOfMemory("a block of 2^64 bytes");
    if (whole >= kChecked) {
        const std::uint64_t available = memory_available(root);
        if (whole > available) {
            throw OutOfMemory(gibibytes(whole) + " are needed and " + gibibytes(available) + " of memory are left");
        }
    }
    data_ = map_aligned(whole);
    if (data_ == nullptr) throw OutOfMemory("the kernel refuses to map " + gibibytes(whole));
    bytes_ = whole;
    promised.fetch_add(whole, std::memory_order_relaxed);
    // Both are requests: where they are denied the memory works, slower.
    if (whole >= kHugePage) madvise(data_, whole, MADV_HUGEPAGE);
    placed_ = residence.nodes.empty() || bind(data_, whole, residence.nodes);
}

Block::~Block() {
    if (data_ == nullptr) return;
    munmap(data_, bytes_);
    promised.fetch_sub(bytes_, std::memory_order_relaxed);
}

void Block::swap(Block& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(placed_, other.placed_);
}

}  // namespace lk
