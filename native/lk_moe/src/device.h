// A pool of workers, the kernel table that this processor runs best, and memory for operations to work in.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "../kernels/kernels.h"
#include "matrix.h"
#include "memory.h"
#include "pool.h"
#include "thread_plan.h"
#include "topology.h"

namespace lk {

// Memory that an operation uses and forgets. Grows by doubling, so that a step soon allocates nothing.
class Scratch {
 public:
    Scratch(Residence residence, std::string root) : residence_(std::move(residence)), root_(std::move(root)) {}

    // At least so many bytes, 64-byte aligned; what they held is lost when they grow.
    void* reserve(std::size_t bytes);

    template <typename T>
    T* reserve_of(std::size_t count) {
        return static_cast<T*>(reserve(count * sizeof(T)));
    }

 private:
    Residence residence_;
    std::string root_;
    Block block_;
};

// What shared scratch is for: operations that run inside one another use different ones.
enum class Use { packed, scores, activations, plan };
inline constexpr int kUses = 4;

class Device {
 public:
    struct Options {
        ThreadOptions threads;
        Pool::Options pool;
        bool interleave = false;
        bool exact_gemm = false;
        std::string root;
    };

    explicit Device(const Options& options);

    Pool& pool() { return *pool_; }
    const Pool& pool() const { return *pool_; }
    const Kernels& kernels() const { return kernels_; }
    bool exact_gemm() const { return exact_gemm_; }
    const Placement& placement() const { return placement_; }
    const std::string& root() const { return root_; }
    const std::string& description() const { return description_; }

    // One operation at a time: it owns the pool, the turns and the scratch.
    std::mutex& busy() { return busy_; }

    // Fresh turns, one for each rank, for phase 0 or 1 of an operation. Reset by the caller before the pool runs.
    Turns& turns(int phase, int rank) { return turns_[static_cast<std::size_t>(phase * pool_->ranks() + rank)]; }
    void reset_turns();

    Scratch& shared(Use use) { return shared_[static_cast<std::size_t>(use)]; }
    // Memory of the worker's own node.
    Scratch& own(int worker) { return own_[static_cast<std::size_t>(worker)]; }

    // Touches blocks from the ranks that own them where the kernel would not bind them.
    void settle(std::span<const Block> blocks);

    static constexpr int kPhases = 4;

 private:
    std::string describe() const;

    std::string root_;
    bool exact_gemm_;
    const Kernels& kernels_;
    Topology topology_;
    ThreadPlan plan_;
    Placement placement_;
    std::unique_ptr<Pool> pool_;
    std::vector<Turns> turns_;
    std::vector<Scratch> shared_;
    std::vector<Scratch> own_;
    std::mutex busy_;
    std::string description_;
};

}  // namespace lk
