// Which cores the workers run on: a pure function of the machine and the options.
#pragma once
#include <string>
#include <vector>

#include "topology.h"

namespace lk {

struct ThreadOptions {
    int threads = 0;             // 0: chosen
    bool bind_to_node = false;   // workers may move between the cores of their rank
    std::string cores;           // "0-42|43-85": the cores of each rank; empty: chosen
};

// One worker: where it may run, and whose slices it works on.
struct Seat {
    std::vector<int> cpus;
    int rank = 0;
};

// A slice of every weight, the node that holds it and the workers that compute it.
struct Rank {
    int node = 0;
    int threads = 0;
};

struct ThreadPlan {
    std::vector<Seat> seats;  // by rank; the first is the calling thread's
    std::vector<Rank> ranks;
    std::vector<std::string> warnings;
};

// Throws std::invalid_argument if the options name cores that the process may not use.
ThreadPlan plan_threads(const Topology& topology, const ThreadOptions& options);

}  // namespace lk
