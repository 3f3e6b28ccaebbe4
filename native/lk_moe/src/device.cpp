#include "device.h"

#include <algorithm>
#include <sstream>

#include "cpu.h"

namespace lk {
namespace {

Placement place(const Topology& topology, const ThreadPlan& plan, const Device::Options& options) {
    Placement placement{.ranks = plan.ranks, .interleave = {}, .bind = topology.nodes.size() > 1, .root = options.root};
    if (options.interleave && topology.nodes.size() > 1) {
        for (const Node& node : topology.nodes) {
            if (node.allowed && node.memory_bytes > 0) placement.interleave.push_back(node.id);
        }
    }
    return placement;
}

}  // namespace

void* Scratch::reserve(std::size_t bytes) {
    constexpr std::size_t kLeast = std::size_t{64} << 10;
    if (bytes > block_.bytes()) {
        const std::size_t grown = std::max({bytes, kLeast, 2 * block_.bytes()});
        block_ = Block();
        block_ = Block(grown, residence_, root_);
    }
    return block_.data();
}

Device::Device(const Options& options)
    : root_(options.root),
      exact_gemm_(options.exact_gemm),
      kernels_(select_kernels()),
      topology_(read_topology(options.root)),
      plan_(plan_threads(topology_, options.threads)),
      placement_(place(topology_, plan_, options)),
      pool_(std::make_unique<Pool>(plan_, options.pool)),
      turns_(static_cast<std::size_t>(kPhases * pool_->ranks())) {
    for (int use = 0; use < kUses; ++use) shared_.emplace_back(Residence{placement_.interleave}, root_);
    for (const Seat& seat : plan_.seats) own_.emplace_back(placement_.residence(seat.rank), root_);

    // A probe shows whether the kernel binds memory at all, so that the warning comes once and at the start.
    if (placement_.bind || !placement_.interleave.empty()) {
        const Block probe(4096, placement_.residence(0), root_);
        if (!probe.placed()) {
            plan_.warnings.push_back("the kernel does not let this process bind memory to NUMA nodes (in a container: "
                                     "allow mbind, CAP_SYS_NICE): pages go to the node that touches them first");
        }
    }
    // Workers have all run by then, and so have tried to pin themselves.
    pool_->run([](const Worker&) {});
    if (pool_->unpinned()) plan_.warnings.push_back("the kernel does not let this process pin its threads");
    description_ = describe();
}

void Device::reset_turns() {
    for (Turns& turns : turns_) turns.reset();
}

void Device::settle(std::span<const Block> blocks) {
    const bool all = std::all_of(blocks.begin(), blocks.end(), [](const Block& block) { return block.placed(); });
    if (all || pool_->ranks() == 1) return;
    constexpr std::size_t kPage = 4096;
    pool_->run([&](const Worker& worker) {
        const Block& block = blocks[static_cast<std::size_t>(worker.rank)];
        const std::size_t pages = block.bytes() / kPage;
        const std::size_t first =
            pages * static_cast<std::size_t>(worker.index_in_rank) / static_cast<std::size_t>(worker.rank_size);
        const std::size_t last =
            pages * static_cast<std::size_t>(worker.index_in_rank + 1) / static_cast<std::size_t>(worker.rank_size);
        auto* const bytes = static_cast<volatile char*>(block.data());
        for (std::size_t page = first; page < last; ++page) bytes[page * kPage] = 0;
    });
}

std::string Device::describe() const {
    std::ostringstream json;
    json << "{\"isa\":" << json_quoted(kernels_.name) << ",\"threads\":" << pool_->size() << ",\"ranks\":[";
    for (std::size_t rank = 0; rank < plan_.ranks.size(); ++rank) {
        std::vector<int> cpus;
        for (const Seat& seat : plan_.seats) {
            if (seat.rank == static_cast<int>(rank)) cpus.insert(cpus.end(), seat.cpus.begin(), seat.cpus.end());
        }
        std::sort(cpus.begin(), cpus.end());
        cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
        json << (rank ? "," : "") << "{\"node\":" << plan_.ranks[rank].node
             << ",\"threads\":" << plan_.ranks[rank].threads << ",\"cpus\":" << json_quoted(format_cpu_list(cpus))
             << '}';
    }
    json << "],\"warnings\":[";
    bool first = true;
    for (const auto* warnings : {&topology_.warnings, &plan_.warnings}) {
        for (const std::string& warning : *warnings) {
            json << (first ? "" : ",") << json_quoted(warning);
            first = false;
        }
    }
    json << "]}";
    return json.str();
}

}  // namespace lk
