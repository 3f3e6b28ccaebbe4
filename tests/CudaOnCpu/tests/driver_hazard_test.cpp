// The checked build finds accesses that nothing orders, in whatever order they happen to run.
#include "observer.h"
#include "race_programs.h"

namespace {

class DriverHazard : public testing::TestWithParam<const char*> {
protected:
    void SetUp() override {
        if (cuda_on_cpu::observer == nullptr) GTEST_SKIP() << "kernels tell of their accesses in the checked build only";
        cuda_on_cpu_set("CUDA_ON_CPU_ORDER", GetParam());
        cuda_on_cpu_restart();
    }
    void TearDown() override {
        cuda_on_cpu_set("CUDA_ON_CPU_ORDER", nullptr);
        cuda_on_cpu_restart();
    }

    void check(CUresult (Race::*program)(bool is_missing)) {
        {
            Race race;
            EXPECT_EQ((race.*program)(false), CUDA_SUCCESS) << cuda_on_cpu_fault();
        }
        cuda_on_cpu_restart();
        Race race;
        EXPECT_EQ((race.*program)(true), CUDA_ERROR_LAUNCH_FAILED);
        EXPECT_NE(std::string(cuda_on_cpu_fault()).find("missing synchronisation"), std::string::npos) << cuda_on_cpu_fault();
    }
};

TEST_P(DriverHazard, FindsAMissingWaitBetweenKernels) { check(&Race::kernels); }
TEST_P(DriverHazard, FindsABufferFilledBeforeItWasRead) { check(&Race::refill); }
TEST_P(DriverHazard, FindsAMissingEdgeOfAGraph) { check(&Race::graph); }
TEST_P(DriverHazard, FindsAMissingWaitForAGraph) { check(&Race::after_graph); }
TEST_P(DriverHazard, FindsAFlagThatNobodyWaitsFor) { check(&Race::flag); }

// What a forgotten wait of the product would be.
TEST_P(DriverHazard, FindsThatWaitsAreIgnored) {
    cuda_on_cpu_set("CUDA_ON_CPU_IGNORE_WAITS", "1");
    cuda_on_cpu_restart();
    Race race;
    cuda_on_cpu_set("CUDA_ON_CPU_IGNORE_WAITS", nullptr);
    EXPECT_EQ(race.kernels(false), CUDA_ERROR_LAUNCH_FAILED);
    EXPECT_NE(std::string(cuda_on_cpu_fault()).find("missing synchronisation"), std::string::npos) << cuda_on_cpu_fault();
}

INSTANTIATE_TEST_SUITE_P(Orders, DriverHazard, testing::Values("eager", "lazy", "random:1", "random:2"),
                         [](const auto& info) { return std::string(info.param).substr(0, 5) + std::to_string(info.index); });

class DriverPeers : public Driver {};

TEST_F(DriverPeers, KeepsKernelsFromOtherDevicesMemory) {
    if (cuda_on_cpu::observer == nullptr) GTEST_SKIP() << "kernels tell of their accesses in the checked build only";
    for (const bool may : {true, false}) {
        start({{"CUDA_ON_CPU_DEVICES", "2"}});
        const CUdeviceptr a = upload(std::vector<unsigned>{1});
        ASSERT_EQ(cuStreamSynchronize(stream()), CUDA_SUCCESS);
        CUcontext second = nullptr;
        ASSERT_EQ(cuDevicePrimaryCtxRetain(&second, 1), CUDA_SUCCESS);
        ASSERT_EQ(cuCtxSetCurrent(second), CUDA_SUCCESS);
        if (may) ASSERT_EQ(cuCtxEnablePeerAccess(context(), 0), CUDA_SUCCESS);
        const CUdeviceptr b = allocate(4);
        const CUstream other = another_stream();
        ASSERT_EQ(try_launch("stream_add", other, {b, a, 0, 1, 1}), CUDA_SUCCESS);
        EXPECT_EQ(cuStreamSynchronize(other), may ? CUDA_SUCCESS : CUDA_ERROR_ILLEGAL_ADDRESS) << cuda_on_cpu_fault();
    }
}

}  // namespace
