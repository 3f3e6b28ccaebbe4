// What the environment asks of the double; README.md says what each variable means.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace cuda_on_cpu::driver {

enum class Timing { eager, lazy, random };

struct Options {
    std::vector<int> devices;  // physical numbers of those that the process sees, in its order
    std::uint64_t memory_bytes = 0;
    int cc_major = 9, cc_minor = 0;
    int driver_version = 0;
    bool has_peers = true;
    Timing timing = Timing::eager;
    std::uint64_t seed = 1;
    bool is_stub = false;
    std::vector<std::string> stub_except;
    std::uint64_t wedge_after = 0;  // operations of a stream; 0: never
    std::uint64_t fail_allocation = 0;
    std::uint64_t fail_launch = 0;
    int fail_launch_kind = 1;
    bool finds_hazards = true;
    bool ignores_waits = false;
};

// Null takes back what an earlier call has set.
void set_variable(const char* name, const char* value);

// Ends the process with a message where a variable has no sense.
Options read_options();

// Sixteen bytes that name a physical device, and its text as CUDA_VISIBLE_DEVICES has it.
void uuid_of(int physical, unsigned char (&bytes)[16]);
std::string uuid_text(int physical);

}  // namespace cuda_on_cpu::driver
