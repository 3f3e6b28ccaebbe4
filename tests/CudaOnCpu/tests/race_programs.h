// Programs with several streams, each once right and once with one synchronisation missing: run under ThreadSanitizer
// (races.cpp) and in the checked build (driver_hazard_test.cpp).
#pragma once
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "driver_fixture.h"

#define MUST(call) must((call), __LINE__)

class Race {
public:
    Race() {
        MUST(cuInit(0));
        MUST(cuDevicePrimaryCtxRetain(&context_, 0));
        MUST(cuCtxSetCurrent(context_));
        MUST(cuModuleLoadDataEx(&module_, kPtx, 0, nullptr, nullptr));
        MUST(cuStreamCreateWithPriority(&first_, CU_STREAM_NON_BLOCKING, 0));
        MUST(cuStreamCreateWithPriority(&second_, CU_STREAM_NON_BLOCKING, 0));
        MUST(cuEventCreate(&event_, CU_EVENT_DISABLE_TIMING));
    }

    // A kernel reads in one stream what another's has written.
    CUresult kernels(bool is_missing) {
        const CUdeviceptr a = device_memory(400), b = device_memory(400), c = device_memory(400);
        add(first_, b, a);
        order(first_, second_, is_missing);
        add(second_, c, b);
        return finish();
    }

    // A buffer is filled again while the kernel of the last round may still read it.
    CUresult refill(bool is_missing) {
        const CUdeviceptr a = device_memory(400), b = device_memory(400);
        void* pinned;
        MUST(cuMemHostAlloc(&pinned, 400, 0));
        std::memset(pinned, 1, 400);
        for (int i = 0; i < 2; ++i) {
            MUST(cuMemcpyHtoDAsync_v2(a, pinned, 400, first_));
            order(first_, second_, false);
            add(second_, b, a);
            order(second_, first_, is_missing);
        }
        return finish();
    }

    // The host reads pinned memory before the copy into it has ended.
    CUresult host(bool is_missing) {
        const CUdeviceptr a = device_memory(400);
        void* pinned;
        MUST(cuMemHostAlloc(&pinned, 400, 0));
        MUST(cuMemcpyDtoHAsync_v2(pinned, a, 400, first_));
        if (!is_missing) MUST(cuStreamSynchronize(first_));
        if (*static_cast<volatile unsigned*>(pinned) == 12345) std::puts("unlikely");
        return finish();
    }

    // The host writes pinned memory again before the copy out of it has begun.
    CUresult staging(bool is_missing) {
        const CUdeviceptr a = device_memory(400);
        void* pinned;
        MUST(cuMemHostAlloc(&pinned, 400, 0));
        for (int i = 0; i < 2; ++i) {
            *static_cast<volatile unsigned*>(pinned) = 1;
            MUST(cuMemcpyHtoDAsync_v2(a, pinned, 400, first_));
            if (!is_missing) MUST(cuStreamSynchronize(first_));
        }
        return finish();
    }

    // Two branches of a graph: the second needs the first's result.
    CUresult graph(bool is_missing) {
        const CUdeviceptr a = device_memory(400), b = device_memory(400), c = device_memory(400);
        CUevent fork, join;
        MUST(cuEventCreate(&fork, CU_EVENT_DISABLE_TIMING));
        MUST(cuEventCreate(&join, CU_EVENT_DISABLE_TIMING));
        MUST(cuStreamBeginCapture_v2(first_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
        MUST(cuEventRecord(fork, first_));
        MUST(cuStreamWaitEvent(second_, fork, 0));
        add(first_, b, a);
        order(first_, second_, is_missing);
        add(second_, c, b);
        MUST(cuEventRecord(join, second_));
        MUST(cuStreamWaitEvent(first_, join, 0));
        CUgraph captured;
        CUgraphExec exec;
        MUST(cuStreamEndCapture(first_, &captured));
        MUST(cuGraphInstantiateWithFlags(&exec, captured, 0));
        for (int i = 0; i < 2; ++i) MUST(cuGraphLaunch(exec, first_));
        return finish();
    }

    // A graph's result is read in another stream.
    CUresult after_graph(bool is_missing) {
        const CUdeviceptr a = device_memory(400), b = device_memory(400), c = device_memory(400);
        MUST(cuStreamBeginCapture_v2(first_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
        add(first_, b, a);
        CUgraph captured;
        CUgraphExec exec;
        MUST(cuStreamEndCapture(first_, &captured));
        MUST(cuGraphInstantiateWithFlags(&exec, captured, 0));
        MUST(cuGraphLaunch(exec, first_));
        order(first_, second_, is_missing);
        add(second_, c, b);
        return finish();
    }

    // The flag of a stream memory operation orders what lies around it.
    CUresult flag(bool is_missing) {
        const CUdeviceptr a = device_memory(400), b = device_memory(400), c = device_memory(400), at = device_memory(4);
        add(first_, b, a);
        MUST(cuStreamWriteValue32_v2(first_, at, 1, 0));
        if (!is_missing) MUST(cuStreamWaitValue32_v2(second_, at, 1, CU_STREAM_WAIT_VALUE_EQ));
        add(second_, c, b);
        return finish();
    }

private:
    static void must(CUresult result, int line) {
        // A race that was found already is what the program's end tells.
        if (result == CUDA_SUCCESS || result == CUDA_ERROR_LAUNCH_FAILED) return;
        std::fprintf(stderr, "line %d: status %d\n", line, result);
        std::exit(2);
    }

    CUdeviceptr device_memory(std::size_t bytes) {
        CUdeviceptr pointer;
        MUST(cuMemAlloc_v2(&pointer, bytes));
        MUST(cuMemsetD8Async(pointer, 0, bytes, first_));
        MUST(cuStreamSynchronize(first_));
        return pointer;
    }

    void add(CUstream stream, CUdeviceptr to, CUdeviceptr from) {
        CUfunction function;
        MUST(cuModuleGetFunction(&function, module_, "stream_add"));
        StreamArgs args{to, from, 0, 100, 1};
        void* parameters[] = {&args};
        MUST(cuLaunchKernel(function, 1, 1, 1, 64, 1, 1, 0, stream, parameters, nullptr));
    }

    void order(CUstream before, CUstream after, bool is_missing) {
        MUST(cuEventRecord(event_, before));
        if (!is_missing) MUST(cuStreamWaitEvent(after, event_, 0));
    }




    CUresult finish() {
        const CUresult result = cuStreamSynchronize(first_);
        return result == CUDA_SUCCESS ? cuStreamSynchronize(second_) : result;
    }

    CUcontext context_;
    CUmodule module_;
    CUevent event_;
    CUstream first_, second_;
};
