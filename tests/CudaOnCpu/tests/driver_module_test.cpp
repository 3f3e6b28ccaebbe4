// Modules, functions, launches beyond their limits, devices that the environment chooses, faults and what is left after them.
#include "driver_fixture.h"

namespace {

using DriverModule = Driver;

TEST_F(DriverModule, GivesOnlyKernelsOfBothTheTextAndTheBuild) {
    start();
    CUmodule module = nullptr;
    CUfunction found = nullptr;
    ASSERT_EQ(cuModuleLoadDataEx(&module, kPtx, 0, nullptr, nullptr), CUDA_SUCCESS);
    EXPECT_EQ(cuModuleGetFunction(&found, module, "rms_norm"), CUDA_SUCCESS);
    EXPECT_EQ(cuModuleGetFunction(&found, module, "not_in_the_build"), CUDA_ERROR_NOT_FOUND);
    EXPECT_EQ(cuModuleGetFunction(&found, module, "test_indices"), CUDA_ERROR_NOT_FOUND);
    EXPECT_EQ(cuModuleUnload(module), CUDA_SUCCESS);
    EXPECT_EQ(cuModuleGetFunction(&found, module, "rms_norm"), CUDA_ERROR_INVALID_HANDLE);
    int value;
    EXPECT_EQ(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, found), CUDA_ERROR_INVALID_HANDLE);
}

TEST_F(DriverModule, ComparesTheSizesOfArguments) {
    start();
    std::string other = kPtx;
    other.replace(other.find("[56]"), 4, "[48]");
    CUmodule module = nullptr;
    CUfunction found = nullptr;
    ASSERT_EQ(cuModuleLoadDataEx(&module, other.c_str(), 0, nullptr, nullptr), CUDA_SUCCESS);
    EXPECT_EQ(cuModuleGetFunction(&found, module, "rms_norm"), CUDA_ERROR_INVALID_IMAGE);
}

TEST_F(DriverModule, TakesOnlyPtxForItsDevice) {
    start({{"CUDA_ON_CPU_CC", "8.9"}, {"CUDA_ON_CPU_DRIVER", "12000"}});
    const auto load = [](const char* version, const char* target) {
        CUmodule module;
        char log[64] = "";
        CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
        void* values[] = {log, reinterpret_cast<void*>(sizeof log)};
        const std::string text = std::string(".version ") + version + "\n.target " + target + "\n.address_size 64\n";
        const CUresult result = cuModuleLoadDataEx(&module, text.c_str(), 2, options, values);
        EXPECT_EQ(result == CUDA_SUCCESS, *log == 0);
        return result;
    };
    EXPECT_EQ(load("8.0", "sm_80"), CUDA_SUCCESS);
    EXPECT_EQ(load("7.0", "sm_89"), CUDA_SUCCESS);
    EXPECT_EQ(load("8.0", "sm_90"), CUDA_ERROR_NO_BINARY_FOR_GPU);
    EXPECT_EQ(load("8.0", "sm_90a"), CUDA_ERROR_NO_BINARY_FOR_GPU);
    EXPECT_EQ(load("8.1", "sm_80"), CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
    EXPECT_EQ(load("8.0", "nothing"), CUDA_ERROR_INVALID_PTX);
}

TEST_F(DriverModule, TakesPtxOfAnArchitectureOnThatOnly) {
    CUmodule module;
    const char* const text = ".version 8.0\n.target sm_90a\n.address_size 64\n";
    start({{"CUDA_ON_CPU_CC", "9.0"}});
    EXPECT_EQ(cuModuleLoadDataEx(&module, text, 0, nullptr, nullptr), CUDA_SUCCESS);
    start({{"CUDA_ON_CPU_CC", "10.0"}});
    EXPECT_EQ(cuModuleLoadDataEx(&module, text, 0, nullptr, nullptr), CUDA_ERROR_NO_BINARY_FOR_GPU);
}

TEST_F(DriverModule, ReadsBoundsFromTheText) {
    start();
    const CUfunction norm = function("rms_norm");
    int value = 0;
    EXPECT_EQ(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, norm), CUDA_SUCCESS);
    EXPECT_EQ(value, 256);
    EXPECT_EQ(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, norm), CUDA_SUCCESS);
    EXPECT_EQ(value, 32);
    int blocks = 0;
    EXPECT_EQ(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, norm, 256, 0), CUDA_SUCCESS);
    EXPECT_EQ(blocks, 8);
    EXPECT_EQ(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, norm, 32, 100 << 10), CUDA_SUCCESS);
    EXPECT_EQ(blocks, 2);
}

TEST_F(DriverModule, RefusesLaunchesBeyondTheirLimits) {
    start();
    const CUfunction shared = function("stream_shared");
    const CUdeviceptr a = allocate(256 * 4);
    StreamArgs args{a, 0, 0, 64, 10};
    const auto launch = [&](unsigned blocks, unsigned threads, unsigned bytes) {
        void* parameters[] = {&args};
        return cuLaunchKernel(shared, blocks, 1, 1, threads, 1, 1, bytes, stream(), parameters, nullptr);
    };
    EXPECT_EQ(launch(1, 0, 1024), CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(launch(0, 64, 1024), CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(launch(1, 1025, 1024), CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(launch(1, 257, 1024), CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
    EXPECT_EQ(launch(1, 64, (48 << 10) + 1), CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(cuFuncSetAttribute(shared, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, (227 << 10) + 1), CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(cuFuncSetAttribute(shared, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 100 << 10), CUDA_SUCCESS);
    EXPECT_EQ(launch(1, 64, 100 << 10), CUDA_SUCCESS);
    const std::vector<unsigned> values = download(a, 64);
    for (unsigned i = 0; i < 64; ++i) EXPECT_EQ(values[i], 10 + 63 - i);
}

TEST_F(DriverModule, FaultsForGood) {
    start({{"CUDA_ON_CPU_DEVICES", "2"}});
    const CUdeviceptr a = allocate(4096);
    EXPECT_STREQ(cuda_on_cpu_fault(), "");
    launch("stream_past_end", stream(), {a, 0, 0, 1024 + 8, 1});
    EXPECT_EQ(cuStreamSynchronize(stream()), CUDA_ERROR_ILLEGAL_ADDRESS);
    EXPECT_NE(std::string(cuda_on_cpu_fault()).find("stream_past_end"), std::string::npos) << cuda_on_cpu_fault();
    EXPECT_EQ(cuStreamSynchronize(stream()), CUDA_ERROR_ILLEGAL_ADDRESS);
    EXPECT_EQ(cuMemFree_v2(a), CUDA_ERROR_ILLEGAL_ADDRESS);
    CUevent none;
    EXPECT_EQ(cuEventCreate(&none, 0), CUDA_ERROR_ILLEGAL_ADDRESS);
    // Another device goes on.
    CUcontext second = nullptr;
    ASSERT_EQ(cuDevicePrimaryCtxRetain(&second, 1), CUDA_SUCCESS);
    ASSERT_EQ(cuCtxSetCurrent(second), CUDA_SUCCESS);
    EXPECT_NE(allocate(16), 0u);
}

TEST_F(DriverModule, FailsTheLaunchThatATestNames) {
    start();
    const CUdeviceptr a = upload(std::vector<unsigned>{1});
    const StreamArgs args{a, a, 0, 1, 1};
    cuda_on_cpu_fail_launch(2, 0);
    EXPECT_EQ(try_launch("stream_add", stream(), args), CUDA_SUCCESS);
    EXPECT_EQ(try_launch("stream_add", stream(), args), CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
    EXPECT_EQ(try_launch("stream_add", stream(), args), CUDA_SUCCESS);
    EXPECT_EQ(download(a, 1)[0], 3u);
    cuda_on_cpu_fail_launch(2, 1);
    EXPECT_EQ(try_launch("stream_add", stream(), args), CUDA_SUCCESS);
    EXPECT_EQ(cuStreamSynchronize(stream()), CUDA_SUCCESS);
    EXPECT_EQ(try_launch("stream_add", stream(), args), CUDA_SUCCESS);
    EXPECT_EQ(cuStreamSynchronize(stream()), CUDA_ERROR_LAUNCH_FAILED);
    EXPECT_EQ(cuMemsetD8Async(a, 0, 4, stream()), CUDA_ERROR_LAUNCH_FAILED);
}

// A kernel that waits for ever ends with its device.
TEST_F(DriverModule, LosesADeviceWithWhatRunsOnIt) {
    start();
    const CUdeviceptr a = allocate(16), flag = allocate(4);
    ASSERT_EQ(cuMemsetD32Async(flag, 0, 1, stream()), CUDA_SUCCESS);
    launch("stream_wait_add", stream(), {a, a, flag, 4, 1});
    EXPECT_EQ(cuStreamQuery(stream()), CUDA_ERROR_NOT_READY);
    cuda_on_cpu_lose_device(0);
    EXPECT_EQ(cuStreamSynchronize(stream()), CUDA_ERROR_UNKNOWN);
    EXPECT_EQ(cuCtxSynchronize(), CUDA_ERROR_UNKNOWN);
}

TEST_F(DriverModule, SkipsKernelsInAStubButNotThoseExempt) {
    start({{"CUDA_ON_CPU_STUB", "1"}, {"CUDA_ON_CPU_STUB_EXCEPT", "stream_add_raise, stream_wait_add"}});
    const CUdeviceptr a = upload(std::vector<unsigned>{1}), flag = allocate(4);
    ASSERT_EQ(cuMemsetD32Async(flag, 0, 1, stream()), CUDA_SUCCESS);
    launch("stream_add", stream(), {a, a, 0, 1, 100});
    launch("stream_add_raise", stream(), {a, a, flag, 1, 2});
    ASSERT_EQ(cuStreamWaitValue32_v2(stream(), flag, 2, CU_STREAM_WAIT_VALUE_EQ), CUDA_SUCCESS);
    EXPECT_EQ(download(a, 1)[0], 3u);
    EXPECT_EQ(cuda_on_cpu_kernels(), 2u);
}

TEST(DriverDevices, AreThoseThatTheEnvironmentNames) {
    cuda_on_cpu_set("CUDA_ON_CPU_DEVICES", "4");
    const auto visible = [](const char* list, std::vector<unsigned char> expected) {
        cuda_on_cpu_set("CUDA_VISIBLE_DEVICES", list);
        cuda_on_cpu_restart();
        const CUresult result = cuInit(0);
        if (expected.empty()) {
            EXPECT_EQ(result, CUDA_ERROR_NO_DEVICE) << list;
            return;
        }
        int count = 0;
        ASSERT_EQ(cuDeviceGetCount(&count), CUDA_SUCCESS) << list;
        ASSERT_EQ(static_cast<std::size_t>(count), expected.size()) << list;
        for (int i = 0; i < count; ++i) {
            CUuuid uuid;
            ASSERT_EQ(cuDeviceGetUuid_v2(&uuid, i), CUDA_SUCCESS);
            EXPECT_EQ(uuid.bytes[0], 0x11 * (expected[static_cast<std::size_t>(i)] + 1)) << list;
        }
    };
    visible("2,0", {2, 0});
    visible(" 3 , 1", {3, 1});
    visible("1,9,2", {1});
    visible("0,-1,2", {0});
    visible("-1", {});
    visible("", {});
    visible("1,1", {});
    visible("GPU-44,GPU-11", {3, 0});
    visible("GPU-", {});
    for (const char* const name : {"CUDA_ON_CPU_DEVICES", "CUDA_VISIBLE_DEVICES"}) cuda_on_cpu_set(name, nullptr);
    cuda_on_cpu_restart();
    EXPECT_EQ(cuDeviceGetCount(nullptr), CUDA_ERROR_NOT_INITIALIZED);
}

TEST_F(DriverModule, HasPeersOnlyWhereTheMachineHas) {
    for (const bool has : {true, false}) {
        start({{"CUDA_ON_CPU_DEVICES", "2"}, {"CUDA_ON_CPU_PEERS", has ? "1" : "0"}});
        CUcontext second = nullptr;
        ASSERT_EQ(cuDevicePrimaryCtxRetain(&second, 1), CUDA_SUCCESS);
        int can = -1;
        EXPECT_EQ(cuDeviceCanAccessPeer(&can, 0, 1), CUDA_SUCCESS);
        EXPECT_EQ(can, has ? 1 : 0);
        EXPECT_EQ(cuCtxEnablePeerAccess(second, 0), has ? CUDA_SUCCESS : CUDA_ERROR_PEER_ACCESS_UNSUPPORTED);
        if (has) EXPECT_EQ(cuCtxEnablePeerAccess(second, 0), CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
        EXPECT_EQ(cuCtxEnablePeerAccess(context(), 0), CUDA_ERROR_INVALID_CONTEXT);
    }
}

TEST_F(DriverModule, NamesItsErrors) {
    const char* text = nullptr;
    EXPECT_EQ(cuGetErrorName(CUDA_ERROR_OUT_OF_MEMORY, &text), CUDA_SUCCESS);
    EXPECT_STREQ(text, "CUDA_ERROR_OUT_OF_MEMORY");
    EXPECT_EQ(cuGetErrorString(CUDA_ERROR_OUT_OF_MEMORY, &text), CUDA_SUCCESS);
    EXPECT_STREQ(text, "out of memory");
    EXPECT_EQ(cuGetErrorString(static_cast<CUresult>(12345), &text), CUDA_ERROR_INVALID_VALUE);
}

}  // namespace
