#include "../simd/rows.h"

#include "install.h"
#include "vector.h"

namespace lk::avx2 {

void install_rows(Kernels& table) { install_rows_of<Avx2>(table); }

}  // namespace lk::avx2
