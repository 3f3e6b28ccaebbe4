// The walk of amx/gemm.h over tiles that are defined here in plain C++, as the instruction set reference
// defines them: so that rows, columns, tokens and what is left over are proved where there is no AMX. Where
// there is, gemm_check covers the rest.
#include <cstring>

#include "../kernels/amx/gemm.h"
#include "kernel_check.h"

namespace lk::testing {
namespace {

// Eight tiles of 16 rows of 64 bytes.
struct DefinedTiles {
    static inline unsigned char tiles[8][16][64];
    static inline bool configured = false;

    static void configure() { configured = true; }
    static void release() { configured = false; }

    template <int kTile>
    static void zero() {
        std::memset(tiles[kTile], 0, sizeof tiles[kTile]);
    }
    template <int kTile>
    static void load(const void* source, std::size_t stride) {
        for (std::size_t row = 0; row < 16; ++row) {
            std::memcpy(tiles[kTile][row], static_cast<const unsigned char*>(source) + row * stride, 64);
        }
    }
    template <int kTile>
    static void store(void* target, std::size_t stride) {
        for (std::size_t row = 0; row < 16; ++row) {
            std::memcpy(static_cast<unsigned char*>(target) + row * stride, tiles[kTile][row], 64);
        }
    }
    // TDPBF16PS: for each row m, pair k and column n: dst[m][n] += a[m][2k] * b[k][2n], then += a[m][2k + 1]
    // * b[k][2n + 1].
    template <int kSums, int kWeights, int kActivations>
    static void multiply() {
        expect(configured, "tiles are used without a configuration");
        for (std::size_t m = 0; m < 16; ++m) {
            for (std::size_t k = 0; k < 16; ++k) {
                for (std::size_t n = 0; n < 16; ++n) {
                    float sum = element<float>(kSums, m, n);
                    for (std::size_t half = 0; half < 2; ++half) {
                        sum += reference::widen_bf16(element<bf16>(kWeights, m, 2 * k + half)) *
                               reference::widen_bf16(element<bf16>(kActivations, k, 2 * n + half));
                    }
                    std::memcpy(&tiles[kSums][m][n * sizeof sum], &sum, sizeof sum);
                }
            }
        }
    }

private:
    template <typename T>
    static T element(int tile, std::size_t row, std::size_t column) {
        T value;
        std::memcpy(&value, &tiles[tile][row][column * sizeof value], sizeof value);
        return value;
    }
};

void check(std::size_t rows, std::size_t depth, std::size_t tokens, bool accumulate, Random& random) {
    const std::size_t w_stride = depth + random.below(3), y_stride = rows + random.below(3);
    FencedElements w(Format::bf16, rows == 0 ? 0 : (rows - 1) * w_stride + depth);
    const Fenced<float> x(tokens * depth), before(tokens * y_stride), expected(tokens * y_stride),
        actual(tokens * y_stride);
    w.randomise(random);
    for (float& value : x) value = reference::widen_bf16(reference::narrow_bf16(random.between(-2, 2)));
    for (std::size_t i = 0; i < before.size(); ++i)
        expected[i] = actual[i] = before[i] = random.between(-2, 2);

    const Weights weights{w.data(), w_stride, rows, depth};
    const ConstRows source{x.data(), depth};
    runnable_kernels().back()->gemv[index_of(Format::bf16)](weights, source, tokens,
                                                            {expected.data(), y_stride}, accumulate);
    const Fenced<unsigned char> packed((avx512bf16::packed_bytes(tokens, depth) + 63) / 64 * 64);
    avx512bf16::pack(source, tokens, depth, packed.data());
    amx::multiply<DefinedTiles>(weights, packed.data(), tokens, {actual.data(), y_stride}, accumulate);

    // All products of a result may meet one after the other, each at most 4, and the target.
    const double steps = static_cast<double>(depth) + 2;
    const double bound = steps * (kHalfUlp * (4 * static_cast<double>(depth) + 2) + 0x1p-126);
    bool within =
        actual.is_surrounding_intact() && packed.is_surrounding_intact() && !DefinedTiles::configured;
    for (std::size_t t = 0; t < tokens; ++t) {
        for (std::size_t r = 0; r < y_stride; ++r) {
            const std::size_t at = t * y_stride + r;
            within =
                within && (r < rows ? agrees(expected[at], actual[at], bound) : actual[at] == before[at]);
        }
    }
    expect(within, "rows=%zu depth=%zu tokens=%zu accumulate=%d", rows, depth, tokens, accumulate);
}

void run() {
    Random random(42);
    std::size_t turn = 0;
    const auto next = [&](std::size_t rows, std::size_t depth, std::size_t tokens) {
        check(rows, depth, tokens, ++turn % 2 != 0, random);
    };
    for (std::size_t rows = 0; rows <= 100; rows += rows % 16 == 1 ? 14 : 1) next(rows, 70, 37);
    for (std::size_t depth : lengths(100)) next(37, depth, 35);
    for (std::size_t tokens = 0; tokens <= 70; ++tokens) next(34, 65, tokens);
    next(130, 160, 100);
}

}  // namespace
}  // namespace lk::testing

int main() {
    if (!lk::detect_cpu().avx512_bf16) {
        std::printf("skipped: what tiles leave over needs AVX512-BF16\n");
        return 0;
    }
    lk::testing::run();
    return lk::testing::finish();
}
