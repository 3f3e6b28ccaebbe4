#include "checker.h"

#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>

#include "observer.h"
#include "weak.h"

namespace cuda_on_cpu::checked {

namespace {

// CUDA_ON_CPU_CHECKS: which of "bounds", "unwritten" and "races" are looked for; all unless set.
struct Wanted {
    bool bounds = true, unwritten = true, races = true;

    Wanted() {
        const char* const given = std::getenv("CUDA_ON_CPU_CHECKS");
        if (given == nullptr) return;
        bounds = std::strstr(given, "bounds") != nullptr;
        unwritten = std::strstr(given, "unwritten") != nullptr;
        races = std::strstr(given, "races") != nullptr;
    }
};

const Wanted& wanted() {
    static const Wanted only;
    return only;
}

std::uintptr_t number(const void* address) { return reinterpret_cast<std::uintptr_t>(address); }

const void* pointer(std::uintptr_t address) { return reinterpret_cast<const void*>(address); }

std::string hexadecimal(std::uintptr_t address) {
    char text[32];
    std::snprintf(text, sizeof text, "%#zx", static_cast<std::size_t>(address));
    return text;
}

std::string bytes_of(std::size_t count) { return std::to_string(count) + (count == 1 ? " byte" : " bytes"); }

// Constants of the kernels lie in this library's parts that cannot be written.
bool is_constant(std::uintptr_t address) {
    struct Question {
        std::uintptr_t address;
        bool answer;
    } question{address, false};
    dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* data) {
            auto* const q = static_cast<Question*>(data);
            for (int i = 0; i < info->dlpi_phnum; ++i) {
                const auto& header = info->dlpi_phdr[i];
                const std::uintptr_t begin = info->dlpi_addr + header.p_vaddr;
                const bool is_read_only = header.p_type == PT_GNU_RELRO ||
                                          (header.p_type == PT_LOAD && (header.p_flags & PF_W) == 0);
                if (is_read_only && q->address >= begin && q->address < begin + header.p_memsz) q->answer = true;
            }
            return 0;
        },
        &question);
    return question.answer;
}

bool is_write(Access kind) { return kind != Access::read && kind != Access::atomic_read; }
bool is_atomic(Access kind) { return kind == Access::atomic_read || kind == Access::atomic_write; }

constinit thread_local const void* code_of_access __attribute__((tls_model("initial-exec"))) = nullptr;

// Where the access stands, for llvm-symbolizer.
std::string code() {
    Dl_info info;
    if (code_of_access == nullptr || dladdr(code_of_access, &info) == 0) return "";
    const std::string file = info.dli_fname;
    // The call's own address, not that of what follows it.
    return ", code " + hexadecimal(number(code_of_access) - number(info.dli_fbase) - 1) + " of " +
           file.substr(file.find_last_of('/') + 1);
}

[[noreturn]] void end(const std::string& what) { fail(what + code() + ","); }

// On the heap: what is thread_local here must fit what is left of the static storage of threads when the library is loaded.
Checker& mine() {
    thread_local const auto own = std::make_unique<Checker>();
    return *own;
}

constinit thread_local Checker* running __attribute__((tls_model("initial-exec"))) = nullptr;

struct Watch final : Observer {
    Watch() {
        observer = this;
        arena_track_writes();
    }
    void launch_starts() override {
        running = &mine();
        running->start_launch();
    }
    void launch_ends() override { running->end_launch(); }
    void block_starts() override { running->start_block(); }
    void shared_defined(const char* name, const void* begin, std::size_t bytes) override {
        running->define_shared(name, begin, bytes);
    }
    void reads(const void* from, std::size_t bytes) override { check_access(from, bytes, Access::read, nullptr); }
    void writes(void* to, std::size_t bytes) override { check_access(to, bytes, Access::write, nullptr); }
    void updates_atomically(void* at, std::size_t bytes) override {
        check_access(at, bytes, Access::atomic_write, nullptr);
        running->update(at);
    }
    void loads_atomically(const void* at, std::size_t bytes) override {
        check_access(at, bytes, Access::atomic_read, nullptr);
        running->acquire(at);
    }
    void stores_atomically(void* at, std::size_t bytes) override {
        check_access(at, bytes, Access::atomic_write, nullptr);
        running->release(at);
    }
    void fences(bool is_system) override { running->fence(is_system); }
    void starts_copy(void* to, std::size_t bytes) override { check_access(to, bytes, Access::start_copy, nullptr); }
    void ends_copy(void* to, std::size_t bytes) override { check_access(to, bytes, Access::end_copy, nullptr); }
    void warp_met(std::uint32_t warp) override { running->clocks.meet_warp(warp); }
    void warp_ordered(std::uint32_t warp) override { running->clocks.order_warp(warp); }
    void barrier_passed(std::uint32_t warps) override { running->clocks.pass_barrier(warps); }
};

Watch watch;

}  // namespace

void check_access(const void* address, std::size_t bytes, Access kind, const void* code) {
    if (current == nullptr || bytes == 0) return;
    const std::uintptr_t at = number(address);
    // A thread's own local variables.
    if (at - number(executor->stack_of(current->thread)) < kStackBytes) return;
    code_of_access = code;
    running->access(at, bytes, kind);
}

void Checker::start_launch() {
    if (clocks.is_late()) {
        cells_.forget();
        clocks.start_anew();
    }
    // What earlier launches touched need not stay.
    constexpr std::size_t kPagesMax = 2048;
    if (cells_.pages() > kPagesMax) cells_.forget();
    clocks.start_launch();
    stores_.clear();
    random_.seed(static_cast<std::uint32_t>(executor->random()));
    if (weak_is_used()) weak_refresh();
}

void Checker::end_launch() { publish(true); }

void Checker::start_block() {
    clocks.start_block();
    shared_.clear();
}

void Checker::define_shared(const char* name, const void* begin, std::size_t bytes) {
    shared_.push_back({name, number(begin), number(begin) + bytes});
}

void Checker::access(std::uintptr_t address, std::size_t bytes, Access kind) {
    if (!stores_.empty()) maybe_publish_one();
    Place place;
    if (!find(address, bytes, kind, place)) return;
    if (wanted().unwritten && !is_write(kind)) check_written(place, address, bytes);
    touch(place, address, bytes, kind);
    if (place.range != nullptr) note_access(pointer(address), bytes, is_write(kind), is_atomic(kind));
    if (place.range == nullptr || !is_write(kind)) return;
    if (place.range->written != nullptr) std::memset(place.range->written + (address - place.range->begin), 1, bytes);
    if (kind == Access::write && place.range->kind == MemoryKind::host && weak_holds(pointer(address))) {
        stores_.push_back({address, static_cast<std::uint32_t>(bytes), current->thread, clocks.now()});
    }
}

const Range* Checker::find_range(std::uintptr_t address) {
    if (const std::uint64_t generation = arena_generation(); generation != generation_) {
        ranges_.clear();
        generation_ = generation;
        last_range_ = 0;
    }
    const auto holds = [&](const Range& range) { return address - range.begin < range.bytes; };
    if (last_range_ < ranges_.size() && holds(ranges_[last_range_])) return &ranges_[last_range_];
    for (last_range_ = 0; last_range_ < ranges_.size(); ++last_range_) {
        if (holds(ranges_[last_range_])) return &ranges_[last_range_];
    }
    Range found;
    if (!arena_find(pointer(address), found)) return nullptr;
    if (ranges_.size() > 64) ranges_.clear();
    ranges_.push_back(std::move(found));
    last_range_ = ranges_.size() - 1;
    return &ranges_.back();
}

const Checker::Shared* Checker::find_shared(std::uintptr_t address) const {
    for (const Shared& variable : shared_) {
        if (address >= variable.begin && address < variable.end) return &variable;
    }
    return nullptr;
}

// Ends the kernel if nothing holds all of the access; false where nothing but that is to be checked.
bool Checker::find(std::uintptr_t address, std::size_t bytes, Access kind, Place& place) {
    const char* const does = is_write(kind) ? " written, " : " read, ";
    if (number(executor->shared) - kSharedGaps <= address && address < number(executor->shared) + kSharedMax) {
        place.shared = find_shared(address);
        if (place.shared != nullptr && address + bytes <= place.shared->end) return true;
        if (!wanted().bounds) return false;
        const Shared* nearest = nullptr;
        for (const Shared& variable : shared_) {
            if (variable.begin <= address && (nearest == nullptr || variable.begin > nearest->begin)) nearest = &variable;
        }
        if (nearest == nullptr) end("illegal address: " + bytes_of(bytes) + does + "in front of all shared memory");
        end("illegal address: " + bytes_of(bytes) + does + "at " + std::to_string(address - nearest->begin) + " of shared `" +
            nearest->name + "`, which has " + std::to_string(nearest->end - nearest->begin));
    }
    if (const std::uintptr_t args = number(executor->args); address - args < executor->kernel->args_bytes) {
        if (address + bytes > args + executor->kernel->args_bytes) end("illegal address: a read past the kernel's arguments");
        if (is_write(kind)) end("illegal address: a write to the kernel's arguments");
        return false;
    }
    place.range = find_range(address);
    if (place.range != nullptr && address + bytes <= place.range->end()) return true;
    if (!wanted().bounds) return false;
    if (place.range == nullptr) {
        if (address - number(executor->stacks) < (number(executor->stack_of(1)) - number(executor->stack_of(0))) * kThreadsMax) {
            end("another thread's local variables" + std::string(is_write(kind) ? " written" : " read"));
        }
        if (!is_write(kind) && is_constant(address)) return false;
    }
    end("illegal address: " + bytes_of(bytes) + does + "at " + hexadecimal(address) + " (" + arena_describe(pointer(address)) + ")");
}

std::string Checker::name(const Place& place, std::uintptr_t address) const {
    if (place.range != nullptr) return place.range->label + " + " + std::to_string(address - place.range->begin);
    return std::string("shared `") + place.shared->name + "` + " + std::to_string(address - place.shared->begin);
}

// Never written since the allocation, or since the block began.
void Checker::check_written(const Place& place, std::uintptr_t address, std::size_t bytes) {
    const auto never = [&](std::size_t i) {
        end("unwritten: " + bytes_of(bytes) + " read of " + name(place, address) + ", of which nobody wrote byte " +
            std::to_string(i));
    };
    if (place.range != nullptr) {
        if (place.range->written == nullptr) return;
        const unsigned char* const written = place.range->written + (address - place.range->begin);
        if (const void* const gap = std::memchr(written, 0, bytes); gap != nullptr) {
            never(static_cast<std::size_t>(static_cast<const unsigned char*>(gap) - written));
        }
        return;
    }
    for (std::size_t i = 0; i < bytes; ++i) {
        if (cells_.at(address + i)->written < clocks.block_start()) never(i);
    }
}

// Byte by byte, because neighbours of one word may belong to different threads. Mostly they do not: then one stands for all.
void Checker::touch(const Place& place, std::uintptr_t address, std::size_t bytes, Access kind) {
    for (std::size_t i = 0; i < bytes;) {
        Cell* const cell = cells_.at(address + i);
        const std::size_t rest = std::min(bytes - i, Cells::kPage - (address + i) % Cells::kPage);
        if (std::memcmp(cell, cell + 1, (rest - 1) * sizeof(Cell)) == 0) {
            touch_cell(place, cell[0], address, bytes, kind);
            std::fill(cell + 1, cell + rest, cell[0]);
        } else {
            for (std::size_t k = 0; k < rest; ++k) touch_cell(place, cell[k], address, bytes, kind);
        }
        i += rest;
    }
}

// Ordered or not, the last accesses to a byte decide: those before them were ordered when they came.
void Checker::touch_cell(const Place& place, Cell& cell, std::uintptr_t address, std::size_t bytes, Access kind) {
    // Shared memory is the block's; global memory the launch's.
    const Time start = place.shared != nullptr ? clocks.block_start() : clocks.launch_start();
    const auto thread = static_cast<std::uint16_t>(current->thread);
    const bool atomic = is_atomic(kind);
    if (cell.written >= start) {
        if ((cell.writer & kCopying) != 0 && kind != Access::end_copy && wanted().unwritten) {
            end("unwritten: " + bytes_of(bytes) + " of " + name(place, address) +
                " touched before the asynchronous copy of thread " + std::to_string(cell.writer & kThreadMask) +
                " to there was waited for");
        }
        if (wanted().races && conflicts_with_write(cell, atomic)) {
            race(place, address, bytes, kind, cell.writer, cell.written, true);
        }
    }
    if (cell.read < clocks.block_start()) {
        if (cell.read >= start && (cell.reader & kAtomic) == 0) cell.read_before = cell.read;
        cell.read = 0;
    }
    if (is_write(kind)) {
        if (wanted().races && conflicts_with_reads(cell, atomic)) race(place, address, bytes, kind, cell.reader, cell.read, false);
        if (wanted().races && cell.read_before >= start && !clocks.has_acquired_block(cell.read_before)) {
            race(place, address, bytes, kind, cell.reader, cell.read_before, false);
        }
        cell.written = clocks.now();
        cell.writer = static_cast<std::uint16_t>(thread | (atomic ? kAtomic : 0) | (kind == Access::start_copy ? kCopying : 0));
        cell.read = cell.read_before = 0;
    } else if (cell.read != clocks.now() || cell.reader != thread) {
        note_read(cell, atomic);
    }
}

bool Checker::conflicts_with_write(const Cell& cell, bool atomic) const {
    if (atomic && (cell.writer & kAtomic) != 0) return false;
    return !clocks.has_seen(cell.writer & kThreadMask, cell.written);
}

// With those of its own block.
bool Checker::conflicts_with_reads(const Cell& cell, bool atomic) const {
    if (cell.read == 0 || (atomic && (cell.reader & kAtomic) != 0)) return false;
    if ((cell.reader & kManyThreads) == 0) return !clocks.has_seen_read(cell.reader & kThreadMask, cell.read);
    for (std::uint32_t warps = cell.read_warps; warps != 0; warps &= warps - 1) {
        if (!clocks.has_seen_reads(static_cast<std::uint32_t>(std::countr_zero(warps)), cell.read)) return true;
    }
    return false;
}

// Keeps of the earlier readers those that a later write might still race with.
void Checker::note_read(Cell& cell, bool atomic) {
    const auto thread = static_cast<std::uint16_t>(current->thread);
    const std::uint16_t mark = atomic ? kAtomic : 0;
    const std::uint32_t warp = 1u << thread / kWarpSize;
    if (!conflicts_with_reads(cell, false)) {
        cell.reader = thread | mark;
        cell.read_warps = warp;
    } else if ((cell.reader & ~kAtomic) != thread) {
        cell.reader = static_cast<std::uint16_t>(kManyThreads | (cell.reader & mark));
        cell.read_warps |= warp;
    }
    cell.read = clocks.now();
}

void Checker::race(const Place& place, std::uintptr_t address, std::size_t bytes, Access kind, std::uint16_t other, Time when,
                   bool other_writes) {
    std::string who = "thread " + std::to_string(other & kThreadMask);
    if ((other & kManyThreads) != 0) who = "other threads";
    if (when < clocks.block_start()) who += " of another block";
    end("race: thread " + std::to_string(current->thread) + (is_write(kind) ? " writes " : " reads ") + bytes_of(bytes) + " of " +
        name(place, address) + ", which " + who + (other_writes ? " wrote" : " read") + " with nothing that orders the two");
}

void Checker::fence(bool is_system) {
    clocks.fence();
    if (is_system) publish(false);
}

void Checker::update(const void* at) { clocks.update(at); }

void Checker::acquire(const void* at) { clocks.acquire(at); }

void Checker::release(const void* at) {
    clocks.release(at);
    publish(false);
}

// Stores to mapped memory reach the host: all of them, or those that the running thread has seen.
void Checker::publish(bool everything) {
    if (stores_.empty()) return;
    std::shuffle(stores_.begin(), stores_.end(), random_);
    const auto seen = std::partition(stores_.begin(), stores_.end(), [&](const Store& store) {
        return !everything && !clocks.has_seen(store.thread, store.when);
    });
    // What nothing orders comes apart at some point, for long enough that the host sees it so.
    const auto cut = everything ? seen + static_cast<std::ptrdiff_t>(random_() % stores_.size()) : stores_.end();
    for (auto store = seen; store != stores_.end(); ++store) {
        if (store == cut) std::this_thread::sleep_for(std::chrono::milliseconds(2));
        weak_publish(pointer(store->address), store->bytes);
    }
    stores_.erase(seen, stores_.end());
}

// Nothing keeps a store from arriving early.
void Checker::maybe_publish_one() {
    if (random_() % 8 != 0) return;
    const std::size_t chosen = random_() % stores_.size();
    weak_publish(pointer(stores_[chosen].address), stores_[chosen].bytes);
    stores_.erase(stores_.begin() + static_cast<std::ptrdiff_t>(chosen));
}

}  // namespace cuda_on_cpu::checked
