// 8 lanes of f32. Needs AVX2, FMA and F16C. The same names as in avx512/vector.h, so that an algorithm is
// written once.
#pragma once
#include <immintrin.h>

#include "../simd/format.h"

namespace lk {
namespace {

struct Avx2 {
    using F = __m256;
    using Mask = __m256;  // all bits of a lane, or none
    static constexpr std::size_t kLanes = 8;
    static constexpr std::size_t kAccumulators = 12;  // of 16 registers: the rest hold operands

    static __m256i lanes(std::size_t count) {
        const __m256i iota = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), iota);
    }

    // Keeps in a register what the compiler would rather load again for every use.
    static void keep(F& a) { asm("" : "+x"(a)); }

    static F zero() { return _mm256_setzero_ps(); }
    static F set(float value) { return _mm256_set1_ps(value); }
    static F add(F a, F b) { return _mm256_add_ps(a, b); }
    static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
    static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
    static F div(F a, F b) { return _mm256_div_ps(a, b); }
    static F fmadd(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
    static F fnmadd(F a, F b, F c) { return _mm256_fnmadd_ps(a, b, c); }
    // Both give b if either is a NaN.
    static F max(F a, F b) { return _mm256_max_ps(a, b); }
    static F min(F a, F b) { return _mm256_min_ps(a, b); }
    static F round(F a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
    static F absolute(F a) { return _mm256_andnot_ps(set(-0.0f), a); }
    // a * 2^n, n integral and in -252 … 254, in two steps of which the first is exact for |a| around 1.
    static F scale_by_power(F a, F n) {
        const __m256i whole = _mm256_cvtps_epi32(n);
        const __m256i half = _mm256_srai_epi32(whole, 1);
        return mul(mul(a, power_of_two(half)), power_of_two(_mm256_sub_epi32(whole, half)));
    }

    static Mask is_nan(F a) { return _mm256_cmp_ps(a, a, _CMP_UNORD_Q); }
    static Mask is_equal(F a, F b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
    static Mask is_negative(F a) { return _mm256_cmp_ps(a, zero(), _CMP_LT_OQ); }
    static Mask none() { return zero(); }
    static Mask either(Mask a, Mask b) { return _mm256_or_ps(a, b); }
    static F select(Mask mask, F yes, F no) { return _mm256_blendv_ps(no, yes, mask); }
    static unsigned bits(Mask mask) {
        return static_cast<unsigned>(_mm256_movemask_ps(mask));
    }  // bit i: lane i

    static F load(F32, const float* p) { return _mm256_loadu_ps(p); }
    static F load(F32, const float* p, std::size_t count) { return _mm256_maskload_ps(p, lanes(count)); }
    static F load(Bf16, const bf16* p) {
        return widen_bf16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    }
    static F load(Bf16, const bf16* p, std::size_t count) { return widen_bf16(load_some(p, count)); }
    static F load(F16, const f16* p) {
        return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    }
    static F load(F16, const f16* p, std::size_t count) { return _mm256_cvtph_ps(load_some(p, count)); }

    static void store(F32, float* p, F a) { _mm256_storeu_ps(p, a); }
    static void store(F32, float* p, F a, std::size_t count) { _mm256_maskstore_ps(p, lanes(count), a); }
    static void store(Bf16, bf16* p, F a) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), narrow_bf16(a)); }
    static void store(Bf16, bf16* p, F a, std::size_t count) { store_some(p, narrow_bf16(a), count); }
    static void store(F16, f16* p, F a) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), narrow_f16(a)); }
    static void store(F16, f16* p, F a, std::size_t count) { store_some(p, narrow_f16(a), count); }

    static float reduce_max(F a) {
        __m128 most = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
        most = _mm_max_ps(most, _mm_movehl_ps(most, most));
        return _mm_cvtss_f32(_mm_max_ss(most, _mm_movehdup_ps(most)));
    }
    static float reduce_add(F a) {
        __m128 sum = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
        sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
        return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
    }

    // Stores the sums of `count` <= 8 accumulators, or adds them to what is there. A sum's order of addition
    // does not depend on its place.
    static void store_sums(const F (&sums)[8], float* p, std::size_t count, bool accumulate) {
        const F low = quad_sums(pair_sums(sums[0], sums[1]), pair_sums(sums[2], sums[3]));
        const F high = quad_sums(pair_sums(sums[4], sums[5]), pair_sums(sums[6], sums[7]));
        put(add(_mm256_permute2f128_ps(low, high, 0x20), _mm256_permute2f128_ps(low, high, 0x31)), p, count,
            accumulate);
    }

    // Lane i of the eight rows becomes the eight values at p + i * stride.
    static void store_transposed(const F (&rows)[8], float* p, std::size_t stride) {
        F columns[4], more[4];
        transpose4(rows[0], rows[1], rows[2], rows[3], columns);
        transpose4(rows[4], rows[5], rows[6], rows[7], more);
        for (std::size_t i = 0; i < 4; ++i) {
            _mm256_storeu_ps(p + i * stride, _mm256_permute2f128_ps(columns[i], more[i], 0x20));
            _mm256_storeu_ps(p + (i + 4) * stride, _mm256_permute2f128_ps(columns[i], more[i], 0x31));
        }
    }

    // Copies `count` <= 8 values to p, or adds them to what is there.
    static void put_eight(const float* source, float* p, std::size_t count, bool accumulate) {
        put(_mm256_loadu_ps(source), p, count, accumulate);
    }

    // v[0], v[2], … and v[1], v[3], … of 2 * kLanes values at p; and back.
    static void load_pairs(const float* p, F& even, F& odd) {
        const F a = _mm256_loadu_ps(p), b = _mm256_loadu_ps(p + kLanes);
        const F low = _mm256_permute2f128_ps(a, b, 0x20), high = _mm256_permute2f128_ps(a, b, 0x31);
        even = _mm256_shuffle_ps(low, high, 0x88);
        odd = _mm256_shuffle_ps(low, high, 0xdd);
    }
    static void store_pairs(float* p, F even, F odd) {
        const F low = _mm256_unpacklo_ps(even, odd), high = _mm256_unpackhi_ps(even, odd);
        _mm256_storeu_ps(p, _mm256_permute2f128_ps(low, high, 0x20));
        _mm256_storeu_ps(p + kLanes, _mm256_permute2f128_ps(low, high, 0x31));
    }

private:
    static F widen_bf16(__m128i v) {
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(v), 16));
    }
    static __m128i narrow_f16(F a) {
        return _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    }
    static __m128i narrow_bf16(F a) {
        const __m256i bits = _mm256_castps_si256(a);
        const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
        const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
        const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x00400000));
        const __m256i chosen = _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(is_nan(a)));
        const __m256i top = _mm256_srli_epi32(chosen, 16);
        const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(top, top), 0x08);
        return _mm256_castsi256_si128(packed);
    }
    static F power_of_two(__m256i n) {
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
    }

    // AVX2 has no masked access to 16-bit elements.
    static __m128i load_some(const std::uint16_t* p, std::size_t count) {
        alignas(16) std::uint16_t copy[kLanes] = {};
        __builtin_memcpy(copy, p, count * sizeof(std::uint16_t));
        return _mm_load_si128(reinterpret_cast<const __m128i*>(copy));
    }
    static void store_some(std::uint16_t* p, __m128i values, std::size_t count) {
        alignas(16) std::uint16_t copy[kLanes];
        _mm_store_si128(reinterpret_cast<__m128i*>(copy), values);
        __builtin_memcpy(p, copy, count * sizeof(std::uint16_t));
    }
    static void put(F value, float* p, std::size_t count, bool accumulate) {
        const __m256i live = lanes(count);
        if (accumulate) value = add(_mm256_maskload_ps(p, live), value);
        _mm256_maskstore_ps(p, live, value);
    }

    // In each group of four lanes: a0 + a2, b0 + b2, a1 + a3, b1 + b3.
    static F pair_sums(F a, F b) { return add(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)); }
    // Of two such results: in each group of four lanes one sum of each of the four.
    static F quad_sums(F ab, F cd) {
        const __m256d x = _mm256_castps_pd(ab), y = _mm256_castps_pd(cd);
        return add(_mm256_castpd_ps(_mm256_unpacklo_pd(x, y)), _mm256_castpd_ps(_mm256_unpackhi_pd(x, y)));
    }
    static void transpose4(F a, F b, F c, F d, F (&columns)[4]) {
        const __m256d low0 = _mm256_castps_pd(_mm256_unpacklo_ps(a, b)),
                      low1 = _mm256_castps_pd(_mm256_unpacklo_ps(c, d));
        const __m256d high0 = _mm256_castps_pd(_mm256_unpackhi_ps(a, b)),
                      high1 = _mm256_castps_pd(_mm256_unpackhi_ps(c, d));
        columns[0] = _mm256_castpd_ps(_mm256_unpacklo_pd(low0, low1));
        columns[1] = _mm256_castpd_ps(_mm256_unpackhi_pd(low0, low1));
        columns[2] = _mm256_castpd_ps(_mm256_unpacklo_pd(high0, high1));
        columns[3] = _mm256_castpd_ps(_mm256_unpackhi_pd(high0, high1));
    }
};

}  // namespace
}  // namespace lk
