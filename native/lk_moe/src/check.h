// From the ABI's structs to our own, refusing what would read or write outside.
#pragma once
#include <string>

#include "guard.h"
#include "handles.h"
#include "ops.h"

namespace lk {

inline Format to_format(lk_dtype type) {
    switch (type) {
        case LK_F32: return Format::f32;
        case LK_F16: return Format::f16;
        case LK_BF16: return Format::bf16;
        default: throw InvalidArgument("weights and caches are f32, f16 or bf16");
    }
}

inline Part to_part(lk_part part) {
    require(part >= LK_GATE && part <= LK_DOWN, "no such part of an expert");
    return static_cast<Part>(part);
}

inline void check_shape(const lk_tensor* tensor) {
    require(tensor != nullptr, "a tensor must be set");
    require(tensor->rows >= 0 && tensor->columns >= 0, "a tensor has no negative size");
    require(tensor->data != nullptr || tensor->rows == 0 || tensor->columns == 0, "a tensor must have data");
    require(tensor->rows <= 1 || tensor->row_stride >= tensor->columns, "rows of a tensor must not overlap");
}

inline Grid to_grid(const lk_tensor* tensor) {
    check_shape(tensor);
    require(tensor->type == LK_F32, "activations are f32");
    return {static_cast<float*>(tensor->data), static_cast<std::size_t>(tensor->rows),
            static_cast<std::size_t>(tensor->columns), static_cast<std::size_t>(tensor->row_stride)};
}

// Every expert is one of the bank's, or -1.
inline void check_experts(const RoutesView& routes, std::size_t tokens, int experts) {
    for (std::size_t t = 0; t < tokens; ++t) {
        for (std::size_t i = 0; i < routes.k; ++i) {
            const std::int32_t id = routes.experts[t * routes.expert_stride + i];
            require(id >= -1 && id < experts, "an expert is not one of the bank's");
        }
    }
}

// All of `count` numbers are in [0, limit).
inline void check_indices(const int32_t* indices, std::size_t count, std::int64_t limit, const char* what) {
    require(indices != nullptr || count == 0, "indices must be set");
    for (std::size_t i = 0; i < count; ++i) {
        if (indices[i] < 0 || indices[i] >= limit) {
            throw InvalidArgument(std::string(what) + " " + std::to_string(indices[i]) + " is not below " +
                                  std::to_string(limit));
        }
    }
}

// The same for slots of a cache, where -1 means none.
inline void check_slots(const int32_t* slots, std::size_t count, std::int64_t limit) {
    require(slots != nullptr || count == 0, "indices must be set");
    for (std::size_t i = 0; i < count; ++i) {
        if (slots[i] != -1) check_indices(slots + i, 1, limit, "slot");
    }
}

inline KvCache to_cache(const lk_kv_layer* layer) {
    require(layer != nullptr, "a cache must be set");
    check_shape(&layer->keys);
    check_shape(&layer->values);
    require(layer->page_size > 0 && layer->kv_heads > 0 && layer->head_dim > 0, "sizes of a cache must be positive");
    require(layer->keys.type == layer->values.type && layer->keys.rows == layer->values.rows &&
                layer->keys.row_stride == layer->values.row_stride,
            "keys and values must have one shape and type");
    require(layer->keys.columns == layer->head_dim && layer->values.columns == layer->head_dim,
            "a row of a cache is a head");
    require(layer->keys.rows % (std::int64_t{layer->page_size} * layer->kv_heads) == 0, "a cache has whole pages");
    return {static_cast<std::byte*>(layer->keys.data),
            static_cast<std::byte*>(layer->values.data),
            to_format(layer->keys.type),
            static_cast<std::size_t>(layer->keys.row_stride),
            static_cast<std::size_t>(layer->page_size),
            static_cast<std::size_t>(layer->kv_heads),
            static_cast<std::size_t>(layer->head_dim)};
}

inline std::int64_t pages_of(const lk_kv_layer* layer) {
    return layer->keys.rows / (std::int64_t{layer->page_size} * layer->kv_heads);
}

}  // namespace lk
