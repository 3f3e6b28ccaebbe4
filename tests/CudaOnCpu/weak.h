// Mapped host memory under the weak memory model: the device and the host each have a copy, and what crosses, crosses
// when a fence, a release, an acquire or a launch's start or end says so.
#pragma once
#include <cstddef>
#include <cstdint>

namespace cuda_on_cpu {

// True once any memory has two copies.
bool weak_is_used();

void weak_add(void* device_view, void* host_view, std::size_t bytes);
void weak_remove(void* device_view);
bool weak_holds(const void* device_address);

// The host's bytes become those that the device has now. [begin, begin + bytes) lies in one mapped range.
void weak_publish(const void* begin, std::size_t bytes);

// What the host has changed since the last time reaches the device, unless the device has changed it too.
void weak_refresh();

// An acquire's value, as the host has it: to be taken before weak_refresh, or what comes after the value could be missed.
std::uint32_t weak_load(const std::uint32_t* at);

// A release: the value reaches the host as one, after all that was published before.
void weak_store(std::uint32_t* at, std::uint32_t value);

}  // namespace cuda_on_cpu
