// Streams and events: order, concurrency, waiting, priorities, stale handles.
#include <atomic>
#include <thread>

#include "driver_fixture.h"

namespace {

using DriverStream = Driver;

TEST_F(DriverStream, RunsInOrder) {
    for (const char* const order : {"eager", "lazy", "random:3"}) {
        start({{"CUDA_ON_CPU_ORDER", order}});
        const CUdeviceptr a = allocate(400), b = allocate(400);
        ASSERT_EQ(cuMemsetD32Async(a, 0, 100, stream()), CUDA_SUCCESS);
        StreamArgs args;
        args.count = 100;
        args.value = 1;
        for (unsigned i = 0; i < 10; ++i) {
            args.from = i % 2 == 0 ? a : b;
            args.to = i % 2 == 0 ? b : a;
            launch("stream_add", stream(), args);
        }
        EXPECT_EQ(download(a, 100), std::vector<unsigned>(100, 10)) << order;
    }
}

// One stream's kernel waits for what another's does: they run at the same time.
TEST_F(DriverStream, RunsStreamsAtOnce) {
    for (const char* const order : {"eager", "lazy", "random:3"}) {
        start({{"CUDA_ON_CPU_ORDER", order}});
        const CUstream other = another_stream();
        const CUdeviceptr a = upload(std::vector<unsigned>(100, 1)), b = allocate(400), c = allocate(400), flag = allocate(4);
        ASSERT_EQ(cuMemsetD32Async(flag, 0, 1, stream()), CUDA_SUCCESS);
        ASSERT_EQ(cuStreamSynchronize(stream()), CUDA_SUCCESS);
        launch("stream_wait_add", stream(), {c, b, flag, 100, 5});
        launch("stream_add_raise", other, {b, a, flag, 100, 5});
        EXPECT_EQ(download(c, 100), std::vector<unsigned>(100, 11)) << order;
    }
}

TEST_F(DriverStream, WaitsForAnEventOfAnotherStream) {
    for (const char* const order : {"eager", "lazy", "random:1", "random:2", "random:3"}) {
        start({{"CUDA_ON_CPU_ORDER", order}});
        const CUstream other = another_stream();
        const CUevent ready = event(), done = event();
        const CUdeviceptr a = allocate(400), b = allocate(400);
        ASSERT_EQ(cuMemsetD32Async(a, 0, 100, stream()), CUDA_SUCCESS);
        for (unsigned i = 0; i < 5; ++i) {
            ASSERT_EQ(cuEventRecord(ready, stream()), CUDA_SUCCESS);
            ASSERT_EQ(cuStreamWaitEvent(other, ready, 0), CUDA_SUCCESS);
            launch("stream_add", other, {b, a, 0, 100, 1});
            ASSERT_EQ(cuEventRecord(done, other), CUDA_SUCCESS);
            ASSERT_EQ(cuStreamWaitEvent(stream(), done, 0), CUDA_SUCCESS);
            launch("stream_add", stream(), {a, b, 0, 100, 1});
        }
        EXPECT_EQ(download(a, 100), std::vector<unsigned>(100, 10)) << order;
    }
}

// Without the wait, the lazy order shows what the missing event would hide: the reader goes first.
TEST_F(DriverStream, ShowsAMissingWait) {
    start({{"CUDA_ON_CPU_ORDER", "lazy"}, {"CUDA_ON_CPU_HAZARDS", "0"}});
    const CUstream other = another_stream();
    const CUdeviceptr a = allocate(4);
    ASSERT_EQ(cuMemsetD32Async(a, 7, 1, other), CUDA_SUCCESS);
    EXPECT_NE(download(a, 1)[0], 7u);
}

TEST_F(DriverStream, KnowsAnEventThatWasNeverRecordedAsReached) {
    start();
    const CUevent never = event();
    EXPECT_EQ(cuEventQuery(never), CUDA_SUCCESS);
    EXPECT_EQ(cuEventSynchronize(never), CUDA_SUCCESS);
    EXPECT_EQ(cuStreamWaitEvent(stream(), never, 0), CUDA_SUCCESS);
    EXPECT_EQ(cuStreamQuery(stream()), CUDA_SUCCESS);
}

// A wait means the event's last record before it, whatever is recorded later.
TEST_F(DriverStream, WaitsForTheRecordOfItsTime) {
    start();
    const CUstream other = another_stream();
    auto* const flag = pinned<std::atomic<unsigned>>(1);
    *flag = 0;
    const CUevent both = event();
    ASSERT_EQ(cuEventRecord(both, stream()), CUDA_SUCCESS);
    ASSERT_EQ(cuStreamWaitEvent(other, both, 0), CUDA_SUCCESS);
    ASSERT_EQ(cuStreamWaitValue32_v2(stream(), reinterpret_cast<CUdeviceptr>(flag), 1, CU_STREAM_WAIT_VALUE_EQ), CUDA_SUCCESS);
    ASSERT_EQ(cuEventRecord(both, stream()), CUDA_SUCCESS);
    EXPECT_EQ(cuStreamSynchronize(other), CUDA_SUCCESS);
    EXPECT_EQ(cuEventQuery(both), CUDA_ERROR_NOT_READY);
    *flag = 1;
    EXPECT_EQ(cuEventSynchronize(both), CUDA_SUCCESS);
}

TEST_F(DriverStream, MeasuresTimeBetweenEvents) {
    start();
    const CUevent first = event(0), second = event(0), untimed = event();
    float milliseconds = -1;
    EXPECT_EQ(cuEventElapsedTime(&milliseconds, first, second), CUDA_ERROR_INVALID_HANDLE);
    ASSERT_EQ(cuEventRecord(first, stream()), CUDA_SUCCESS);
    ASSERT_EQ(cuEventRecord(second, stream()), CUDA_SUCCESS);
    ASSERT_EQ(cuEventRecord(untimed, stream()), CUDA_SUCCESS);
    ASSERT_EQ(cuStreamSynchronize(stream()), CUDA_SUCCESS);
    ASSERT_EQ(cuEventElapsedTime(&milliseconds, first, second), CUDA_SUCCESS);
    EXPECT_GE(milliseconds, 0.0f);
    EXPECT_EQ(cuEventElapsedTime(&milliseconds, first, untimed), CUDA_ERROR_INVALID_HANDLE);
}

TEST_F(DriverStream, KnowsStaleHandles) {
    start();
    const CUstream other = another_stream();
    const CUevent gone = event();
    ASSERT_EQ(cuMemsetD8Async(allocate(16), 1, 16, other), CUDA_SUCCESS);
    ASSERT_EQ(cuStreamDestroy_v2(other), CUDA_SUCCESS);
    ASSERT_EQ(cuEventDestroy_v2(gone), CUDA_SUCCESS);
    EXPECT_EQ(cuStreamSynchronize(other), CUDA_ERROR_INVALID_HANDLE);
    EXPECT_EQ(cuStreamDestroy_v2(other), CUDA_ERROR_INVALID_HANDLE);
    EXPECT_EQ(cuEventRecord(gone, stream()), CUDA_ERROR_INVALID_HANDLE);
    EXPECT_EQ(cuEventDestroy_v2(gone), CUDA_ERROR_INVALID_HANDLE);
    EXPECT_EQ(cuStreamSynchronize(nullptr), CUDA_ERROR_INVALID_HANDLE);
    CUstream none;
    EXPECT_EQ(cuStreamCreateWithPriority(&none, 2, 0), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(DriverStream, EndsWhatWasQueuedBeforeItWasDestroyed) {
    for (const char* const order : {"eager", "lazy"}) {
        start({{"CUDA_ON_CPU_ORDER", order}});
        const CUstream other = another_stream();
        const CUevent done = event();
        const CUdeviceptr a = allocate(4);
        ASSERT_EQ(cuMemsetD32Async(a, 7, 1, other), CUDA_SUCCESS);
        ASSERT_EQ(cuEventRecord(done, other), CUDA_SUCCESS);
        ASSERT_EQ(cuStreamDestroy_v2(other), CUDA_SUCCESS);
        ASSERT_EQ(cuEventSynchronize(done), CUDA_SUCCESS);
        EXPECT_EQ(download(a, 1)[0], 7u);
    }
}

TEST_F(DriverStream, NeedsAContextAndItsOwn) {
    start({{"CUDA_ON_CPU_DEVICES", "2"}});
    CUcontext second = nullptr;
    ASSERT_EQ(cuDevicePrimaryCtxRetain(&second, 1), CUDA_SUCCESS);
    const CUevent of_first = event();
    const CUdeviceptr on_first = upload(std::vector<unsigned>{0});
    StreamArgs args;
    args.to = args.from = on_first;
    args.count = 1;
    launch("stream_add", stream(), args);
    ASSERT_EQ(cuCtxSetCurrent(second), CUDA_SUCCESS);
    const CUstream of_second = another_stream();
    EXPECT_EQ(try_launch("stream_add", stream(), args), CUDA_ERROR_INVALID_HANDLE);
    EXPECT_EQ(cuEventRecord(of_first, of_second), CUDA_ERROR_INVALID_HANDLE);
    EXPECT_EQ(cuEventRecord(of_first, stream()), CUDA_SUCCESS);
    EXPECT_EQ(cuStreamWaitEvent(of_second, of_first, 0), CUDA_SUCCESS);
    EXPECT_EQ(cuStreamSynchronize(of_second), CUDA_SUCCESS);
    ASSERT_EQ(cuCtxSetCurrent(nullptr), CUDA_SUCCESS);
    CUdeviceptr none;
    EXPECT_EQ(cuMemAlloc_v2(&none, 16), CUDA_ERROR_INVALID_CONTEXT);
    std::thread([&] { EXPECT_EQ(cuMemAlloc_v2(&none, 16), CUDA_ERROR_INVALID_CONTEXT); }).join();
}

TEST_F(DriverStream, LivesAsLongAsItsContext) {
    start();
    CUcontext again = nullptr;
    ASSERT_EQ(cuDevicePrimaryCtxRetain(&again, 0), CUDA_SUCCESS);
    EXPECT_EQ(again, context());
    const CUdeviceptr a = allocate(16);
    ASSERT_EQ(cuMemsetD8Async(a, 1, 16, stream()), CUDA_SUCCESS);
    EXPECT_EQ(cuDevicePrimaryCtxRelease_v2(0), CUDA_SUCCESS);
    EXPECT_EQ(cuStreamSynchronize(stream()), CUDA_SUCCESS);
    EXPECT_EQ(cuDevicePrimaryCtxRelease_v2(0), CUDA_SUCCESS);
    EXPECT_EQ(cuDevicePrimaryCtxRelease_v2(0), CUDA_ERROR_INVALID_CONTEXT);
    EXPECT_EQ(cuStreamSynchronize(stream()), CUDA_ERROR_INVALID_HANDLE);
    EXPECT_EQ(cuCtxSynchronize(), CUDA_ERROR_INVALID_CONTEXT);
    EXPECT_EQ(cuda_on_cpu_used(0), 0u);
}

TEST_F(DriverStream, NeverProceedsWhenWedged) {
    start();
    const CUstream other = another_stream();
    cuda_on_cpu_wedge(other);
    const CUdeviceptr a = allocate(4);
    ASSERT_EQ(cuMemsetD32Async(a, 7, 1, other), CUDA_SUCCESS);
    const CUevent done = event();
    ASSERT_EQ(cuEventRecord(done, other), CUDA_SUCCESS);
    ASSERT_EQ(cuStreamSynchronize(stream()), CUDA_SUCCESS);
    EXPECT_EQ(cuEventQuery(done), CUDA_ERROR_NOT_READY);
    EXPECT_EQ(cuStreamQuery(other), CUDA_ERROR_NOT_READY);
    EXPECT_EQ(cuStreamQuery(stream()), CUDA_SUCCESS);
}

}  // namespace
