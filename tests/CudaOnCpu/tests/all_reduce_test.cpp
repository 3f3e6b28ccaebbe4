// Ranks on threads of their own add up what they have, many times in a row, each at its own pace.
#include "executor.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>
#include <vector>

namespace {

struct AllReduceArgs {
    const float* part;
    float* sum;
    float* const* stagings;
    std::uint32_t* const* flags;
    std::uint32_t* state;
    std::uint32_t* fault;
    std::uint64_t count, capacity, timeout_nanos;
    std::uint32_t rank, ranks;
};

constexpr std::uint64_t kCapacity = 700;

struct Ranks {
    explicit Ranks(std::uint32_t count) : staging(count), flags(count), state(count), parts(count) {
        for (std::uint32_t r = 0; r < count; ++r) {
            staging[r].resize(2 * kCapacity, -1.0f);
            flags[r].resize(32 * count);
            state[r].resize(2);
            parts[r].resize(kCapacity);
            staging_table.push_back(staging[r].data());
            flag_table.push_back(flags[r].data());
        }
    }

    AllReduceArgs args(std::uint32_t rank, std::uint64_t count, std::uint64_t timeout_nanos = 10'000'000'000) {
        return {parts[rank].data(), parts[rank].data(), staging_table.data(), flag_table.data(), state[rank].data(),
                fault.data(),       count,              kCapacity,            timeout_nanos,     rank,
                static_cast<std::uint32_t>(staging.size())};
    }

    std::vector<std::vector<float>> staging;
    std::vector<std::vector<std::uint32_t>> flags, state;
    std::vector<std::vector<float>> parts;
    std::vector<float*> staging_table;
    std::vector<std::uint32_t*> flag_table;
    std::vector<std::uint32_t> fault = std::vector<std::uint32_t>(1);
};

std::string run(const char* name, const AllReduceArgs& args, std::uint32_t seed) {
    return cuda_on_cpu::launch(*cuda_on_cpu::find_kernel(name), {3, 1, 1, 64, 0}, &args,
                               {cuda_on_cpu::Order::random, seed});
}

TEST(AllReduce, GivesEveryRankTheSameSum) {
    for (const std::uint32_t count : {1u, 2u, 4u, 8u}) {
        Ranks ranks(count);
        std::vector<std::thread> threads;
        std::vector<int> wrong(count);
        for (std::uint32_t r = 0; r < count; ++r) {
            threads.emplace_back([&, r] {
                for (std::uint32_t turn = 0; turn < 50; ++turn) {
                    const std::uint64_t length = 1 + turn * 13;
                    for (std::uint64_t i = 0; i < length; ++i) ranks.parts[r][i] = static_cast<float>(r + turn + i);
                    const AllReduceArgs args = ranks.args(r, length);
                    if (!run("all_reduce_publish", args, turn + 1).empty()) ++wrong[r];
                    if (turn % (r + 2) == 0) std::this_thread::yield();
                    if (!run("all_reduce_sum", args, turn + 1).empty()) ++wrong[r];
                    for (std::uint64_t i = 0; i < length; ++i) {
                        float expected = 0;
                        for (std::uint32_t other = 0; other < count; ++other) expected += static_cast<float>(other + turn + i);
                        if (ranks.parts[r][i] != expected) ++wrong[r];
                    }
                }
            });
        }
        for (auto& thread : threads) thread.join();
        for (std::uint32_t r = 0; r < count; ++r) EXPECT_EQ(wrong[r], 0) << "rank " << r << " of " << count;
        EXPECT_EQ(ranks.fault[0], 0u);
    }
}

TEST(AllReduce, NamesARankThatDoesNotCome) {
    Ranks ranks(2);
    const AllReduceArgs args = ranks.args(0, 5, 1'000'000);
    EXPECT_EQ(run("all_reduce_publish", args, 1), "");
    EXPECT_EQ(run("all_reduce_sum", args, 1), "");
    EXPECT_EQ(ranks.fault[0], 2u);
}

}  // namespace
