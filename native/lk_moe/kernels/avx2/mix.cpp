#include "../simd/mix.h"

#include "install.h"
#include "vector.h"

namespace lk::avx2 {

void install_mix(Kernels& table) { install_mix_of<Avx2>(table); }

}  // namespace lk::avx2
