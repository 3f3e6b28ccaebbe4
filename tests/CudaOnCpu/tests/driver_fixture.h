// What the tests of the driver share: a fresh world with one context and one stream, and a kernel to run.
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "cuda_api.h"
#include "quiet.h"

// For tests that do what a program must not.
#ifdef CUDA_ON_CPU_TSAN
#define SKIP_UNDER_TSAN() GTEST_SKIP() << "a race on purpose"
#else
#define SKIP_UNDER_TSAN() static_cast<void>(0)
#endif

// Field for field that of driver_kernels.cu.
struct StreamArgs {
    CUdeviceptr to = 0, from = 0, flag = 0;
    unsigned count = 0, value = 0;
};

struct RmsNormArgs {
    CUdeviceptr x, weight, y;
    long long x_stride, y_stride;
    unsigned width, groups;
    float epsilon;
};

// As clang writes it, as far as the driver reads it.
inline constexpr const char* kPtx = R"(
.version 8.0
.target sm_80
.address_size 64
.visible .entry rms_norm(
	.param .align 8 .b8 rms_norm_param_0[56]
)
.maxntid 256, 1, 1
{
	// demoted variable
	.shared .align 4 .b8 _ZZ8rms_normE7partial[32];
	ret;
}
.visible .entry stream_add(
	.param .align 8 .b8 stream_add_param_0[32]
)
.maxntid 256, 1, 1
{ ret; }
.visible .entry stream_wait_add(
	.param .align 8 .b8 stream_wait_add_param_0[32]
)
.maxntid 256, 1, 1
{ ret; }
.visible .entry stream_add_raise(
	.param .align 8 .b8 stream_add_raise_param_0[32]
)
.maxntid 256, 1, 1
{ ret; }
.visible .entry stream_past_end(
	.param .align 8 .b8 stream_past_end_param_0[32]
)
.maxntid 256, 1, 1
{ ret; }
.visible .entry stream_into_slack(
	.param .align 8 .b8 stream_into_slack_param_0[32]
)
.maxntid 256, 1, 1
{ ret; }
.extern .shared .align 1024 .b8 dynamic_shared_memory[];
.visible .entry stream_shared(
	.param .align 8 .b8 stream_shared_param_0[32]
)
.maxntid 256, 1, 1
{ ret; }
.visible .entry not_in_the_build(
	.param .u64 not_in_the_build_param_0
)
{
	ret;
}
)";

class Driver : public testing::Test {
protected:
    void start(const std::map<std::string, std::string>& variables = {}) {
        for (const auto& [name, value] : variables) cuda_on_cpu_set(name.c_str(), value.c_str());
        names_ = variables;
        cuda_on_cpu_restart();
        ASSERT_EQ(cuInit(0), CUDA_SUCCESS);
        ASSERT_EQ(cuDevicePrimaryCtxRetain(&context_, 0), CUDA_SUCCESS);
        ASSERT_EQ(cuCtxSetCurrent(context_), CUDA_SUCCESS);
        ASSERT_NE(module_of(context_), nullptr);
        ASSERT_EQ(cuStreamCreateWithPriority(&stream_, CU_STREAM_NON_BLOCKING, 0), CUDA_SUCCESS);
    }

    void TearDown() override {
        for (const auto& [name, value] : names_) cuda_on_cpu_set(name.c_str(), nullptr);
        cuda_on_cpu_restart();
    }

    // Loaded once: a capture forbids it.
    static CUmodule module_of(CUcontext current) {
        static std::map<CUcontext, CUmodule> loaded;
        CUmodule& module = loaded[current];
        if (module == nullptr) EXPECT_EQ(cuModuleLoadDataEx(&module, kPtx, 0, nullptr, nullptr), CUDA_SUCCESS);
        return module;
    }

    CUcontext context() const { return context_; }
    CUstream stream() const { return stream_; }

    static CUstream another_stream() {
        CUstream stream = nullptr;
        EXPECT_EQ(cuStreamCreateWithPriority(&stream, CU_STREAM_NON_BLOCKING, 0), CUDA_SUCCESS);
        return stream;
    }

    static CUevent event(unsigned flags = CU_EVENT_DISABLE_TIMING) {
        CUevent event = nullptr;
        EXPECT_EQ(cuEventCreate(&event, flags), CUDA_SUCCESS);
        return event;
    }

    static CUdeviceptr allocate(std::size_t bytes) {
        CUdeviceptr pointer = 0;
        EXPECT_EQ(cuMemAlloc_v2(&pointer, bytes), CUDA_SUCCESS);
        return pointer;
    }

    template <typename T>
    static T* pinned(std::size_t count) {
        void* pointer = nullptr;
        EXPECT_EQ(cuMemHostAlloc(&pointer, count * sizeof(T), CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_PORTABLE), CUDA_SUCCESS);
        return static_cast<T*>(pointer);
    }

    template <typename T>
    CUdeviceptr upload(const std::vector<T>& values) {
        const CUdeviceptr pointer = allocate(values.size() * sizeof(T));
        EXPECT_EQ(cuMemcpyHtoDAsync_v2(pointer, values.data(), values.size() * sizeof(T), stream_), CUDA_SUCCESS);
        return pointer;
    }

    static CUfunction function(const char* name, const char* ptx = kPtx) {
        CUmodule module = nullptr;
        CUfunction function = nullptr;
        EXPECT_EQ(cuModuleLoadDataEx(&module, ptx, 0, nullptr, nullptr), CUDA_SUCCESS);
        EXPECT_EQ(cuModuleGetFunction(&function, module, name), CUDA_SUCCESS);
        return function;
    }

    static CUresult try_launch(const char* kernel, CUstream on, const StreamArgs& args, unsigned blocks = 1, unsigned threads = 64,
                               unsigned shared_bytes = 0) {
        CUcontext current;
        EXPECT_EQ(cuCtxGetCurrent(&current), CUDA_SUCCESS);
        CUfunction found = nullptr;
        EXPECT_EQ(cuModuleGetFunction(&found, module_of(current), kernel), CUDA_SUCCESS);
        StreamArgs own = args;
        void* parameters[] = {&own};
        return cuLaunchKernel(found, blocks, 1, 1, threads, 1, 1, shared_bytes, on, parameters, nullptr);
    }

    static void launch(const char* kernel, CUstream on, const StreamArgs& args) {
        ASSERT_EQ(try_launch(kernel, on, args), CUDA_SUCCESS) << kernel;
    }

    std::vector<unsigned> download(CUdeviceptr from, std::size_t count) {
        std::vector<unsigned> values(count);
        EXPECT_EQ(cuMemcpyDtoHAsync_v2(values.data(), from, count * 4, stream_), CUDA_SUCCESS);
        return values;
    }

    static CUresult try_norm(CUfunction norm, CUstream on, CUdeviceptr x, CUdeviceptr weight, CUdeviceptr y, unsigned rows,
                             unsigned width, unsigned threads = 64, unsigned shared_bytes = 0) {
        RmsNormArgs args{x, weight, y, width, width, width, 1, 1e-6f};
        void* parameters[] = {&args};
        return cuLaunchKernel(norm, 1, rows, 1, threads, 1, 1, shared_bytes, on, parameters, nullptr);
    }

    static void launch_norm(CUfunction norm, CUstream on, CUdeviceptr x, CUdeviceptr weight, CUdeviceptr y, unsigned rows,
                            unsigned width) {
        ASSERT_EQ(try_norm(norm, on, x, weight, y, rows, width), CUDA_SUCCESS);
    }

    // Exact for rows of small integers: their squares and sums are.
    static std::vector<float> norm_of(const std::vector<float>& x, const std::vector<float>& weight, unsigned rows, unsigned width) {
        std::vector<float> y(x.size());
        for (unsigned row = 0; row < rows; ++row) {
            float squares = 0;
            for (unsigned i = 0; i < width; ++i) squares += x[row * width + i] * x[row * width + i];
            const float scale = 1.0f / std::sqrt(squares / static_cast<float>(width) + 1e-6f);
            for (unsigned i = 0; i < width; ++i) y[row * width + i] = x[row * width + i] * scale * weight[i];
        }
        return y;
    }

private:
    std::map<std::string, std::string> names_;
    CUcontext context_ = nullptr;
    CUstream stream_ = nullptr;
};
