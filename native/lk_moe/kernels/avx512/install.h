// One per file of this folder.
#pragma once
#include "../kernels.h"

namespace lk::avx512 {

void install_gemv(Kernels& table);
void install_gemm(Kernels& table);
void install_mix(Kernels& table);
void install_rows(Kernels& table);

}  // namespace lk::avx512
