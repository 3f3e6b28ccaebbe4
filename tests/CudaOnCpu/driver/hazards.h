// Missing synchronisation between operations: who may have seen what, by vector clocks over streams, branches of graphs and
// the host (Fidge 1988; per-location epochs as in FastTrack, Flanagan and Freund 2009). Two accesses to the same bytes of an
// allocation, one of them a write, must be ordered by streams, events, graphs, flags or the host's waiting. Whether they are
// does not depend on when they happened to run, so that a missing wait is found in any run. All host threads count as
// one: what orders them is not seen here. Looks only where kernels tell of their accesses: in the checked build.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace cuda_on_cpu::driver {

struct World;
struct Work;
struct Allocation;

// What happens before an operation: of each actor (a stream, a graph's branch, the host), how many of its operations.
using Clock = std::vector<std::uint32_t>;

inline void join(Clock& into, const Clock& other) {
    if (into.size() < other.size()) into.resize(other.size());
    for (std::size_t i = 0; i < other.size(); ++i) {
        if (into[i] < other[i]) into[i] = other[i];
    }
}

// The last accesses to each word of an allocation.
class Shadow {
public:
    explicit Shadow(std::size_t bytes);
    ~Shadow();
    Shadow(const Shadow&) = delete;
    Shadow& operator=(const Shadow&) = delete;

    // Writes the access down. 0, or the epoch of an earlier one that the clock has not seen; `was_write` says which kind.
    std::uint64_t access(std::size_t offset, std::size_t bytes, bool writes, bool is_atomic, std::uint64_t epoch,
                         const Clock& clock, bool& was_write);

private:
    struct Cell {
        std::uint64_t write, read;
    };
    std::uint64_t access_cell(Cell& cell, std::uint64_t own, bool writes, const Clock& clock, bool& was_write);
    void note_read(Cell& cell, std::uint64_t own, const Clock& clock);

    Cell* cells_;
    std::size_t count_;
    std::mutex mutex_;
    std::vector<std::vector<std::uint64_t>> readers_;  // of cells with several
};

struct Hazards {
    bool is_on = false;
    std::uint32_t actors = 1;  // 0 is the host
    Clock host{0};
    struct Past {
        std::string name;
        std::uint32_t first = 1;  // the time of the oldest operation that is still known
        std::deque<const char*> operations;
    };
    std::vector<Past> past;                          // of each actor
    std::unordered_map<const void*, Clock> flags;    // what a flag's last writers had seen
    std::mutex flags_mutex;
};

// ---- under the world's lock ----

std::uint32_t new_actor(Hazards& hazards, const std::string& name);
// One more operation of the host; its clock from before.
Clock tick_host(Hazards& hazards);

// ---- on a stream's or a branch's thread ----

// The operation that the thread runs, from its beginning to its end.
class Operation {
public:
    Operation(World& w, const Work& work, std::uint32_t actor, Clock& clock);
    ~Operation();
    Operation(const Operation&) = delete;

    World& world;
    const Work& work;

    // Empty, or what nothing orders before this.
    std::string access(Allocation& allocation, const void* at, std::size_t bytes, bool writes, bool is_atomic);
    void acquire(const void* flag);
    void release(const void* flag);

    Allocation* find(const void* at);

private:
    std::uint64_t epoch() const;
    std::string name_of(std::uint64_t epoch);

    std::uint32_t actor_;
    Clock& clock_;
    std::uint64_t generation_ = 0;
    std::vector<std::shared_ptr<Allocation>> found_;
};

}  // namespace cuda_on_cpu::driver
