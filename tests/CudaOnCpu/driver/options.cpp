#include "options.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <sstream>

namespace cuda_on_cpu::driver {

namespace {

std::mutex set_mutex;
std::map<std::string, std::string>& set_values() {
    static auto& values = *new std::map<std::string, std::string>;
    return values;
}

const char* variable(const char* name) {
    const auto at = set_values().find(name);
    return at != set_values().end() ? at->second.c_str() : std::getenv(name);
}

[[noreturn]] void refuse(const char* name, const char* value) {
    std::fprintf(stderr, "cuda_on_cpu: %s=%s makes no sense\n", name, value);
    std::exit(1);
}

std::uint64_t number(const char* name, std::uint64_t otherwise) {
    const char* const value = variable(name);
    if (value == nullptr || *value == 0) return otherwise;
    char* end;
    const std::uint64_t result = std::strtoull(value, &end, 10);
    if (*end != 0 || *value == '-') refuse(name, value);
    return result;
}

std::vector<std::string> parts(const char* list) {
    std::vector<std::string> result;
    std::stringstream all(list);
    for (std::string part; std::getline(all, part, ',');) {
        const auto first = part.find_first_not_of(' '), last = part.find_last_not_of(' ');
        result.push_back(first == std::string::npos ? "" : part.substr(first, last - first + 1));
    }
    return result;
}

// A number or the beginning of exactly one device's UUID; -1 if it names none.
int device_named(const std::string& name, int count) {
    if (name.rfind("GPU-", 0) == 0) {
        int found = -1;
        for (int i = 0; i < count; ++i) {
            if (uuid_text(i).rfind(name, 0) != 0) continue;
            if (found >= 0) return -1;
            found = i;
        }
        return found;
    }
    char* end;
    const long index = std::strtol(name.c_str(), &end, 10);
    return end == name.c_str() || *end != 0 || index < 0 || index >= count ? -1 : static_cast<int>(index);
}

// CUDA C++ Programming Guide, "CUDA Environment Variables": those before the first that is no device; none if one comes twice.
std::vector<int> visible(int count) {
    const char* const list = variable("CUDA_VISIBLE_DEVICES");
    std::vector<int> devices;
    if (list == nullptr) {
        for (int i = 0; i < count; ++i) devices.push_back(i);
        return devices;
    }
    for (const std::string& part : parts(list)) {
        const int device = device_named(part, count);
        if (device < 0) break;
        for (const int earlier : devices) {
            if (earlier == device) return {};
        }
        devices.push_back(device);
    }
    return devices;
}

void read_timing(Options& options) {
    const char* const value = variable("CUDA_ON_CPU_ORDER");
    if (value == nullptr || *value == 0 || std::strcmp(value, "eager") == 0) return;
    if (std::strcmp(value, "lazy") == 0) {
        options.timing = Timing::lazy;
    } else if (std::strncmp(value, "random:", 7) == 0) {
        options.timing = Timing::random;
        options.seed = std::strtoull(value + 7, nullptr, 10);
    } else {
        refuse("CUDA_ON_CPU_ORDER", value);
    }
}

}  // namespace

void set_variable(const char* name, const char* value) {
    const std::lock_guard lock(set_mutex);
    if (value != nullptr) {
        set_values()[name] = value;
    } else {
        set_values().erase(name);
    }
}

Options read_options() {
    const std::lock_guard lock(set_mutex);
    Options options;
    options.devices = visible(static_cast<int>(number("CUDA_ON_CPU_DEVICES", 1)));
    options.memory_bytes = number("CUDA_ON_CPU_MEMORY_MB", 1024) << 20;
    options.driver_version = static_cast<int>(number("CUDA_ON_CPU_DRIVER", 12040));
    if (const char* const cc = variable("CUDA_ON_CPU_CC"); cc != nullptr && *cc != 0) {
        if (std::sscanf(cc, "%d.%d", &options.cc_major, &options.cc_minor) != 2) refuse("CUDA_ON_CPU_CC", cc);
    }
    options.has_peers = number("CUDA_ON_CPU_PEERS", 1) != 0;
    read_timing(options);
    options.is_stub = number("CUDA_ON_CPU_STUB", 0) != 0;
    if (const char* const except = variable("CUDA_ON_CPU_STUB_EXCEPT")) options.stub_except = parts(except);
    options.wedge_after = number("CUDA_ON_CPU_WEDGE", 0);
    options.fail_allocation = number("CUDA_ON_CPU_FAIL_ALLOCATION", 0);
    options.fail_launch = number("CUDA_ON_CPU_FAIL_LAUNCH", 0);
    options.fail_launch_kind = static_cast<int>(number("CUDA_ON_CPU_FAIL_LAUNCH_KIND", 1));
    options.ignores_waits = number("CUDA_ON_CPU_IGNORE_WAITS", 0) != 0;
    options.finds_hazards = number("CUDA_ON_CPU_HAZARDS", 1) != 0 && !options.is_stub;
    return options;
}

void uuid_of(int physical, unsigned char (&bytes)[16]) {
    for (int i = 0; i < 16; ++i) bytes[i] = static_cast<unsigned char>(0x11 * (physical + 1) + 7 * i);
}

std::string uuid_text(int physical) {
    unsigned char bytes[16];
    uuid_of(physical, bytes);
    std::string text = "GPU-";
    for (int i = 0; i < 16; ++i) {
        char two[3];
        std::snprintf(two, sizeof two, "%02x", bytes[i]);
        text += two;
        if (i == 3 || i == 5 || i == 7 || i == 9) text += '-';
    }
    return text;
}

}  // namespace cuda_on_cpu::driver
