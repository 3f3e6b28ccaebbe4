#include "../kernels.h"

namespace lk::amx {

void install(Kernels&) {}

}  // namespace lk::amx
