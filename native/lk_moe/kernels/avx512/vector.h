// 16 lanes of f32. Needs F, BW, VL and DQ. The same names as in avx2/vector.h, so that an algorithm is
// written once.
#pragma once
#include <immintrin.h>

#include "../simd/format.h"

namespace lk {
namespace {

struct Avx512 {
    using F = __m512;
    using Mask = __mmask16;
    static constexpr std::size_t kLanes = 16;
    static constexpr std::size_t kAccumulators = 24;  // of 32 registers: the rest hold operands

    static Mask lanes(std::size_t count) {
        return static_cast<Mask>(_bzhi_u32(0xffff, static_cast<unsigned>(count)));
    }

    // Keeps in a register what the compiler would rather load again for every use.
    static void keep(F& a) { asm("" : "+v"(a)); }

    static F zero() { return _mm512_setzero_ps(); }
    static F set(float value) { return _mm512_set1_ps(value); }
    static F add(F a, F b) { return _mm512_add_ps(a, b); }
    static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
    static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
    static F div(F a, F b) { return _mm512_div_ps(a, b); }
    static F fmadd(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
    static F fnmadd(F a, F b, F c) { return _mm512_fnmadd_ps(a, b, c); }
    // Both give b if either is a NaN.
    static F max(F a, F b) { return _mm512_max_ps(a, b); }
    static F min(F a, F b) { return _mm512_min_ps(a, b); }
    static F round(F a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
    static F absolute(F a) { return _mm512_abs_ps(a); }
    // a * 2^n, n integral, rounded once.
    static F scale_by_power(F a, F n) { return _mm512_scalef_ps(a, n); }

    static Mask is_nan(F a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
    static Mask is_equal(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
    static Mask is_negative(F a) { return _mm512_cmp_ps_mask(a, zero(), _CMP_LT_OQ); }
    static Mask none() { return 0; }
    static Mask either(Mask a, Mask b) { return static_cast<Mask>(a | b); }
    static F select(Mask mask, F yes, F no) { return _mm512_mask_blend_ps(mask, no, yes); }
    static unsigned bits(Mask mask) { return mask; }  // bit i: lane i

    static F load(F32, const float* p) { return _mm512_loadu_ps(p); }
    static F load(F32, const float* p, std::size_t count) { return _mm512_maskz_loadu_ps(lanes(count), p); }
    static F load(Bf16, const bf16* p) {
        return widen_bf16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    }
    static F load(Bf16, const bf16* p, std::size_t count) {
        return widen_bf16(_mm256_maskz_loadu_epi16(lanes(count), p));
    }
    static F load(F16, const f16* p) {
        return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    }
    static F load(F16, const f16* p, std::size_t count) {
        return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes(count), p));
    }

    static void store(F32, float* p, F a) { _mm512_storeu_ps(p, a); }
    static void store(F32, float* p, F a, std::size_t count) { _mm512_mask_storeu_ps(p, lanes(count), a); }
    static void store(Bf16, bf16* p, F a) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow_bf16(a));
    }
    static void store(Bf16, bf16* p, F a, std::size_t count) {
        _mm256_mask_storeu_epi16(p, lanes(count), narrow_bf16(a));
    }
    static void store(F16, f16* p, F a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow_f16(a)); }
    static void store(F16, f16* p, F a, std::size_t count) {
        _mm256_mask_storeu_epi16(p, lanes(count), narrow_f16(a));
    }

    static float reduce_max(F a) { return _mm512_reduce_max_ps(a); }
    static float reduce_add(F a) { return _mm512_reduce_add_ps(a); }

    // Stores the sums of `count` <= 8 accumulators, or adds them to what is there. A sum's order of addition
    // does not depend on its place.
    static void store_sums(const F (&sums)[8], float* p, std::size_t count, bool accumulate) {
        const F low = quad_sums(pair_sums(sums[0], sums[1]), pair_sums(sums[2], sums[3]));
        const F high = quad_sums(pair_sums(sums[4], sums[5]), pair_sums(sums[6], sums[7]));
        const F halves =
            _mm512_add_ps(_mm512_shuffle_f32x4(low, high, 0x44), _mm512_shuffle_f32x4(low, high, 0xee));
        const F whole = _mm512_add_ps(halves, _mm512_shuffle_f32x4(halves, halves, 0xb1));
        __m256 result =
            _mm256_insertf128_ps(_mm512_castps512_ps256(whole), _mm512_extractf32x4_ps(whole, 2), 1);
        const __mmask8 live = static_cast<__mmask8>(lanes(count));
        if (accumulate) result = _mm256_add_ps(_mm256_maskz_loadu_ps(live, p), result);
        _mm256_mask_storeu_ps(p, live, result);
    }

    // Lane i of the eight rows becomes the eight values at p + i * stride.
    static void store_transposed(const F (&rows)[8], float* p, std::size_t stride) {
        F columns[4], more[4];
        transpose4(rows[0], rows[1], rows[2], rows[3], columns);
        transpose4(rows[4], rows[5], rows[6], rows[7], more);
        const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
        const __m512i second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
        for (std::size_t i = 0; i < 4; ++i) {
            const __m512d left = _mm512_castps_pd(columns[i]), right = _mm512_castps_pd(more[i]);
            store_halves(_mm512_permutex2var_pd(left, first, right), p + i * stride, p + (i + 4) * stride);
            store_halves(_mm512_permutex2var_pd(left, second, right), p + (i + 8) * stride,
                         p + (i + 12) * stride);
        }
    }

    // Copies `count` <= 8 values to p, or adds them to what is there.
    static void put_eight(const float* source, float* p, std::size_t count, bool accumulate) {
        const __mmask8 live = static_cast<__mmask8>(lanes(count));
        __m256 value = _mm256_loadu_ps(source);
        if (accumulate) value = _mm256_add_ps(_mm256_maskz_loadu_ps(live, p), value);
        _mm256_mask_storeu_ps(p, live, value);
    }

    // v[0], v[2], … and v[1], v[3], … of 2 * kLanes values at p; and back.
    static void load_pairs(const float* p, F& even, F& odd) {
        const F a = _mm512_loadu_ps(p), b = _mm512_loadu_ps(p + kLanes);
        even = _mm512_permutex2var_ps(a, _mm512_slli_epi32(iota(), 1), b);
        odd =
            _mm512_permutex2var_ps(a, _mm512_or_si512(_mm512_slli_epi32(iota(), 1), _mm512_set1_epi32(1)), b);
    }
    static void store_pairs(float* p, F even, F odd) {
        const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
        _mm512_storeu_ps(p, _mm512_permutex2var_ps(even, low, odd));
        _mm512_storeu_ps(p + kLanes, _mm512_permutex2var_ps(even, high, odd));
    }

    // To nearest even in integer arithmetic: vcvtneps2bf16 would flush subnormals.
    static __m256i narrow_bf16(F a) {
        const __m512i bits = _mm512_castps_si512(a);
        const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
        const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
        const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x00400000));
        const __m512i chosen = _mm512_mask_blend_epi32(is_nan(a), rounded, quiet);
        return _mm512_cvtepi32_epi16(_mm512_srli_epi32(chosen, 16));
    }

private:
    static __m512i iota() { return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15); }
    static F widen_bf16(__m256i v) {
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16));
    }
    static __m256i narrow_f16(F a) {
        return _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    }

    // In each group of four lanes: a0 + a2, b0 + b2, a1 + a3, b1 + b3.
    static F pair_sums(F a, F b) { return _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)); }
    // Of two such results: in each group of four lanes one sum of each of the four.
    static F quad_sums(F ab, F cd) {
        const __m512d x = _mm512_castps_pd(ab), y = _mm512_castps_pd(cd);
        return _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)),
                             _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));
    }
    static void transpose4(F a, F b, F c, F d, F (&columns)[4]) {
        const __m512d low0 = _mm512_castps_pd(_mm512_unpacklo_ps(a, b)),
                      low1 = _mm512_castps_pd(_mm512_unpacklo_ps(c, d));
        const __m512d high0 = _mm512_castps_pd(_mm512_unpackhi_ps(a, b)),
                      high1 = _mm512_castps_pd(_mm512_unpackhi_ps(c, d));
        columns[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(low0, low1));
        columns[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low0, low1));
        columns[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high0, high1));
        columns[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high0, high1));
    }
    static void store_halves(__m512d pair, float* low, float* high) {
        _mm256_storeu_ps(low, _mm512_castps512_ps256(_mm512_castpd_ps(pair)));
        _mm256_storeu_pd(reinterpret_cast<double*>(high), _mm512_extractf64x4_pd(pair, 1));
    }
};

}  // namespace
}  // namespace lk
