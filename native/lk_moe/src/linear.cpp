// y = x w' + bias.
//
// Few tokens: bound by reading w once, chunk by chunk, each worker from its own rank's slice. Many: activations are
// packed once by all workers, then every worker multiplies row chunks with token tiles that stay in its cache.
#include <algorithm>

#include "ops.h"

namespace lk {
namespace {

// Weights below this are read faster than a second worker can be told about them.
constexpr std::size_t kBytesAlone = std::size_t{48} << 10;
// Tokens whose packed activations stay in a second-level cache while a row chunk passes by.
constexpr std::size_t kTileTokens = 2 * kPackTokens;

struct Job {
    Device& device;
    const Gemm& gemm;
    const Grid& x;
    const MatrixView& w;
    const float* bias;
    const Grid& y;
    bool accumulate;

    void add_bias(std::size_t token, std::size_t row, std::size_t count) const {
        if (bias != nullptr) device.kernels().axpy(1.0f, bias + row, y.row(token) + row, count);
    }
};

void gemv_chunk(const Job& job, const Slice& slice, std::size_t first, std::size_t count) {
    const auto gemv = job.device.kernels().gemv[index_of(job.w.format)];
    const Weights weights = job.w.weights(slice, static_cast<int>(first), static_cast<int>(count));
    const std::size_t row = static_cast<std::size_t>(slice.row_start) + first;
    for (std::size_t t = 0; t < job.x.rows; t += kGemvTokens) {
        const std::size_t tokens = std::min(kGemvTokens, job.x.rows - t);
        gemv(weights, job.x.source(t), tokens, {job.y.row(t) + row, job.y.stride}, job.accumulate);
        for (std::size_t i = 0; i < tokens; ++i) job.add_bias(t + i, row, count);
    }
}

void few_tokens(const Job& job) {
    Pool& pool = job.device.pool();
    const MatrixView& w = job.w;
    if (pool.size() == 1 ||
        static_cast<std::size_t>(w.rows) * w.row_bytes() * divide_up(job.x.rows, kGemvTokens) <= kBytesAlone) {
        for (const Slice& slice : w.slices) gemv_chunk(job, slice, 0, static_cast<std::size_t>(slice.row_count));
        return;
    }
    job.device.reset_turns();
    pool.run([&](const Worker& worker) {
        const Slice& slice = w.slices[static_cast<std::size_t>(worker.rank)];
        const auto rows = static_cast<std::size_t>(slice.row_count);
        const std::size_t chunk =
            gemv_chunk_rows(rows, w.row_bytes(), job.x.rows, static_cast<std::size_t>(worker.rank_size));
        Turns& turns = job.device.turns(0, worker.rank);
        for (std::size_t first; (first = turns.take() * chunk) < rows;) {
            gemv_chunk(job, slice, first, std::min(chunk, rows - first));
        }
    });
}

void gemm_block(const Job& job, const Slice& slice, std::size_t first, std::size_t count, const std::byte* packed,
                std::size_t token) {
    const std::size_t tokens = std::min(kTileTokens, job.x.rows - token);
    const std::size_t row = static_cast<std::size_t>(slice.row_start) + first;
    const auto depth = static_cast<std::size_t>(job.w.columns);
    job.gemm.multiply(job.w.weights(slice, static_cast<int>(first), static_cast<int>(count)),
                      packed + job.gemm.packed_bytes(token, depth), tokens, {job.y.row(token) + row, job.y.stride},
                      job.accumulate);
    for (std::size_t i = 0; i < tokens; ++i) job.add_bias(token + i, row, count);
}

void many_tokens(const Job& job) {
    const std::size_t tokens = job.x.rows;
    const auto depth = static_cast<std::size_t>(job.w.columns);
    auto* const packed =
        static_cast<std::byte*>(job.device.shared(Use::packed).reserve(job.gemm.packed_bytes(tokens, depth)));
    const std::size_t tiles = divide_up(tokens, kTileTokens);
    job.device.reset_turns();
    job.device.pool().run([&](const Worker& worker) {
        Turns& packs = job.device.turns(0, 0);
        for (std::size_t first; (first = packs.take() * kPackTokens) < tokens;) {
            job.gemm.pack(job.x.source(first), std::min(kPackTokens, tokens - first), depth,
                          packed + job.gemm.packed_bytes(first, depth));
        }
        job.device.pool().barrier();

        const Slice& slice = job.w.slices[static_cast<std::size_t>(worker.rank)];
        const auto rows = static_cast<std::size_t>(slice.row_count);
        if (rows == 0) return;
        const std::size_t chunk = gemm_chunk_rows(rows, tiles, static_cast<std::size_t>(worker.rank_size));
        const std::size_t chunks = divide_up(rows, chunk);
        Turns& turns = job.device.turns(1, worker.rank);
        for (std::size_t turn; (turn = turns.take()) < chunks * tiles;) {
            const std::size_t first = turn % chunks * chunk;
            gemm_block(job, slice, first, std::min(chunk, rows - first), packed, turn / chunks * kTileTokens);
        }
    });
}

}  // namespace

std::size_t gemv_chunk_rows(std::size_t rows, std::size_t row_bytes, std::size_t tokens, std::size_t workers) {
    // Read once, a chunk may be long, which costs fewer starts of the memory's streams; read again for the next eight
    // tokens, it must stay in a second-level cache meanwhile.
    const std::size_t bytes = tokens <= kGemvTokens ? std::size_t{512} << 10 : std::size_t{128} << 10;
    constexpr std::size_t kStreams = 8;
    const std::size_t fair = divide_up(rows, workers * 6);
    return round_up(std::max(kStreams, std::min(fair, bytes / std::max(row_bytes, std::size_t{1}))), kStreams);
}

std::size_t gemm_chunk_rows(std::size_t rows, std::size_t tiles, std::size_t workers) {
    constexpr std::size_t kChunkRowsMax = 4 * kGemmRows;
    // Whole panels are cheapest, unless there are too few of them to go round.
    constexpr std::size_t kLeast = kSliceRows;
    const std::size_t panels = divide_up(rows, kGemmRows) * tiles;
    const std::size_t step = panels >= 2 * workers ? kGemmRows : kLeast;
    const std::size_t fair = divide_up(rows * tiles, workers * 4);
    return std::clamp(round_up(std::min(fair, rows), step), step, kChunkRowsMax);
}

void linear(Device& device, const Gemm& gemm, const Grid& x, const MatrixView& w, const float* bias, const Grid& y,
            bool accumulate) {
    if (x.rows == 0) return;
    const Job job{device, gemm, x, w, bias, y, accumulate};
    if (x.rows <= gemv_tokens_max(gemm)) {
        few_tokens(job);
    } else {
        many_tokens(job);
    }
}

}  // namespace lk
