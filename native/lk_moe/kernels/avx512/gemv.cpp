#include "../simd/gemv.h"

#include "install.h"
#include "vector.h"

namespace lk::avx512 {

void install_gemv(Kernels& table) { install_gemv_of<Avx512>(table); }

}  // namespace lk::avx512
