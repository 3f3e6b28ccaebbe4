#include "bounds.h"

#include <immintrin.h>

#include "cpu.h"

namespace lk::bench {
namespace {

// The compiler must not know what is in `value`, and must believe that somebody reads it. A macro, because a
// function would have to have every caller's instruction set.
#define LK_KEEP(value) asm volatile("" : "+v"(value))

template <int S>
[[gnu::target("avx512f")]] void read_avx512(const char* data, std::size_t bytes) {
    const std::size_t share = bytes / S;
    __m512i seen[S];
    for (auto& value : seen) value = _mm512_setzero_si512();
    for (std::size_t i = 0; i < share; i += 64) {
#pragma GCC unroll 8
        for (int s = 0; s < S; ++s) {
            seen[s] =
                _mm512_or_si512(seen[s], _mm512_loadu_si512(data + static_cast<std::size_t>(s) * share + i));
        }
    }
    for (auto& value : seen) LK_KEEP(value);
}

template <int S>
[[gnu::target("avx2")]] void read_avx2(const char* data, std::size_t bytes) {
    const std::size_t share = bytes / S;
    __m256i seen[S];
    for (auto& value : seen) value = _mm256_setzero_si256();
    for (std::size_t i = 0; i < share; i += 32) {
#pragma GCC unroll 8
        for (int s = 0; s < S; ++s) {
            const char* at = data + static_cast<std::size_t>(s) * share + i;
            seen[s] = _mm256_or_si256(seen[s], _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
        }
    }
    for (auto& value : seen) LK_KEEP(value);
}

template <int S>
void read_any(const void* data, std::size_t bytes) {
    static const CpuFeatures cpu = detect_cpu();
    if (cpu.avx512) return read_avx512<S>(static_cast<const char*>(data), bytes);
    return read_avx2<S>(static_cast<const char*>(data), bytes);
}

constexpr int kChains = 12;  // more than latency times throughput of any processor so far

[[gnu::target("avx512f")]] double fma_avx512(std::size_t count) {
    __m512 sums[kChains];
    for (auto& value : sums) value = _mm512_setzero_ps();
    __m512 a = _mm512_set1_ps(0.5f), b = _mm512_set1_ps(0.25f);
    for (std::size_t i = 0; i < count; ++i) {
        LK_KEEP(a);
        LK_KEEP(b);
#pragma GCC unroll 12
        for (auto& value : sums) value = _mm512_fmadd_ps(a, b, value);
    }
    for (auto& value : sums) LK_KEEP(value);
    return static_cast<double>(count) * kChains * 16 * 2;
}

[[gnu::target("avx2,fma")]] double fma_avx2(std::size_t count) {
    __m256 sums[kChains];
    for (auto& value : sums) value = _mm256_setzero_ps();
    __m256 a = _mm256_set1_ps(0.5f), b = _mm256_set1_ps(0.25f);
    for (std::size_t i = 0; i < count; ++i) {
        LK_KEEP(a);
        LK_KEEP(b);
#pragma GCC unroll 12
        for (auto& value : sums) value = _mm256_fmadd_ps(a, b, value);
    }
    for (auto& value : sums) LK_KEEP(value);
    return static_cast<double>(count) * kChains * 8 * 2;
}

[[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16")]] double dp_avx512(std::size_t count) {
    __m512 sums[kChains];
    for (auto& value : sums) value = _mm512_setzero_ps();
    __m512i a = _mm512_set1_epi32(0x3f003f00), b = _mm512_set1_epi32(0x3f003f00);
    for (std::size_t i = 0; i < count; ++i) {
        LK_KEEP(a);
        LK_KEEP(b);
#pragma GCC unroll 12
        for (auto& value : sums) value = _mm512_dpbf16_ps(value, (__m512bh)a, (__m512bh)b);
    }
    for (auto& value : sums) LK_KEEP(value);
    return static_cast<double>(count) * kChains * 32 * 2;
}

}  // namespace

void read_streams(const void* data, std::size_t bytes, int streams) {
    if (streams == 1) return read_any<1>(data, bytes);
    if (streams == 4) return read_any<4>(data, bytes);
    return read_any<8>(data, bytes);
}

double multiply_add_f32(std::size_t count) {
    static const CpuFeatures cpu = detect_cpu();
    return cpu.avx512 ? fma_avx512(count) : cpu.avx2 ? fma_avx2(count) : 0;
}

double multiply_add_bf16(std::size_t count) {
    static const CpuFeatures cpu = detect_cpu();
    return cpu.avx512_bf16 ? dp_avx512(count) : 0;
}

}  // namespace lk::bench
