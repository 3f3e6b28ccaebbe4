// The firewall of the C ABI: no exception crosses it, and no failure crosses it unnamed.
#pragma once
#include <cstdio>
#include <exception>
#include <new>
#include <stdexcept>

#include "lk_moe.h"

namespace lk {

// A fixed buffer: naming a failure must not be able to fail.
inline thread_local char last_error[512];

inline lk_status fail(lk_status status, const char* what) noexcept {
    std::snprintf(last_error, sizeof last_error, "%s", what);
    return status;
}

struct InvalidArgument : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// With the sentence that says how much was asked for and how much there is.
struct OutOfMemory : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct TimedOut : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Whoever shares memory with us has failed.
struct PeerFault : std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline void require(bool holds, const char* what) {
    if (!holds) throw InvalidArgument(what);
}

template <typename Body>
lk_status guarded(Body&& body) noexcept {
    try {
        body();
        return LK_OK;
    } catch (const InvalidArgument& e) {
        return fail(LK_INVALID_ARGUMENT, e.what());
    } catch (const std::invalid_argument& e) {
        return fail(LK_INVALID_ARGUMENT, e.what());
    } catch (const OutOfMemory& e) {
        return fail(LK_OUT_OF_MEMORY, e.what());
    } catch (const TimedOut& e) {
        return fail(LK_TIMED_OUT, e.what());
    } catch (const PeerFault& e) {
        return fail(LK_PEER_FAULT, e.what());
    } catch (const std::bad_alloc&) {
        return fail(LK_OUT_OF_MEMORY, "out of memory");
    } catch (const std::exception& e) {
        return fail(LK_INTERNAL, e.what());
    } catch (...) {
        return fail(LK_INTERNAL, "unknown exception");
    }
}

}  // namespace lk
