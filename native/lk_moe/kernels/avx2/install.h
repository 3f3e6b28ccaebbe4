// One per file of this folder.
#pragma once
#include "../kernels.h"

namespace lk::avx2 {

void install_gemv(Kernels& table);

}  // namespace lk::avx2
