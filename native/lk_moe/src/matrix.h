// Weights as they lie in memory: row-major as in a checkpoint, sliced by rows over the ranks.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

#include "../kernels/kernels.h"
#include "memory.h"
#include "thread_plan.h"

namespace lk {

// Rows [row_start, row_start + row_count), contiguous at `data`.
struct Slice {
    std::byte* data = nullptr;
    int row_start = 0;
    int row_count = 0;
    int rank = 0;
};

// One weight; slice r belongs to rank r and may be empty.
struct MatrixView {
    Format format = Format::f32;
    int rows = 0;
    int columns = 0;
    std::span<const Slice> slices;

    std::size_t row_bytes() const { return static_cast<std::size_t>(columns) * size_of(format); }

    // `count` rows of a slice, from its row `first`.
    Weights weights(const Slice& slice, int first, int count) const {
        const auto depth = static_cast<std::size_t>(columns);
        return {slice.data + static_cast<std::size_t>(first) * row_bytes(), depth, static_cast<std::size_t>(count),
                depth};
    }
};

// Where blocks of each rank go.
struct Placement {
    std::vector<Rank> ranks;
    std::vector<int> interleave;  // not empty: every block over these nodes
    bool bind = false;            // several nodes: say which
    std::string root;

    Residence residence(int rank) const;
};

// The rows of each rank, in proportion to its threads; all borders but the last are multiples of kSliceRows.
inline constexpr int kSliceRows = 16;
std::vector<Slice> split_rows(int rows, std::span<const Rank> ranks);

class Matrix {
 public:
    Matrix(Format format, int rows, int columns, const Placement& placement);

    MatrixView view() const { return {format_, rows_, columns_, slices_}; }
    std::span<const Block> blocks() const { return blocks_; }

 private:
    Format format_;
    int rows_;
    int columns_;
    std::vector<Slice> slices_;
    std::vector<Block> blocks_;
};

enum class Part { gate = 0, up = 1, down = 2 };
inline constexpr std::size_t kParts = 3;

// The routed experts of one layer. A rank holds one block: for every expert its rows of gate, of up and of down.
class ExpertBank {
 public:
    struct Shape {
        Format format;
        int experts;
        int hidden;
        int intermediate;
    };

    ExpertBank(const Shape& shape, const Placement& placement);

    const Shape& shape() const { return shape_; }
    MatrixView view(int expert, Part part) const;
    std::span<const Block> blocks() const { return blocks_; }

 private:
    Shape shape_;
    std::vector<Block> blocks_;
    std::size_t ranks_;
    std::vector<Slice> slices_;  // [expert][part][rank]
};

}  // namespace lk
