#include "weak.h"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <thread>

#include "arena.h"
#include "observer.h"

namespace cuda_on_cpu {

namespace {

struct View {
    unsigned char* device;
    unsigned char* host;
    std::size_t bytes;
    std::unique_ptr<unsigned char[]> agreed;  // what both had when bytes last crossed
};

struct Views {
    std::mutex mutex;
    std::map<std::uintptr_t, View> all;  // by the device's address
    std::atomic<bool> any{false};
};

Views& views() {
    alignas(Views) static unsigned char memory[sizeof(Views)];
    static Views* const only = ::new (memory) Views;
    return *only;
}

View* view_of(const void* address) {
    auto& all = views().all;
    const auto at = reinterpret_cast<std::uintptr_t>(address);
    const auto after = all.upper_bound(at);
    if (after == all.begin()) return nullptr;
    View& view = std::prev(after)->second;
    return at < std::prev(after)->first + view.bytes ? &view : nullptr;
}

// Bytes are read and written as atomics, because the other side may be at them at the same time.
unsigned char load(const unsigned char* at) { return __atomic_load_n(at, __ATOMIC_RELAXED); }
void store(unsigned char* at, unsigned char value) { __atomic_store_n(at, value, __ATOMIC_RELAXED); }

void refresh(View& view) {
    for (std::size_t i = 0; i < view.bytes; ++i) {
        const unsigned char host = load(view.host + i);
        unsigned char agreed = view.agreed[i];
        if (host == agreed) continue;
        __atomic_compare_exchange_n(view.device + i, &agreed, host, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
        view.agreed[i] = host;
    }
}

}  // namespace

bool arena_is_weak() {
    static const bool is_weak = [] {
        const char* const memory = std::getenv("CUDA_ON_CPU_MEMORY");
        return observer != nullptr && memory != nullptr && std::strcmp(memory, "weak") == 0;
    }();
    return is_weak;
}

bool weak_is_used() { return views().any.load(std::memory_order_relaxed); }

void weak_add(void* device_view, void* host_view, std::size_t bytes) {
    auto* const device = static_cast<unsigned char*>(device_view);
    auto* const host = static_cast<unsigned char*>(host_view);
    View view{device, host, bytes, std::make_unique<unsigned char[]>(bytes)};
    for (std::size_t i = 0; i < bytes; ++i) view.agreed[i] = device[i] = load(host + i);
    const std::lock_guard lock(views().mutex);
    views().all.insert_or_assign(reinterpret_cast<std::uintptr_t>(device), std::move(view));
    views().any = true;
}

void weak_remove(void* device_view) {
    if (!weak_is_used()) return;
    // Freed after the lock is: freeing may come back here (tests/heap_in_arena.cpp).
    decltype(views().all)::node_type removed;
    const std::lock_guard lock(views().mutex);
    removed = views().all.extract(reinterpret_cast<std::uintptr_t>(device_view));
}

bool weak_holds(const void* device_address) {
    if (!weak_is_used()) return false;
    const std::lock_guard lock(views().mutex);
    return view_of(device_address) != nullptr;
}

void* arena_host_view(void* address) {
    if (!weak_is_used()) return address;
    const std::lock_guard lock(views().mutex);
    const View* const view = view_of(address);
    return view == nullptr ? address : view->host + (static_cast<unsigned char*>(address) - view->device);
}

void weak_publish(const void* begin, std::size_t bytes) {
    const std::lock_guard lock(views().mutex);
    View* const view = view_of(begin);
    if (view == nullptr) return;
    const auto first = static_cast<std::size_t>(static_cast<const unsigned char*>(begin) - view->device);
    for (std::size_t i = first; i < first + bytes && i < view->bytes; ++i) {
        view->agreed[i] = load(view->device + i);
        store(view->host + i, view->agreed[i]);
    }
}

void weak_refresh() {
    // Before what is read next, as an acquire is.
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    const std::lock_guard lock(views().mutex);
    for (auto& [begin, view] : views().all) refresh(view);
}

std::uint32_t weak_load(const std::uint32_t* at) {
    const std::lock_guard lock(views().mutex);
    const View* const view = view_of(at);
    if (view == nullptr) return __atomic_load_n(at, __ATOMIC_ACQUIRE);
    const auto offset = reinterpret_cast<const unsigned char*>(at) - view->device;
    const std::uint32_t own = __atomic_load_n(at, __ATOMIC_ACQUIRE);
    // What the device itself has stored since, it sees.
    if (std::memcmp(&own, view->agreed.get() + offset, sizeof own) != 0) return own;
    return __atomic_load_n(reinterpret_cast<const std::uint32_t*>(view->host + offset), __ATOMIC_ACQUIRE);
}

void weak_store(std::uint32_t* at, std::uint32_t value) {
    {
        const std::lock_guard lock(views().mutex);
        View* const view = view_of(at);
        if (view == nullptr) return;
        const auto offset = reinterpret_cast<unsigned char*>(at) - view->device;
        std::memcpy(view->agreed.get() + offset, &value, sizeof value);
        __atomic_store_n(reinterpret_cast<std::uint32_t*>(view->host + offset), value, __ATOMIC_RELEASE);
    }
    // The host may act on it before the device does anything else.
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

}  // namespace cuda_on_cpu
