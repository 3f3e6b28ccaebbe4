// Who may have seen what: vector clocks over streams, graph branches and host threads.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace cuda_on_cpu::driver {

// What happens before an operation: of each actor (a stream, a graph's branch, a host thread), how many of its operations.
using Clock = std::vector<std::uint32_t>;

inline void join(Clock& into, const Clock& other) {
    if (into.size() < other.size()) into.resize(other.size());
    for (std::size_t i = 0; i < other.size(); ++i) {
        if (into[i] < other[i]) into[i] = other[i];
    }
}

struct Shadow {};

struct Hazards {
    std::uint32_t actors = 0;
    std::uint64_t generation = 0;  // of the world
};

// The calling host thread's.
Clock& host_clock(Hazards& hazards);
// One more operation of the calling host thread; its clock from before.
Clock tick(Hazards& hazards);

}  // namespace cuda_on_cpu::driver
