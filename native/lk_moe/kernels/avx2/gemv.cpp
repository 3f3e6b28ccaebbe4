#include "../simd/gemv.h"

#include "install.h"
#include "vector.h"

namespace lk::avx2 {

void install_gemv(Kernels& table) { install_gemv_of<Avx2>(table); }

}  // namespace lk::avx2
