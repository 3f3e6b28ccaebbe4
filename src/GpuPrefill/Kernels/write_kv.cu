// cache[slots[t]] = k[t] / key_scale, v[t] / value_scale, rounded to the cache's type; slot -1 stores nothing.
//
// A block a row of k (blockIdx.y = 0) or v (1); a thread four elements of a head at a time where heads are whole fours
// and 16-byte aligned, else one. Bound by memory: width * (4 + bytes of an element) a row; a decode step's rows are some
// kilobytes, and the launch is what takes time. Mirrors ReferenceOps.WriteKv; checked by AttentionConformance.
#include "float8.cuh"

// Field for field the C# struct WriteKvArgs. Strides in elements.
struct WriteKvArgs {
    const float* k;
    const float* v;
    const i32* slots;
    u8* keys;  // [page][kv head][slot in page][head_dim]
    u8* values;
    i64 k_stride;
    i64 v_stride;
    u32 kv_heads;
    u32 head_dim;
    u32 page_size;
    u32 by_four;
    float key_scale;
    float value_scale;
};

constexpr u32 kThreads = 256;

template <typename T>
struct alignas(4 * sizeof(T)) Four {
    T element[4];
};

template <typename T>
DEVICE void write_row(const WriteKvArgs& args) {
    const u32 t = block_x();
    const i32 slot = args.slots[t];
    if (slot < 0) return;
    const bool is_value = block_y() == 1;
    const float* const source = is_value ? args.v + t * args.v_stride : args.k + t * args.k_stride;
    T* const cache = reinterpret_cast<T*>(is_value ? args.values : args.keys);
    const float scale = is_value ? args.value_scale : args.key_scale;
    const u64 first_row = u64{static_cast<u32>(slot) / args.page_size} * args.kv_heads;
    const u32 row_in_page = static_cast<u32>(slot) % args.page_size;
    const u32 width = args.kv_heads * args.head_dim, step = args.by_four != 0 ? 4 : 1;
    for (u32 i = thread_x() * step; i < width; i += threads_x() * step) {
        T* const to = cache + ((first_row + i / args.head_dim) * args.page_size + row_in_page) * args.head_dim + i % args.head_dim;
        if (args.by_four != 0) {
            const f32x4 from = *reinterpret_cast<const f32x4*>(source + i);
            *reinterpret_cast<Four<T>*>(to) = {Narrow<T>::of(from.x / scale), Narrow<T>::of(from.y / scale),
                                               Narrow<T>::of(from.z / scale), Narrow<T>::of(from.w / scale)};
        } else {
            *to = Narrow<T>::of(source[i] / scale);
        }
    }
}

KERNEL(write_kv_f32, WriteKvArgs, kThreads) { write_row<float>(args); }
KERNEL(write_kv_bf16, WriteKvArgs, kThreads) { write_row<bf16>(args); }
KERNEL(write_kv_f16, WriteKvArgs, kThreads) { write_row<f16>(args); }
KERNEL(write_kv_fp8, WriteKvArgs, kThreads) { write_row<fp8>(args); }
