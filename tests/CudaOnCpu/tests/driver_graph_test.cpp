// Captures and graphs.
#include <atomic>
#include <thread>

#include "driver_fixture.h"

namespace {

class DriverGraph : public Driver {
protected:
    void begin(CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_THREAD_LOCAL) {
        ASSERT_EQ(cuStreamBeginCapture_v2(stream(), mode), CUDA_SUCCESS);
    }
    CUgraphExec end() {
        CUgraph graph = nullptr;
        CUgraphExec exec = nullptr;
        EXPECT_EQ(cuStreamEndCapture(stream(), &graph), CUDA_SUCCESS);
        EXPECT_EQ(cuGraphInstantiateWithFlags(&exec, graph, 0), CUDA_SUCCESS);
        EXPECT_EQ(cuGraphUpload(exec, stream()), CUDA_SUCCESS);
        EXPECT_EQ(cuGraphDestroy(graph), CUDA_SUCCESS);
        return exec;
    }
    void run(CUgraphExec exec) { ASSERT_EQ(cuGraphLaunch(exec, stream()), CUDA_SUCCESS); }
};

TEST_F(DriverGraph, ReplaysWhatWasCaptured) {
    start();
    const CUdeviceptr a = upload(std::vector<unsigned>{1}), b = allocate(4);
    begin();
    launch("stream_add", stream(), {b, a, 0, 1, 2});
    launch("stream_add", stream(), {a, b, 0, 1, 3});
    const CUgraphExec exec = end();
    EXPECT_EQ(download(a, 1)[0], 1u);
    for (int i = 0; i < 3; ++i) run(exec);
    EXPECT_EQ(download(a, 1)[0], 16u);
    EXPECT_EQ(cuda_on_cpu_kernels(), 6u);
}

TEST_F(DriverGraph, HasTheNodesAndNoMore) {
    start();
    auto* const flag = pinned<unsigned>(1);
    const CUdeviceptr a = allocate(16), at = reinterpret_cast<CUdeviceptr>(flag);
    begin();
    ASSERT_EQ(cuMemsetD8Async(a, 0, 16, stream()), CUDA_SUCCESS);
    ASSERT_EQ(cuMemcpyDtoHAsync_v2(flag, a, 4, stream()), CUDA_SUCCESS);
    ASSERT_EQ(cuStreamWriteValue32_v2(stream(), at, 1, 0), CUDA_SUCCESS);
    ASSERT_EQ(cuStreamWaitValue32_v2(stream(), at, 1, 0), CUDA_SUCCESS);
    ASSERT_EQ(cuEventRecord(event(), stream()), CUDA_SUCCESS);
    CUstreamCaptureStatus status;
    ASSERT_EQ(cuStreamIsCapturing(stream(), &status), CUDA_SUCCESS);
    EXPECT_EQ(status, CU_STREAM_CAPTURE_STATUS_ACTIVE);
    CUgraph graph = nullptr;
    ASSERT_EQ(cuStreamEndCapture(stream(), &graph), CUDA_SUCCESS);
    std::size_t count = 0;
    EXPECT_EQ(cuGraphGetNodes(graph, nullptr, &count), CUDA_SUCCESS);
    EXPECT_EQ(count, 4u);
    CUgraphNode nodes[5];
    count = 5;
    EXPECT_EQ(cuGraphGetNodes(graph, nodes, &count), CUDA_SUCCESS);
    EXPECT_EQ(count, 4u);
    EXPECT_EQ(nodes[4], nullptr);
}

// Branches run at once: one waits for what the other does.
TEST_F(DriverGraph, RunsBranchesAtOnce) {
    for (const char* const order : {"eager", "lazy", "random:5"}) {
        start({{"CUDA_ON_CPU_ORDER", order}});
        const CUstream other = another_stream();
        const CUevent fork = event(), join = event();
        const CUdeviceptr a = upload(std::vector<unsigned>(50, 1)), b = allocate(200), c = allocate(200), flag = allocate(4);
        begin();
        ASSERT_EQ(cuMemsetD32Async(flag, 0, 1, stream()), CUDA_SUCCESS);
        ASSERT_EQ(cuEventRecord(fork, stream()), CUDA_SUCCESS);
        ASSERT_EQ(cuStreamWaitEvent(other, fork, 0), CUDA_SUCCESS);
        launch("stream_wait_add", stream(), {c, b, flag, 50, 5});
        launch("stream_add_raise", other, {b, a, flag, 50, 5});
        ASSERT_EQ(cuEventRecord(join, other), CUDA_SUCCESS);
        ASSERT_EQ(cuStreamWaitEvent(stream(), join, 0), CUDA_SUCCESS);
        launch("stream_add", stream(), {a, c, 0, 50, 1});
        const CUgraphExec exec = end();
        run(exec);
        run(exec);
        EXPECT_EQ(download(a, 50), std::vector<unsigned>(50, 23)) << order;
    }
}

TEST_F(DriverGraph, SpansDevices) {
    start({{"CUDA_ON_CPU_DEVICES", "2"}});
    CUcontext second = nullptr;
    ASSERT_EQ(cuDevicePrimaryCtxRetain(&second, 1), CUDA_SUCCESS);
    const CUdeviceptr a = upload(std::vector<unsigned>{1});
    const CUevent fork = event();
    ASSERT_EQ(cuCtxSetCurrent(second), CUDA_SUCCESS);
    const CUstream other = another_stream();
    const CUdeviceptr b = allocate(4);
    const CUevent join = event();
    ASSERT_NE(module_of(second), nullptr);
    begin();
    ASSERT_EQ(cuEventRecord(fork, stream()), CUDA_SUCCESS);
    ASSERT_EQ(cuStreamWaitEvent(other, fork, 0), CUDA_SUCCESS);
    ASSERT_EQ(cuMemcpyPeerAsync(b, second, a, context(), 4, other), CUDA_SUCCESS);
    launch("stream_add", other, {b, b, 0, 1, 5});
    ASSERT_EQ(cuEventRecord(join, other), CUDA_SUCCESS);
    ASSERT_EQ(cuStreamWaitEvent(stream(), join, 0), CUDA_SUCCESS);
    ASSERT_EQ(cuMemcpyPeerAsync(a, context(), b, second, 4, stream()), CUDA_SUCCESS);
    ASSERT_EQ(cuCtxSetCurrent(context()), CUDA_SUCCESS);
    const CUgraphExec exec = end();
    run(exec);
    run(exec);
    EXPECT_EQ(download(a, 1)[0], 11u);
}

TEST_F(DriverGraph, RefusesToWaitInsideOfACapture) {
    start();
    begin(CU_STREAM_CAPTURE_MODE_RELAXED);
    EXPECT_EQ(cuStreamSynchronize(stream()), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    CUstreamCaptureStatus status;
    ASSERT_EQ(cuStreamIsCapturing(stream(), &status), CUDA_SUCCESS);
    EXPECT_EQ(status, CU_STREAM_CAPTURE_STATUS_INVALIDATED);
    EXPECT_EQ(cuMemsetD8Async(allocate(16), 0, 16, stream()), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    CUgraph graph;
    EXPECT_EQ(cuStreamEndCapture(stream(), &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    EXPECT_EQ(graph, nullptr);
    EXPECT_EQ(cuStreamSynchronize(stream()), CUDA_SUCCESS);
}

TEST_F(DriverGraph, RefusesToAllocateBesideACaptureThatForbidsIt) {
    start();
    CUdeviceptr pointer;
    CUgraph graph;
    begin(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
    std::thread([&] {
        ASSERT_EQ(cuCtxSetCurrent(context()), CUDA_SUCCESS);
        EXPECT_EQ(cuMemAlloc_v2(&pointer, 16), CUDA_SUCCESS);
    }).join();
    EXPECT_EQ(cuMemAlloc_v2(&pointer, 16), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    EXPECT_EQ(cuStreamEndCapture(stream(), &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    begin(CU_STREAM_CAPTURE_MODE_GLOBAL);
    std::thread([&] {
        ASSERT_EQ(cuCtxSetCurrent(context()), CUDA_SUCCESS);
        EXPECT_EQ(cuMemAlloc_v2(&pointer, 16), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    }).join();
    EXPECT_EQ(cuStreamEndCapture(stream(), &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

TEST_F(DriverGraph, RefusesPageableMemory) {
    start();
    const CUdeviceptr a = allocate(4);
    unsigned value = 1;
    begin();
    EXPECT_EQ(cuMemcpyHtoDAsync_v2(a, &value, 4, stream()), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    CUgraph graph;
    EXPECT_EQ(cuStreamEndCapture(stream(), &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

TEST_F(DriverGraph, MustBeJoinedAndEndWhereItBegan) {
    start();
    const CUstream other = another_stream();
    const CUevent fork = event();
    const CUdeviceptr a = allocate(16);
    CUgraph graph;
    EXPECT_EQ(cuStreamEndCapture(stream(), &graph), CUDA_ERROR_ILLEGAL_STATE);
    begin();
    EXPECT_EQ(cuStreamBeginCapture_v2(stream(), CU_STREAM_CAPTURE_MODE_RELAXED), CUDA_ERROR_ILLEGAL_STATE);
    ASSERT_EQ(cuEventRecord(fork, stream()), CUDA_SUCCESS);
    ASSERT_EQ(cuStreamWaitEvent(other, fork, 0), CUDA_SUCCESS);
    ASSERT_EQ(cuMemsetD8Async(a, 0, 16, other), CUDA_SUCCESS);
    EXPECT_EQ(cuEventQuery(fork), CUDA_ERROR_CAPTURED_EVENT);
    EXPECT_EQ(cuStreamEndCapture(other, &graph), CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
    std::thread([&] { EXPECT_EQ(cuStreamEndCapture(stream(), &graph), CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD); }).join();
    EXPECT_EQ(cuStreamEndCapture(stream(), &graph), CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
    EXPECT_EQ(cuStreamSynchronize(other), CUDA_SUCCESS);
}

TEST_F(DriverGraph, KeepsOutWhatWasNotCaptured) {
    start();
    const CUstream other = another_stream();
    const CUevent before = event();
    ASSERT_EQ(cuEventRecord(before, other), CUDA_SUCCESS);
    begin();
    EXPECT_EQ(cuStreamWaitEvent(stream(), before, 0), CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
    CUgraph graph;
    EXPECT_EQ(cuStreamEndCapture(stream(), &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

TEST_F(DriverGraph, TakesItsArgumentsWhenCaptured) {
    start();
    const CUdeviceptr a = upload(std::vector<unsigned>{1});
    CUfunction add = function("stream_add");
    begin();
    StreamArgs args{a, a, 0, 1, 2};
    void* parameters[] = {&args};
    ASSERT_EQ(cuLaunchKernel(add, 1, 1, 1, 32, 1, 1, 0, stream(), parameters, nullptr), CUDA_SUCCESS);
    args.value = 100;
    const CUgraphExec exec = end();
    run(exec);
    EXPECT_EQ(download(a, 1)[0], 3u);
    EXPECT_EQ(cuGraphExecDestroy(exec), CUDA_SUCCESS);
    EXPECT_EQ(cuGraphLaunch(exec, stream()), CUDA_ERROR_INVALID_VALUE);
}

}  // namespace
