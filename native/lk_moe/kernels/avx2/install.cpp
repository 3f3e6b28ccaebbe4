#include "install.h"

namespace lk::avx2 {

void install(Kernels& table) {
    install_gemv(table);
    install_gemm(table);
    install_mix(table);
    install_rows(table);
}

}  // namespace lk::avx2
