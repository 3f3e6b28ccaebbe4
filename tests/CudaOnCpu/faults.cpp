// Faults of the processor become faults of the kernel: the handler writes down what happened and lets the interrupted
// fiber go on in code that ends it. Elsewhere the handler that was there before decides, the .NET runtime's for one.
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdlib>
#include <mutex>

#include "arena.h"
#include "fibers.h"

namespace cuda_on_cpu {

namespace {

constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
struct sigaction previous[NSIG];

std::string describe(const Trap& trap) {
    switch (trap.signal) {
        case SIGFPE: return "a division of integers that has no result";
        case SIGILL: return "code that must not be reached";
        default: break;
    }
    if (trap.address == nullptr) return "illegal address, null or outside of what an address can be,";
    const char* const at = static_cast<const char*>(trap.address);
    const char* const stack = executor->stack_of(current->thread);
    if (at < stack && at >= stack - 4096) return "more local variables than a stack holds";
    char text[32];
    std::snprintf(text, sizeof text, "%p", trap.address);
    return std::string("illegal address ") + text + " (" + arena_describe(trap.address) + ")";
}

void end_fiber() { fail(describe(executor->trap)); }

void chain(int signal, siginfo_t* info, void* context) {
    const struct sigaction& old = previous[signal];
    if ((old.sa_flags & SA_SIGINFO) != 0) {
        old.sa_sigaction(signal, info, context);
    } else if (old.sa_handler == SIG_DFL) {
        // The instruction runs again and ends the process as if nobody had looked.
        sigaction(signal, &old, nullptr);
    } else if (old.sa_handler != SIG_IGN) {
        old.sa_handler(signal);
    }
}

void handle(int signal, siginfo_t* info, void* context) {
    if (current == nullptr || executor == nullptr || info->si_code <= 0) return chain(signal, info, context);
    auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    executor->trap = {signal, info->si_addr, reinterpret_cast<const void*>(registers[REG_RIP])};
    // On a fresh stack, because the fiber's may be what overflowed; it never returns.
    auto top = reinterpret_cast<std::uintptr_t>(executor->stack_of(current->thread)) + kStackBytes;
    registers[REG_RSP] = static_cast<greg_t>(top / 16 * 16 - 8);
    registers[REG_RIP] = reinterpret_cast<greg_t>(&end_fiber);
}

}  // namespace

void catch_signals() {
    static std::once_flag once;
    std::call_once(once, [] {
        struct sigaction action {};
        action.sa_sigaction = handle;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        sigemptyset(&action.sa_mask);
        for (const int signal : kSignals) {
            if (sigaction(signal, &action, &previous[signal]) != 0) std::abort();
        }
    });
}

void* make_signal_stack() {
    stack_t now{};
    if (sigaltstack(nullptr, &now) != 0 || (now.ss_flags & SS_DISABLE) == 0) return nullptr;
    constexpr std::size_t kBytes = 64 << 10;
    stack_t own{};
    own.ss_sp = std::malloc(kBytes);
    own.ss_size = kBytes;
    if (sigaltstack(&own, nullptr) != 0) std::abort();
    return own.ss_sp;
}

void remove_signal_stack(void* stack) {
    if (stack == nullptr) return;
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    sigaltstack(&none, nullptr);
    std::free(stack);
}

}  // namespace cuda_on_cpu
