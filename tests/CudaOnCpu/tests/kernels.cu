// Small kernels that the executor's own tests run: one thing that CUDA allows or forbids each.
#include "device.cuh"

struct TestArgs {
    u32* out;
    const u32* in;
    u32* flag;
    u32 count;
    u32 mode;
};

// Every thread's place.
KERNEL(test_indices, TestArgs, 1024) {
    const u32 block = (block_z() * blocks_y() + block_y()) * blocks_x() + block_x();
    args.out[block * threads_x() + thread_x()] = block * 1000 + thread_x();
}

// Sums a block's elements through shared memory, warps of any size.
KERNEL(test_block_sum, TestArgs, 1024) {
    SHARED(u32[1024], values);
    values[thread_x()] = args.in[block_x() * threads_x() + thread_x()];
    sync_block();
    if (thread_x() != 0) return;
    u32 sum = 0;
    for (u32 i = 0; i < threads_x(); ++i) sum += values[i];
    args.out[block_x()] = sum;
}

// Two halves of a block that work at their own pace behind barriers of their own.
KERNEL(test_named_barriers, TestArgs, 256) {
    SHARED(u32[2], turns);
    const u32 half = thread_x() / (threads_x() / 2), first = half * (threads_x() / 2);
    for (u32 round = 0; round < (half + 1) * 5; ++round) {
        if (thread_x() == first) turns[half] = round;
        sync_named(1 + half, threads_x() / 2);
        args.out[thread_x()] = turns[half] + 1;
        sync_named(1 + half, threads_x() / 2);
    }
}

// One thread waits in a loop for another of its block.
KERNEL(test_waiting, TestArgs, 64) {
    if (thread_x() == 0) {
        while (load_acquire_system(args.flag) == 0) wait_a_little();
        args.out[0] = args.out[1] + 1;
    } else if (thread_x() == 40) {
        args.out[1] = 41;
        fence_system();
        store_release_system(args.flag, 1);
    }
}

// What no kernel may do, by number.
KERNEL(test_forbidden, TestArgs, 64) {
    switch (args.mode) {
        case 0:  // past the end of memory
            if (thread_x() == 33) args.out[args.count] = 1;
            break;
        case 1:  // no address at all
            if (thread_x() == 5) *reinterpret_cast<volatile u32*>(u64{16}) = 1;
            break;
        case 2:  // a pointer read from memory that nobody wrote
            if (thread_x() == 5) **reinterpret_cast<u32* const volatile*>(args.in) = 1;
            break;
        case 3:  // a barrier that not all reach
            if (thread_x() < 32) sync_block();
            break;
        case 4:  // half a warp at one meeting, half at another
            if (lane() < 16) sync_warp();
            else args.out[thread_x()] = shuffle_xor(1u, 1);
            break;
        case 5:  // the same barrier, but at two places
            if (lane() < 16) {
                sync_block();
            } else {
                sync_block();
            }
            break;
        case 6:  // sizes of a barrier that differ
            sync_named(1, thread_x() < 32 ? 64 : 32);
            break;
        case 7:  // a division that has no result
            args.out[thread_x()] = 7 / args.in[0];
            break;
        case 8: {  // an address that is not aligned
            SHARED(u32x4[2], tile);
            copy_async16(reinterpret_cast<u8*>(tile) + 4, args.in);
            break;
        }
        case 9:  // waiting for what never comes
            while (load_acquire_system(args.flag) == 0) wait_a_little();
            break;
        default: break;
    }
}
