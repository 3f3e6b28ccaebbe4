#include "bandwidth.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <span>

#include "ops.h"

namespace lk {
namespace {

// Larger than any cache, small enough for any machine; a sixteenth of what is free if that is less.
constexpr std::size_t kBytesMax = std::size_t{512} << 20;
constexpr std::size_t kColumns = 2048;

}  // namespace

std::vector<double> measure_bandwidth(Device& device, int millis) {
    // The product with one token reads like the best plain read loop (docs/perf), so it is the measure as well.
    const std::size_t row_bytes = kColumns * size_of(Format::bf16);
    const auto ranks = static_cast<std::size_t>(device.pool().ranks());
    const std::size_t room = memory_available(device.root()) / 16 / ranks;
    const auto rows = static_cast<int>(std::clamp(room, std::size_t{16} << 20, kBytesMax) / row_bytes * ranks);
    const Matrix matrix(Format::bf16, rows, static_cast<int>(kColumns), device.placement());
    device.settle(matrix.blocks());
    for (const Block& block : matrix.blocks()) {
        if (block.bytes() > 0) std::memset(block.data(), 0, block.bytes());
    }

    const MatrixView view = matrix.view();
    const auto gemv = device.kernels().gemv[index_of(Format::bf16)];
    const std::vector<float> x(kColumns, 1.0f);
    std::vector<float> y(static_cast<std::size_t>(rows));
    std::vector<std::atomic<std::uint64_t>> read(ranks);
    const auto start = std::chrono::steady_clock::now();
    const auto end = start + std::chrono::milliseconds(millis);
    device.pool().run([&](const Worker& worker) {
        const Slice& slice = view.slices[static_cast<std::size_t>(worker.rank)];
        const auto part = [&](int index) {
            return static_cast<int>(std::int64_t{slice.row_count} * index / worker.rank_size);
        };
        constexpr int kRows = 64;
        const int first = part(worker.index_in_rank), last = part(worker.index_in_rank + 1);
        std::uint64_t bytes = 0;
        do {
            for (int row = first; row < last; row += kRows) {
                const int count = std::min(kRows, last - row);
                gemv(view.weights(slice, row, count), {x.data(), kColumns}, 1, {y.data() + slice.row_start + row, 1},
                     false);
                bytes += static_cast<std::uint64_t>(count) * row_bytes;
                if (std::chrono::steady_clock::now() >= end) break;
            }
        } while (std::chrono::steady_clock::now() < end);
        read[static_cast<std::size_t>(worker.rank)].fetch_add(bytes, std::memory_order_relaxed);
    });
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::vector<double> rates;
    for (const auto& bytes : read) rates.push_back(static_cast<double>(bytes.load()) / seconds);
    return rates;
}

}  // namespace lk
