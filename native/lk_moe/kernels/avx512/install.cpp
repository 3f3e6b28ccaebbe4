#include "../kernels.h"

namespace lk::avx512 {

void install(Kernels&) {}

}  // namespace lk::avx512
