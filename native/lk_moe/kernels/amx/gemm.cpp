// The tile instructions, and the products of gemm.h on them.
#include "gemm.h"

namespace lk::amx {
namespace {

// Of TILECFG: palette 1, eight tiles of 16 rows of 64 bytes.
struct alignas(64) Configuration {
    std::uint8_t palette = 1;
    std::uint8_t start_row = 0;
    std::uint8_t reserved[14] = {};
    std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(Configuration) == 64);

// In assembly: g++ 12 takes _tile_loadconfig to read only eight of the bytes, and its other tile intrinsics
// are macros that want literal numbers and do not say that a load reads memory.
struct Hardware {
    static void configure() {
        const Configuration configuration;
        asm volatile("ldtilecfg %0" ::"m"(configuration) : "memory");
    }
    static void release() { asm volatile("tilerelease" ::: "memory"); }

    template <int kTile>
    static void zero() {
        asm volatile("tilezero %%tmm%c0" ::"i"(kTile));
    }
    template <int kTile>
    static void load(const void* source, std::size_t stride) {
        asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(source), "r"(stride), "i"(kTile) : "memory");
    }
    template <int kTile>
    static void store(void* target, std::size_t stride) {
        asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(target), "r"(stride), "i"(kTile) : "memory");
    }
    // sums[r][t] += the products of pair p of weights[r] and of activations[p][t], over all p.
    template <int kSums, int kWeights, int kActivations>
    static void multiply() {
        asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSums), "i"(kWeights), "i"(kActivations));
    }
};

}  // namespace

void install(Kernels& table) {
    table.gemm[index_of(Format::bf16)] = {.rounds_activations = true,
                                          .packed_bytes = avx512bf16::packed_bytes,
                                          .pack = avx512bf16::pack,
                                          .multiply = multiply<Hardware>};
}

}  // namespace lk::amx
