// Small kernels that the tests of the checked build run, and whose mutants it must catch.
#include "device.cuh"

struct CheckedArgs {
    u32* out;
    const u32* in;
    u32* counter;
    u32* flag;
    const u32* answer;
    u32 count;
    u32 mode;
};

// Brings steps of a row ahead of their use into two buffers in turn, and adds them up across the warps.
KERNEL(checked_copies, CheckedArgs, 64) {
    SHARED(u32[2][64 * 4], stage);
    const u32 steps = args.count / (64 * 4);
    u32 sum = 0;
    copy_async16(&stage[0][thread_x() * 4], args.in + thread_x() * 4);
    copy_async_commit();
    for (u32 s = 0; s < steps; ++s) {
        if (s + 1 < steps) copy_async16(&stage[(s + 1) % 2][thread_x() * 4], args.in + (s + 1) * 64 * 4 + thread_x() * 4);
        copy_async_commit();
        copy_async_wait<1>();
        sync_block();
        for (u32 i = 0; i < 4; ++i) sum += stage[s % 2][i * 64 + (thread_x() + 32) % 64];
        sync_block();
    }
    args.out[thread_x()] = sum;
}

// The last block to come adds what all have left.
KERNEL(checked_last_block, CheckedArgs, 64) {
    SHARED(u32, is_last);
    const u32 i = block_x() * threads_x() + thread_x();
    args.out[1 + i] = args.in[i] * 2;
    fence_device();
    sync_block();
    if (thread_x() == 0) {
        is_last = atomic_add(args.counter, 1) + 1 == blocks_x();
        fence_device();
    }
    sync_block();
    if (is_last == 0) return;
    u32 sum = 0;
    for (u32 k = thread_x(); k < blocks_x() * threads_x(); k += threads_x()) sum += args.out[1 + k];
    atomic_add(args.out, sum);
}

// Asks the host and waits for its answer, both in mapped memory.
KERNEL(checked_mailbox, CheckedArgs, 64) {
    args.out[thread_x()] = args.in[thread_x()] + 1;
    sync_block();
    if (thread_x() == 0) {
        store_release_system(args.flag, 1);
        while (load_acquire_system(args.flag + 1) == 0) wait_a_little();
    }
    sync_block();
    args.counter[thread_x()] = args.answer[thread_x()];
}

// What no kernel may do, and only a check of each access finds.
KERNEL(checked_forbidden, CheckedArgs, 64) {
    SHARED(u32[64], words);
    const u32 t = thread_x();
    switch (args.mode) {
        case 0:  // a read one past the end, before any page that faults
            args.out[t] = args.in[t == 63 ? args.count : t];
            break;
        case 1:  // shared memory that nobody wrote
            if (t != 7) words[t] = t;
            sync_block();
            args.out[t] = words[t];
            break;
        case 2:  // device memory that nobody wrote
            args.out[t] = args.counter[t];
            break;
        case 3:  // no barrier between a write and others' reads
            words[t] = 0;
            sync_block();
            words[t] = t;
            args.out[t] = words[63 - t];
            break;
        case 4:  // none between reads and a write
            words[t] = t;
            sync_block();
            args.out[t] = words[0] + words[63 - t];
            words[t] = 0;
            break;
        case 5:  // a warp's barrier, where a block's is needed
            words[t] = 0;
            sync_block();
            words[t] = t;
            sync_warp();
            args.out[t] = words[63 - t];
            break;
        case 6:  // two threads at one place
            args.out[t / 2] = t;
            break;
        case 7:  // two blocks at one place
            args.out[t] = block_x();
            break;
        case 8:  // a copy that was not waited for
            copy_async16(&words[t / 4 * 4], args.in + t / 4 * 4, t % 4 == 0);
            args.out[t] = 0;
            break;
        case 9: {  // an index past an array
            u32 few[4] = {t, t, t, t};
            args.out[t] = few[args.count / 16];
            break;
        }
        case 10: {  // an address that is not aligned
            if (t == 3) args.out[t] = reinterpret_cast<const u32x4*>(args.in + 1)->x;
            break;
        }
        case 11: {  // past the end of a shared variable, by a pointer
            u32* const end = words + args.count;
            if (t == 5) *end = 1;
            break;
        }
        case 12:  // bytes of one word by two threads, which is allowed
            reinterpret_cast<u8*>(words)[t] = static_cast<u8>(t);
            sync_block();
            args.out[t] = reinterpret_cast<const u8*>(words)[63 - t];
            break;
        case 13:  // a named barrier that orders its own warps only
            if (t < 32) {
                words[t] = t;
                sync_named(1, 32);
            } else {
                args.out[t] = words[t - 32];
            }
            break;
        case 14:  // a flag read as if it were data
            if (t == 0) store_release_system(args.flag, 1);
            else if (t == 40) args.out[t] = *args.flag;
            break;
        default: break;
    }
}
