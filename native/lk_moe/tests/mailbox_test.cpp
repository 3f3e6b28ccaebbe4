// The server's side of the mailbox, with a thread that plays the other processor.
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

#include "bank_support.h"

namespace lk::testing {
namespace {

constexpr std::int64_t kLong = 60'000'000;  // a bound for a broken server, not a measure
constexpr std::size_t kLine = 128 / sizeof(std::uint32_t);

std::atomic_ref<std::uint32_t> word(std::uint32_t* at) { return std::atomic_ref<std::uint32_t>(*at); }

// A mailbox in plain memory, and its client.
struct Box {
    Box(int slots, int rows, int hidden, int top_k)
        : flags(static_cast<std::size_t>(2 * slots + 2) * kLine), rows(rows), hidden(hidden) {
        auto* line = reinterpret_cast<std::uint32_t*>((reinterpret_cast<std::uintptr_t>(flags.data()) + 127) / 128 * 128);
        for (int i = 0; i < slots; ++i) {
            const auto wide = static_cast<std::size_t>(rows * hidden), narrow = static_cast<std::size_t>(rows * top_k);
            x.emplace_back(wide);
            y.emplace_back(wide);
            weights.emplace_back(narrow);
            experts.emplace_back(narrow);
            const auto at = static_cast<std::size_t>(i);
            slot.push_back({line + 2 * at * kLine, line + (2 * at + 1) * kLine, x[at].data(), experts[at].data(),
                            weights[at].data(), y[at].data()});
        }
        fault = line + static_cast<std::size_t>(2 * slots) * kLine;
        view = {sizeof(lk_mailbox), slots, rows, hidden, fault, slot.data()};
    }
    void ask(int at) { word(slot[static_cast<std::size_t>(at)].request).store(1, std::memory_order_release); }
    bool is_done(int at) { return word(slot[static_cast<std::size_t>(at)].done).load(std::memory_order_acquire) == 1; }
    bool is_given_up(int at) {
        return word(slot[static_cast<std::size_t>(at)].done).load(std::memory_order_acquire) == LK_MAILBOX_NO_ANSWER;
    }
    void await(int at) {
        while (!is_done(at)) std::this_thread::yield();
    }
    void take(int at) { word(slot[static_cast<std::size_t>(at)].done).store(0, std::memory_order_relaxed); }
    bool is_asked(int at) { return word(slot[static_cast<std::size_t>(at)].request).load(std::memory_order_acquire) == 1; }
    std::uint32_t reason() { return word(fault).load(std::memory_order_acquire); }
    void clear() {
        for (auto& one : slot) {
            word(one.request).store(0, std::memory_order_relaxed);
            word(one.done).store(0, std::memory_order_relaxed);
        }
        word(fault).store(0, std::memory_order_relaxed);
    }

    std::vector<std::uint32_t> flags;
    std::vector<std::vector<float>> x, y, weights;
    std::vector<std::vector<std::int32_t>> experts;
    std::vector<lk_mailbox_slot> slot;
    std::uint32_t* fault;
    lk_mailbox view;
    int rows, hidden;
};

// What one layer is asked, and what lk_moe answers.
struct Question {
    std::vector<float> x, weights, answer;
    std::vector<std::int32_t> experts;
};

Question ask(lk_device* device, const Bank& bank, int rows, Random& random) {
    const int k = bank.shape.k, hidden = bank.shape.hidden;
    Question q{random.floats(static_cast<std::size_t>(rows * hidden)), random.floats(static_cast<std::size_t>(rows * k)),
               std::vector<float>(static_cast<std::size_t>(rows * hidden)), {}};
    for (int i = 0; i < rows * k; ++i) q.experts.push_back(random.below(bank.shape.experts + 1) - 1);
    const lk_tensor x{q.x.data(), hidden, rows, hidden, LK_F32, 0}, y{q.answer.data(), hidden, rows, hidden, LK_F32, 0},
        experts{q.experts.data(), k, rows, k, LK_I32, 0}, weights{q.weights.data(), k, rows, k, LK_F32, 0};
    ok(lk_moe(device, bank.handle.get(), &x, &experts, &weights, &y));
    return q;
}

void post(Box& box, int at, const Question& q) {
    const auto slot = static_cast<std::size_t>(at);
    std::copy(q.x.begin(), q.x.end(), box.x[slot].begin());
    std::copy(q.experts.begin(), q.experts.end(), box.experts[slot].begin());
    std::copy(q.weights.begin(), q.weights.end(), box.weights[slot].begin());
    box.ask(at);
}

struct Setting {
    int threads;
    bool sockets;
    int slots;
};

class MailboxTest : public ::testing::TestWithParam<Setting> {
 protected:
    MailboxTest() : device(GetParam().sockets ? make_device(GetParam().threads, two_sockets().root())
                                              : make_device(GetParam().threads)) {}
    DevicePointer device;
};

TEST_P(MailboxTest, Answers_every_layer_of_every_step_as_moe_does) {
    Random random(1);
    std::vector<std::unique_ptr<Bank>> banks;
    const int slots = GetParam().slots, layers = 5, rows_max = 6;
    for (int i = 0; i < layers; ++i) {
        banks.push_back(std::make_unique<Bank>(device.get(), i % 2 ? LK_BF16 : LK_F32, Shape{6, 1 + i % 3, 40, 24}, random));
    }
    Box box(slots, rows_max, 40, 3);
    std::vector<lk_mailbox_request> requests;
    for (int i = 0; i < layers; ++i) {
        requests.push_back({banks[static_cast<std::size_t>(i)]->handle.get(), i % slots,
                            banks[static_cast<std::size_t>(i)]->shape.k});
    }
    for (int step = 0; step < 12; ++step) {
        const int rows = 1 + step % rows_max;
        std::vector<Question> questions;
        for (const auto& bank : banks) questions.push_back(ask(device.get(), *bank, rows, random));
        std::vector<std::vector<float>> answers;
        std::thread client([&] {
            for (int i = 0; i < layers; ++i) {
                post(box, i % slots, questions[static_cast<std::size_t>(i)]);
                box.await(i % slots);
                const auto& y = box.y[static_cast<std::size_t>(i % slots)];
                answers.emplace_back(y.begin(), y.begin() + rows * 40);
                box.take(i % slots);
            }
        });
        std::int32_t served = -1;
        const lk_status status =
            lk_mailbox_serve(device.get(), &box.view, requests.data(), layers, rows, kLong, &served);
        client.join();
        ok(status);
        ASSERT_EQ(served, layers);
        for (std::size_t i = 0; i < answers.size(); ++i) ASSERT_EQ(answers[i], questions[i].answer) << step << ' ' << i;
        for (int i = 0; i < slots; ++i) ASSERT_FALSE(box.is_asked(i) || box.is_done(i));
    }
    ASSERT_EQ(box.reason(), 0u);
}

TEST_P(MailboxTest, Serves_a_single_request_that_is_there_already) {
    Random random(2);
    const Bank bank(device.get(), LK_F32, {4, 2, 16, 8}, random);
    Box box(GetParam().slots, 3, 16, 2);
    const Question question = ask(device.get(), bank, 3, random);
    post(box, 0, question);
    const lk_mailbox_request request{bank.handle.get(), 0, 2};
    std::int32_t served = 0;
    ok(lk_mailbox_serve(device.get(), &box.view, &request, 1, 3, 1, &served));
    EXPECT_TRUE(box.is_done(0));
    EXPECT_FALSE(box.is_asked(0));
    EXPECT_EQ(box.y[0], question.answer);
}

TEST_P(MailboxTest, A_request_that_never_comes_ends_in_a_timeout_that_names_it) {
    Random random(3);
    const Bank bank(device.get(), LK_F32, {4, 2, 16, 8}, random);
    Box box(GetParam().slots, 1, 16, 2);
    const int last = GetParam().slots - 1;
    post(box, 0, ask(device.get(), bank, 1, random));
    std::vector<lk_mailbox_request> requests{{bank.handle.get(), 0, 2}, {bank.handle.get(), last, 2}};
    std::int32_t served = 0;
    EXPECT_EQ(lk_mailbox_serve(device.get(), &box.view, requests.data(), 2, 1, 2000, &served), LK_TIMED_OUT);
    EXPECT_EQ(served, 1);
    EXPECT_NE(std::string(lk_last_error()).find("slot " + std::to_string(last)), std::string::npos) << lk_last_error();
    EXPECT_EQ(box.reason(), static_cast<std::uint32_t>(LK_MAILBOX_SERVER_TIMED_OUT));
    // Whoever comes after all learns at once that there will be no answer.
    for (int i = 0; i < GetParam().slots; ++i) EXPECT_TRUE(box.is_given_up(i));

    box.clear();
    const Question question = ask(device.get(), bank, 1, random);
    post(box, 0, question);
    ok(lk_mailbox_serve(device.get(), &box.view, requests.data(), 1, 1, kLong, &served));
    EXPECT_EQ(box.y[0], question.answer);
}

TEST_P(MailboxTest, Stops_waiting_when_the_client_has_given_up) {
    Random random(4);
    const Bank bank(device.get(), LK_F32, {4, 2, 16, 8}, random);
    Box box(GetParam().slots, 1, 16, 2);
    const lk_mailbox_request request{bank.handle.get(), 0, 2};
    std::thread client([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        word(box.fault).store(LK_MAILBOX_CLIENT_TIMED_OUT, std::memory_order_release);
    });
    std::int32_t served = 0;
    const lk_status status = lk_mailbox_serve(device.get(), &box.view, &request, 1, 1, kLong, &served);
    client.join();
    EXPECT_EQ(status, LK_PEER_FAULT);
    EXPECT_EQ(served, 0);
    EXPECT_EQ(box.reason(), static_cast<std::uint32_t>(LK_MAILBOX_CLIENT_TIMED_OUT));

    // A flag that it has raised before does not count either: what it asked for is no longer wanted.
    post(box, 0, ask(device.get(), bank, 1, random));
    EXPECT_EQ(lk_mailbox_serve(device.get(), &box.view, &request, 1, 1, kLong, &served), LK_PEER_FAULT);
    EXPECT_EQ(served, 0);
}

TEST_P(MailboxTest, What_fails_inside_leaves_nobody_waiting) {
    Random random(5);
    const Bank bank(device.get(), LK_F32, {4, 2, 16, 8}, random), other(device.get(), LK_F32, {4, 2, 8, 8}, random);
    Box box(GetParam().slots, 2, 16, 2);
    std::int32_t served = 0;
    const auto fails = [&](lk_mailbox_request request, int rows, const char* sentence) {
        box.clear();
        post(box, 0, ask(device.get(), bank, 2, random));
        box.experts[0][1] = request.slot == 0 && rows == 1 ? 4 : -1;
        EXPECT_EQ(lk_mailbox_serve(device.get(), &box.view, &request, 1, rows, kLong, &served), LK_INVALID_ARGUMENT);
        EXPECT_NE(std::string(lk_last_error()).find(sentence), std::string::npos) << lk_last_error();
        EXPECT_EQ(box.reason(), static_cast<std::uint32_t>(LK_MAILBOX_SERVER_FAILED));
        EXPECT_TRUE(box.is_given_up(0));
        EXPECT_EQ(served, 0);
    };
    fails({bank.handle.get(), 0, 2}, 1, "not one of the bank's");
    fails({bank.handle.get(), 0, 2}, 3, "what the mailbox holds");
    fails({other.handle.get(), 0, 2}, 2, "as wide as the mailbox");
    fails({bank.handle.get(), GetParam().slots, 2}, 2, "not in the mailbox");
    fails({nullptr, 0, 2}, 2, "a bank must be set");
}

INSTANTIATE_TEST_SUITE_P(Devices, MailboxTest,
                         ::testing::Values(Setting{1, false, 1}, Setting{2, false, 1}, Setting{3, false, 2},
                                           Setting{4, true, 3}, Setting{11, false, 1}),
                         [](const auto& info) {
                             return std::to_string(info.param.threads) + (info.param.sockets ? "_on_two_sockets" : "_threads") +
                                    "_" + std::to_string(info.param.slots) + "_slots";
                         });

TEST(MailboxAbiTest, Refuses_a_mailbox_that_is_not_whole) {
    const auto device = make_device(1);
    Box box(1, 1, 8, 1);
    std::int32_t served = 0;
    const auto refused = [&](const lk_mailbox* view, const char* sentence) {
        EXPECT_EQ(lk_mailbox_serve(device.get(), view, nullptr, 0, 1, 1, &served), LK_INVALID_ARGUMENT);
        EXPECT_NE(std::string(lk_last_error()).find(sentence), std::string::npos) << lk_last_error();
    };
    refused(nullptr, "must be set");
    lk_mailbox view = box.view;
    view.struct_size += 8;
    refused(&view, "size differs");
    view = box.view;
    view.fault = nullptr;
    refused(&view, "fault word");
    box.slot[0].y = nullptr;
    refused(&box.view, "all its addresses");
    EXPECT_EQ(box.reason(), 0u);
}

}  // namespace
}  // namespace lk::testing
