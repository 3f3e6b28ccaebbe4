// What the machine can do at best: plain read loops and plain multiply-add loops, with the widest
// instructions it has.
#pragma once
#include <cstddef>

namespace lk::bench {

// Reads `bytes` (a multiple of 64 * streams) as `streams` (1, 4 or 8) concurrent streams.
void read_streams(const void* data, std::size_t bytes, int streams);

// Runs `count` steps of independent multiply-adds in registers; return the floating-point operations done.
double multiply_add_f32(std::size_t count);
double multiply_add_bf16(std::size_t count);  // 0 if there is no vdpbf16ps

}  // namespace lk::bench
