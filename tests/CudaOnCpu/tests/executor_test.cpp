// What CUDA allows works in every order; what it forbids ends the launch with a fault that says what and where.
#include <array>
#include <thread>

#include "kit.h"

namespace {

using namespace cuda_on_cpu;

struct TestArgs {
    unsigned* out;
    const unsigned* in;
    unsigned* flag;
    unsigned count;
    unsigned mode;
};

using Words32 = std::vector<unsigned>;

TEST(Executor, GivesEveryThreadItsPlace) {
    kit::Buffer<unsigned> out(2 * 3 * 4 * 40);
    const TestArgs args{out.data(), nullptr, nullptr, 0, 0};
    kit::launch_all("test_indices", {2, 3, 4, 40}, args, [&] { out.clear(); }, [&] {
        for (unsigned i = 0; i < out.size(); ++i) ASSERT_EQ(out[i], i / 40 * 1000 + i % 40);
    });
}

TEST(Executor, RunsWarpsOfFewerThan32Threads) {
    for (const unsigned threads : {1u, 31u, 33u, 100u, 1024u}) {
        kit::Buffer<unsigned> in(Words32(threads * 3, 2)), out(3);
        const TestArgs args{out.data(), in.data(), nullptr, 0, 0};
        kit::launch_all("test_block_sum", {3, 1, 1, threads}, args, [&] { out.clear(); },
                        [&] { ASSERT_EQ(out.copy(), Words32(3, threads * 2)); });
    }
}

TEST(Executor, KeepsNamedBarriersApart) {
    kit::Buffer<unsigned> out(256);
    const TestArgs args{out.data(), nullptr, nullptr, 0, 0};
    kit::launch_all("test_named_barriers", {1, 1, 1, 256}, args, [&] { out.clear(); }, [&] {
        for (unsigned i = 0; i < 256; ++i) ASSERT_EQ(out[i], i < 128 ? 5u : 10u);
    });
}

TEST(Executor, LetsThreadsWaitForEachOtherInALoop) {
    kit::Buffer<unsigned> out(2), flag(1);
    const TestArgs args{out.data(), nullptr, flag.data(), 0, 0};
    kit::launch_all("test_waiting", {1, 1, 1, 64}, args, [&] { flag.fill(0u); }, [&] { ASSERT_EQ(out[0], 42u); });
}

TEST(Executor, RunsOnSeveralOsThreadsAtOnce) {
    std::vector<std::thread> threads;
    std::array<bool, 4> good{};
    for (unsigned t = 0; t < 4; ++t) {
        threads.emplace_back([&good, t] {
            kit::Buffer<unsigned> in(Words32(256, t)), out(1);
            const TestArgs args{out.data(), in.data(), nullptr, 0, 0};
            good[t] = true;
            for (unsigned round = 0; round < 50; ++round) {
                good[t] = good[t] && kit::launch_once("test_block_sum", {1, 1, 1, 256}, args, {Order::random, round}).empty() &&
                          out[0] == 256 * t;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(good, (std::array{true, true, true, true}));
}

TEST(Executor, StopsAKernelThatWaitsForever) {
    kit::Buffer<unsigned> flag(Words32{0});
    std::atomic<bool> stop{false};
    std::thread stopper([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        stop = true;
    });
    const TestArgs args{nullptr, nullptr, flag.data(), 0, 9};
    const std::string fault = kit::launch_once("test_forbidden", {1, 1, 1, 64}, args, {Order::ascending, 1, &stop});
    stopper.join();
    EXPECT_EQ(fault, "stopped while it waited in kernel test_forbidden, block (0, 0, 0)");
}

TEST(Executor, RefusesShapesThatNoDeviceTakes) {
    const TestArgs args{};
    EXPECT_EQ(kit::launch_once("test_forbidden", {1, 1, 1, 65}, args),
              "65 threads in a block, where at most 64 may be in kernel test_forbidden");
    EXPECT_EQ(kit::launch_once("test_indices", {0, 1, 1, 64}, args), "an empty grid in kernel test_indices");
    EXPECT_EQ(kit::launch_once("test_indices", {1, 70000, 1, 64}, args), "a grid of too many blocks in kernel test_indices");
    EXPECT_EQ(kit::launch_once("test_indices", {1, 1, 1, 64, 228 << 10}, args),
              "more shared memory than a block can have in kernel test_indices");
}

struct Forbidden {
    unsigned mode;
    const char* says;
};

class ForbiddenTest : public ::testing::TestWithParam<Forbidden> {};

TEST_P(ForbiddenTest, EndsTheLaunchAndNotTheProcess) {
    kit::Buffer<unsigned> out(64), in(4), flag(1);
    if (GetParam().mode == 7) in.fill(0u);
    const TestArgs args{out.data(), in.data(), flag.data(), 64, GetParam().mode};
    for (int again = 0; again < 2; ++again) {
        const std::string fault = kit::launch_once("test_forbidden", {2, 1, 1, 64}, args);
        EXPECT_NE(fault.find(GetParam().says), std::string::npos) << fault;
        EXPECT_NE(fault.find(" in kernel test_forbidden, block (0, 0, 0)"), std::string::npos) << fault;
    }
    // What comes after runs as if nothing had been.
    const TestArgs good{out.data(), in.data(), flag.data(), 64, 99};
    EXPECT_EQ(kit::launch_once("test_forbidden", {2, 1, 1, 64}, good), "");
}

INSTANTIATE_TEST_SUITE_P(
    Kernels, ForbiddenTest,
    ::testing::Values(Forbidden{0, "thread 33"}, Forbidden{1, "0x10 ("}, Forbidden{2, "thread 5"},
                      Forbidden{3, "threads wait at a barrier that others will never reach: 32 of 64 at kernels.cu:"},
                      Forbidden{4, "lanes of a warp wait at different places, kernels.cu:"},
                      Forbidden{5, "lanes of a warp wait at different places, kernels.cu:"},
                      Forbidden{6, "threads disagree about the size of a barrier"},
                      Forbidden{7, "a division of integers that has no result"},
                      Forbidden{8, "an access of 16 bytes to a misaligned address"}));

}  // namespace
