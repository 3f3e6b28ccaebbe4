// What this machine is made of and what of it this process may use, read from sysfs, procfs and cgroups.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace lk {

struct Cpu {
    int id = 0;
    int package = 0;
    int core = 0;       // the lowest cpu id of its SMT siblings: unique in the machine
    int node = 0;
    int l3 = 0;         // the lowest cpu id that shares its last cache
    bool first = true;  // the first of its siblings that this process may use
};

struct Node {
    int id = 0;
    std::uint64_t memory_bytes = 0;
    bool allowed = true;           // memory may be placed here
    std::vector<Cpu> cpus;         // those that this process may use; none on a memory-only node
};

struct Topology {
    std::vector<Node> nodes;       // by id
    int packages = 1;
    int cores = 1;                 // physical cores with at least one usable cpu
    int cpus = 1;                  // usable cpus
    double cpu_quota = 0;          // of the cgroup, in cpus; 0: none
    std::uint64_t memory_limit = 0;  // of the cgroup, in bytes; 0: none
    std::string huge_pages;        // "always", "madvise", "never" or "" where unknown
    std::vector<std::string> warnings;
};

// `root` stands before /sys and /proc: tests give a folder, everybody else "".
Topology read_topology(const std::string& root);

std::string to_json(const Topology& topology);

// "0-3,8" -> 0 1 2 3 8. Throws std::invalid_argument on anything else; an empty list is empty.
std::vector<int> parse_cpu_list(const std::string& text);

// The reverse, shortest form.
std::string format_cpu_list(const std::vector<int>& cpus);

std::string json_quoted(const std::string& text);

}  // namespace lk
