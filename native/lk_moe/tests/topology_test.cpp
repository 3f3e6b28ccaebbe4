#include "topology.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "cgroup.h"
#include "machines.h"
#include "memory.h"
#include "thread_plan.h"

namespace lk::testing {
namespace {

std::vector<int> cpus_of(const ThreadPlan& plan) {
    std::vector<int> cpus;
    for (const Seat& seat : plan.seats) cpus.push_back(seat.cpus.front());
    return cpus;
}

std::vector<int> ranks_of(const ThreadPlan& plan) {
    std::vector<int> threads;
    for (const Rank& rank : plan.ranks) threads.push_back(rank.threads);
    return threads;
}

ThreadPlan plan_of(const Machine& machine, const ThreadOptions& options = {}) {
    return plan_threads(read_topology(machine.root()), options);
}

TEST(TopologyTest, Reads_one_node) {
    const Topology t = read_topology(one_node().root());
    ASSERT_EQ(t.nodes.size(), 1u);
    EXPECT_EQ(t.packages, 1);
    EXPECT_EQ(t.cores, 4);
    EXPECT_EQ(t.cpus, 4);
    EXPECT_EQ(t.nodes[0].memory_bytes, std::uint64_t{16} << 30);
    EXPECT_EQ(t.huge_pages, "madvise");
    EXPECT_TRUE(t.warnings.empty());
    EXPECT_EQ(ranks_of(plan_of(one_node())), std::vector<int>{3}) << "a small machine keeps one core for the server";
}

TEST(TopologyTest, Tells_cores_from_their_siblings) {
    const Topology t = read_topology(two_sockets().root());
    ASSERT_EQ(t.nodes.size(), 2u);
    EXPECT_EQ(t.packages, 2);
    EXPECT_EQ(t.cores, 8);
    EXPECT_EQ(t.cpus, 16);
    EXPECT_EQ(t.nodes[1].cpus.front().core, 4);
    EXPECT_FALSE(t.nodes[1].cpus.back().first);
}

TEST(ThreadPlanTest, Shares_threads_between_sockets_and_takes_siblings_last) {
    EXPECT_EQ(ranks_of(plan_of(two_sockets())), (std::vector<int>{4, 3}));
    const ThreadPlan ten = plan_of(two_sockets(), {.threads = 10, .cores = {}});
    EXPECT_EQ(ranks_of(ten), (std::vector<int>{5, 5}));
    EXPECT_EQ(cpus_of(ten), (std::vector<int>{0, 1, 2, 3, 8, 4, 5, 6, 7, 12}));
    EXPECT_EQ(ten.ranks[1].node, 1);
    EXPECT_TRUE(ten.warnings.empty());
}

TEST(ThreadPlanTest, One_thread_on_two_sockets_is_one_rank) {
    EXPECT_EQ(ranks_of(plan_of(two_sockets(), {.threads = 1, .cores = {}})), std::vector<int>{1});
}

TEST(ThreadPlanTest, Warns_when_threads_outnumber_cpus) {
    const ThreadPlan plan = plan_of(one_node(), {.threads = 6, .cores = {}});
    EXPECT_EQ(cpus_of(plan), (std::vector<int>{0, 1, 2, 3, 0, 1}));
    ASSERT_EQ(plan.warnings.size(), 1u);
    EXPECT_NE(plan.warnings[0].find("6 threads share 4 cpus"), std::string::npos);
}

TEST(ThreadPlanTest, Binding_to_nodes_leaves_the_core_open) {
    const ThreadPlan plan = plan_of(two_sockets(), {.threads = 4, .bind_to_node = true, .cores = {}});
    EXPECT_EQ(plan.seats[0].cpus.size(), 8u);
    EXPECT_EQ(plan.seats[3].cpus.front(), 4);
}

TEST(ThreadPlanTest, Takes_the_cores_that_were_named) {
    const ThreadPlan plan = plan_of(two_sockets(), {.cores = "0-1,8|5"});
    EXPECT_EQ(cpus_of(plan), (std::vector<int>{0, 1, 8, 5}));
    EXPECT_EQ(ranks_of(plan), (std::vector<int>{3, 1}));
    EXPECT_EQ(plan.ranks[1].node, 1);
}

TEST(ThreadPlanTest, Refuses_cores_that_are_not_there) {
    for (const char* cores : {"16", "0|", "x", "0-", "3-1", "0,", ",0", "0||1", "1|0-2", "-1", "99999999999"}) {
        EXPECT_THROW(plan_of(two_sockets(), {.cores = cores}), std::invalid_argument) << cores;
    }
    EXPECT_THROW(plan_of(two_sockets(), {.threads = -1, .cores = {}}), std::invalid_argument);
    EXPECT_THROW(plan_of(two_sockets(), {.threads = 1025, .cores = {}}), std::invalid_argument);
}

TEST(TopologyTest, Reads_three_nodes) {
    const Machine machine("three_nodes");
    for (const int node : {0, 1, 2}) machine.node(node, node / 2, range(2 * node, 2 * node + 1), 8);
    machine.allow("0-5", "0-5", "0-2");
    const Topology t = read_topology(machine.root());
    EXPECT_EQ(t.nodes.size(), 3u);
    EXPECT_EQ(t.packages, 2);
    EXPECT_EQ(ranks_of(plan_threads(t, {})), (std::vector<int>{2, 2, 1}));
}

TEST(TopologyTest, A_node_with_memory_only_gets_no_slice) {
    const Machine machine("memory_only");
    machine.node(0, 0, range(0, 3), 8);
    machine.node(1, 0, {}, 32);
    for (const int cpu : range(0, 3)) machine.cpu(cpu, 0, {cpu}, cpu < 2 ? range(0, 1) : range(2, 3));
    machine.allow("0-3", "0-3", "0-1");
    const Topology t = read_topology(machine.root());
    EXPECT_EQ(t.nodes.size(), 2u);
    EXPECT_EQ(t.nodes[1].memory_bytes, std::uint64_t{32} << 30);
    const ThreadPlan plan = plan_threads(t, {.threads = 2, .cores = {}});
    EXPECT_EQ(plan.ranks.size(), 1u);
    EXPECT_EQ(cpus_of(plan), (std::vector<int>{0, 2})) << "each last-level cache has its own road to memory";
}

TEST(TopologyTest, Obeys_the_cpuset_and_the_quota_of_version_2) {
    const Machine machine("cpuset");
    write_two_sockets(machine);
    machine.allow("2-3,10", "0-15", "0");
    machine.write("proc/self/cgroup", "0::/pod/box");
    machine.write("sys/fs/cgroup/pod/cpu.max", "150000 100000");
    machine.write("sys/fs/cgroup/pod/memory.max", std::to_string(std::uint64_t{8} << 30));
    machine.write("sys/fs/cgroup/pod/memory.current", std::to_string(std::uint64_t{3} << 30));
    machine.write("sys/fs/cgroup/pod/memory.stat", "anon 5\nactive_file 536870912\ninactive_file 536870912");
    machine.write("sys/fs/cgroup/pod/box/cpu.max", "max 100000");
    machine.write("sys/fs/cgroup/pod/box/memory.max", "max");
    machine.write("sys/fs/cgroup/pod/box/memory.current", "1");

    const Topology t = read_topology(machine.root());
    EXPECT_EQ(t.cpus, 3);
    EXPECT_EQ(t.cores, 2);
    EXPECT_DOUBLE_EQ(t.cpu_quota, 1.5);
    EXPECT_EQ(t.memory_limit, std::uint64_t{8} << 30);
    EXPECT_EQ(plan_threads(t, {}).seats.size(), 1u);
    EXPECT_EQ(memory_free_now(machine.root()), std::uint64_t{6} << 30)
        << "file cache is dropped before anybody is killed";
}

TEST(TopologyTest, Obeys_version_1_and_offline_cpus) {
    const Machine machine("offline");
    machine.node(0, 0, range(0, 3), 16);
    machine.allow("0-3", "0-1,3", "0");
    machine.memory(8);
    machine.write("proc/self/cgroup", "4:memory:/box\n3:cpu,cpuacct:/box\n1:name=systemd:/");
    machine.write("sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "200000");
    machine.write("sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000");
    machine.write("sys/fs/cgroup/memory/box/memory.limit_in_bytes", std::to_string(std::uint64_t{4} << 30));
    machine.write("sys/fs/cgroup/memory/box/memory.usage_in_bytes", std::to_string(std::uint64_t{1} << 30));
    machine.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712");
    machine.write("sys/fs/cgroup/memory/memory.usage_in_bytes", std::to_string(std::uint64_t{5} << 30));

    const Topology t = read_topology(machine.root());
    EXPECT_EQ(t.cpus, 3);
    EXPECT_DOUBLE_EQ(t.cpu_quota, 2);
    EXPECT_EQ(t.memory_limit, std::uint64_t{4} << 30);
    EXPECT_EQ(memory_free_now(machine.root()), std::uint64_t{3} << 30);
}

TEST(TopologyTest, Works_without_sysfs) {
    const Machine machine("bare");
    machine.write("proc/thread-self/status", "Name:\ttest\nCpus_allowed_list:\t0-2");
    const Topology t = read_topology(machine.root());
    EXPECT_EQ(t.cpus, 3);
    EXPECT_EQ(t.nodes.size(), 1u);
    EXPECT_EQ(t.warnings.size(), 1u);
    EXPECT_EQ(plan_threads(t, {}).seats.size(), 2u);
}

TEST(TopologyTest, Reads_the_machine_it_runs_on) {
    const Topology t = read_topology("");
    EXPECT_GE(t.cpus, t.cores);
    EXPECT_GE(t.cores, 1);
    EXPECT_EQ(to_json(t).front(), '{');
}

TEST(TopologyTest, Cpu_lists_survive_the_round_trip) {
    for (const char* text : {"", "0", "0-3,8", "1,3,5-7,9"}) EXPECT_EQ(format_cpu_list(parse_cpu_list(text)), text);
    EXPECT_EQ(parse_cpu_list("3,1-2,2"), (std::vector<int>{1, 2, 3}));
}

}  // namespace
}  // namespace lk::testing
