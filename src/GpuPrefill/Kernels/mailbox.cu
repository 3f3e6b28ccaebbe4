// The device's two ends of the mailbox (native/lk_moe/include/lk_moe.h): what routed experts on the host are asked, and what
// they answer. All addresses but x, y and the routes are page-locked memory of the host.
//
// mailbox_post: slot.x[t] = x[t], with the experts and weights of row t, for the rows that are alive; then the request flag
// goes up. mailbox_collect: waits for the done flag, y[t] += slot.y[t], and lowers it. A thread takes four elements where
// rows are aligned, else one. Each block stores or reads its part; the last one, by a counter in device memory, moves the
// flag, so that arguments stay the same from step to step and both can stand in a graph.
// Bound by the link to the host: 8 KB a row of 2048 each way, 0.3 us at 25 GB/s, and by its latency, once to post and
// twice to collect. Mirrors HybridExperts over lk_mailbox_serve; checked by CudaMailboxTests.
#include "device.cuh"

// Field for field the C# struct MailboxPostArgs. The stride in elements.
struct MailboxPostArgs {
    const float* x;
    const i32* experts;
    const float* weights;
    float* slot_x;
    i32* slot_experts;
    float* slot_weights;
    u32* request;
    const u32* live;  // null: all rows are alive
    u32* blocks_done;
    i64 x_stride;
    u32 rows;
    u32 hidden;
    u32 top_k;
};

// Field for field the C# struct MailboxCollectArgs.
struct MailboxCollectArgs {
    float* y;
    const float* slot_y;
    u32* done;
    u32* fault;
    const u32* live;
    u32* blocks_done;
    i64 y_stride;
    u64 timeout_nanos;
    u32 rows;
    u32 hidden;
    u32 looks_again;  // after lowering the flag: something may wait for it that cannot be bounded by time
};

constexpr u32 kThreads = 256;
constexpr u32 kAnswer = 1;
constexpr u32 kNoAnswer = 2;
constexpr u32 kTimedOut = 1;       // LK_MAILBOX_CLIENT_TIMED_OUT
constexpr u32 kLooksPerFault = 16;  // the fault word is looked at less often than the flag

DEVICE u32 live_rows(const u32* live, u32 rows) { return live == nullptr ? rows : min_of(*live, rows); }

// Whether this block is the last of the launch to come here. For one thread, after the block's barrier.
DEVICE bool is_last(u32* blocks_done) {
    fence_system();
    if (atomic_add(blocks_done, 1) + 1 != blocks_x()) return false;
    *blocks_done = 0;
    return true;
}

KERNEL(mailbox_post, MailboxPostArgs, kThreads) {
    const u64 rows = live_rows(args.live, args.rows);
    const u64 first = u64{block_x()} * threads_x() + thread_x(), step = u64{blocks_x()} * threads_x();
    if (args.hidden % 4 == 0 && args.x_stride % 4 == 0) {
        const u32 width = args.hidden / 4;
        for (u64 i = first; i < rows * width; i += step) {
            const u64 row = i / width, column = i % width;
            reinterpret_cast<f32x4*>(args.slot_x)[i] =
                reinterpret_cast<const f32x4*>(args.x + static_cast<i64>(row) * args.x_stride)[column];
        }
    } else {
        for (u64 i = first; i < rows * args.hidden; i += step) {
            args.slot_x[i] = args.x[static_cast<i64>(i / args.hidden) * args.x_stride + i % args.hidden];
        }
    }
    for (u64 i = first; i < rows * args.top_k; i += step) {
        args.slot_experts[i] = args.experts[i];
        args.slot_weights[i] = args.weights[i];
    }
    sync_block();
    if (thread_x() == 0 && is_last(args.blocks_done)) store_release_system(args.request, 1);
}

// What the flag says, or that no answer will come.
DEVICE u32 await_answer(const MailboxCollectArgs& args) {
    u32 answer = load_acquire_system(args.done);
    if (answer != 0) return answer;
    const u64 start = nanoseconds();
    for (u32 look = 1;; ++look) {
        answer = load_acquire_system(args.done);
        if (answer != 0) return answer;
        if (look % kLooksPerFault != 0) continue;
        if (load_acquire_system(args.fault) != 0) return kNoAnswer;
        if (nanoseconds() - start > args.timeout_nanos) {
            store_release_system(args.fault, kTimedOut);
            return kNoAnswer;
        }
        wait_a_little();
    }
}

KERNEL(mailbox_collect, MailboxCollectArgs, kThreads) {
    SHARED(u32, answer);
    if (thread_x() == 0) answer = await_answer(args);
    sync_block();
    if (answer == kAnswer) {
        const u64 rows = live_rows(args.live, args.rows);
        const u64 first = u64{block_x()} * threads_x() + thread_x(), step = u64{blocks_x()} * threads_x();
        if (args.hidden % 4 == 0 && args.y_stride % 4 == 0) {
            const u32 width = args.hidden / 4;
            for (u64 i = first; i < rows * width; i += step) {
                const u64 row = i / width, column = i % width;
                const f32x4 sum = reinterpret_cast<const f32x4*>(args.slot_y)[i];
                f32x4& y = reinterpret_cast<f32x4*>(args.y + static_cast<i64>(row) * args.y_stride)[column];
                y = {y.x + sum.x, y.y + sum.y, y.z + sum.z, y.w + sum.w};
            }
        } else {
            for (u64 i = first; i < rows * args.hidden; i += step) {
                args.y[static_cast<i64>(i / args.hidden) * args.y_stride + i % args.hidden] += args.slot_y[i];
            }
        }
    }
    sync_block();
    if (thread_x() != 0 || !is_last(args.blocks_done) || answer != kAnswer) return;
    store_release_system(args.done, 0);
    if (args.looks_again == 0) return;
    // Either the host's last word comes after this, or its fault is seen here.
    fence_system();
    if (load_acquire_system(args.fault) != 0) store_release_system(args.done, kNoAnswer);
}
