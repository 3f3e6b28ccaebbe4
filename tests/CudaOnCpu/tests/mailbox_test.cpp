// The device's ends of the mailbox against a host that sees stores no sooner than it must.
#include <thread>

#include "kit.h"
#include "observer.h"

namespace {

using namespace cuda_on_cpu;

struct MailboxPostArgs {
    const float* x = nullptr;
    const int* experts = nullptr;
    const float* weights = nullptr;
    float* slot_x = nullptr;
    int* slot_experts = nullptr;
    float* slot_weights = nullptr;
    unsigned* request = nullptr;
    const unsigned* live = nullptr;
    unsigned* blocks_done = nullptr;
    long long x_stride = 0;
    unsigned rows = 0, hidden = 0, top_k = 0;
};

struct MailboxCollectArgs {
    float* y = nullptr;
    const float* slot_y = nullptr;
    unsigned* done = nullptr;
    unsigned* fault = nullptr;
    const unsigned* live = nullptr;
    unsigned* blocks_done = nullptr;
    long long y_stride = 0;
    unsigned long long timeout_nanos = 0;
    unsigned rows = 0, hidden = 0, looks_again = 0;
};

constexpr unsigned kRowsMax = 20, kHiddenMax = 64, kTopK = 3;

struct Slot {
    float x[kRowsMax * kHiddenMax], y[kRowsMax * kHiddenMax], weights[kRowsMax * kTopK];
    int experts[kRowsMax * kTopK];
    unsigned request, done, fault;
};

// Waits for the request, answers with x times the sum of weights times the experts' numbers, and raises the done flag.
void serve(Slot& slot, unsigned rows, unsigned hidden) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    while (__atomic_load_n(&slot.request, __ATOMIC_ACQUIRE) == 0) {
        if (std::chrono::steady_clock::now() > end) return;
        std::this_thread::yield();
    }
    slot.request = 0;
    for (unsigned row = 0; row < rows; ++row) {
        float factor = 0;
        for (unsigned k = 0; k < kTopK; ++k) {
            factor += slot.weights[row * kTopK + k] * static_cast<float>(slot.experts[row * kTopK + k]);
        }
        for (unsigned i = 0; i < hidden; ++i) slot.y[row * hidden + i] = slot.x[row * hidden + i] * factor;
    }
    __atomic_store_n(&slot.done, 1, __ATOMIC_RELEASE);
}

void asks_and_adds(unsigned rows, unsigned hidden, const Schedule& schedule) {
    const unsigned stride = hidden + 4, blocks = 3;
    const std::vector<float> weights = kit::numbers(rows * kTopK, 3), x_values = kit::numbers(rows * stride, 1);
    const std::vector<float> before = kit::numbers(rows * stride, 2);
    std::vector<int> experts(rows * kTopK);
    for (unsigned i = 0; i < experts.size(); ++i) experts[i] = static_cast<int>(i % 7);
    const kit::Buffer<float> x(x_values), given_weights(weights);
    const kit::Buffer<int> given_experts(experts);
    kit::Buffer<float> y(before);
    kit::Buffer<unsigned> live(std::vector<unsigned>{rows - 1}), blocks_done(std::vector<unsigned>{0});
    const auto host = std::make_unique<Slot>(), device = std::make_unique<Slot>();
    Slot& view = observer == nullptr ? *host : *device;
    if (observer != nullptr) arena_remove(host.get());
    arena_remove(&view);
    arena_add_mapped(&view, host.get(), sizeof(Slot), "the mailbox");

    std::thread server([&] { serve(*host, rows - 1, hidden); });
    const MailboxPostArgs post{.x = x.data(), .experts = given_experts.data(), .weights = given_weights.data(), .slot_x = view.x,
                               .slot_experts = view.experts, .slot_weights = view.weights, .request = &view.request,
                               .live = live.data(), .blocks_done = blocks_done.data(), .x_stride = stride, .rows = rows,
                               .hidden = hidden, .top_k = kTopK};
    const std::string post_fault = kit::launch_once("mailbox_post", {blocks, 1, 1, 64}, post, schedule);
    const MailboxCollectArgs collect{.y = y.data(), .slot_y = view.y, .done = &view.done, .fault = &view.fault,
                                     .live = live.data(), .blocks_done = blocks_done.data(), .y_stride = stride,
                                     .timeout_nanos = 3'000'000'000, .rows = rows, .hidden = hidden};
    const std::string collect_fault = kit::launch_once("mailbox_collect", {blocks, 1, 1, 64}, collect, schedule);
    server.join();
    arena_remove(&view);

    ASSERT_EQ(post_fault, "");
    ASSERT_EQ(collect_fault, "");
    EXPECT_EQ(host->fault, 0u);
    EXPECT_EQ(host->done, 0u);
    for (unsigned row = 0; row < rows; ++row) {
        float factor = 0;
        for (unsigned k = 0; k < kTopK; ++k) factor += weights[row * kTopK + k] * static_cast<float>(experts[row * kTopK + k]);
        for (unsigned i = 0; i < stride; ++i) {
            const std::size_t at = row * stride + i;
            ASSERT_EQ(y[at], row + 1 < rows && i < hidden ? before[at] + x_values[at] * factor : before[at]);
        }
    }
}

TEST(Mailbox, AsksAndAddsWithAHostThatSeesStoresLate) {
    for (const Schedule& schedule : kit::schedules()) {
        asks_and_adds(20, 64, schedule);
        asks_and_adds(3, 30, schedule);
        if (HasFailure()) return;
    }
}

}  // namespace
