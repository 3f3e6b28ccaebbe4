#include "matrix.h"

#include <algorithm>

namespace lk {

Residence Placement::residence(int rank) const {
    if (!interleave.empty()) return {interleave};
    if (!bind) return {};
    return {{ranks[static_cast<std::size_t>(rank)].node}};
}

std::vector<Slice> split_rows(int rows, std::span<const Rank> ranks) {
    std::int64_t threads = 0;
    for (const Rank& rank : ranks) threads += rank.threads;
    std::vector<Slice> slices;
    std::int64_t before = 0;
    int start = 0;
    for (std::size_t r = 0; r < ranks.size(); ++r) {
        before += ranks[r].threads;
        const std::int64_t border = rows * before / threads / kSliceRows * kSliceRows;
        const int end = r + 1 == ranks.size() ? rows : std::max(start, static_cast<int>(border));
        slices.push_back({nullptr, start, end - start, static_cast<int>(r)});
        start = end;
    }
    return slices;
}

Matrix::Matrix(Format format, int rows, int columns, const Placement& placement)
    : format_(format), rows_(rows), columns_(columns), slices_(split_rows(rows, placement.ranks)) {
    for (Slice& slice : slices_) {
        const std::size_t bytes =
            static_cast<std::size_t>(slice.row_count) * static_cast<std::size_t>(columns) * size_of(format);
        blocks_.emplace_back(bytes, placement.residence(slice.rank), placement.root);
        slice.data = static_cast<std::byte*>(blocks_.back().data());
    }
}

ExpertBank::ExpertBank(const Shape& shape, const Placement& placement) : shape_(shape), ranks_(placement.ranks.size()) {
    const std::vector<Slice> up = split_rows(shape.intermediate, placement.ranks);
    const std::vector<Slice> down = split_rows(shape.hidden, placement.ranks);
    const auto experts = static_cast<std::size_t>(shape.experts);
    const std::size_t element = size_of(shape.format);
    slices_.resize(experts * kParts * ranks_);
    for (std::size_t rank = 0; rank < ranks_; ++rank) {
        const std::size_t up_bytes =
            static_cast<std::size_t>(up[rank].row_count) * static_cast<std::size_t>(shape.hidden) * element;
        const std::size_t down_bytes =
            static_cast<std::size_t>(down[rank].row_count) * static_cast<std::size_t>(shape.intermediate) * element;
        const std::size_t expert_bytes = 2 * up_bytes + down_bytes;
        blocks_.emplace_back(expert_bytes * experts, placement.residence(static_cast<int>(rank)), placement.root);
        auto* at = static_cast<std::byte*>(blocks_.back().data());
        for (std::size_t expert = 0; expert < experts; ++expert, at += expert_bytes) {
            Slice* const of_expert = &slices_[expert * kParts * ranks_];
            for (const Part part : {Part::gate, Part::up, Part::down}) {
                const auto p = static_cast<std::size_t>(part);
                Slice& slice = of_expert[p * ranks_ + rank];
                slice = part == Part::down ? down[rank] : up[rank];
                slice.data = at + p * up_bytes;
            }
        }
    }
}

MatrixView ExpertBank::view(int expert, Part part) const {
    const bool is_down = part == Part::down;
    const std::size_t first = (static_cast<std::size_t>(expert) * kParts + static_cast<std::size_t>(part)) * ranks_;
    return {shape_.format, is_down ? shape_.hidden : shape_.intermediate, is_down ? shape_.intermediate : shape_.hidden,
            std::span(slices_).subspan(first, ranks_)};
}

}  // namespace lk
