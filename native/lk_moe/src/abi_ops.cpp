// The C ABI, its second half: each operation checks its arguments, takes the device and runs.
#include <algorithm>

#include "check.h"
#include "guard.h"
#include "handles.h"
#include "ops.h"

using lk::Grid;
using lk::guarded;
using lk::require;

namespace {

// Runs the body as the device's only operation.
template <typename Body>
lk_status on(lk_device* device, const Body& body) {
    return guarded([&] {
        require(device != nullptr, "device must be set");
        const std::lock_guard lock(device->device.busy());
        body(device->device);
    });
}

const lk::MatrixView view_of(const lk_matrix* matrix) {
    require(matrix != nullptr, "a matrix must be set");
    return matrix->matrix.view();
}

void check_batch(const lk_attention_batch* batch, const lk_kv_layer* cache, const Grid& q) {
    require(batch != nullptr && batch->sequences >= 0, "a batch must be set");
    if (batch->sequences == 0) return;
    require(batch->query_starts != nullptr && batch->context_lengths != nullptr && batch->page_tables != nullptr,
            "a batch must have its arrays");
    const std::int64_t pages = lk::pages_of(cache);
    for (int32_t s = 0; s < batch->sequences; ++s) {
        const std::int64_t first = batch->query_starts[s], last = batch->query_starts[s + 1];
        require(first >= 0 && first <= last && last <= static_cast<std::int64_t>(q.rows),
                "a sequence's rows are outside q");
        const std::int64_t length = batch->context_lengths[s];
        require(length == 0 || length >= last - first, "a context is shorter than its queries");
        const std::int64_t used = (length + cache->page_size - 1) / cache->page_size;
        require(used <= batch->pages_per_sequence, "a context is longer than its page table");
        if (last > first) {
            lk::check_indices(batch->page_tables + s * batch->page_table_stride, static_cast<std::size_t>(used), pages,
                              "page");
        }
    }
}

void check_router(const lk_router* router, std::int64_t experts, std::int64_t k) {
    require(router != nullptr, "a router must be set");
    require(router->scoring == LK_SOFTMAX || router->scoring == LK_SIGMOID, "scoring is not known");
    require(router->groups >= 1 && router->groups <= 32 && experts % router->groups == 0,
            "experts must be in 1 to 32 groups as large as each other");
    require(router->groups_kept >= 1 && router->groups_kept <= router->groups, "groups_kept must be 1 to groups");
    const std::int64_t size = experts / router->groups;
    require(router->group_best == 1 || (router->group_best == 2 && size >= 2), "group_best must be 1 or 2, of so many");
    require(k > 0 && k <= router->groups_kept * size, "k must be 1 to the number of experts in the groups kept");
}

}  // namespace

extern "C" {

lk_status lk_embed(lk_device* device, const lk_matrix* table, const int32_t* ids, const lk_tensor* y) {
    return on(device, [&](lk::Device& d) {
        const lk::MatrixView view = view_of(table);
        const Grid target = lk::to_grid(y);
        require(target.columns == static_cast<std::size_t>(view.columns), "y must be as wide as the table");
        lk::check_indices(ids, target.rows, view.rows, "token");
        lk::embed(d, view, ids, target);
    });
}

lk_status lk_rms_norm(lk_device* device, const lk_tensor* x, const float* weight, int32_t width, float epsilon,
                      const lk_tensor* y) {
    return on(device, [&](lk::Device& d) {
        const Grid source = lk::to_grid(x), target = lk::to_grid(y);
        require(weight != nullptr && width > 0, "weight must be set");
        require(source.columns % static_cast<std::size_t>(width) == 0, "a row must be whole groups");
        require(source.rows == target.rows && source.columns == target.columns, "x and y must have one shape");
        lk::rms_norm(d, source, weight, static_cast<std::size_t>(width), epsilon, target);
    });
}

lk_status lk_linear(lk_device* device, const lk_tensor* x, const lk_matrix* w, const float* bias, const lk_tensor* y,
                    int32_t accumulate) {
    return on(device, [&](lk::Device& d) {
        const lk::MatrixView view = view_of(w);
        const Grid source = lk::to_grid(x), target = lk::to_grid(y);
        require(source.columns == static_cast<std::size_t>(view.columns), "x must be as wide as the matrix");
        require(target.columns == static_cast<std::size_t>(view.rows), "y must be as wide as the matrix has rows");
        require(source.rows == target.rows, "x and y must have as many rows");
        lk::linear(d, lk::gemm_for(d, view.format, source.rows), source, view, bias, target, accumulate != 0);
    });
}

lk_status lk_rotary_angles(lk_device* device, const int32_t* positions, const float* frequencies, float scale,
                           const lk_tensor* cos_sin) {
    return on(device, [&](lk::Device& d) {
        const Grid target = lk::to_grid(cos_sin);
        require(target.columns % 2 == 0, "a row is as many cosines as sines");
        require(target.rows == 0 || (positions != nullptr && frequencies != nullptr),
                "positions and frequencies must be set");
        lk::rotary_angles(d, positions, frequencies, scale, target);
    });
}

lk_status lk_rotate(lk_device* device, const lk_tensor* x, int32_t head_dim, const lk_tensor* cos_sin,
                    int32_t interleaved) {
    return on(device, [&](lk::Device& d) {
        const Grid source = lk::to_grid(x), angles = lk::to_grid(cos_sin);
        require(head_dim > 0 && source.columns % static_cast<std::size_t>(head_dim) == 0, "a row must be whole heads");
        require(angles.columns % 2 == 0 && angles.columns <= static_cast<std::size_t>(head_dim),
                "angles must fit in a head");
        require(source.rows == angles.rows, "x and the angles must have as many rows");
        lk::rotate(d, source, static_cast<std::size_t>(head_dim), angles, interleaved != 0);
    });
}

lk_status lk_write_kv(lk_device* device, const lk_tensor* k, const lk_tensor* v, const lk_kv_layer* cache,
                      const int32_t* slots) {
    return on(device, [&](lk::Device& d) {
        const Grid keys = lk::to_grid(k), values = lk::to_grid(v);
        const lk::KvCache target = lk::to_cache(cache);
        require(keys.rows == values.rows && keys.columns == values.columns, "k and v must have one shape");
        require(keys.columns == target.heads * target.head_dim, "k must be as wide as the cache's heads");
        lk::check_slots(slots, keys.rows, lk::pages_of(cache) * cache->page_size);
        lk::write_kv(d, keys, values, target, slots);
    });
}

lk_status lk_attention(lk_device* device, const lk_tensor* q, const lk_kv_layer* cache, const lk_attention_batch* batch,
                       float scale, int32_t window, const float* sinks, const lk_tensor* y) {
    return on(device, [&](lk::Device& d) {
        const Grid source = lk::to_grid(q), target = lk::to_grid(y);
        const lk::KvCache kv = lk::to_cache(cache);
        require(source.rows == target.rows && source.columns == target.columns, "q and y must have one shape");
        require(source.columns > 0 && source.columns % (kv.heads * kv.head_dim) == 0,
                "query heads must share key heads evenly");
        require(window >= 0, "window must not be negative");
        check_batch(batch, cache, source);
        const lk::Batch rows{batch->query_starts, batch->context_lengths, batch->page_tables,
                             static_cast<std::size_t>(batch->page_table_stride),
                             static_cast<std::size_t>(batch->sequences)};
        lk::attention(d, source, kv, rows, scale, static_cast<std::size_t>(window), sinks, target);
    });
}

lk_status lk_gated_mlp(lk_device* device, const lk_tensor* x, const lk_matrix* gate, const lk_matrix* up,
                       const lk_matrix* down, const lk_tensor* y) {
    return on(device, [&](lk::Device& d) {
        const lk::MatrixView g = view_of(gate), u = view_of(up), w = view_of(down);
        const Grid source = lk::to_grid(x), target = lk::to_grid(y);
        require(g.rows == u.rows && g.columns == u.columns && g.format == u.format,
                "gate and up must have one shape and type");
        require(w.columns == g.rows && w.format == g.format, "down must be as wide as gate has rows, and of its type");
        require(source.columns == static_cast<std::size_t>(g.columns), "x must be as wide as gate");
        require(target.columns == static_cast<std::size_t>(w.rows), "y must be as wide as down has rows");
        require(source.rows == target.rows, "x and y must have as many rows");
        lk::gated_mlp(d, source, g, u, w, target);
    });
}

lk_status lk_route(lk_device* device, const lk_tensor* x, const lk_matrix* gate, const lk_router* router,
                   const lk_tensor* experts, const lk_tensor* weights) {
    return on(device, [&](lk::Device& d) {
        const lk::MatrixView view = view_of(gate);
        Grid source = lk::to_grid(x), kept = lk::to_grid(weights);
        lk::check_shape(experts);
        check_router(router, view.rows, experts->columns);
        require(experts->type == LK_I32, "experts are i32");
        require(source.columns == static_cast<std::size_t>(view.columns), "x must be as wide as the gate");
        require(source.rows == kept.rows && experts->rows == weights->rows && experts->columns == weights->columns,
                "experts and weights must have a row for each of x");
        const lk::ChosenView chosen{static_cast<std::int32_t*>(experts->data),
                                    static_cast<std::size_t>(experts->row_stride), kept.data, kept.stride,
                                    kept.columns};
        const std::size_t rows = source.rows;
        if (router->live_rows != nullptr) {
            require(*router->live_rows >= 0, "live_rows must not be negative");
            source.rows = std::min(source.rows, static_cast<std::size_t>(*router->live_rows));
        }
        lk::route(d, source, view, *router, chosen);
        for (std::size_t t = source.rows; t < rows; ++t) chosen.clear(t);
    });
}

lk_status lk_gather_rows(lk_device* device, const lk_tensor* x, const int32_t* rows, const lk_tensor* y) {
    return on(device, [&](lk::Device& d) {
        const Grid source = lk::to_grid(x), target = lk::to_grid(y);
        require(source.columns == target.columns, "x and y must be as wide");
        lk::check_indices(rows, target.rows, x->rows, "row");
        lk::gather_rows(d, source, rows, target);
    });
}

lk_status lk_argmax(lk_device* device, const lk_tensor* x, int32_t* indices) {
    return on(device, [&](lk::Device& d) {
        const Grid source = lk::to_grid(x);
        require(indices != nullptr || source.rows == 0, "indices must be set");
        require(source.columns > 0 || source.rows == 0, "a row must not be empty");
        lk::argmax(d, source, indices);
    });
}

lk_status lk_add(lk_device* device, const lk_tensor* x, const lk_tensor* y) {
    return on(device, [&](lk::Device& d) {
        const Grid source = lk::to_grid(x), target = lk::to_grid(y);
        require(source.rows == target.rows && source.columns == target.columns, "x and y must have one shape");
        lk::add(d, source, target);
    });
}

lk_status lk_moe(lk_device* device, const lk_experts* bank, const lk_tensor* x, const lk_tensor* experts,
                 const lk_tensor* weights, const lk_tensor* y) {
    return on(device, [&](lk::Device& d) {
        require(bank != nullptr, "a bank must be set");
        const Grid source = lk::to_grid(x), target = lk::to_grid(y), kept = lk::to_grid(weights);
        lk::check_shape(experts);
        const lk::ExpertBank::Shape& shape = bank->bank.shape();
        require(experts->type == LK_I32, "experts are i32");
        require(source.columns == static_cast<std::size_t>(shape.hidden), "x must be as wide as the experts");
        require(source.rows == target.rows && source.columns == target.columns, "x and y must have one shape");
        require(source.data != target.data || source.rows == 0, "y must not be x");
        require(experts->rows == x->rows && weights->rows == x->rows && experts->columns == weights->columns,
                "experts and weights must have a row for each of x");
        const lk::RoutesView routes{static_cast<const std::int32_t*>(experts->data),
                                    static_cast<std::size_t>(experts->row_stride), kept.data, kept.stride,
                                    kept.columns};
        lk::check_experts(routes, source.rows, shape.experts);
        lk::moe(d, bank->bank, source, routes, target);
    });
}

}  // extern "C"
