// The double of libcuda behaves as the driver API says.
#include "driver_fixture.h"

namespace {

TEST_F(Driver, CountsItsDevicesAndNamesThem) {
    start({{"CUDA_ON_CPU_DEVICES", "3"}});
    int count = 0;
    EXPECT_EQ(cuDeviceGetCount(&count), CUDA_SUCCESS);
    EXPECT_EQ(count, 3);
    CUdevice device;
    EXPECT_EQ(cuDeviceGet(&device, 3), CUDA_ERROR_INVALID_DEVICE);
    CUuuid first{}, second{};
    EXPECT_EQ(cuDeviceGetUuid_v2(&first, 0), CUDA_SUCCESS);
    EXPECT_EQ(cuDeviceGetUuid_v2(&second, 1), CUDA_SUCCESS);
    EXPECT_NE(std::memcmp(&first, &second, sizeof first), 0);
}

TEST_F(Driver, RunsAKernelBetweenCopies) {
    start();
    constexpr unsigned kWidth = 64, kRows = 3;
    std::vector<float> x(kRows * kWidth), weight(kWidth, 2.0f), y(kRows * kWidth);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 7) - 3;
    const CUdeviceptr on_x = upload(x), on_weight = upload(weight), on_y = allocate(y.size() * 4);
    const CUfunction norm = function("rms_norm");
    launch_norm(norm, stream(), on_x, on_weight, on_y, kRows, kWidth);
    ASSERT_EQ(cuMemcpyDtoHAsync_v2(y.data(), on_y, y.size() * 4, stream()), CUDA_SUCCESS);
    ASSERT_EQ(cuStreamSynchronize(stream()), CUDA_SUCCESS);
    EXPECT_EQ(y, norm_of(x, weight, kRows, kWidth));
}

}  // namespace
