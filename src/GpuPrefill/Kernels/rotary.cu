// Rotary positions. rotary_angles: cosSin[t] = cosines, then sines, of positions[t] * frequencies, times scale; a
// thread an angle. rotate: turns the pairs of each head of x in place; a block a row, a thread a pair.
//
// The product is taken in float32, as the reference implementations do, and its cosine and sine to within a unit in
// the last place for every float32: in double, reduced by multiples of pi/2, because arguments reach 10^6 and this runs
// once a step. rotate is bound by memory: x is read and written once. Mirrors ReferenceOps.RotaryAngles and Rotate;
// checked by DeviceOpsConformance.Angles_* and Rotation_*.
#include "device.cuh"

// Field for field the C# struct RotaryAnglesArgs.
struct RotaryAnglesArgs {
    const i32* positions;
    const float* frequencies;
    float* cos_sin;
    i64 cos_sin_stride;
    u32 rows;
    u32 pairs;
    float scale;
};

// Field for field the C# struct RotateArgs.
struct RotateArgs {
    float* x;
    const float* cos_sin;
    i64 x_stride;
    i64 cos_sin_stride;
    u32 heads;
    u32 head_dim;
    u32 pairs;
    u32 interleaved;
};

constexpr u32 kThreads = 256;

struct CosSin {
    float cosine, sine;
};

// angle = n pi/2 + r, |r| <= pi/4; pi/2 in two doubles leaves an error of n * 10^-33 and that of the products, 10^-16 |r|.
// Taylor's series to r^15 and r^16: what follows is below 10^-16 of the first term.
DEVICE CosSin cos_sin_of(float angle) {
    const double x = static_cast<double>(angle);
    const double n = __builtin_rint(x * 0.63661977236758134308);
    double r = __builtin_fma(n, -1.57079632679489655800, x);
    r = __builtin_fma(n, -6.12323399573676603587e-17, r);
    const double z = r * r;
    double s = -1 / 1307674368000.0;
    s = __builtin_fma(s, z, 1 / 6227020800.0);
    s = __builtin_fma(s, z, -1 / 39916800.0);
    s = __builtin_fma(s, z, 1 / 362880.0);
    s = __builtin_fma(s, z, -1 / 5040.0);
    s = __builtin_fma(s, z, 1 / 120.0);
    s = __builtin_fma(s, z, -1 / 6.0);
    s = __builtin_fma(s * z, r, r);
    double c = 1 / 20922789888000.0;
    c = __builtin_fma(c, z, -1 / 87178291200.0);
    c = __builtin_fma(c, z, 1 / 479001600.0);
    c = __builtin_fma(c, z, -1 / 3628800.0);
    c = __builtin_fma(c, z, 1 / 40320.0);
    c = __builtin_fma(c, z, -1 / 720.0);
    c = __builtin_fma(c, z, 1 / 24.0);
    c = __builtin_fma(c, z, -0.5);
    c = __builtin_fma(c, z, 1.0);
    const u32 quarter = static_cast<u32>(static_cast<i64>(n)) % 4;
    const float sine = static_cast<float>(quarter % 2 == 0 ? s : c), cosine = static_cast<float>(quarter % 2 == 0 ? c : s);
    return {quarter == 1 || quarter == 2 ? -cosine : cosine, quarter >= 2 ? -sine : sine};
}

KERNEL(rotary_angles, RotaryAnglesArgs, kThreads) {
    const u32 at = block_x() * threads_x() + thread_x(), row = at / args.pairs, pair = at % args.pairs;
    if (row >= args.rows) return;
    const CosSin of = cos_sin_of(static_cast<float>(args.positions[row]) * args.frequencies[pair]);
    float* const to = args.cos_sin + row * args.cos_sin_stride;
    to[pair] = of.cosine * args.scale;
    to[args.pairs + pair] = of.sine * args.scale;
}

KERNEL(rotate, RotateArgs, kThreads) {
    float* const x = args.x + block_x() * args.x_stride;
    const float* const cosines = args.cos_sin + block_x() * args.cos_sin_stride;
    const float* const sines = cosines + args.pairs;
    for (u32 i = thread_x(); i < args.heads * args.pairs; i += threads_x()) {
        const u32 pair = i % args.pairs;
        float* const head = x + u64{i / args.pairs} * args.head_dim;
        float& first = args.interleaved != 0 ? head[2 * pair] : head[pair];
        float& second = args.interleaved != 0 ? head[2 * pair + 1] : head[args.pairs + pair];
        const float a = first, b = second, cosine = cosines[pair], sine = sines[pair];
        first = a * cosine - b * sine;
        second = b * cosine + a * sine;
    }
}
