// Routed experts with known weights, for the tests of what runs them.
#pragma once
#include "ops_support.h"

namespace lk::testing {

struct Expert {
    std::vector<float> gate, up, down;
};

struct Shape {
    int experts, k, hidden, intermediate;
};

struct Bank {
    Bank(lk_device* device, lk_dtype type, const Shape& shape, Random& random) : shape(shape), type(type) {
        const lk_experts_config config{sizeof(lk_experts_config), type, shape.experts, shape.k, shape.hidden,
                                       shape.intermediate};
        lk_experts* made = nullptr;
        ok(lk_experts_create(device, &config, &made));
        handle.reset(made);
        const auto count = static_cast<std::size_t>(shape.hidden * shape.intermediate);
        for (int e = 0; e < shape.experts; ++e) {
            Expert expert{random.floats(count), random.floats(count), random.floats(count)};
            for (auto* part : {&expert.gate, &expert.up, &expert.down}) {
                for (float& value : *part) value = keep(type, value / std::sqrt(static_cast<float>(shape.hidden)));
            }
            fill(e, LK_GATE, expert.gate, shape.hidden);
            fill(e, LK_UP, expert.up, shape.hidden);
            fill(e, LK_DOWN, expert.down, shape.intermediate);
            experts.push_back(std::move(expert));
        }
    }
    void fill(int expert, lk_part part, const std::vector<float>& values, int columns) {
        int32_t count = 0;
        ok(lk_experts_slice_count(handle.get(), part, &count));
        for (int32_t i = 0; i < count; ++i) {
            lk_slice slice{};
            ok(lk_experts_slice(handle.get(), expert, part, i, &slice));
            store(type, values.data() + slice.row_start * columns, slice.address,
                  static_cast<std::size_t>(slice.row_count) * static_cast<std::size_t>(columns));
        }
    }
    Shape shape;
    lk_dtype type;
    ExpertsPointer handle;
    std::vector<Expert> experts;
};

}  // namespace lk::testing
