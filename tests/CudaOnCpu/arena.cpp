#include "arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <shared_mutex>

#include "weak.h"

namespace cuda_on_cpu {

namespace {

struct Arena {
    std::shared_mutex mutex;
    std::map<std::uintptr_t, Range> ranges;  // by begin
    std::atomic<std::uint64_t> generation{1};
    bool tracks_writes = false;
};

// Never destroyed: threads of the driver may outlive static objects.
Arena& arena() {
    alignas(Arena) static unsigned char memory[sizeof(Arena)];
    static Arena* const only = ::new (memory) Arena;
    return *only;
}

constinit thread_local bool is_busy = false;

// Locks the arena, and says that the thread is in it: its allocations may come back here (tests/heap_in_arena.cpp).
template <typename Lock>
class Entry {
public:
    Entry() : was_(is_busy) {
        is_busy = true;
        lock_ = Lock(arena().mutex);
    }
    ~Entry() {
        lock_.unlock();
        is_busy = was_;
    }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

private:
    bool was_;
    Lock lock_;
};
using ReadEntry = Entry<std::shared_lock<std::shared_mutex>>;
using WriteEntry = Entry<std::unique_lock<std::shared_mutex>>;

std::uintptr_t number(const void* address) { return reinterpret_cast<std::uintptr_t>(address); }

void add(void* begin, std::size_t bytes, MemoryKind kind, const std::string& label) {
    Arena& a = arena();
    const WriteEntry entry;
    Range range{number(begin), bytes, kind, label};
    if (kind == MemoryKind::device && a.tracks_writes && bytes != 0) {
        void* const written = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (written == MAP_FAILED) std::abort();
        range.written = static_cast<unsigned char*>(written);
    }
    a.ranges[range.begin] = std::move(range);
    ++a.generation;
}

// The range that holds the address, or else the one whose start or end is nearest.
std::map<std::uintptr_t, Range>::iterator around(std::uintptr_t address) {
    auto& ranges = arena().ranges;
    const auto after = ranges.upper_bound(address);
    if (after == ranges.begin()) return after;
    const auto before = std::prev(after);
    if (address < before->second.end() || after == ranges.end()) return before;
    return address - before->second.end() < after->first - address ? before : after;
}

bool holds(const Range& range, std::uintptr_t address) { return address >= range.begin && address < range.end(); }

// The part of [begin, begin + bytes) that lies in one range with a record of what was written.
template <typename Action>
void with_record(const void* begin, std::size_t bytes, Action action) {
    const auto found = around(number(begin));
    if (found == arena().ranges.end() || !holds(found->second, number(begin)) || found->second.written == nullptr) return;
    const Range& range = found->second;
    action(range.written + (number(begin) - range.begin), std::min<std::size_t>(bytes, range.end() - number(begin)));
}

}  // namespace

void arena_add_device(void* begin, std::size_t bytes, const std::string& label) {
    add(begin, bytes, MemoryKind::device, label);
}

void arena_add_host(void* begin, std::size_t bytes, const std::string& label) { add(begin, bytes, MemoryKind::host, label); }

void arena_add_mapped(void* device_view, void* host_view, std::size_t bytes, const std::string& label) {
    add(device_view, bytes, MemoryKind::host, label);
    if (device_view != host_view) weak_add(device_view, host_view, bytes);
}

void arena_remove(void* begin) {
    Arena& a = arena();
    weak_remove(begin);
    const WriteEntry entry;
    const auto found = a.ranges.find(number(begin));
    if (found == a.ranges.end()) return;
    ++a.generation;
    if (found->second.written != nullptr) munmap(found->second.written, found->second.bytes);
    a.ranges.erase(found);
}

void arena_written(const void* begin, std::size_t bytes) {
    const ReadEntry entry;
    with_record(begin, bytes, [](unsigned char* record, std::size_t count) { std::memset(record, 1, count); });
}

void arena_copied(const void* target, const void* source, std::size_t bytes) {
    const ReadEntry entry;
    with_record(target, bytes, [&](unsigned char* to, std::size_t count) {
        std::memset(to, 1, count);
        with_record(source, count, [&](const unsigned char* from, std::size_t known) { std::memmove(to, from, known); });
    });
}

bool arena_find(const void* address, Range& range, bool near) {
    const ReadEntry entry;
    const auto found = around(number(address));
    if (found == arena().ranges.end() || (!near && !holds(found->second, number(address)))) return false;
    range = found->second;
    return true;
}

std::string arena_describe(const void* address) {
    Range range;
    if (!arena_find(address, range, true)) return "outside of all allocations";
    const std::uintptr_t at = number(address);
    if (holds(range, at)) return range.label + " + " + std::to_string(at - range.begin);
    if (at >= range.end()) return std::to_string(at - range.end()) + " bytes past the end of " + range.label;
    return std::to_string(range.begin - at) + " bytes before " + range.label;
}

bool arena_is_busy() { return is_busy; }

std::uint64_t arena_generation() { return arena().generation.load(std::memory_order_acquire); }

void arena_track_writes() {
    const WriteEntry entry;
    arena().tracks_writes = true;
}

}  // namespace cuda_on_cpu
