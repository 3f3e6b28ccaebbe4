#include "memory.h"

#include <gtest/gtest.h>

#include <cstring>

#include "guard.h"
#include "machines.h"
#include "matrix.h"

namespace lk::testing {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

TEST(MemoryTest, Blocks_are_zeroed_and_aligned) {
    for (const std::size_t bytes : {std::size_t{1}, std::size_t{4096}, 3 * kMiB + 5}) {
        const Block block(bytes, {}, "");
        ASSERT_GE(block.bytes(), bytes);
        ASSERT_EQ(reinterpret_cast<std::uintptr_t>(block.data()) % (bytes >= 2 * kMiB ? 2 * kMiB : 4096), 0u);
        const auto* const data = static_cast<const char*>(block.data());
        for (std::size_t i = 0; i < bytes; i += 61) ASSERT_EQ(data[i], 0);
        std::memset(block.data(), 1, block.bytes());
    }
}

TEST(MemoryTest, An_empty_block_has_no_memory) {
    const Block block(0, {}, "");
    EXPECT_EQ(block.bytes(), 0u);
}

TEST(MemoryTest, Refuses_more_than_the_machine_has_left) {
    try {
        const Block block(std::size_t{1} << 50, {}, "");
        FAIL();
    } catch (const OutOfMemory& failure) {
        EXPECT_NE(std::string(failure.what()).find("1048576.00 GiB are needed"), std::string::npos) << failure.what();
    }
    EXPECT_THROW(Block(SIZE_MAX - 100, {}, ""), OutOfMemory);
}

TEST(MemoryTest, Refuses_more_than_the_group_has_left) {
    const Machine machine("tight");
    machine.memory(8);
    machine.write("proc/self/cgroup", "0::/");
    machine.write("sys/fs/cgroup/memory.max", std::to_string(100 * kMiB));
    machine.write("sys/fs/cgroup/memory.current", std::to_string(40 * kMiB));
    EXPECT_EQ(memory_free_now(machine.root()), 60 * kMiB);
    EXPECT_THROW(Block(70 * kMiB, {}, machine.root()), OutOfMemory);
}

TEST(MemoryTest, Promises_count_until_they_are_kept_or_given_back) {
    const Machine machine("promises");
    machine.memory(1);
    const std::uint64_t before = memory_available(machine.root());
    {
        const Block block(512 * kMiB, {}, machine.root());
        EXPECT_LE(memory_available(machine.root()), before - 500 * kMiB);
        EXPECT_THROW(Block(600 * kMiB, {}, machine.root()), OutOfMemory);
    }
    EXPECT_GE(memory_available(machine.root()) + 16 * kMiB, before);
}

TEST(MemoryTest, A_node_that_is_not_there_costs_only_the_binding) {
    const Block block(kMiB, {{900}}, "");
    EXPECT_FALSE(block.placed());
    std::memset(block.data(), 1, kMiB);
}

TEST(MatrixTest, Slices_cover_the_rows_in_proportion_to_the_threads) {
    for (const int rows : {1, 15, 16, 17, 100, 768, 2048, 151'936}) {
        for (const std::vector<Rank>& ranks : {std::vector<Rank>{{0, 4}}, {{0, 4}, {1, 3}}, {{0, 1}, {1, 1}, {2, 1}}}) {
            const std::vector<Slice> slices = split_rows(rows, ranks);
            ASSERT_EQ(slices.size(), ranks.size());
            int next = 0;
            for (const Slice& slice : slices) {
                ASSERT_EQ(slice.row_start, next);
                ASSERT_GE(slice.row_count, 0);
                next += slice.row_count;
            }
            ASSERT_EQ(next, rows);
        }
    }
    EXPECT_EQ(split_rows(768, std::vector<Rank>{{0, 2}, {1, 1}})[0].row_count, 512);
}

TEST(MatrixTest, Experts_do_not_overlap) {
    const Placement placement{.ranks = {{0, 2}, {0, 1}}, .interleave = {}, .bind = false, .root = ""};
    const ExpertBank bank({Format::bf16, 3, 40, 50}, placement);
    std::vector<std::pair<std::byte*, std::byte*>> ranges;
    std::size_t bytes = 0;
    for (int expert = 0; expert < 3; ++expert) {
        for (const Part part : {Part::gate, Part::up, Part::down}) {
            const MatrixView view = bank.view(expert, part);
            int rows = 0;
            for (const Slice& slice : view.slices) {
                const std::size_t size = static_cast<std::size_t>(slice.row_count) * view.row_bytes();
                ranges.emplace_back(slice.data, slice.data + size);
                bytes += size;
                rows += slice.row_count;
            }
            ASSERT_EQ(rows, part == Part::down ? 40 : 50);
        }
    }
    ASSERT_EQ(bytes, std::size_t{3 * 3 * 40 * 50 * 2});
    std::sort(ranges.begin(), ranges.end());
    for (std::size_t i = 1; i < ranges.size(); ++i) ASSERT_LE(ranges[i - 1].second, ranges[i].first);
}

}  // namespace
}  // namespace lk::testing
