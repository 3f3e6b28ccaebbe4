// What ptx/convert.cuh defines for the device.
#pragma once

namespace on_cpu {
// The device's conversion gives one NaN for all.
COC_OWN u32 bf16_of(float value) {
    const u32 raw = bits_of(value);
    if ((raw & 0x7fffffff) > 0x7f800000) return 0x7fff;
    return (raw + 0x7fff + (raw >> 16 & 1)) >> 16;
}
COC_OWN u32 f16_of(float value) {
    if (value != value) return 0x7fff;
    const auto narrow = static_cast<_Float16>(value);
    unsigned short bits;
    std::memcpy(&bits, &narrow, 2);
    return bits;
}
}  // namespace on_cpu

COC_OWN u32 pack_bf16(float first, float second) {
    return on_cpu::bf16_of(first) | on_cpu::bf16_of(second) << 16;
}
COC_OWN u32 pack_f16(float first, float second) {
    return on_cpu::f16_of(first) | on_cpu::f16_of(second) << 16;
}
