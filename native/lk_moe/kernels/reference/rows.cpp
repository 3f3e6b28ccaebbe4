// Operations on one row of activations, by definition: every other table is checked against it.
#include <limits>

#include "scalar.h"

namespace lk::reference {
namespace {

template <typename Stored>
void widen(const void* source, float* target, std::size_t length) {
    const auto* elements = static_cast<const typename Stored::Element*>(source);
    for (std::size_t i = 0; i < length; ++i) target[i] = Stored::widen(elements[i]);
}

template <typename Stored>
void narrow(const float* source, void* target, std::size_t length) {
    auto* elements = static_cast<typename Stored::Element*>(target);
    for (std::size_t i = 0; i < length; ++i) elements[i] = Stored::narrow(source[i]);
}

void rms_norm(const float* x, const float* weight, float epsilon, float* y, std::size_t length) {
    double squares = 0;
    for (std::size_t i = 0; i < length; ++i) squares += double{x[i]} * double{x[i]};
    const double scale = 1 / std::sqrt(squares / static_cast<double>(length) + double{epsilon});
    for (std::size_t i = 0; i < length; ++i) {
        y[i] = static_cast<float>(double{x[i]} * scale * (weight != nullptr ? double{weight[i]} : 1.0));
    }
}

void silu_mul(const float* gate, const float* up, float scale, float* y, std::size_t length) {
    for (std::size_t i = 0; i < length; ++i) {
        const double g = double{gate[i]};
        y[i] = static_cast<float>(g / (1 + std::exp(-g)) * double{up[i]} * double{scale});
    }
}

void axpy(float scale, const float* x, float* y, std::size_t length) {
    for (std::size_t i = 0; i < length; ++i) {
        y[i] = static_cast<float>(double{y[i]} + double{scale} * double{x[i]});
    }
}

void scale(float scale, float* y, std::size_t length) {
    for (std::size_t i = 0; i < length; ++i) y[i] *= scale;
}

void rotate(float* x, std::size_t stride, std::size_t heads, const float* cos, const float* sin,
            std::size_t pairs, bool interleaved) {
    for (std::size_t head = 0; head < heads; ++head) {
        float* values = x + head * stride;
        for (std::size_t i = 0; i < pairs; ++i) {
            float& first = values[interleaved ? 2 * i : i];
            float& second = values[interleaved ? 2 * i + 1 : i + pairs];
            const double a = double{first}, b = double{second};
            const double c = double{cos[i]}, s = double{sin[i]};
            first = static_cast<float>(a * c - b * s);
            second = static_cast<float>(b * c + a * s);
        }
    }
}

float maximum(const float* x, std::size_t length) {
    float largest = -std::numeric_limits<float>::infinity();
    for (std::size_t i = 0; i < length; ++i) {
        if (std::isnan(x[i])) return x[i];
        if (x[i] > largest) largest = x[i];
    }
    return largest;
}

std::size_t argmax(const float* x, std::size_t length) {
    std::size_t best = 0;
    for (std::size_t i = 0; i < length; ++i) {
        if (std::isnan(x[i])) return i;
        if (x[i] > x[best]) best = i;
    }
    return best;
}

double exp_sum(const float* x, float shift, float* y, std::size_t length) {
    double sum = 0;
    for (std::size_t i = 0; i < length; ++i) {
        const double term = std::exp(double{x[i] - shift});
        sum += term;
        if (y != nullptr) y[i] = static_cast<float>(term);
    }
    return sum;
}

template <typename Stored>
void install_format(Kernels& table, Format format) {
    table.widen[index_of(format)] = widen<Stored>;
    table.narrow[index_of(format)] = narrow<Stored>;
}

}  // namespace

void install_rows(Kernels& table) {
    install_format<F32>(table, Format::f32);
    install_format<Bf16>(table, Format::bf16);
    install_format<F16>(table, Format::f16);
    table.rms_norm = rms_norm;
    table.silu_mul = silu_mul;
    table.axpy = axpy;
    table.scale = scale;
    table.rotate = rotate;
    table.maximum = maximum;
    table.argmax = argmax;
    table.exp_sum = exp_sum;
}

void install(Kernels& table) {
    install_products(table);
    install_rows(table);
}

}  // namespace lk::reference
