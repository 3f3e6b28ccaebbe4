// Which tables there are, that each is complete, and that LK_ISA chooses among them.
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include "kernel_check.h"

namespace lk::testing {
namespace {

void check_complete(const Kernels& table) {
    bool complete = table.rms_norm && table.silu_mul && table.axpy && table.scale && table.rotate &&
                    table.maximum && table.argmax && table.exp_sum;
    for (Format format : kFormats) {
        const std::size_t i = index_of(format);
        complete = complete && table.gemv[i] && table.mix[i] && table.widen[i] && table.narrow[i];
        for (const Gemm& gemm : {table.gemm[i], table.gemm_exact[i]}) {
            complete = complete && gemm.packed_bytes && gemm.pack && gemm.multiply;
        }
    }
    expect(complete, "%s lacks a kernel", table.name);
}

bool is_listed(const char* name) {
    const auto tables = runnable_kernels();
    return std::any_of(tables.begin(), tables.end(),
                       [=](const Kernels* table) { return std::strcmp(table->name, name) == 0; });
}

void check_tables() {
    const auto tables = runnable_kernels();
    expect(std::strcmp(tables.back()->name, "reference") == 0, "the last table is %s", tables.back()->name);
    for (const Kernels* table : tables) check_complete(*table);
    const CpuFeatures cpu = detect_cpu();
    expect(is_listed("avx2") == cpu.avx2, "avx2 is listed wrongly");
    expect(is_listed("avx512") == cpu.avx512, "avx512 is listed wrongly");
    expect(is_listed("avx512bf16") == cpu.avx512_bf16, "avx512bf16 is listed wrongly");
    expect(is_listed("amx") == cpu.amx_bf16, "amx is listed wrongly");
    // Each needs the registers of the one below it.
    expect(!cpu.avx512 || cpu.avx2, "AVX-512 without AVX2");
    expect(!cpu.avx512_bf16 || cpu.avx512, "AVX512-BF16 without AVX-512");
    expect(!cpu.amx_bf16 || cpu.avx512_bf16, "AMX without AVX512-BF16");
#if defined(__GNUC__) && defined(__x86_64__)
    // The compiler's library asks the same questions in its own way, except for AMX's permission.
    expect(cpu.avx2 == (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")),
           "AVX2 is detected wrongly");
    expect(cpu.avx512 == (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")),
           "AVX-512 is detected wrongly");
#endif
}

void check_forcing() {
    const char* given = std::getenv("LK_ISA");
    const std::string before = given != nullptr ? given : "";
    for (const Kernels* table : runnable_kernels()) {
        setenv("LK_ISA", table->name, 1);
        expect(&select_kernels() == table, "LK_ISA=%s chooses %s", table->name, select_kernels().name);
    }
    setenv("LK_ISA", "", 1);
    expect(&select_kernels() == runnable_kernels().front(), "an empty LK_ISA does not choose the best");
    unsetenv("LK_ISA");
    expect(&select_kernels() == runnable_kernels().front(), "no LK_ISA does not choose the best");

    setenv("LK_ISA", "sse9", 1);
    std::string message;
    try {
        select_kernels();
    } catch (const std::invalid_argument& failure) {
        message = failure.what();
    }
    expect(message.find("sse9") != std::string::npos && message.find("reference") != std::string::npos,
           "an unknown LK_ISA says: %s", message.c_str());
    if (given != nullptr) {
        setenv("LK_ISA", before.c_str(), 1);
    } else {
        unsetenv("LK_ISA");
    }
}

}  // namespace
}  // namespace lk::testing

int main() {
    lk::testing::check_tables();
    lk::testing::check_forcing();
    return lk::testing::finish();
}
