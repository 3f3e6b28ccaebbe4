#include "cgroup.h"

#include <algorithm>
#include <sstream>
#include <vector>

#include "files.h"

namespace lk {
namespace {

// The folder, and each above it down to the mount point itself.
std::vector<std::string> ancestors(const std::string& mount, std::string path) {
    std::vector<std::string> folders;
    while (!path.empty() && path != "/") {
        folders.push_back(mount + path);
        path.resize(path.rfind('/'));
    }
    folders.push_back(mount);
    return folders;
}

void tighten_cpus(CgroupLimits& limits, double quota, double period) {
    if (quota <= 0 || period <= 0) return;
    const double cpus = quota / period;
    limits.cpus = limits.cpus == 0 ? cpus : std::min(limits.cpus, cpus);
}

// Version 1 writes "no limit" as a page-aligned number near 2^63; nothing above 2^60 is a real limit.
constexpr std::uint64_t kUnlimited = std::uint64_t{1} << 60;

void tighten_memory(CgroupLimits& limits, std::uint64_t limit, std::uint64_t used, std::uint64_t reclaimable) {
    if (limit >= kUnlimited) return;
    limits.memory = limits.memory == 0 ? limit : std::min(limits.memory, limit);
    const std::uint64_t held = used > reclaimable ? used - reclaimable : 0;
    const std::uint64_t free = limit > held ? limit - held : 0;
    limits.memory_free = limits.memory_free ? std::min(*limits.memory_free, free) : free;
}

// Files that are cached for the group are dropped before anybody is killed.
std::uint64_t file_cache(const std::string& folder, const char* active, const char* inactive) {
    const auto text = read_file(folder + "/memory.stat");
    if (!text) return 0;
    return find_number(*text, active).value_or(0) + find_number(*text, inactive).value_or(0);
}

void read_version2(CgroupLimits& limits, const std::string& folder) {
    if (const auto text = read_file(folder + "/cpu.max")) {
        std::istringstream fields(*text);
        std::string quota;
        double period = 0;
        fields >> quota >> period;
        if (quota != "max") tighten_cpus(limits, std::strtod(quota.c_str(), nullptr), period);
    }
    const auto limit = read_number(folder + "/memory.max");
    const auto used = read_number(folder + "/memory.current");
    if (limit && used) {
        tighten_memory(limits, static_cast<std::uint64_t>(*limit), static_cast<std::uint64_t>(*used),
                       file_cache(folder, "active_file ", "inactive_file "));
    }
}

void read_version1_cpus(CgroupLimits& limits, const std::string& folder) {
    const auto quota = read_number(folder + "/cpu.cfs_quota_us");
    const auto period = read_number(folder + "/cpu.cfs_period_us");
    if (quota && period) tighten_cpus(limits, static_cast<double>(*quota), static_cast<double>(*period));
}

void read_version1_memory(CgroupLimits& limits, const std::string& folder) {
    const auto limit = read_number(folder + "/memory.limit_in_bytes");
    const auto used = read_number(folder + "/memory.usage_in_bytes");
    if (limit && used) {
        tighten_memory(limits, static_cast<std::uint64_t>(*limit), static_cast<std::uint64_t>(*used),
                       file_cache(folder, "total_active_file ", "total_inactive_file "));
    }
}

bool lists(const std::string& controllers, const std::string& name) {
    std::istringstream names(controllers);
    for (std::string item; std::getline(names, item, ',');) {
        if (item == name) return true;
    }
    return false;
}

}  // namespace

CgroupLimits read_cgroup_limits(const std::string& root) {
    CgroupLimits limits;
    const auto groups = read_file(root + "/proc/self/cgroup");
    if (!groups) return limits;

    // Lines are hierarchy-id:controllers:path. Version 2 has no controllers.
    const std::string base = root + "/sys/fs/cgroup";
    std::istringstream lines(*groups);
    for (std::string line; std::getline(lines, line);) {
        const std::size_t first = line.find(':');
        const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string controllers = line.substr(first + 1, second - first - 1);
        const std::string path = line.substr(second + 1);
        if (controllers.empty()) {
            for (const auto& folder : ancestors(base, path)) read_version2(limits, folder);
        }
        if (lists(controllers, "cpu")) {
            for (const auto& folder : ancestors(base + "/cpu", path)) read_version1_cpus(limits, folder);
        }
        if (lists(controllers, "memory")) {
            for (const auto& folder : ancestors(base + "/memory", path)) read_version1_memory(limits, folder);
        }
    }
    return limits;
}

}  // namespace lk
