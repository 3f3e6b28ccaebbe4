// The mailbox of the C ABI: what the experts' side does with requests that no call brings.
//
// A layer costs, beside the experts themselves, one look at a flag that another processor has written, the plan of the
// routes, the pool's fork, and the way from the worker that is last to the done flag. Figures: docs/perf/hybrid.md.
#include <atomic>
#include <chrono>
#include <mutex>
#include <string>

#include "check.h"
#include "guard.h"
#include "handles.h"
#include "ops.h"

using lk::require;

// The same numbers as in the managed mirror's tests.
static_assert(sizeof(lk_mailbox_slot) == 48 && offsetof(lk_mailbox_slot, y) == 40);
static_assert(sizeof(lk_mailbox) == 32 && offsetof(lk_mailbox, slot) == 24);
static_assert(sizeof(lk_mailbox_request) == 16 && offsetof(lk_mailbox_request, top_k) == 12);

namespace {

// Rounds of waiting between two looks at the clock and the fault word, which may lie further away than the flag.
constexpr int kRoundsBetweenLooks = 64;

std::atomic_ref<std::uint32_t> word(std::uint32_t* address) { return std::atomic_ref<std::uint32_t>(*address); }

void answer(const lk_mailbox_slot& slot) noexcept {
    // Lowered first: once the client sees the answer it may ask again.
    word(slot.request).store(0, std::memory_order_relaxed);
    word(slot.done).store(LK_MAILBOX_ANSWER, std::memory_order_release);
}

std::string at(const lk_mailbox_request& request, std::int32_t index) {
    return "slot " + std::to_string(request.slot) + " of the mailbox, request " + std::to_string(index) + ": ";
}

void await_request(const lk::Pool& pool, const lk_mailbox& mailbox, const lk_mailbox_request& request,
                   std::int32_t index, std::int64_t timeout_micros) {
    using Clock = std::chrono::steady_clock;
    const lk_mailbox_slot& slot = mailbox.slot[request.slot];
    Clock::time_point end{};
    int spins = 0;
    for (int round = 1; word(slot.request).load(std::memory_order_acquire) != 1; ++round) {
        pool.relax(spins);
        if (round % kRoundsBetweenLooks != 0) continue;
        if (word(mailbox.fault).load(std::memory_order_acquire) != 0) {
            throw lk::PeerFault(at(request, index) + "the device has given up");
        }
        const Clock::time_point now = Clock::now();
        if (end == Clock::time_point{}) end = now + std::chrono::microseconds(timeout_micros);
        if (now > end) {
            throw lk::TimedOut(at(request, index) + "the device has not asked for " +
                               std::to_string(timeout_micros) + " microseconds");
        }
    }
    // After a timeout the client goes on and may raise later flags: what they ask for is no longer wanted.
    if (word(mailbox.fault).load(std::memory_order_acquire) != 0) {
        throw lk::PeerFault(at(request, index) + "the device has given up");
    }
}

void serve(lk::Device& device, const lk_mailbox& mailbox, const lk_mailbox_request& request, std::size_t rows) {
    const lk_mailbox_slot& slot = mailbox.slot[request.slot];
    const auto hidden = static_cast<std::size_t>(mailbox.hidden), k = static_cast<std::size_t>(request.top_k);
    const lk::RoutesView routes{slot.experts, k, slot.weights, k, k};
    lk::check_experts(routes, rows, request.bank->bank.shape().experts);
    // The kernels take activations by pointers to what may be written; x is only read.
    const lk::Grid x{const_cast<float*>(slot.x), rows, hidden, hidden}, y{slot.y, rows, hidden, hidden};
    lk::moe(device, request.bank->bank, x, routes, y,
            {[](void* context) noexcept { answer(*static_cast<const lk_mailbox_slot*>(context)); },
             const_cast<lk_mailbox_slot*>(&slot)});
}

void check_mailbox(const lk_mailbox* mailbox) {
    require(mailbox != nullptr, "a mailbox must be set");
    require(mailbox->struct_size == sizeof(lk_mailbox), "lk_mailbox: size differs, rebuild");
    require(mailbox->fault != nullptr && mailbox->slots > 0 && mailbox->slot != nullptr,
            "a mailbox has slots and a fault word");
    for (std::int32_t i = 0; i < mailbox->slots; ++i) {
        const lk_mailbox_slot& slot = mailbox->slot[i];
        require(slot.request != nullptr && slot.done != nullptr && slot.x != nullptr && slot.experts != nullptr &&
                    slot.weights != nullptr && slot.y != nullptr,
                "a slot of a mailbox must have all its addresses");
    }
}

void check_requests(const lk_mailbox& mailbox, const lk_mailbox_request* requests, std::int32_t count,
                    std::int32_t rows) {
    require(count >= 0 && (requests != nullptr || count == 0), "requests must be set");
    require(rows > 0 && rows <= mailbox.rows_max, "rows must be 1 to what the mailbox holds");
    for (std::int32_t i = 0; i < count; ++i) {
        require(requests[i].bank != nullptr, "a bank must be set");
        require(requests[i].slot >= 0 && requests[i].slot < mailbox.slots, "a request's slot is not in the mailbox");
        require(requests[i].top_k > 0, "top_k must be positive");
        require(requests[i].bank->bank.shape().hidden == mailbox.hidden, "experts must be as wide as the mailbox");
    }
}

// The reason, unless the client has given one, then every flag that somebody may wait for.
void give_up(const lk_mailbox& mailbox, lk_mailbox_fault fault) noexcept {
    std::uint32_t none = 0;
    word(mailbox.fault).compare_exchange_strong(none, fault, std::memory_order_acq_rel);
    for (std::int32_t i = 0; i < mailbox.slots; ++i) {
        word(mailbox.slot[i].done).store(LK_MAILBOX_NO_ANSWER, std::memory_order_release);
    }
}

}  // namespace

extern "C" lk_status lk_mailbox_serve(lk_device* device, const lk_mailbox* mailbox, const lk_mailbox_request* requests,
                                      int32_t count, int32_t rows, int64_t timeout_micros, int32_t* out_served) {
    const lk_status bad = lk::guarded([&] {
        require(device != nullptr && out_served != nullptr, "device and out_served must be set");
        require(timeout_micros > 0, "the timeout must be positive");
        check_mailbox(mailbox);
    });
    if (bad != LK_OK) return bad;
    *out_served = 0;
    const lk_status status = lk::guarded([&] {
        check_requests(*mailbox, requests, count, rows);
        const std::lock_guard lock(device->device.busy());
        for (std::int32_t i = 0; i < count; ++i) {
            await_request(device->device.pool(), *mailbox, requests[i], i, timeout_micros);
            serve(device->device, *mailbox, requests[i], static_cast<std::size_t>(rows));
            *out_served = i + 1;
        }
    });
    if (status != LK_OK) {
        give_up(*mailbox, status == LK_TIMED_OUT ? LK_MAILBOX_SERVER_TIMED_OUT : LK_MAILBOX_SERVER_FAILED);
    }
    return status;
}
