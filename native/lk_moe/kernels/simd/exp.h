// exp(x) = 2^n e^r, n = round(x / ln 2), |r| <= ln 2 / 2.
//
// e^r is its Taylor polynomial of degree 7, whose remainder is below (ln 2 / 2)^8 / 8! = 5.2e-9, a twelfth of
// the last bit; with the rounding of the sum and of 2^n this stays within 2 ulp, subnormal results included.
// NaN gives NaN; beyond the range it gives infinity and zero. Proved by tests/rows_check.cpp, over a sweep of
// the whole range.
#pragma once
#include "format.h"

namespace lk {
namespace {

template <typename V>
typename V::F exp_of(typename V::F x) {
    using F = typename V::F;
    // Both clamps keep a NaN, and lie beyond where the result has become infinite (88.8) or zero (-104).
    x = V::min(V::set(90.0f), V::max(V::set(-105.0f), x));
    const F n = V::round(V::mul(x, V::set(1.44269504f)));
    // ln 2 in two parts: the first has 9 bits, so that n times it is exact.
    F r = V::fnmadd(n, V::set(0.693359375f), x);
    r = V::fnmadd(n, V::set(-2.12194440e-4f), r);
    constexpr float kCoefficients[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
    F sum = V::set(1.0f / 5040);
#pragma GCC unroll 8
    for (const float coefficient : kCoefficients) sum = V::fmadd(sum, r, V::set(coefficient));
    return V::scale_by_power(sum, n);
}

}  // namespace
}  // namespace lk
