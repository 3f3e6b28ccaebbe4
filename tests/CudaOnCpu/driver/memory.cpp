// Memory that shows misuse: each allocation ends, to sixteen bytes, at a page that nobody may touch, is full of NaNs when
// new, has canaries in what rounding leaves around it, and is never mapped again once it was freed.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "arena.h"
#include "world.h"

namespace cuda_on_cpu::driver {

namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kAlignment = 16;
constexpr unsigned char kCanary = 0xc5;
constexpr unsigned char kPoison = 0xff;
constexpr std::size_t kCopyFrom = 1 << 20;
// What the driver rounds an allocation's share of a device's memory to.
constexpr std::uint64_t kAccounted = 512;

std::size_t round_up(std::size_t value, std::size_t step) { return (value + step - 1) / step * step; }
std::uint64_t accounted(std::size_t bytes) { return round_up(bytes, kAccounted); }

// A file full of poison: mapped privately, a large allocation is poisoned without touching its pages.
int poison_file() {
    static const int file = [] {
        const int made = memfd_create("poison", MFD_CLOEXEC);
        const std::vector<char> poison(kCopyFrom, static_cast<char>(kPoison));
        if (made < 0 || write(made, poison.data(), poison.size()) != static_cast<ssize_t>(poison.size())) std::abort();
        return made;
    }();
    return file;
}

void poison(char* from, std::size_t bytes) {
    for (; bytes >= kCopyFrom; from += kCopyFrom, bytes -= kCopyFrom) {
        if (mmap(from, kCopyFrom, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, poison_file(), 0) ==
            MAP_FAILED) {
            std::abort();
        }
    }
    if (mprotect(from, bytes, PROT_READ | PROT_WRITE) != 0) std::abort();
    std::memset(from, kPoison, bytes);
}

AllocationPtr map(World& w, std::size_t bytes, int device, std::uint64_t context) {
    auto allocation = std::make_shared<Allocation>();
    const std::size_t rounded = round_up(bytes, kAlignment), pages = round_up(rounded, kPage);
    allocation->mapping_bytes = pages + 2 * kPage;
    void* const mapping = mmap(nullptr, allocation->mapping_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) return nullptr;
    allocation->mapping = static_cast<char*>(mapping);
    char* const first = allocation->mapping + kPage;
    poison(first, pages);
    allocation->base = first + pages - rounded;
    allocation->bytes = bytes;
    allocation->device = device;
    allocation->context = context;
    std::memset(first, kCanary, static_cast<std::size_t>(allocation->base - first));
    std::memset(allocation->base + bytes, kCanary, rounded - bytes);
    if (w.hazards.is_on) allocation->shadow = std::make_unique<Shadow>(bytes);
    w.allocations[allocation->base + bytes] = allocation;
    return allocation;
}

std::string label(World& w, int device) {
    const std::string number = "allocation " + std::to_string(++w.allocated);
    return device < 0 ? "pinned " + number : number + " on device " + std::to_string(device);
}

// Under the weak memory model kernels have a copy of their own of the host's memory.
void add_mapped(World& w, Allocation& allocation) {
    allocation.device_view = allocation.base;
    if (arena_is_weak()) {
        const std::size_t bytes = round_up(allocation.bytes, kPage);
        void* const view = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (view == MAP_FAILED) std::abort();
        allocation.device_view = static_cast<char*>(view);
    }
    arena_add_mapped(allocation.device_view, allocation.base, allocation.bytes, label(w, -1));
}

}  // namespace

Allocation::~Allocation() {
    if (device_view != nullptr && device_view != base) munmap(device_view, round_up(bytes, kPage));
    if (mapping == nullptr) return;
    // The addresses stay taken: a stale pointer must never point into something new.
    mmap(mapping, mapping_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

std::string Allocation::broken() const {
    if (mapping == nullptr) return "";
    const char* const first = mapping + kPage;
    const char* const last = mapping + mapping_bytes - kPage;
    const auto say = [&](const char* at) {
        return "byte " + std::to_string(at - base) + " of an allocation of " + std::to_string(bytes) + " bytes " +
               (device < 0 ? "of the host" : "on device " + std::to_string(device)) + " was written";
    };
    for (const char* at = base + bytes; at < last; ++at) {
        if (static_cast<unsigned char>(*at) != kCanary) return say(at);
    }
    for (const char* at = base; at > first;) {
        if (static_cast<unsigned char>(*--at) != kCanary) return say(at);
    }
    return "";
}

CUresult allocate_device(World& w, Context& context, std::size_t bytes, AllocationPtr& result) {
    if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    if (w.fail_allocation != 0 && --w.fail_allocation == 0) return CUDA_ERROR_OUT_OF_MEMORY;
    Device& device = w.devices[static_cast<std::size_t>(context.device)];
    std::uint64_t all = 0;
    for (const Device& each : w.devices) all += each.used;
    const std::uint64_t share = accounted(bytes);
    if (bytes > w.options.memory_bytes || device.used + share > w.options.memory_bytes || all + share > w.memory_limit) {
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    result = map(w, bytes, context.device, context.handle);
    if (result == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
    device.used += share;
    arena_add_device(result->base, bytes, label(w, context.device));
    return CUDA_SUCCESS;
}

CUresult allocate_host(World& w, std::size_t bytes, AllocationPtr& result) {
    if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    if (w.fail_allocation != 0 && --w.fail_allocation == 0) return CUDA_ERROR_OUT_OF_MEMORY;
    result = map(w, bytes, -1, 0);
    if (result == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
    add_mapped(w, *result);
    return CUDA_SUCCESS;
}

CUresult register_host(World& w, char* at, std::size_t bytes) {
    const auto after = w.allocations.upper_bound(at);
    if (after != w.allocations.end() && after->second->base < at + bytes) return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
    auto allocation = std::make_shared<Allocation>();
    allocation->base = at;
    allocation->bytes = bytes;
    if (w.hazards.is_on) allocation->shadow = std::make_unique<Shadow>(bytes);
    w.allocations[at + bytes] = allocation;
    add_mapped(w, *allocation);
    return CUDA_SUCCESS;
}

void release(World& w, const AllocationPtr& allocation) {
    allocation->is_freed = true;
    arena_remove(allocation->device < 0 ? allocation->device_view : allocation->base);
    if (allocation->device >= 0) w.devices[static_cast<std::size_t>(allocation->device)].used -= accounted(allocation->bytes);
    w.allocations.erase(allocation->base + allocation->bytes);
}

AllocationPtr allocation_at(World& w, const void* at) {
    const auto after = w.allocations.upper_bound(static_cast<const char*>(at));
    if (after == w.allocations.end() || after->second->base > at) return nullptr;
    return after->second;
}

std::string broken_canaries(World& w) {
    for (const auto& [end, allocation] : w.allocations) {
        std::string broken = allocation->broken();
        if (!broken.empty()) return broken;
    }
    return "";
}

}  // namespace cuda_on_cpu::driver
