#include "install.h"

namespace lk::avx2 {

void install(Kernels& table) {
    install_gemv(table);
    install_gemm(table);
}

}  // namespace lk::avx2
