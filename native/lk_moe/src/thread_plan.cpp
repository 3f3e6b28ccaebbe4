#include "thread_plan.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <sstream>
#include <stdexcept>

namespace lk {
namespace {

// Cores left to the server, the sampler and the operating system; on a small machine one must do.
constexpr int kCoresKept = 4;
constexpr int kSmallMachineCores = 8;

int default_threads(const Topology& topology) {
    int cores = topology.cores;
    if (topology.cpu_quota > 0) cores = std::min(cores, std::max(1, static_cast<int>(std::floor(topology.cpu_quota))));
    return std::max(1, cores > kSmallMachineCores ? cores - kCoresKept : cores - 1);
}

// The cpus of a node in the order in which workers take them: whole cores before SMT siblings, and the
// last-level caches in turn, because each has a road of its own to memory.
std::vector<int> seating_order(const Node& node) {
    std::map<int, std::vector<const Cpu*>> caches;
    std::vector<int> order;
    for (const bool first : {true, false}) {
        caches.clear();
        std::size_t deepest = 0;
        for (const Cpu& cpu : node.cpus) {
            if (cpu.first != first) continue;
            caches[cpu.l3].push_back(&cpu);
            deepest = std::max(deepest, caches[cpu.l3].size());
        }
        for (std::size_t depth = 0; depth < deepest; ++depth) {
            for (const auto& [_, members] : caches) {
                if (depth < members.size()) order.push_back(members[depth]->id);
            }
        }
    }
    return order;
}

struct Place {
    int node;
    std::vector<int> order;
    int cores;
};

std::vector<Place> places_of(const Topology& topology) {
    std::vector<Place> places;
    for (const Node& node : topology.nodes) {
        if (node.cpus.empty()) continue;
        const auto cores = std::count_if(node.cpus.begin(), node.cpus.end(), [](const Cpu& cpu) { return cpu.first; });
        places.push_back({node.id, seating_order(node), static_cast<int>(cores)});
    }
    return places;
}

std::vector<Place> named_places(const Topology& topology, const std::string& text) {
    std::map<int, int> node_of;
    for (const Node& node : topology.nodes) {
        for (const Cpu& cpu : node.cpus) node_of[cpu.id] = node.id;
    }
    std::vector<Place> places;
    std::map<int, int> taken;
    // A last empty list would be no line to getline: the border at the end makes it one.
    std::istringstream lists(text + (text.back() == '|' ? "|" : ""));
    for (std::string list; std::getline(lists, list, '|');) {
        const std::vector<int> cpus = parse_cpu_list(list);
        if (cpus.empty()) throw std::invalid_argument("\"" + text + "\": every rank needs at least one cpu");
        for (const int cpu : cpus) {
            if (!node_of.contains(cpu)) {
                throw std::invalid_argument("cpu " + std::to_string(cpu) + " of \"" + text +
                                            "\" is not one that this process may use");
            }
            if (!taken.emplace(cpu, 0).second) {
                throw std::invalid_argument("cpu " + std::to_string(cpu) + " is named twice in \"" + text + "\"");
            }
        }
        places.push_back({node_of[cpus.front()], cpus, static_cast<int>(cpus.size())});
    }
    return places;
}

// How many workers each place gets: one after the other to the place with the smallest share so far, cores
// before siblings, and round again if more are wanted than there are cpus.
std::vector<int> share(const std::vector<Place>& places, int threads) {
    std::vector<int> counts(places.size(), 0);
    for (int i = 0; i < threads; ++i) {
        std::size_t best = 0;
        double least = HUGE_VAL;
        for (std::size_t p = 0; p < places.size(); ++p) {
            const double filled = static_cast<double>(counts[p]) / places[p].cores;
            if (filled < least) {
                least = filled;
                best = p;
            }
        }
        ++counts[best];
    }
    return counts;
}

}  // namespace

ThreadPlan plan_threads(const Topology& topology, const ThreadOptions& options) {
    constexpr int kThreadsMax = 1024;
    if (options.threads < 0 || options.threads > kThreadsMax) {
        throw std::invalid_argument(std::to_string(options.threads) + " threads: 1 to 1024 are possible, 0 chooses");
    }
    ThreadPlan plan;
    const bool named = !options.cores.empty();
    const std::vector<Place> places = named ? named_places(topology, options.cores) : places_of(topology);
    if (places.empty()) throw std::invalid_argument("no cpu that this process may use");

    int usable = 0;
    for (const Place& place : places) usable += static_cast<int>(place.order.size());
    const int threads = options.threads > 0 ? options.threads : named ? usable : default_threads(topology);
    if (threads > usable) {
        plan.warnings.push_back(std::to_string(threads) + " threads share " + std::to_string(usable) +
                                " cpus: fewer would be faster");
    }

    const std::vector<int> counts = share(places, threads);
    for (std::size_t p = 0; p < places.size(); ++p) {
        if (counts[p] == 0) continue;
        const int rank = static_cast<int>(plan.ranks.size());
        const auto& order = places[p].order;
        for (int i = 0; i < counts[p]; ++i) {
            Seat seat{.cpus = {order[static_cast<std::size_t>(i) % order.size()]}, .rank = rank};
            if (options.bind_to_node) seat.cpus = order;
            plan.seats.push_back(std::move(seat));
        }
        plan.ranks.push_back({places[p].node, counts[p]});
    }
    return plan;
}

}  // namespace lk
