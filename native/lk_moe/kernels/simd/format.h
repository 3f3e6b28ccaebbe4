// How the templates of this folder are used: each instruction set's folder has a vector.h with a type V of
// static functions, and instantiates the templates over it. Everything here and there lies in an anonymous
// namespace, so that no symbol that holds one instruction set's code can be taken by the linker for
// another's.
#pragma once
#include "../kernels.h"

namespace lk {
namespace {

struct F32 {
    using Element = float;
    static constexpr Format kFormat = Format::f32;
};
struct Bf16 {
    using Element = bf16;
    static constexpr Format kFormat = Format::bf16;
};
struct F16 {
    using Element = f16;
    static constexpr Format kFormat = Format::f16;
};

inline const float* row_of(const ConstRows& rows, std::size_t token) {
    return rows.data + (rows.index != nullptr ? rows.index[token] : token) * rows.stride;
}
inline float* row_of(const Rows& rows, std::size_t token) {
    return rows.data + (rows.index != nullptr ? rows.index[token] : token) * rows.stride;
}

constexpr std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }

}  // namespace
}  // namespace lk
