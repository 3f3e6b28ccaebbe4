#include "hazards.h"

#include <sys/mman.h>

#include <cstdlib>

#include "arena.h"
#include "observer.h"
#include "world.h"

namespace cuda_on_cpu::driver {

namespace {

// An epoch is one operation of one actor, with the bytes of the word that it touched: time, actor, bytes, atomic.
constexpr std::uint64_t kAtomic = 1;
constexpr int kMaskShift = 1, kActorShift = 5, kTimeShift = 25;
constexpr std::uint64_t kSeveral = 1ull << 63;  // a cell's reader is an index of readers_
constexpr std::size_t kRemembered = 4096;

std::uint64_t mask_of(std::uint64_t epoch) { return epoch >> kMaskShift & 15; }
std::uint32_t actor_of(std::uint64_t epoch) { return epoch >> kActorShift & 0xfffff; }
std::uint32_t time_of(std::uint64_t epoch) { return static_cast<std::uint32_t>(epoch >> kTimeShift); }
bool is_same(std::uint64_t a, std::uint64_t b) { return a >> kActorShift == b >> kActorShift; }

bool has_seen(const Clock& clock, std::uint64_t epoch) {
    const std::uint32_t actor = actor_of(epoch);
    return actor < clock.size() && clock[actor] >= time_of(epoch);
}

bool conflicts(const Clock& clock, std::uint64_t own, std::uint64_t other) {
    return other != 0 && (mask_of(own) & mask_of(other)) != 0 && (own & other & kAtomic) == 0 && !has_seen(clock, other);
}

const char* describe(const Work& work) {
    switch (work.kind) {
        case Work::Kind::kernel: return work.kernel->name;
        case Work::Kind::copy: return "a copy";
        case Work::Kind::set: return "a memset";
        case Work::Kind::wait_value: return "a wait for a value";
        case Work::Kind::write_value: return "a write of a value";
        case Work::Kind::empty: break;
    }
    return "an event";
}

thread_local Operation* running = nullptr;

}  // namespace

Shadow::Shadow(std::size_t bytes) : count_((bytes + 3) / 4 + 1) {
    void* const cells = mmap(nullptr, count_ * sizeof(Cell), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                             -1, 0);
    if (cells == MAP_FAILED) std::abort();
    cells_ = static_cast<Cell*>(cells);
}

Shadow::~Shadow() { munmap(cells_, count_ * sizeof(Cell)); }

std::uint64_t Shadow::access(std::size_t offset, std::size_t bytes, bool writes, bool is_atomic, std::uint64_t epoch,
                             const Clock& clock, bool& was_write) {
    const std::size_t first = offset / 4, last = (offset + bytes - 1) / 4;
    const std::lock_guard lock(mutex_);
    for (std::size_t i = first; i <= last; ++i) {
        std::uint64_t mask = 15;
        if (i == first) mask &= 15u << offset % 4;
        if (i == last) mask &= 15u >> (3 - (offset + bytes - 1) % 4);
        const std::uint64_t own = epoch | mask << kMaskShift | (is_atomic ? kAtomic : 0);
        if (const std::uint64_t other = access_cell(cells_[i], own, writes, clock, was_write); other != 0) return other;
    }
    return 0;
}

std::uint64_t Shadow::access_cell(Cell& cell, std::uint64_t own, bool writes, const Clock& clock, bool& was_write) {
    if (conflicts(clock, own, cell.write)) {
        was_write = true;
        return cell.write;
    }
    if (!writes) {
        note_read(cell, own, clock);
        return 0;
    }
    was_write = false;
    if ((cell.read & kSeveral) != 0) {
        for (const std::uint64_t reader : readers_[cell.read & ~kSeveral]) {
            if (conflicts(clock, own, reader)) return reader;
        }
    } else if (conflicts(clock, own, cell.read)) {
        return cell.read;
    }
    cell.write = own | (is_same(cell.write, own) ? mask_of(cell.write) << kMaskShift : 0);
    cell.read = 0;
    return 0;
}

// Readers that this one has seen need not stay: who is ordered behind it is ordered behind them.
void Shadow::note_read(Cell& cell, std::uint64_t own, const Clock& clock) {
    if (cell.read == own) return;
    if ((cell.read & kSeveral) == 0) {
        if (cell.read == 0 || has_seen(clock, cell.read)) {
            cell.read = own | (is_same(cell.read, own) ? mask_of(cell.read) << kMaskShift : 0);
            return;
        }
        readers_.push_back({cell.read});
        cell.read = kSeveral | (readers_.size() - 1);
    }
    auto& readers = readers_[cell.read & ~kSeveral];
    std::erase_if(readers, [&](std::uint64_t reader) { return has_seen(clock, reader) && !is_same(reader, own); });
    for (std::uint64_t& reader : readers) {
        if (!is_same(reader, own)) continue;
        reader |= own;
        return;
    }
    readers.push_back(own);
}

std::uint32_t new_actor(Hazards& hazards, const std::string& name) {
    if (!hazards.is_on) return 0;
    if (hazards.past.empty()) hazards.past.push_back({"the host", 1, {}});
    hazards.past.push_back({name, 1, {}});
    return hazards.actors++;
}

Clock tick_host(Hazards& hazards) {
    if (!hazards.is_on) return {};
    ++hazards.host[0];
    return hazards.host;
}

Operation::Operation(World& w, const Work& work, std::uint32_t actor, Clock& clock)
    : world(w), work(work), actor_(actor), clock_(clock) {
    running = this;
    if (!w.hazards.is_on) return;
    if (clock.size() <= actor) clock.resize(actor + 1);
    ++clock[actor];
    Lock lock(w);
    Hazards::Past& past = w.hazards.past[actor];
    // Operations without accesses have ticked the clock too.
    while (past.first + past.operations.size() < clock[actor]) past.operations.push_back("an event");
    past.operations.push_back(describe(work));
    while (past.operations.size() > kRemembered) {
        past.operations.pop_front();
        ++past.first;
    }
}

Operation::~Operation() { running = nullptr; }

std::uint64_t Operation::epoch() const {
    return std::uint64_t{clock_[actor_]} << kTimeShift | std::uint64_t{actor_} << kActorShift;
}

std::string Operation::name_of(std::uint64_t epoch) {
    Lock lock(world);
    const Hazards::Past& past = world.hazards.past[actor_of(epoch)];
    const std::uint32_t time = time_of(epoch);
    const bool is_known = time >= past.first && time - past.first < past.operations.size();
    return std::string(is_known ? past.operations[time - past.first] : "an operation") + " of " + past.name;
}

Allocation* Operation::find(const void* at) {
    const auto holds = [&](const AllocationPtr& each) { return each->holds(static_cast<const char*>(at), 1); };
    if (const std::uint64_t now = arena_generation(); now != generation_) {
        found_.clear();
        generation_ = now;
    }
    for (std::size_t i = 0; i < found_.size(); ++i) {
        if (!holds(found_[i])) continue;
        if (i != 0) std::swap(found_[i], found_[0]);
        return found_[0].get();
    }
    Lock lock(world);
    const AllocationPtr allocation = allocation_at(world, at);
    if (allocation == nullptr) return nullptr;
    found_.push_back(allocation);
    return allocation.get();
}

std::string Operation::access(Allocation& allocation, const void* at, std::size_t bytes, bool writes, bool is_atomic) {
    if (!world.hazards.is_on || allocation.shadow == nullptr || bytes == 0) return "";
    const auto offset = static_cast<std::size_t>(static_cast<const char*>(at) - allocation.base);
    bool was_write = false;
    const std::uint64_t other = allocation.shadow->access(offset, bytes, writes, is_atomic, epoch(), clock_, was_write);
    if (other == 0) return "";
    return std::string("missing synchronisation: ") + name_of(epoch()) + (writes ? " writes " : " reads ") + arena_describe(at) +
           ", which " + name_of(other) + (was_write ? " writes" : " reads") + ", and nothing orders the two";
}

void Operation::acquire(const void* flag) {
    if (!world.hazards.is_on) return;
    const std::lock_guard lock(world.hazards.flags_mutex);
    if (const auto at = world.hazards.flags.find(flag); at != world.hazards.flags.end()) join(clock_, at->second);
}

void Operation::release(const void* flag) {
    if (!world.hazards.is_on) return;
    const std::lock_guard lock(world.hazards.flags_mutex);
    join(world.hazards.flags[flag], clock_);
    // What follows is not what was released.
    ++clock_[actor_];
}

}  // namespace cuda_on_cpu::driver

namespace cuda_on_cpu {

void note_access(const void* at, std::size_t bytes, bool writes, bool is_atomic) {
    using driver::running;
    if (running == nullptr) return;
    driver::Allocation* const allocation = running->find(at);
    if (allocation == nullptr) return;
    const driver::Context& context = *running->work.context;
    if (allocation->device >= 0 && allocation->device != context.device && context.peers.count(allocation->device) == 0) {
        fail("illegal address: " + arena_describe(at) + " belongs to another device, to whose memory device " +
             std::to_string(context.device) + " has no access");
    }
    if (is_atomic) running->acquire(at);
    if (const std::string missing = running->access(*allocation, at, bytes, writes, is_atomic); !missing.empty()) fail(missing);
    if (is_atomic && writes) running->release(at);
}

}  // namespace cuda_on_cpu
