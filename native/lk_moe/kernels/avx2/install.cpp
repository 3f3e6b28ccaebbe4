#include "../kernels.h"

namespace lk::avx2 {

void install(Kernels&) {}

}  // namespace lk::avx2
