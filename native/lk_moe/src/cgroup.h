// The limits of this process's control groups, version 2 or 1, the tightest on the way up to the root.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace lk {

struct CgroupLimits {
    double cpus = 0;                          // quota / period; 0: none
    std::uint64_t memory = 0;                 // bytes; 0: none
    std::optional<std::uint64_t> memory_free; // limit less what is used and cannot be reclaimed; none: no limit
};

CgroupLimits read_cgroup_limits(const std::string& root);

}  // namespace lk
