// What only the checked build finds; what is allowed goes by it unharmed.
#include <thread>

#include "kit.h"
#include "observer.h"

namespace {

using namespace cuda_on_cpu;

struct CheckedArgs {
    unsigned* out = nullptr;
    const unsigned* in = nullptr;
    unsigned* counter = nullptr;
    unsigned* flag = nullptr;
    const unsigned* answer = nullptr;
    unsigned count = 0;
    unsigned mode = 0;
};

using Numbers = std::vector<unsigned>;

TEST(Checked, LetsCopiesRunAhead) {
    constexpr unsigned kSteps = 5;
    kit::Buffer<unsigned> in(Numbers(kSteps * 256, 3)), out(64);
    const CheckedArgs args{.out = out.data(), .in = in.data(), .count = kSteps * 256};
    kit::launch_all("checked_copies", {1, 1, 1, 64}, args, [&] { out.clear(); },
                    [&] { ASSERT_EQ(out.copy(), Numbers(64, kSteps * 4 * 3)); });
}

TEST(Checked, LetsTheLastBlockReadWhatOthersLeft) {
    kit::Buffer<unsigned> in(Numbers(64 * 7, 1)), out(1 + 64 * 7), counter(1);
    const CheckedArgs args{.out = out.data(), .in = in.data(), .counter = counter.data()};
    const auto reset = [&] {
        out.clear();
        counter.fill(0u);
        out[0] = 0;
        arena_written(out.data(), 4);
    };
    kit::launch_all("checked_last_block", {7, 1, 1, 64}, args, reset, [&] { ASSERT_EQ(out[0], 2u * 64 * 7); });
}

// The host's end: waits for the flag, doubles what it finds, answers. What it found.
Numbers serve(unsigned* flag, const unsigned* asked, unsigned* answer, std::atomic<bool>& stop) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    while (__atomic_load_n(flag, __ATOMIC_ACQUIRE) == 0) {
        if (std::chrono::steady_clock::now() > end) {
            stop = true;
            return {};
        }
        std::this_thread::yield();
    }
    Numbers found(asked, asked + 64);
    for (unsigned i = 0; i < 64; ++i) answer[i] = found[i] * 2;
    __atomic_store_n(flag + 1, 1, __ATOMIC_RELEASE);
    return found;
}

TEST(Checked, AsksAHostThatSeesStoresLate) {
    // What the host sees, and what the device sees of it: two copies where the build has a weak model of memory.
    struct Mapped {
        unsigned asked[64], answer[64], flag[2];
    };
    for (const Schedule& schedule : kit::schedules()) {
        alignas(16) Mapped host{}, device{};
        Mapped* const view = observer == nullptr ? &host : &device;
        arena_add_mapped(view, &host, sizeof host, "a mailbox");
        Numbers values(64);
        for (unsigned i = 0; i < 64; ++i) values[i] = i * 3;
        kit::Buffer<unsigned> in(values), out(64);
        const CheckedArgs args{.out = view->asked, .in = in.data(), .counter = out.data(), .flag = view->flag, .answer = view->answer};
        std::atomic<bool> stop{false};
        Numbers found;
        std::thread server([&] { found = serve(host.flag, host.asked, host.answer, stop); });
        const std::string fault =
            kit::launch_once("checked_mailbox", {1, 1, 1, 64}, args, {schedule.order, schedule.seed, &stop});
        server.join();
        arena_remove(view);
        ASSERT_EQ(fault, "");
        for (unsigned i = 0; i < 64; ++i) {
            ASSERT_EQ(found[i], values[i] + 1);
            ASSERT_EQ(out[i], (values[i] + 1) * 2);
        }
    }
}

struct Forbidden {
    unsigned mode;
    const char* says;
};

class CheckedForbiddenTest : public ::testing::TestWithParam<Forbidden> {};

TEST_P(CheckedForbiddenTest, EndsTheLaunch) {
    if (observer == nullptr) GTEST_SKIP() << "accesses are not checked in this build";
    const auto [mode, says] = GetParam();
    kit::Buffer<unsigned> in(Numbers(64, 5)), out(64), unwritten(64), flag(Numbers{0});
    const CheckedArgs args{.out = out.data(), .in = in.data(), .counter = unwritten.data(), .flag = flag.data(), .count = 64, .mode = mode};
    for (const Schedule& schedule : kit::schedules()) {
        const std::string fault = kit::launch_once("checked_forbidden", {mode == 7 ? 2u : 1u, 1, 1, 64}, args, schedule);
        EXPECT_NE(fault.find(says), std::string::npos) << fault;
        EXPECT_EQ(fault.empty(), *says == 0) << fault;
    }
}

INSTANTIATE_TEST_SUITE_P(
    Kernels, CheckedForbiddenTest,
    ::testing::Values(Forbidden{0, "(0 bytes past the end of a buffer of 64 x 4 bytes)"},
                      Forbidden{1, "unwritten: 4 bytes read of shared `words` + 28, of which nobody wrote byte 0"},
                      Forbidden{2, "unwritten: 4 bytes read of a buffer of 64 x 4 bytes + "},
                      Forbidden{3, "race: thread "}, Forbidden{4, "race: thread "}, Forbidden{5, "race: thread "},
                      Forbidden{6, "race: thread "}, Forbidden{7, " of another block wrote with nothing that orders the two"},
                      Forbidden{8, "before the asynchronous copy of thread "},
                      Forbidden{9, "out of bounds: index 4 of an array at checked_kernels.cu:"},
                      Forbidden{10, "misaligned: "}, Forbidden{11, "at 256 of shared `words`, which has 256"},
                      Forbidden{12, ""}, Forbidden{13, "words`"}, Forbidden{14, "race: thread "}));

}  // namespace
