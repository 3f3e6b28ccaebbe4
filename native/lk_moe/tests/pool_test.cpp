#include "pool.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>

#include "machines.h"
#include "topology.h"

namespace lk::testing {
namespace {

ThreadPlan plan_of(int threads) {
    return plan_threads(read_topology(one_node().root()), {.threads = threads, .cores = {}});
}

void wait_until(const std::function<bool()>& holds) {
    // A bound for a broken pool, not a measure: any machine gets there.
    for (int i = 0; i < 60'000 && !holds(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ASSERT_TRUE(holds());
}

class PoolTest : public ::testing::TestWithParam<int> {};

TEST_P(PoolTest, Every_worker_runs_every_job_once) {
    Pool pool(plan_of(GetParam()), {});
    ASSERT_EQ(pool.size(), GetParam());
    std::vector<int> runs(static_cast<std::size_t>(GetParam()), 0);
    for (int i = 0; i < 400; ++i) {
        pool.run([&](const Worker& worker) { ++runs[static_cast<std::size_t>(worker.index)]; });
    }
    for (const int count : runs) ASSERT_EQ(count, 400);
}

TEST_P(PoolTest, The_caller_sees_what_workers_wrote_and_the_other_way_round) {
    Pool pool(plan_of(GetParam()), {});
    std::vector<long> values(static_cast<std::size_t>(GetParam()), 0);
    for (long i = 0; i < 200; ++i) {
        long input = i;
        pool.run([&](const Worker& worker) { values[static_cast<std::size_t>(worker.index)] = input; });
        ASSERT_EQ(std::accumulate(values.begin(), values.end(), 0l), i * GetParam());
        input = -1;
    }
}

TEST_P(PoolTest, Whoever_is_last_sees_what_all_have_written) {
    Pool pool(plan_of(GetParam()), {});
    std::vector<long> values(static_cast<std::size_t>(GetParam()), 0);
    for (long i = 1; i <= 300; ++i) {
        long sum = 0;
        int calls = 0;
        pool.run([&](const Worker& worker) { values[static_cast<std::size_t>(worker.index)] = i; },
                 [&] {
                     sum = std::accumulate(values.begin(), values.end(), 0l);
                     ++calls;
                 });
        ASSERT_EQ(sum, i * GetParam());
        ASSERT_EQ(calls, 1);
    }
}

TEST_P(PoolTest, Barriers_separate_phases) {
    Pool pool(plan_of(GetParam()), {});
    const auto size = static_cast<std::size_t>(GetParam());
    std::vector<int> first(size, 0), second(size, 0);
    for (int round = 1; round <= 60; ++round) {
        pool.run([&](const Worker& worker) {
            const auto index = static_cast<std::size_t>(worker.index);
            for (int phase = 0; phase < 4; ++phase) {
                first[index] = round * 10 + phase;
                pool.barrier();
                second[index] = first[(index + 1) % size];
                pool.barrier();
                if (second[index] != round * 10 + phase) std::abort();
            }
        });
    }
}

TEST_P(PoolTest, Turns_are_taken_once_each) {
    Pool pool(plan_of(GetParam()), {});
    Turns turns;
    std::vector<std::atomic<int>> taken(1000);
    for (int round = 1; round <= 20; ++round) {
        turns.reset();
        pool.run([&](const Worker&) {
            for (std::uint32_t turn; (turn = turns.take()) < taken.size();)
                taken[turn].fetch_add(1, std::memory_order_relaxed);
        });
        for (const auto& count : taken) ASSERT_EQ(count.load(), round);
    }
}

TEST_P(PoolTest, Idle_workers_park_and_wake) {
    Pool pool(plan_of(GetParam()), {.power_saving = true, .park_micros = 200});
    std::atomic<int> runs{0};
    for (int round = 1; round <= 5; ++round) {
        wait_until([&] { return pool.parked() == GetParam() - 1; });
        pool.run([&](const Worker&) { runs.fetch_add(1); });
        ASSERT_EQ(runs.load(), round * GetParam());
    }
}

TEST_P(PoolTest, Jobs_race_with_parking_and_lose_nothing) {
    // As long as the time to park, so that both orders of "last look" and "new job" happen.
    Pool pool(plan_of(GetParam()), {.power_saving = true, .park_micros = 20});
    std::atomic<long> runs{0};
    for (int round = 0; round < 500; ++round) {
        pool.run([&](const Worker&) { runs.fetch_add(1, std::memory_order_relaxed); });
        const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(round % 40);
        while (std::chrono::steady_clock::now() < until) {
        }
    }
    ASSERT_EQ(runs.load(), 500l * GetParam());
}

INSTANTIATE_TEST_SUITE_P(Sizes, PoolTest, ::testing::Values(1, 2, 3, 9, 17));

TEST(PoolTest, Workers_know_their_rank) {
    Pool pool(plan_threads(read_topology(two_sockets().root()), {.threads = 5, .cores = {}}), {});
    std::vector<Worker> seen(5);
    pool.run([&](const Worker& worker) { seen[static_cast<std::size_t>(worker.index)] = worker; });
    EXPECT_EQ(pool.ranks(), 2);
    EXPECT_EQ(pool.rank_size(0), 3);
    EXPECT_EQ(seen[3].rank, 1);
    EXPECT_EQ(seen[3].index_in_rank, 0);
    EXPECT_EQ(seen[4].rank_size, 2);
}

TEST(PoolTest, Pools_come_and_go) {
    for (int i = 0; i < 30; ++i) {
        Pool pool(plan_of(1 + i % 5), {});
        if (i % 2 == 0) pool.run([](const Worker&) {});
    }
}

}  // namespace
}  // namespace lk::testing
