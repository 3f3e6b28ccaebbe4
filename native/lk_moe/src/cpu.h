// What this processor and this kernel let us use, and the kernel table that follows from it.
#pragma once
#include <span>
#include <string>

#include "../kernels/kernels.h"

namespace lk {

// A flag is true only if the instructions exist, the operating system saves their registers,
// and (AMX) the process has been given permission to use them.
struct CpuFeatures {
    bool avx2 = false;    // AVX2, FMA, F16C
    bool avx512 = false;  // F, BW, VL, DQ
    bool avx512_bf16 = false;
    bool amx_bf16 = false;  // AMX-TILE, AMX-BF16
};

CpuFeatures detect_cpu();

// Best first. Only tables that this machine can run; the last is always the reference.
std::span<const Kernels* const> runnable_kernels();

// The best table, or the one that LK_ISA names. Throws std::invalid_argument, listing what this machine can
// run, when LK_ISA names no such table. The environment is read at every call, so keep the result.
const Kernels& select_kernels();

// "avx512bf16 avx512 avx2 reference"
std::string runnable_kernel_names();

}  // namespace lk
