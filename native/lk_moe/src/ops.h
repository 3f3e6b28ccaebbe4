// The operations of a forward pass, each over the device's whole pool. Arguments have been checked: see abi.cpp.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../kernels/kernels.h"
#include "device.h"
#include "lk_moe.h"
#include "matrix.h"

namespace lk {

// Activations [rows, columns], rows `stride` elements apart.
struct Grid {
    float* data = nullptr;
    std::size_t rows = 0;
    std::size_t columns = 0;
    std::size_t stride = 0;

    float* row(std::size_t index) const { return data + index * stride; }
    ConstRows source(std::size_t first = 0) const { return {data + first * stride, stride}; }
    Rows target(std::size_t first = 0) const { return {data + first * stride, stride}; }
};

// Steps of so many tokens keep their activations in f32, whatever is fastest: decoding is exact.
inline constexpr std::size_t kExactTokensMax = kGemvTokens;

inline const Gemm& gemm_for(const Device& device, Format format, std::size_t step_tokens) {
    const bool exact = device.exact_gemm() || step_tokens <= kExactTokensMax;
    return exact ? device.kernels().gemm_exact[index_of(format)] : device.kernels().gemm[index_of(format)];
}

// Up to so many tokens a product is taken by gemv, which then is faster than packing for gemm. Constants, not measured
// at the start: where gemm rounds activations the result depends on them, and must not depend on how busy the machine
// was. Figures: docs/perf/moe.md.
inline std::size_t gemv_tokens_max(const Gemm& gemm) { return gemm.rounds_activations ? 5 : 2 * kGemvTokens; }

// ---- rows.cpp: what touches each activation once ----
void embed(Device& device, const MatrixView& table, const std::int32_t* ids, const Grid& y);
void rms_norm(Device& device, const Grid& x, const float* weight, std::size_t width, float epsilon, const Grid& y);
void rotary_angles(Device& device, const std::int32_t* positions, const float* frequencies, float scale,
                   const Grid& cos_sin);
void rotate(Device& device, const Grid& x, std::size_t head_dim, const Grid& cos_sin, bool interleaved);
void gather_rows(Device& device, const Grid& x, const std::int32_t* rows, const Grid& y);
void argmax(Device& device, const Grid& x, std::int32_t* indices);
void add(Device& device, const Grid& x, const Grid& y);

// ---- linear.cpp ----
void linear(Device& device, const Gemm& gemm, const Grid& x, const MatrixView& w, const float* bias, const Grid& y,
            bool accumulate);

// Rows that a worker takes at a time of the `rows` that its rank holds.
std::size_t gemv_chunk_rows(std::size_t rows, std::size_t row_bytes, std::size_t tokens, std::size_t workers);
std::size_t gemm_chunk_rows(std::size_t rows, std::size_t tiles, std::size_t workers);

// ---- attention.cpp ----
struct KvCache {
    std::byte* keys;
    std::byte* values;
    Format format;
    std::size_t row_stride;  // elements
    std::size_t page_size;
    std::size_t heads;
    std::size_t head_dim;

    // Where the rows of a page and head begin, in bytes.
    std::size_t offset(std::size_t page, std::size_t head, std::size_t slot) const {
        return ((page * heads + head) * page_size + slot) * row_stride * size_of(format);
    }
};

struct Batch {
    const std::int32_t* query_starts;
    const std::int32_t* context_lengths;
    const std::int32_t* page_tables;
    std::size_t page_table_stride;
    std::size_t sequences;
};

// A negative slot stores nothing.
void write_kv(Device& device, const Grid& k, const Grid& v, const KvCache& cache, const std::int32_t* slots);
// window 0: none; sinks may be null.
void attention(Device& device, const Grid& q, const KvCache& cache, const Batch& batch, float scale, std::size_t window,
               const float* sinks, const Grid& y);

// ---- moe.cpp ----
struct RoutesView {
    const std::int32_t* experts;
    std::size_t expert_stride;
    const float* weights;
    std::size_t weight_stride;
    std::size_t k;
};

void gated_mlp(Device& device, const Grid& x, const MatrixView& gate, const MatrixView& up, const MatrixView& down,
               const Grid& y);

// Called by the worker that is the last to write to y, before the operation returns to its caller.
struct Written {
    void (*call)(void* context) noexcept = nullptr;
    void* context = nullptr;

    void operator()() const {
        if (call != nullptr) call(context);
    }
};

void moe(Device& device, const ExpertBank& bank, const Grid& x, const RoutesView& routes, const Grid& y,
         const Written& written = {});

// ---- route.cpp ----
// Where a router writes.
struct ChosenView {
    std::int32_t* experts;
    std::size_t expert_stride;
    float* weights;
    std::size_t weight_stride;
    std::size_t k;

    // No expert for row t.
    void clear(std::size_t t) const {
        for (std::size_t i = 0; i < k; ++i) {
            experts[t * expert_stride + i] = -1;
            weights[t * weight_stride + i] = 0;
        }
    }
};

// Live rows have been taken off x.
void route(Device& device, const Grid& x, const MatrixView& gate, const lk_router& router, const ChosenView& chosen);

// ---- shared ----

// Calls body(first, last) for parts of [0, count), `grain` or more items each; on the caller alone if one part is
// enough.
template <typename Body>
void spread(Device& device, std::size_t count, std::size_t grain, const Body& body) {
    if (count <= grain || device.pool().size() == 1) {
        if (count > 0) body(std::size_t{0}, count);
        return;
    }
    device.reset_turns();
    Turns& turns = device.turns(0, 0);
    device.pool().run([&](const Worker&) {
        for (;;) {
            const std::size_t first = turns.take() * grain;
            if (first >= count) return;
            body(first, first + grain < count ? first + grain : count);
        }
    });
}

// Rows of so many elements that a part is worth the one or two microseconds of handing it out.
inline std::size_t rows_worth(std::size_t columns) {
    constexpr std::size_t kElements = 16384;
    return columns >= kElements ? 1 : kElements / (columns == 0 ? 1 : columns);
}

inline std::size_t divide_up(std::size_t value, std::size_t by) { return (value + by - 1) / by; }
inline std::size_t round_up(std::size_t value, std::size_t step) { return divide_up(value, step) * step; }

}  // namespace lk
