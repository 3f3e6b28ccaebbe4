// How fast each rank's threads read their own node's memory: the speed of light of decoding.
#pragma once
#include <vector>

#include "device.h"

namespace lk {

// Bytes per second of each rank, all ranks at once, for about `millis` milliseconds.
std::vector<double> measure_bandwidth(Device& device, int millis);

}  // namespace lk
