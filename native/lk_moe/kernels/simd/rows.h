// Operations on one row of activations: each element is read once or twice and written once.
//
// Rows lie in L1 or L2, so that what bounds them is the arithmetic of exp where there is one, and else loads
// and stores (docs/perf/kernels.md). Lanes run along the row; the last, partial vector is masked. Mirrors
// reference/rows.cpp; proved by tests/rows_check.cpp.
#pragma once
#include "exp.h"

namespace lk {
namespace {

// Calls body(i) for whole vectors and body(i, count) for the rest.
template <typename V, typename Body>
[[gnu::always_inline]] inline void for_vectors(std::size_t length, const Body& body) {
    std::size_t i = 0;
    for (; i + V::kLanes <= length; i += V::kLanes) body(i);
    if (i < length) body(i, length - i);
}

template <typename V, typename Stored>
void widen_row(const void* source, float* target, std::size_t length) {
    const auto* elements = static_cast<const typename Stored::Element*>(source);
    for_vectors<V>(length, [=](std::size_t i, auto... count) {
        V::store(F32{}, target + i, V::load(Stored{}, elements + i, count...), count...);
    });
}

template <typename V, typename Stored>
void narrow_row(const float* source, void* target, std::size_t length) {
    auto* elements = static_cast<typename Stored::Element*>(target);
    for_vectors<V>(length, [=](std::size_t i, auto... count) {
        V::store(Stored{}, elements + i, V::load(F32{}, source + i, count...), count...);
    });
}

// Four accumulators, so that the latency of an addition is hidden.
template <typename V>
float sum_of_squares(const float* x, std::size_t length) {
    typename V::F sums[4] = {V::zero(), V::zero(), V::zero(), V::zero()};
    std::size_t i = 0;
    for (; i + 4 * V::kLanes <= length; i += 4 * V::kLanes) {
#pragma GCC unroll 4
        for (std::size_t s = 0; s < 4; ++s) {
            const auto value = V::load(F32{}, x + i + s * V::kLanes);
            sums[s] = V::fmadd(value, value, sums[s]);
        }
    }
    for_vectors<V>(length - i, [&, x = x + i](std::size_t at, auto... count) {
        const auto value = V::load(F32{}, x + at, count...);
        sums[0] = V::fmadd(value, value, sums[0]);
    });
    return V::reduce_add(V::add(V::add(sums[0], sums[1]), V::add(sums[2], sums[3])));
}

template <typename V>
void rms_norm(const float* x, const float* weight, float epsilon, float* y, std::size_t length) {
    const double mean = double{sum_of_squares<V>(x, length)} / static_cast<double>(length) + double{epsilon};
    const auto scale = V::set(static_cast<float>(1 / __builtin_sqrt(mean)));
    for_vectors<V>(length, [=](std::size_t i, auto... count) {
        auto value = V::mul(V::load(F32{}, x + i, count...), scale);
        if (weight != nullptr) value = V::mul(value, V::load(F32{}, weight + i, count...));
        V::store(F32{}, y + i, value, count...);
    });
}

// silu(g) = g / (1 + e^-g) = g e^g / (1 + e^g): whichever has an exponent below zero, so that nothing
// overflows.
template <typename V>
void silu_mul(const float* gate, const float* up, float scale, float* y, std::size_t length) {
    const auto factor = V::set(scale), one = V::set(1.0f);
    for_vectors<V>(length, [=](std::size_t i, auto... count) {
        const auto g = V::load(F32{}, gate + i, count...);
        const auto power = exp_of<V>(V::sub(V::zero(), V::absolute(g)));
        const auto share = V::div(V::select(V::is_negative(g), power, one), V::add(one, power));
        const auto value = V::mul(V::mul(g, share), V::load(F32{}, up + i, count...));
        V::store(F32{}, y + i, V::mul(value, factor), count...);
    });
}

template <typename V>
void axpy(float scale, const float* x, float* y, std::size_t length) {
    const auto factor = V::set(scale);
    for_vectors<V>(length, [=](std::size_t i, auto... count) {
        const auto sum = V::fmadd(factor, V::load(F32{}, x + i, count...), V::load(F32{}, y + i, count...));
        V::store(F32{}, y + i, sum, count...);
    });
}

template <typename V>
void scale_row(float scale, float* y, std::size_t length) {
    const auto factor = V::set(scale);
    for_vectors<V>(length, [=](std::size_t i, auto... count) {
        V::store(F32{}, y + i, V::mul(factor, V::load(F32{}, y + i, count...)), count...);
    });
}

template <typename V>
void rotate_pair(typename V::F& a, typename V::F& b, typename V::F cos, typename V::F sin) {
    const auto first = V::fnmadd(b, sin, V::mul(a, cos));
    b = V::fmadd(a, sin, V::mul(b, cos));
    a = first;
}

template <typename V>
void rotate_halves(float* x, const float* cos, const float* sin, std::size_t pairs) {
    for_vectors<V>(pairs, [=](std::size_t i, auto... count) {
        auto a = V::load(F32{}, x + i, count...), b = V::load(F32{}, x + pairs + i, count...);
        rotate_pair<V>(a, b, V::load(F32{}, cos + i, count...), V::load(F32{}, sin + i, count...));
        V::store(F32{}, x + i, a, count...);
        V::store(F32{}, x + pairs + i, b, count...);
    });
}

template <typename V>
void rotate_interleaved(float* x, const float* cos, const float* sin, std::size_t pairs) {
    std::size_t i = 0;
    for (; i + V::kLanes <= pairs; i += V::kLanes) {
        typename V::F a, b;
        V::load_pairs(x + 2 * i, a, b);
        rotate_pair<V>(a, b, V::load(F32{}, cos + i), V::load(F32{}, sin + i));
        V::store_pairs(x + 2 * i, a, b);
    }
    for (; i < pairs; ++i) {
        const float a = x[2 * i], b = x[2 * i + 1];
        x[2 * i] = a * cos[i] - b * sin[i];
        x[2 * i + 1] = b * cos[i] + a * sin[i];
    }
}

template <typename V>
void rotate(float* x, std::size_t stride, std::size_t heads, const float* cos, const float* sin,
            std::size_t pairs, bool interleaved) {
    for (std::size_t head = 0; head < heads; ++head, x += stride) {
        if (interleaved) {
            rotate_interleaved<V>(x, cos, sin, pairs);
        } else {
            rotate_halves<V>(x, cos, sin, pairs);
        }
    }
}

template <typename V>
float maximum(const float* x, std::size_t length) {
    const auto least = V::set(-__builtin_inff());
    auto largest = least, other = least;
    auto strange = V::none();
    std::size_t i = 0;
    for (; i + 2 * V::kLanes <= length; i += 2 * V::kLanes) {
        const auto a = V::load(F32{}, x + i), b = V::load(F32{}, x + i + V::kLanes);
        strange = V::either(strange, V::either(V::is_nan(a), V::is_nan(b)));
        largest = V::max(a, largest);
        other = V::max(b, other);
    }
    float result = V::reduce_max(V::max(largest, other));
    bool found_nan = V::bits(strange) != 0;
    for (; i < length; ++i) {
        found_nan |= x[i] != x[i];
        if (x[i] > result) result = x[i];
    }
    return found_nan ? __builtin_nanf("") : result;
}

// Twice over the row: the second time stops at the place, and finds the row in a cache.
template <typename V>
std::size_t argmax(const float* x, std::size_t length) {
    const float largest = maximum<V>(x, length);
    const bool wants_nan = largest != largest;
    const auto wanted = V::set(largest);
    std::size_t i = 0;
    for (; i + V::kLanes <= length; i += V::kLanes) {
        const auto value = V::load(F32{}, x + i);
        const unsigned found = V::bits(wants_nan ? V::is_nan(value) : V::is_equal(value, wanted));
        if (found != 0) return i + static_cast<std::size_t>(__builtin_ctz(found));
    }
    for (; i < length; ++i) {
        if (wants_nan ? x[i] != x[i] : x[i] == largest) return i;
    }
    return 0;
}

// A lane sums up to kBlock / kLanes terms in f32; blocks are summed in double.
template <typename V>
double exp_sum(const float* x, float shift, float* y, std::size_t length) {
    constexpr std::size_t kBlock = 32 * V::kLanes;
    const auto offset = V::set(shift);
    double total = 0;
    for (std::size_t block = 0; block < length; block += kBlock) {
        auto sum = V::zero();
        float rest = 0;
        const float* from = x + block;
        float* to = y != nullptr ? y + block : nullptr;
        for_vectors<V>(smaller(kBlock, length - block), [&](std::size_t i, auto... count) {
            const auto term = exp_of<V>(V::sub(V::load(F32{}, from + i, count...), offset));
            if (to != nullptr) V::store(F32{}, to + i, term, count...);
            if constexpr (sizeof...(count) == 0) {
                sum = V::add(sum, term);
            } else {
                float terms[V::kLanes];
                V::store(F32{}, terms, term);
                for (std::size_t lane = 0; lane < (count + ...); ++lane) rest += terms[lane];
            }
        });
        total += double{V::reduce_add(sum)} + double{rest};
    }
    return total;
}

template <typename V>
void install_rows_of(Kernels& table) {
    table.widen[index_of(Format::f32)] = widen_row<V, F32>;
    table.widen[index_of(Format::bf16)] = widen_row<V, Bf16>;
    table.widen[index_of(Format::f16)] = widen_row<V, F16>;
    table.narrow[index_of(Format::f32)] = narrow_row<V, F32>;
    table.narrow[index_of(Format::bf16)] = narrow_row<V, Bf16>;
    table.narrow[index_of(Format::f16)] = narrow_row<V, F16>;
    table.rms_norm = rms_norm<V>;
    table.silu_mul = silu_mul<V>;
    table.axpy = axpy<V>;
    table.scale = scale_row<V>;
    table.rotate = rotate<V>;
    table.maximum = maximum<V>;
    table.argmax = argmax<V>;
    table.exp_sum = exp_sum<V>;
}

}  // namespace
}  // namespace lk
