// Small kernels that the driver's own tests launch.
#include "device.cuh"

struct StreamArgs {
    u32* to;
    const u32* from;
    u32* flag;
    u32 count;
    u32 value;
};

// to = from + value
KERNEL(stream_add, StreamArgs, 256) {
    for (u32 i = block_x() * threads_x() + thread_x(); i < args.count; i += blocks_x() * threads_x()) {
        args.to[i] = args.from[i] + args.value;
    }
}

// Waits for a flag that somebody else raises, then as above.
KERNEL(stream_wait_add, StreamArgs, 256) {
    if (thread_x() == 0) {
        while (load_acquire_system(args.flag) < args.value) wait_a_little();
    }
    sync_block();
    for (u32 i = thread_x(); i < args.count; i += threads_x()) args.to[i] = args.from[i] + args.value;
}

// Adds, then raises a flag for who waits.
KERNEL(stream_add_raise, StreamArgs, 256) {
    for (u32 i = thread_x(); i < args.count; i += threads_x()) args.to[i] = args.from[i] + args.value;
    sync_block();
    if (thread_x() == 0) {
        fence_system();
        store_release_system(args.flag, args.value);
    }
}

// Beyond the page that follows an allocation of `count` words.
KERNEL(stream_past_end, StreamArgs, 256) {
    if (thread_x() == 0) args.to[args.count + 1] = args.value;
}

// Into the bytes that rounding leaves behind an allocation.
KERNEL(stream_into_slack, StreamArgs, 256) {
    if (thread_x() == 0) args.to[args.count] = args.value;
}

KERNEL(stream_shared, StreamArgs, 256) {
    DYNAMIC_SHARED(shared);
    u32* const words = reinterpret_cast<u32*>(shared);
    words[thread_x()] = args.value + thread_x();
    sync_block();
    if (thread_x() < args.count) args.to[thread_x()] = words[threads_x() - 1 - thread_x()];
}
