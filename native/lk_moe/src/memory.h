// Memory for weights, caches and scratch: bound to nodes, in huge pages, and refused before it would end in a kill.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace lk {

// What may still be allocated: MemAvailable or what the cgroup leaves, the smaller, less what blocks were promised and
// have not touched yet. `root` as in read_topology.
std::uint64_t memory_available(const std::string& root);

// What `memory_available` reads, without promises.
std::uint64_t memory_free_now(const std::string& root);

// Where a block's pages should lie.
struct Residence {
    std::vector<int> nodes;   // one: bound there; several: interleaved; none: wherever it is touched first
};

// Zeroed pages that are given back when the block dies. Movable, not copyable.
class Block {
 public:
    Block() = default;
    // Throws OutOfMemory, with figures, rather than promise what is not there.
    Block(std::size_t bytes, const Residence& residence, const std::string& root);
    Block(Block&& other) noexcept { swap(other); }
    Block& operator=(Block&& other) noexcept {
        swap(other);
        return *this;
    }
    ~Block();

    void* data() const { return data_; }
    std::size_t bytes() const { return bytes_; }
    // False if the kernel would not bind the pages (containers often deny it).
    bool placed() const { return placed_; }

 private:
    void swap(Block& other) noexcept;

    void* data_ = nullptr;
    std::size_t bytes_ = 0;
    bool placed_ = true;
};

}  // namespace lk
