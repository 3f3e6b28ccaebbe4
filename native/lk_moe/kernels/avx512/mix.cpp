#include "../simd/mix.h"

#include "install.h"
#include "vector.h"

namespace lk::avx512 {

void install_mix(Kernels& table) { install_mix_of<Avx512>(table); }

}  // namespace lk::avx512
