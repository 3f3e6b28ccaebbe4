#include "../simd/rows.h"

#include "install.h"
#include "vector.h"

namespace lk::avx512 {

void install_rows(Kernels& table) { install_rows_of<Avx512>(table); }

}  // namespace lk::avx512
