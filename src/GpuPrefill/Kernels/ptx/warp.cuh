// What the threads of a warp or a block do together. All lanes of a warp take part in each.
#pragma once

DEVICE void sync_block() { __syncthreads(); }
DEVICE void sync_warp() { __nvvm_bar_warp_sync(0xffffffff); }

// A barrier of `threads` threads (whole warps) of the block, by number 1 to 15.
DEVICE void sync_named(u32 barrier, u32 threads) {
    asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}

DEVICE u32 shuffle_xor(u32 value, u32 mask) {
    return static_cast<u32>(__nvvm_shfl_sync_bfly_i32(0xffffffff, static_cast<i32>(value), static_cast<i32>(mask), 0x1f));
}
DEVICE float shuffle_xor(float value, u32 mask) {
    return __nvvm_shfl_sync_bfly_f32(0xffffffff, value, static_cast<i32>(mask), 0x1f);
}
DEVICE u32 shuffle(u32 value, u32 from) {
    return static_cast<u32>(__nvvm_shfl_sync_idx_i32(0xffffffff, static_cast<i32>(value), static_cast<i32>(from), 0x1f));
}
DEVICE float shuffle(float value, u32 from) {
    return __nvvm_shfl_sync_idx_f32(0xffffffff, value, static_cast<i32>(from), 0x1f);
}
// The value of the lane `delta` below; the first lanes get their own.
DEVICE u32 shuffle_up(u32 value, u32 delta) {
    return static_cast<u32>(__nvvm_shfl_sync_up_i32(0xffffffff, static_cast<i32>(value), static_cast<i32>(delta), 0));
}
DEVICE float shuffle_up(float value, u32 delta) {
    return __nvvm_shfl_sync_up_f32(0xffffffff, value, static_cast<i32>(delta), 0);
}
// The greatest of the lanes' values.
DEVICE u32 warp_max(u32 value) { return __nvvm_redux_sync_umax(value, 0xffffffff); }
// One bit a lane.
DEVICE u32 ballot(bool value) { return __nvvm_vote_ballot_sync(0xffffffff, value); }
