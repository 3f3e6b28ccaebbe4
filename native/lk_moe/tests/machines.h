// Machines that do not exist: folders that stand before /sys and /proc, with what the kernel would say there, cut down
// to the files that topology.cpp, cgroup.cpp and memory.cpp read. Each is written once a process and removed at its
// end.
#pragma once
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "topology.h"

namespace lk::testing {

class Machine {
 public:
    explicit Machine(const std::string& name)
        : root_(std::filesystem::temp_directory_path() / ("lk_moe_" + std::to_string(getpid()) + "_" + name)) {}
    ~Machine() {
        std::error_code ignored;
        std::filesystem::remove_all(root_, ignored);
    }
    Machine(const Machine&) = delete;

    std::string root() const { return root_.string(); }

    void write(const std::string& path, const std::string& text) const {
        const std::filesystem::path file = root_ / path;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file) << text << '\n';
    }

    void node(int id, int package, const std::vector<int>& cpus, int gibibytes) const {
        const std::string at = "sys/devices/system/node/node" + std::to_string(id);
        write(at + "/cpulist", format_cpu_list(cpus));
        write(at + "/meminfo",
              "Node " + std::to_string(id) + " MemTotal:       " + std::to_string(gibibytes << 20) + " kB");
        for (const int cpu : cpus) this->cpu(cpu, package, {cpu}, cpus);
    }

    void cpu(int id, int package, const std::vector<int>& siblings, const std::vector<int>& cache) const {
        const std::string at = "sys/devices/system/cpu/cpu" + std::to_string(id);
        write(at + "/topology/physical_package_id", std::to_string(package));
        write(at + "/topology/thread_siblings_list", format_cpu_list(siblings));
        write(at + "/cache/index0/level", "1");
        write(at + "/cache/index0/shared_cpu_list", std::to_string(id));
        write(at + "/cache/index3/level", "3");
        write(at + "/cache/index3/shared_cpu_list", format_cpu_list(cache));
    }

    void allow(const std::string& cpus, const std::string& online, const std::string& memories) const {
        write("sys/devices/system/cpu/online", online);
        write("proc/thread-self/status", "Name:\ttest\nCpus_allowed_list:\t" + cpus +
                                             (memories.empty() ? "" : "\nMems_allowed_list:\t" + memories));
    }

    void memory(int gibibytes) const {
        write("proc/meminfo", "MemTotal:       " + std::to_string(gibibytes << 20) +
                                  " kB\nMemAvailable:   " + std::to_string(gibibytes << 20) + " kB");
    }

 private:
    std::filesystem::path root_;
};

inline std::vector<int> range(int first, int last) {
    std::vector<int> ids;
    for (int id = first; id <= last; ++id) ids.push_back(id);
    return ids;
}

// One socket, four cores, no SMT.
inline const Machine& one_node() {
    static const Machine machine("one_node");
    static const bool written = [] {
        machine.node(0, 0, range(0, 3), 16);
        machine.allow("0-3", "0-3", "0");
        machine.memory(8);
        machine.write("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never");
        return true;
    }();
    static_cast<void>(written);
    return machine;
}

// Two sockets of four cores and eight threads, siblings eight apart, a last-level cache a socket.
inline void write_two_sockets(const Machine& machine) {
    for (const int socket : {0, 1}) {
        std::vector<int> cpus = range(socket * 4, socket * 4 + 3);
        for (const int cpu : range(socket * 4 + 8, socket * 4 + 11)) cpus.push_back(cpu);
        machine.node(socket, socket, cpus, 64);
        for (const int cpu : cpus) machine.cpu(cpu, socket, {cpu % 8, cpu % 8 + 8}, cpus);
    }
    machine.memory(64);
}

inline const Machine& two_sockets() {
    static const Machine machine("two_sockets");
    static const bool written = [] {
        write_two_sockets(machine);
        machine.allow("0-15", "0-15", "0-1");
        return true;
    }();
    static_cast<void>(written);
    return machine;
}

}  // namespace lk::testing
