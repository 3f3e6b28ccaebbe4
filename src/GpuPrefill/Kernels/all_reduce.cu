// sum[i] = part_0[i] + part_1[i] + ... over the ranks, in that order on every rank, so that all get the same bits.
//
// Two kernels. all_reduce_publish copies this rank's part to a staging buffer that all ranks can read, and its last block
// tells every rank; all_reduce_sum waits until all have told, and adds. A staging buffer has two halves that are used in
// turn: a rank that publishes for the second time after a sum has itself seen that all others have published since, and so
// have finished reading the half that it overwrites. The turn is counted in device memory, so that arguments stay the same
// from step to step and both kernels can stand in a graph.
// Bound by the links between devices: each rank reads (ranks - 1) * count * 4 bytes from its peers. Mirrors
// ReferenceCollective; checked by TensorParallelGoldens.
#include "device.cuh"

// Field for field the C# struct AllReduceArgs.
struct AllReduceArgs {
    const float* part;
    float* sum;              // may be part
    float* const* stagings;  // of each rank: two halves of `capacity` floats
    u32* const* flags;       // of each rank: one word a rank that tells, kFlagWords apart
    u32* state;              // of this rank: turns published, blocks done
    u32* fault;              // set when another rank does not come
    u64 count;
    u64 capacity;
    u64 timeout_nanos;
    u32 rank;
    u32 ranks;
};

constexpr u32 kThreads = 256;
constexpr u32 kFlagWords = 32;  // 128 bytes: a line a writer

KERNEL(all_reduce_publish, AllReduceArgs, kThreads) {
    const u32 turn = args.state[0];
    float* const staging = args.stagings[args.rank] + (turn % 2) * args.capacity;
    const u64 step = u64{blocks_x()} * threads_x();
    for (u64 i = u64{block_x()} * threads_x() + thread_x(); i < args.count; i += step) staging[i] = args.part[i];
    fence_system();
    sync_block();
    if (thread_x() != 0) return;
    if (atomic_add(&args.state[1], 1) + 1 != blocks_x()) return;
    fence_system();
    args.state[1] = 0;
    args.state[0] = turn + 1;
    for (u32 peer = 0; peer < args.ranks; ++peer) {
        store_release_system(args.flags[peer] + args.rank * kFlagWords, turn + 1);
    }
}

KERNEL(all_reduce_sum, AllReduceArgs, kThreads) {
    const u32 turns = args.state[0];
    if (thread_x() < args.ranks) {
        const u32* const told = args.flags[args.rank] + thread_x() * kFlagWords;
        const u64 start = nanoseconds();
        while (static_cast<i32>(load_acquire_system(told) - turns) < 0) {
            if (nanoseconds() - start > args.timeout_nanos) {
                store_release_system(args.fault, thread_x() + 1);
                break;
            }
            wait_a_little();
        }
    }
    sync_block();
    const u64 half = (turns - 1) % 2 * args.capacity;
    const u64 step = u64{blocks_x()} * threads_x();
    for (u64 i = u64{block_x()} * threads_x() + thread_x(); i < args.count; i += step) {
        float sum = 0;
        for (u32 rank = 0; rank < args.ranks; ++rank) sum += args.stagings[rank][half + i];
        args.sum[i] = sum;
    }
}
