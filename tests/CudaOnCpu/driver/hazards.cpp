#include "hazards.h"

namespace cuda_on_cpu::driver {

namespace {
struct HostThread {
    std::uint64_t generation = ~0ull;
    std::uint32_t actor = 0;
    Clock clock;
};
thread_local HostThread host;
}  // namespace

Clock& host_clock(Hazards& hazards) {
    if (host.generation != hazards.generation) host = {hazards.generation, hazards.actors++, {}};
    if (host.clock.size() <= host.actor) host.clock.resize(host.actor + 1);
    return host.clock;
}

Clock tick(Hazards& hazards) {
    Clock& clock = host_clock(hazards);
    ++clock[host.actor];
    return clock;
}

}  // namespace cuda_on_cpu::driver
