#include "../simd/gemm.h"

#include "install.h"
#include "vector.h"

namespace lk::avx512 {

void install_gemm(Kernels& table) { install_gemm_of<Avx512>(table); }

}  // namespace lk::avx512
