#include "../kernels.h"

namespace lk::avx512bf16 {

void install(Kernels&) {}

}  // namespace lk::avx512bf16
