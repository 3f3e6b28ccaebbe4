#include "../simd/gemm.h"

#include "install.h"
#include "vector.h"

namespace lk::avx2 {

void install_gemm(Kernels& table) { install_gemm_of<Avx2>(table); }

}  // namespace lk::avx2
