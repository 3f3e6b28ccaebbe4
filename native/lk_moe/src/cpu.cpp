// The only place that knows which machine we are on.
#include "cpu.h"

#include <array>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace lk {
namespace {

#if defined(__x86_64__)

struct Cpuid {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;

    // All zero if the processor does not know the leaf.
    static Cpuid leaf(unsigned leaf, unsigned subleaf) {
        Cpuid regs;
        __get_cpuid_count(leaf, subleaf, &regs.eax, &regs.ebx, &regs.ecx, &regs.edx);
        return regs;
    }
};

constexpr bool bit(unsigned word, unsigned index) { return (word >> index & 1u) != 0; }

// XCR0: the register states that the operating system saves on a context switch.
unsigned saved_states() {
    unsigned low, high;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

constexpr unsigned kStateYmm = 1u << 1 | 1u << 2;
constexpr unsigned kStateZmm = kStateYmm | 1u << 5 | 1u << 6 | 1u << 7;
constexpr unsigned kStateTile = 1u << 17 | 1u << 18;

// Tile data is large, so Linux gives it to a process only when asked; the answer holds for all threads that
// the process has or will have.
bool tiles_permitted() {
    constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
    constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
    return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

#endif

struct Tables {
    std::array<Kernels, 5> storage{};
    std::array<const Kernels*, 5> best_first{};
    std::size_t count = 0;

    Tables() {
        Kernels table{};
        reference::install(table);
        add("reference", table);
#if defined(__x86_64__)
        const CpuFeatures cpu = detect_cpu();
        if (cpu.avx2) {
            avx2::install(table);
            add("avx2", table);
        }
        if (cpu.avx512) {
            avx512::install(table);
            add("avx512", table);
        }
        if (cpu.avx512_bf16) {
            avx512bf16::install(table);
            add("avx512bf16", table);
        }
        if (cpu.amx_bf16) {
            amx::install(table);
            add("amx", table);
        }
#endif
        for (std::size_t i = 0; i < count; ++i) best_first[i] = &storage[count - 1 - i];
    }

    void add(const char* name, Kernels& table) {
        table.name = name;
        storage[count++] = table;
    }
};

}  // namespace

CpuFeatures detect_cpu() {
    CpuFeatures found;
#if defined(__x86_64__)
    const Cpuid basic = Cpuid::leaf(1, 0);
    const bool os_saves = bit(basic.ecx, 27);
    if (!os_saves) return found;
    const unsigned states = saved_states();
    const Cpuid extended = Cpuid::leaf(7, 0);
    const Cpuid extended1 = Cpuid::leaf(7, 1);

    const bool fma = bit(basic.ecx, 12), avx = bit(basic.ecx, 28), f16c = bit(basic.ecx, 29);
    found.avx2 = (states & kStateYmm) == kStateYmm && avx && fma && f16c && bit(extended.ebx, 5);

    const bool f = bit(extended.ebx, 16), dq = bit(extended.ebx, 17);
    const bool bw = bit(extended.ebx, 30), vl = bit(extended.ebx, 31);
    found.avx512 = found.avx2 && (states & kStateZmm) == kStateZmm && f && dq && bw && vl;
    found.avx512_bf16 = found.avx512 && bit(extended1.eax, 5);

    const bool tile = bit(extended.edx, 24), tile_bf16 = bit(extended.edx, 22);
    found.amx_bf16 =
        found.avx512_bf16 && tile && tile_bf16 && (states & kStateTile) == kStateTile && tiles_permitted();
#endif
    return found;
}

std::span<const Kernels* const> runnable_kernels() {
    static const Tables tables;
    return {tables.best_first.data(), tables.count};
}

std::string runnable_kernel_names() {
    std::string names;
    for (const Kernels* table : runnable_kernels()) {
        if (!names.empty()) names += ' ';
        names += table->name;
    }
    return names;
}

const Kernels& select_kernels() {
    const auto tables = runnable_kernels();
    const char* forced = std::getenv("LK_ISA");
    if (forced == nullptr || *forced == '\0') return *tables.front();
    for (const Kernels* table : tables) {
        if (std::strcmp(table->name, forced) == 0) return *table;
    }
    throw std::invalid_argument("LK_ISA=" + std::string(forced) +
                                " is not among what this machine can run: " + runnable_kernel_names());
}

}  // namespace lk
