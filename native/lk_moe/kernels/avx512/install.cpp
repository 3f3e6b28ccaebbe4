#include "install.h"

namespace lk::avx512 {

void install(Kernels& table) {
    install_gemv(table);
    install_gemm(table);
}

}  // namespace lk::avx512
