#include "topology.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>

#include "cgroup.h"
#include "files.h"

namespace lk {
namespace {

std::vector<int> affinity_mask() {
    std::vector<int> cpus;
    cpu_set_t mask;
    CPU_ZERO(&mask);
    if (sched_getaffinity(0, sizeof mask, &mask) == 0) {
        for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
            if (CPU_ISSET(cpu, &mask)) cpus.push_back(cpu);
        }
    }
    if (cpus.empty()) cpus.push_back(0);
    return cpus;
}

std::vector<int> read_cpu_list(const std::string& path) {
    const auto text = read_file(path);
    return text ? parse_cpu_list(*text) : std::vector<int>{};
}

bool contains(const std::vector<int>& sorted, int value) {
    return std::binary_search(sorted.begin(), sorted.end(), value);
}

// Allowed by the affinity mask (which cpusets narrow) and online.
std::vector<int> usable_cpus(const std::string& root) {
    std::vector<int> allowed;
    if (const auto status = read_file(root + "/proc/thread-self/status")) {
        if (const auto list = find_text(*status, "Cpus_allowed_list:")) allowed = parse_cpu_list(*list);
    }
    if (allowed.empty()) allowed = affinity_mask();
    const std::vector<int> online = read_cpu_list(root + "/sys/devices/system/cpu/online");
    if (!online.empty()) std::erase_if(allowed, [&](int cpu) { return !contains(online, cpu); });
    return allowed;
}

int lowest(const std::vector<int>& cpus, int otherwise) { return cpus.empty() ? otherwise : cpus.front(); }

int last_cache(const std::string& folder, int cpu) {
    int shared = cpu;
    std::int64_t deepest = 0;
    for (const int index : numbered_entries(folder + "/cache", "index")) {
        const std::string cache = folder + "/cache/index" + std::to_string(index);
        const std::int64_t level = read_number(cache + "/level").value_or(0);
        if (level <= deepest) continue;
        deepest = level;
        shared = lowest(read_cpu_list(cache + "/shared_cpu_list"), cpu);
    }
    return shared;
}

Cpu read_cpu(const std::string& root, int id, int node) {
    const std::string folder = root + "/sys/devices/system/cpu/cpu" + std::to_string(id);
    Cpu cpu;
    cpu.id = id;
    cpu.node = node;
    cpu.package = static_cast<int>(read_number(folder + "/topology/physical_package_id").value_or(0));
    cpu.core = lowest(read_cpu_list(folder + "/topology/thread_siblings_list"), id);
    cpu.l3 = last_cache(folder, id);
    return cpu;
}

std::vector<int> allowed_nodes(const std::string& root) {
    if (const auto status = read_file(root + "/proc/thread-self/status")) {
        if (const auto list = find_text(*status, "Mems_allowed_list:")) return parse_cpu_list(*list);
    }
    return {};
}

void read_nodes(const std::string& root, const std::vector<int>& usable, Topology& topology) {
    const std::string folder = root + "/sys/devices/system/node";
    const std::vector<int> mems = allowed_nodes(root);
    std::set<int> placed;
    for (const int id : numbered_entries(folder, "node")) {
        const std::string at = folder + "/node" + std::to_string(id);
        Node node;
        node.id = id;
        node.allowed = mems.empty() || contains(mems, id);
        if (const auto info = read_file(at + "/meminfo")) {
            const std::string key = "Node " + std::to_string(id) + " MemTotal:";
            node.memory_bytes = find_number(*info, key).value_or(0) * 1024;
        }
        for (const int cpu : read_cpu_list(at + "/cpulist")) {
            if (!contains(usable, cpu) || !placed.insert(cpu).second) continue;
            node.cpus.push_back(read_cpu(root, cpu, id));
        }
        topology.nodes.push_back(std::move(node));
    }

    std::vector<int> homeless;
    for (const int cpu : usable) {
        if (!placed.contains(cpu)) homeless.push_back(cpu);
    }
    if (homeless.empty()) return;
    if (topology.nodes.empty()) {
        topology.warnings.push_back("no NUMA nodes in sysfs: the machine counts as one node");
        topology.nodes.push_back(Node{});
    } else {
        topology.warnings.push_back("cpus " + format_cpu_list(homeless) +
                                    " belong to no NUMA node: they count to node " +
                                    std::to_string(topology.nodes.front().id));
    }
    Node& first = topology.nodes.front();
    for (const int cpu : homeless) first.cpus.push_back(read_cpu(root, cpu, first.id));
}

void count(Topology& topology) {
    std::set<int> packages, cores;
    topology.cpus = 0;
    for (Node& node : topology.nodes) {
        for (Cpu& cpu : node.cpus) {
            packages.insert(cpu.package);
            cpu.first = cores.insert(cpu.core).second;
            ++topology.cpus;
        }
    }
    topology.packages = static_cast<int>(packages.size());
    topology.cores = static_cast<int>(cores.size());
}

// "always [madvise] never" -> "madvise"
std::string huge_page_mode(const std::string& root) {
    const auto text = read_file(root + "/sys/kernel/mm/transparent_hugepage/enabled");
    if (!text) return "";
    const std::size_t open = text->find('['), close = text->find(']');
    return open < close && close != std::string::npos ? text->substr(open + 1, close - open - 1) : "";
}

}  // namespace

Topology read_topology(const std::string& root) {
    Topology topology;
    const std::vector<int> usable = usable_cpus(root);
    read_nodes(root, usable, topology);
    count(topology);

    const CgroupLimits limits = read_cgroup_limits(root);
    topology.cpu_quota = limits.cpus;
    topology.memory_limit = limits.memory;
    topology.huge_pages = huge_page_mode(root);
    for (const Node& node : topology.nodes) {
        if (!node.cpus.empty() && !node.allowed) {
            topology.warnings.push_back("memory of node " + std::to_string(node.id) +
                                        " is outside this process's cpuset: its cores read remote memory");
        }
    }
    return topology;
}

std::vector<int> parse_cpu_list(const std::string& text) {
    constexpr int kCpuMax = 65535;
    std::vector<int> cpus;
    const char* at = text.data();
    const char* const last = at + text.size();
    const auto bad = [&] { return std::invalid_argument("\"" + text + "\" is not a list of cpus such as 0-3,8"); };
    const auto number = [&] {
        int value = 0;
        const auto [end, error] = std::from_chars(at, last, value);
        if (error != std::errc{} || value < 0 || value > kCpuMax) throw bad();
        at = end;
        return value;
    };
    while (at != last && (*at == ' ' || *at == '\t')) ++at;
    while (at != last) {
        const int from = number();
        int to = from;
        if (at != last && *at == '-') {
            ++at;
            to = number();
        }
        if (to < from) throw bad();
        for (int cpu = from; cpu <= to; ++cpu) cpus.push_back(cpu);
        if (at == last) break;
        if (*at != ',' || ++at == last) throw bad();
    }
    std::sort(cpus.begin(), cpus.end());
    cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
    return cpus;
}

std::string format_cpu_list(const std::vector<int>& cpus) {
    std::string text;
    for (std::size_t i = 0; i < cpus.size();) {
        std::size_t end = i;
        while (end + 1 < cpus.size() && cpus[end + 1] == cpus[end] + 1) ++end;
        if (!text.empty()) text += ',';
        text += std::to_string(cpus[i]);
        if (end > i) text += '-' + std::to_string(cpus[end]);
        i = end + 1;
    }
    return text;
}

std::string json_quoted(const std::string& text) {
    std::string quoted = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') quoted += '\\';
        quoted += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    }
    return quoted + '"';
}

std::string to_json(const Topology& topology) {
    std::ostringstream json;
    json << "{\"packages\":" << topology.packages << ",\"cores\":" << topology.cores << ",\"cpus\":" << topology.cpus
         << ",\"cpuQuota\":" << topology.cpu_quota << ",\"memoryLimit\":" << topology.memory_limit
         << ",\"hugePages\":" << json_quoted(topology.huge_pages) << ",\"nodes\":[";
    for (std::size_t n = 0; n < topology.nodes.size(); ++n) {
        const Node& node = topology.nodes[n];
        std::map<int, std::vector<int>> caches;
        std::vector<int> cpus;
        std::set<int> cores;
        for (const Cpu& cpu : node.cpus) {
            caches[cpu.l3].push_back(cpu.id);
            cpus.push_back(cpu.id);
            cores.insert(cpu.core);
        }
        json << (n ? "," : "") << "{\"id\":" << node.id << ",\"memory\":" << node.memory_bytes
             << ",\"cores\":" << cores.size() << ",\"cpus\":" << json_quoted(format_cpu_list(cpus)) << ",\"caches\":[";
        bool first = true;
        for (const auto& [_, members] : caches) {
            json << (first ? "" : ",") << json_quoted(format_cpu_list(members));
            first = false;
        }
        json << "]}";
    }
    json << "],\"warnings\":[";
    for (std::size_t i = 0; i < topology.warnings.size(); ++i) {
        json << (i ? "," : "") << json_quoted(topology.warnings[i]);
    }
    json << "]}";
    return json.str();
}

}  // namespace lk
