// Operations that touch each activation once: bound by caches, spread by rows, on the caller alone when small.
#include <cmath>
#include <cstring>

#include "ops.h"

namespace lk {

void embed(Device& device, const MatrixView& table, const std::int32_t* ids, const Grid& y) {
    const auto widen = device.kernels().widen[index_of(table.format)];
    spread(device, y.rows, rows_worth(y.columns), [&](std::size_t first, std::size_t last) {
        for (std::size_t t = first; t < last; ++t) {
            for (const Slice& slice : table.slices) {
                const int row = ids[t] - slice.row_start;
                if (row < 0 || row >= slice.row_count) continue;
                widen(slice.data + static_cast<std::size_t>(row) * table.row_bytes(), y.row(t), y.columns);
            }
        }
    });
}

void rms_norm(Device& device, const Grid& x, const float* weight, std::size_t width, float epsilon, const Grid& y) {
    const auto norm = device.kernels().rms_norm;
    spread(device, x.rows, rows_worth(x.columns), [&](std::size_t first, std::size_t last) {
        for (std::size_t t = first; t < last; ++t) {
            for (std::size_t at = 0; at < x.columns; at += width)
                norm(x.row(t) + at, weight, epsilon, y.row(t) + at, width);
        }
    });
}

void rotary_angles(Device& device, const std::int32_t* positions, const float* frequencies, float scale,
                   const Grid& cos_sin) {
    // A sine and a cosine cost as much as some twenty elements of a norm.
    const std::size_t pairs = cos_sin.columns / 2;
    spread(device, cos_sin.rows, rows_worth(pairs * 20), [&](std::size_t first, std::size_t last) {
        for (std::size_t t = first; t < last; ++t) {
            float* const row = cos_sin.row(t);
            const float position = static_cast<float>(positions[t]);
            for (std::size_t i = 0; i < pairs; ++i) {
                const float angle = position * frequencies[i];
                row[i] = std::cos(angle) * scale;
                row[pairs + i] = std::sin(angle) * scale;
            }
        }
    });
}

void rotate(Device& device, const Grid& x, std::size_t head_dim, const Grid& cos_sin, bool interleaved) {
    const auto turn = device.kernels().rotate;
    const std::size_t pairs = cos_sin.columns / 2;
    const std::size_t heads = x.columns / head_dim;
    spread(device, x.rows, rows_worth(x.columns), [&](std::size_t first, std::size_t last) {
        for (std::size_t t = first; t < last; ++t) {
            const float* const angles = cos_sin.row(t);
            turn(x.row(t), head_dim, heads, angles, angles + pairs, pairs, interleaved);
        }
    });
}

void gather_rows(Device& device, const Grid& x, const std::int32_t* rows, const Grid& y) {
    spread(device, y.rows, rows_worth(y.columns), [&](std::size_t first, std::size_t last) {
        for (std::size_t i = first; i < last; ++i) {
            std::memmove(y.row(i), x.row(static_cast<std::size_t>(rows[i])), y.columns * sizeof(float));
        }
    });
}

void argmax(Device& device, const Grid& x, std::int32_t* indices) {
    const auto best = device.kernels().argmax;
    spread(device, x.rows, rows_worth(x.columns), [&](std::size_t first, std::size_t last) {
        for (std::size_t t = first; t < last; ++t) indices[t] = static_cast<std::int32_t>(best(x.row(t), x.columns));
    });
}

void add(Device& device, const Grid& x, const Grid& y) {
    const auto axpy = device.kernels().axpy;
    spread(device, x.rows, rows_worth(x.columns), [&](std::size_t first, std::size_t last) {
        for (std::size_t t = first; t < last; ++t) axpy(1.0f, x.row(t), y.row(t), x.columns);
    });
}

void write_kv(Device& device, const Grid& k, const Grid& v, const KvCache& cache, const std::int32_t* slots) {
    const auto narrow = device.kernels().narrow[index_of(cache.format)];
    spread(device, k.rows, rows_worth(2 * k.columns), [&](std::size_t first, std::size_t last) {
        for (std::size_t t = first; t < last; ++t) {
            if (slots[t] < 0) continue;
            const auto slot = static_cast<std::size_t>(slots[t]);
            for (std::size_t head = 0; head < cache.heads; ++head) {
                const std::size_t at = cache.offset(slot / cache.page_size, head, slot % cache.page_size);
                narrow(k.row(t) + head * cache.head_dim, cache.keys + at, cache.head_dim);
                narrow(v.row(t) + head * cache.head_dim, cache.values + at, cache.head_dim);
            }
        }
    });
}

}  // namespace lk
