// What a layer costs beside its experts when it comes through the mailbox: from the client's request flag to its
// sight of the done flag, with a thread in the client's place. Three banks: nothing to do (the flags and the plan alone),
// experts so small that only the hand-over counts, and whatever --hidden, --intermediate and --top-k say, against
// the same call of moe without a mailbox.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <mutex>
#include <thread>

#include "bench.h"
#include "handles.h"
#include "lk_moe.h"
#include "ops.h"

namespace lk::bench {
namespace {

using Clock = std::chrono::steady_clock;

std::atomic_ref<std::uint32_t> word(std::uint32_t* at) { return std::atomic_ref<std::uint32_t>(*at); }

double micros(Clock::duration time) { return std::chrono::duration<double, std::micro>(time).count(); }

struct Times {
    std::vector<double> values;

    void print(const char* name) {
        std::sort(values.begin(), values.end());
        std::printf("%-46s best %7.2f  median %7.2f us\n", name, values.front(), values[values.size() / 2]);
    }
};

struct Shape {
    int rows, hidden, intermediate, experts, top_k;
};

// One layer's bank behind one slot.
class Layer {
 public:
    Layer(lk_device* device, const Shape& shape, bool routed) : device_(device), shape_(shape) {
        const lk_experts_config config{sizeof(lk_experts_config), LK_BF16, shape.experts, shape.top_k, shape.hidden,
                                       shape.intermediate};
        if (lk_experts_create(device, &config, &bank_) != LK_OK) throw std::runtime_error(lk_last_error());
        const auto wide = static_cast<std::size_t>(shape.rows * shape.hidden);
        const auto narrow = static_cast<std::size_t>(shape.rows * shape.top_k);
        x_.assign(wide, 0.25f);
        y_.resize(wide);
        weights_.assign(narrow, 0.125f);
        for (std::size_t i = 0; i < narrow; ++i) {
            experts_.push_back(routed ? static_cast<std::int32_t>(i * 7 % static_cast<std::size_t>(shape.experts)) : -1);
        }
        slot_ = {&flags_[0], &flags_[32], x_.data(), experts_.data(), weights_.data(), y_.data()};
        mailbox_ = {sizeof(lk_mailbox), 1, shape.rows, shape.hidden, &flags_[64], &slot_};
    }
    ~Layer() { lk_experts_destroy(bank_); }

    // Steps of 48 layers; the first are not counted.
    Times through_mailbox(int steps) {
        constexpr int kLayers = 48;
        const std::vector<lk_mailbox_request> requests(kLayers, {bank_, 0, shape_.top_k});
        Times times;
        for (int step = -3; step < steps; ++step) {
            double total = 0;
            std::thread client([&] {
                for (int i = 0; i < kLayers; ++i) {
                    const auto start = Clock::now();
                    word(slot_.request).store(1, std::memory_order_release);
                    while (word(slot_.done).load(std::memory_order_acquire) == 0) {
                    }
                    // The first layer of a step also waits for the server's call.
                    if (i > 0) total += micros(Clock::now() - start);
                    word(slot_.done).store(0, std::memory_order_relaxed);
                }
            });
            std::int32_t served = 0;
            const lk_status status = lk_mailbox_serve(device_, &mailbox_, requests.data(), kLayers, shape_.rows,
                                                      10'000'000, &served);
            client.join();
            if (status != LK_OK) throw std::runtime_error(lk_last_error());
            if (step >= 0) times.values.push_back(total / (kLayers - 1));
        }
        return times;
    }

    Times alone(int steps) {
        const lk_tensor x{x_.data(), shape_.hidden, shape_.rows, shape_.hidden, LK_F32, 0};
        const lk_tensor y{y_.data(), shape_.hidden, shape_.rows, shape_.hidden, LK_F32, 0};
        const lk_tensor experts{experts_.data(), shape_.top_k, shape_.rows, shape_.top_k, LK_I32, 0};
        const lk_tensor weights{weights_.data(), shape_.top_k, shape_.rows, shape_.top_k, LK_F32, 0};
        Times times;
        for (int step = -3; step < steps * 8; ++step) {
            const auto start = Clock::now();
            for (int i = 0; i < 6; ++i) lk_moe(device_, bank_, &x, &experts, &weights, &y);
            if (step >= 0) times.values.push_back(micros(Clock::now() - start) / 6);
        }
        return times;
    }

 private:
    lk_device* device_;
    Shape shape_;
    lk_experts* bank_ = nullptr;
    std::vector<float> x_, y_, weights_;
    std::vector<std::int32_t> experts_;
    alignas(128) std::uint32_t flags_[96]{};
    lk_mailbox_slot slot_{};
    lk_mailbox mailbox_{};
};

int run_mailbox(const std::vector<std::string>& arguments) {
    lk_device_config config{};
    config.struct_size = sizeof config;
    // One core is the client's.
    config.threads = option(arguments, "threads", std::max(1, read_topology("").cores - 1));
    lk_device* device = nullptr;
    if (lk_device_create(&config, &device) != LK_OK) throw std::runtime_error(lk_last_error());
    const int rows = option(arguments, "rows", 1), rounds = option(arguments, "rounds", 200);
    const int top_k = option(arguments, "top-k", 8), hidden = option(arguments, "hidden", 2048);
    const int intermediate = option(arguments, "intermediate", 768);
    {
        Layer empty(device, {rows, hidden, 8, 16, top_k}, false), small(device, {rows, 64, 8, 16, top_k}, true),
            whole(device, {rows, hidden, intermediate, 16, top_k}, true);
        empty.through_mailbox(rounds).print("flag to flag, nothing to do");
        empty.alone(rounds).print("the same without a mailbox");
        small.through_mailbox(rounds).print("flag to flag, smallest experts");
        small.alone(rounds).print("the same without a mailbox");
        whole.through_mailbox(std::max(1, rounds / 20)).print("flag to flag, whole experts");
        whole.alone(std::max(1, rounds / 20)).print("the same without a mailbox");
    }
    lk_device_destroy(device);
    return 0;
}

const Registration mailbox_registration(
    {"mailbox", "a layer through the mailbox [--threads --rounds --rows --hidden --intermediate --top-k]", run_mailbox});

}  // namespace
}  // namespace lk::bench
