// Memory: limits, guards, poison, pinned and pageable copies, memsets, stream memory operations.
#include <atomic>
#include <thread>

#include "driver_fixture.h"

namespace {

using DriverMemory = Driver;

TEST_F(DriverMemory, CountsWhatIsAllocatedAndRefusesMore) {
    start({{"CUDA_ON_CPU_MEMORY_MB", "4"}});
    std::size_t free = 0, total = 0;
    const CUdeviceptr two = allocate(2 << 20);
    ASSERT_EQ(cuMemGetInfo_v2(&free, &total), CUDA_SUCCESS);
    EXPECT_EQ(total, 4u << 20);
    EXPECT_EQ(free, 2u << 20);
    CUdeviceptr three = 0;
    EXPECT_EQ(cuMemAlloc_v2(&three, 3 << 20), CUDA_ERROR_OUT_OF_MEMORY);
    EXPECT_EQ(cuMemFree_v2(two), CUDA_SUCCESS);
    EXPECT_EQ(cuMemAlloc_v2(&three, 3 << 20), CUDA_SUCCESS);
    EXPECT_EQ(cuda_on_cpu_used(0), 3u << 20);
}

TEST_F(DriverMemory, FailsTheAllocationThatATestNames) {
    start();
    CUdeviceptr pointer;
    cuda_on_cpu_fail_allocation(2);
    EXPECT_EQ(cuMemAlloc_v2(&pointer, 16), CUDA_SUCCESS);
    EXPECT_EQ(cuMemAlloc_v2(&pointer, 16), CUDA_ERROR_OUT_OF_MEMORY);
    EXPECT_EQ(cuMemAlloc_v2(&pointer, 16), CUDA_SUCCESS);
    cuda_on_cpu_limit_memory(1000);
    EXPECT_EQ(cuMemAlloc_v2(&pointer, 512), CUDA_ERROR_OUT_OF_MEMORY);
}

TEST_F(DriverMemory, RefusesWhatIsNoAllocation) {
    start();
    CUdeviceptr pointer = allocate(256);
    CUdeviceptr none;
    EXPECT_EQ(cuMemAlloc_v2(&none, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(cuMemFree_v2(pointer + 16), CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(cuMemFree_v2(pointer), CUDA_SUCCESS);
    EXPECT_EQ(cuMemFree_v2(pointer), CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(cuMemFree_v2(0), CUDA_SUCCESS);
    EXPECT_EQ(cuMemFreeHost(&none), CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(cuMemsetD8Async(pointer, 0, 16, stream()), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(DriverMemory, IsFullOfNaNsWhenNew) {
    start();
    for (const std::size_t words : {3u, 5000u, (3u << 20) / 4 + 5}) {
        const CUdeviceptr pointer = allocate(words * 4);
        for (const unsigned word : download(pointer, words)) ASSERT_EQ(word, 0xffffffffu);
    }
}

TEST_F(DriverMemory, RefusesCopiesBeyondAnAllocation) {
    start();
    std::vector<unsigned> host(16);
    const CUdeviceptr pointer = allocate(32);
    EXPECT_EQ(cuMemcpyHtoDAsync_v2(pointer, host.data(), 33, stream()), CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(cuMemcpyDtoHAsync_v2(host.data(), pointer + 16, 17, stream()), CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(cuMemcpyHtoDAsync_v2(pointer, host.data(), 32, nullptr), CUDA_ERROR_INVALID_HANDLE);
    EXPECT_EQ(cuMemsetD32Async(pointer + 2, 0, 1, stream()), CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(cuMemcpyHtoDAsync_v2(pointer, host.data(), 0, stream()), CUDA_SUCCESS);
}

TEST_F(DriverMemory, FindsAByteWrittenBehindAnAllocation) {
    start();
    const CUdeviceptr pointer = allocate(3 * 4);
    StreamArgs args;
    args.to = pointer;
    args.count = 3;
    launch("stream_into_slack", stream(), args);
    const CUresult result = cuStreamSynchronize(stream());
    EXPECT_EQ(result, CUDA_ERROR_ILLEGAL_ADDRESS);
    EXPECT_NE(std::string(cuda_on_cpu_fault()), "");
}

// A copy from pageable memory has the bytes of the call, one from pinned memory those of its turn.
TEST_F(DriverMemory, ReadsPageableMemoryAtOnceAndPinnedMemoryInTurn) {
    SKIP_UNDER_TSAN();
    start({{"CUDA_ON_CPU_ORDER", "lazy"}});
    const CUdeviceptr a = allocate(4), b = allocate(4);
    std::vector<unsigned> pageable{1};
    auto* const own = pinned<unsigned>(1);
    *own = 1;
    ASSERT_EQ(cuMemcpyHtoDAsync_v2(a, pageable.data(), 4, stream()), CUDA_SUCCESS);
    ASSERT_EQ(cuMemcpyHtoDAsync_v2(b, own, 4, stream()), CUDA_SUCCESS);
    pageable[0] = *own = 2;
    EXPECT_EQ(download(a, 1)[0], 1u);
    EXPECT_EQ(download(b, 1)[0], 2u);
}

TEST_F(DriverMemory, CopiesToPinnedMemoryOnlyInTurn) {
    SKIP_UNDER_TSAN();
    start({{"CUDA_ON_CPU_ORDER", "lazy"}});
    const CUdeviceptr a = upload(std::vector<unsigned>{7});
    auto* const own = pinned<unsigned>(1);
    *own = 1;
    ASSERT_EQ(cuMemcpyDtoHAsync_v2(own, a, 4, stream()), CUDA_SUCCESS);
    EXPECT_EQ(*own, 1u);
    ASSERT_EQ(cuStreamSynchronize(stream()), CUDA_SUCCESS);
    EXPECT_EQ(*own, 7u);
}

TEST_F(DriverMemory, PinsMemoryThatTheHostHas) {
    SKIP_UNDER_TSAN();
    start({{"CUDA_ON_CPU_ORDER", "lazy"}});
    std::vector<unsigned> host(1024, 3);
    CUdeviceptr device = 0;
    EXPECT_EQ(cuMemHostGetDevicePointer_v2(&device, host.data(), 0), CUDA_ERROR_INVALID_VALUE);
    ASSERT_EQ(cuMemHostRegister_v2(host.data(), 4096, CU_MEMHOSTREGISTER_DEVICEMAP), CUDA_SUCCESS);
    EXPECT_EQ(cuMemHostRegister_v2(host.data() + 16, 64, 0), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
    ASSERT_EQ(cuMemHostGetDevicePointer_v2(&device, host.data() + 2, 0), CUDA_SUCCESS);
    const CUdeviceptr to = allocate(4);
    StreamArgs args;
    args.to = to;
    args.from = device;
    args.count = 1;
    args.value = 1;
    launch("stream_add", stream(), args);
    host[2] = 40;
    EXPECT_EQ(download(to, 1)[0], 41u);
    EXPECT_EQ(cuMemHostUnregister(host.data() + 2), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
    EXPECT_EQ(cuMemHostUnregister(host.data()), CUDA_SUCCESS);
    EXPECT_EQ(cuMemHostUnregister(host.data()), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
}

TEST_F(DriverMemory, SetsBytesAndWords) {
    start();
    const CUdeviceptr pointer = allocate(16);
    ASSERT_EQ(cuMemsetD32Async(pointer, 0x01020304, 4, stream()), CUDA_SUCCESS);
    ASSERT_EQ(cuMemsetD8Async(pointer + 4, 0xab, 5, stream()), CUDA_SUCCESS);
    EXPECT_EQ(download(pointer, 4), (std::vector<unsigned>{0x01020304, 0xabababab, 0x010203ab, 0x01020304}));
}

TEST_F(DriverMemory, CopiesRowsOfAMatrix) {
    start();
    std::vector<unsigned> host(12);
    for (unsigned i = 0; i < 12; ++i) host[i] = i;
    const CUdeviceptr pointer = allocate(2 * 12);
    ASSERT_EQ(cuMemsetD8Async(pointer, 0, 24, stream()), CUDA_SUCCESS);
    CUDA_MEMCPY2D copy{};
    copy.srcMemoryType = CU_MEMORYTYPE_HOST;
    copy.srcHost = host.data();
    copy.srcPitch = 16;
    copy.srcXInBytes = 4;
    copy.srcY = 1;
    copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
    copy.dstDevice = pointer;
    copy.dstPitch = 12;
    copy.WidthInBytes = 8;
    copy.Height = 2;
    ASSERT_EQ(cuMemcpy2DAsync_v2(&copy, stream()), CUDA_SUCCESS);
    EXPECT_EQ(download(pointer, 6), (std::vector<unsigned>{5, 6, 0, 9, 10, 0}));
    copy.dstPitch = 4;
    EXPECT_EQ(cuMemcpy2DAsync_v2(&copy, stream()), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(DriverMemory, WaitsForAValueThatTheHostWrites) {
    start();
    auto* const flag = pinned<std::atomic<unsigned>>(1);
    *flag = 0;
    CUdeviceptr on_device = 0;
    ASSERT_EQ(cuMemHostGetDevicePointer_v2(&on_device, flag, 0), CUDA_SUCCESS);
    const CUdeviceptr value = allocate(4);
    ASSERT_EQ(cuMemsetD32Async(value, 1, 1, stream()), CUDA_SUCCESS);
    ASSERT_EQ(cuStreamWaitValue32_v2(stream(), on_device, 5, CU_STREAM_WAIT_VALUE_GEQ), CUDA_SUCCESS);
    ASSERT_EQ(cuMemsetD32Async(value, 2, 1, stream()), CUDA_SUCCESS);
    ASSERT_EQ(cuStreamWriteValue32_v2(stream(), on_device, 9, 0), CUDA_SUCCESS);
    EXPECT_EQ(cuStreamQuery(stream()), CUDA_ERROR_NOT_READY);
    *flag = 5;
    EXPECT_EQ(cuStreamSynchronize(stream()), CUDA_SUCCESS);
    EXPECT_EQ(download(value, 1)[0], 2u);
    EXPECT_EQ(*flag, 9u);
    EXPECT_EQ(cuStreamWaitValue32_v2(stream(), on_device + 2, 5, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(cuStreamWaitValue32_v2(stream(), on_device, 5, CU_STREAM_WAIT_VALUE_FLUSH), CUDA_ERROR_NOT_SUPPORTED);
}

TEST_F(DriverMemory, FaultsWhereMemoryIsFreedBeforeItsCopy) {
    start({{"CUDA_ON_CPU_ORDER", "lazy"}});
    const CUdeviceptr pointer = allocate(16);
    ASSERT_EQ(cuMemsetD8Async(pointer, 0, 16, stream()), CUDA_SUCCESS);
    ASSERT_EQ(cuMemFree_v2(pointer), CUDA_SUCCESS);
    EXPECT_EQ(cuStreamSynchronize(stream()), CUDA_ERROR_ILLEGAL_ADDRESS);
}

// A synchronous copy of pageable memory does not wait for the device, and a stream that does not block does not wait for it.
TEST_F(DriverMemory, OrdersSynchronousCopiesWithBlockingStreamsOnly) {
    SKIP_UNDER_TSAN();
    start({{"CUDA_ON_CPU_ORDER", "lazy"}, {"CUDA_ON_CPU_HAZARDS", "0"}});
    CUstream blocking = nullptr;
    ASSERT_EQ(cuStreamCreateWithPriority(&blocking, 0, 0), CUDA_SUCCESS);
    const CUdeviceptr pointer = allocate(4);
    unsigned value = 3, seen = 0;
    ASSERT_EQ(cuMemsetD32Async(pointer, 1, 1, blocking), CUDA_SUCCESS);
    ASSERT_EQ(cuMemcpyHtoD_v2(pointer, &value, 4), CUDA_SUCCESS);
    ASSERT_EQ(cuMemcpyDtoHAsync_v2(&seen, pointer, 4, stream()), CUDA_SUCCESS);
    EXPECT_EQ(seen, 0xffffffffu);
    ASSERT_EQ(cuMemcpyDtoHAsync_v2(&seen, pointer, 4, blocking), CUDA_SUCCESS);
    EXPECT_EQ(seen, 3u);
    ASSERT_EQ(cuMemcpyDtoH_v2(&seen, pointer, 4), CUDA_SUCCESS);
    EXPECT_EQ(seen, 3u);
}

}  // namespace
