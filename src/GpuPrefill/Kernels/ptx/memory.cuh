// Copies that run beside computing, atomics, and what orders memory between devices and the host.
#pragma once

// A place in shared memory as a number: half a pointer's registers, and what bits do to it costs one instruction.
using SharedAddress = u32;

DEVICE SharedAddress shared_address(const void* pointer) {
    u32 address;
    asm("{ .reg .u64 t; cvta.to.shared.u64 t, %1; cvt.u32.u64 %0, t; }" : "=r"(address) : "l"(pointer));
    return address;
}

// Sixteen bytes from global to shared memory, both 16-byte aligned; zeros instead where `live` is false (and nothing
// is read).
DEVICE void copy_async16(SharedAddress shared, const void* global, bool live = true) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(global), "r"(live ? 16 : 0) : "memory");
}
DEVICE void copy_async16(void* shared, const void* global, bool live = true) {
    copy_async16(shared_address(shared), global, live);
}
DEVICE void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most `kOpen` of this thread's groups are open. Other threads see the bytes after a barrier.
template <u32 kOpen>
DEVICE void copy_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(kOpen) : "memory");
}

// A read of bytes that nobody writes during the kernel, kept out of the way of those that are read again.
DEVICE u32x4 load_streamed(const u32x4* from) {
    u32x4 v;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(from));
    return v;
}

// The same for bytes that other warps of the block want soon, too.
DEVICE f32x4 load_kept(const f32x4* from) {
    f32x4 v;
    asm volatile("ld.global.nc.v4.f32 {%0,%1,%2,%3}, [%4];" : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w) : "l"(from));
    return v;
}

DEVICE u32 atomic_add(u32* at, u32 value) { return __nvvm_atom_add_gen_i(reinterpret_cast<i32*>(at), static_cast<i32>(value)); }
DEVICE u64 atomic_add(u64* at, u64 value) {
    return static_cast<u64>(__nvvm_atom_add_gen_ll(reinterpret_cast<i64*>(at), static_cast<i64>(value)));
}
DEVICE u32 atomic_add_shared(u32* at, u32 value) { return atomic_add(at, value); }

// Everything before is visible to this device before anything after.
DEVICE void fence_device() { __nvvm_membar_gl(); }
// The same for the host and all devices.
DEVICE void fence_system() { __nvvm_membar_sys(); }

// Stores before it, of this thread and of those that it has met at a barrier, are visible to who reads the value.
DEVICE void store_release_system(u32* at, u32 value) {
    asm volatile("st.release.sys.global.u32 [%0], %1;" ::"l"(at), "r"(value) : "memory");
}
DEVICE u32 load_acquire_system(const u32* at) {
    u32 value;
    asm volatile("ld.acquire.sys.global.u32 %0, [%1];" : "=r"(value) : "l"(at) : "memory");
    return value;
}

// A pause in a loop that waits for somebody else.
DEVICE void wait_a_little() { asm volatile("nanosleep.u32 64;"); }

// Nanoseconds of a clock that all of a device shares.
DEVICE u64 nanoseconds() {
    u64 time;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(time));
    return time;
}
