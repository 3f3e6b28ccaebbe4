// Stacks of fibers, and the switch between them.
#include "fibers.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

namespace cuda_on_cpu {

constinit thread_local Lane* current __attribute__((tls_model("initial-exec"))) = nullptr;
constinit thread_local Executor* executor __attribute__((tls_model("initial-exec"))) = nullptr;

namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kSharedPages = (kSharedMax + kSharedGaps + kPage - 1) / kPage * kPage;
constexpr std::size_t kStackStride = kStackBytes + kPage;  // a page between stacks that nobody may touch

void* reserve(std::size_t bytes) {
    void* const address = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (address == MAP_FAILED) std::abort();
    return address;
}

void open(void* address, std::size_t bytes) {
    if (mprotect(address, bytes, PROT_READ | PROT_WRITE) != 0) std::abort();
}

extern "C" void cuda_on_cpu_switch(void** save, void* to);
asm(R"(
.text
.globl cuda_on_cpu_switch
.hidden cuda_on_cpu_switch
.type cuda_on_cpu_switch, @function
cuda_on_cpu_switch:
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, (%rdi)
    mov %rsi, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret
.size cuda_on_cpu_switch, . - cuda_on_cpu_switch
)");

extern "C" void cuda_on_cpu_enter() {
    executor->kernel->body(executor->args);
    fiber().state = State::left;
    leave();
    std::abort();
}

}  // namespace

Executor::Executor() : fibers(kThreadsMax), words(kThreadsMax * 2), tiles(kWarpsMax * 2) {
    stacks = static_cast<char*>(reserve(kStackStride * kThreadsMax));
    auto* const pages = static_cast<unsigned char*>(reserve(kSharedPages + kPage));
    open(pages, kSharedPages);
    shared = pages + kSharedPages - kSharedMax;
    signal_stack = make_signal_stack();
}

Executor::~Executor() {
    remove_signal_stack(signal_stack);
    munmap(stacks, kStackStride * kThreadsMax);
    munmap(shared + kSharedMax - kSharedPages, kSharedPages + kPage);
}

char* Executor::stack_of(std::uint32_t thread) const { return stacks + thread * kStackStride + kPage; }

// A warp's at a time, because the number of mappings of a process is bounded.
void Executor::make_stacks(std::uint32_t threads) {
    for (; stacks_ready < threads; ++stacks_ready) open(stack_of(stacks_ready), kStackBytes);
}

void Executor::prepare(std::uint32_t thread) {
    Fiber& lane = fibers[thread];
    lane.thread = thread;
    lane.state = State::runnable;
    lane.meetings = 0;
    lane.groups = 0;
    lane.copies.clear();
    // Tops at different offsets, or all of them would share a few sets of the L1 cache.
    const std::size_t colour = thread * 448 % kPage / 64 * 64;
    auto* top = reinterpret_cast<std::uint64_t*>(stack_of(thread) + kStackBytes - colour);
    for (int i = 0; i < 3; ++i) *--top = 0;  // as aligned as after a call
    *--top = reinterpret_cast<std::uint64_t>(&cuda_on_cpu_enter);
    for (int i = 0; i < 6; ++i) *--top = 0;
    lane.stack_pointer = top;
}

unsigned char* Executor::dynamic_begin() const {
    return shared + kSharedMax - (dynamic_bytes + 1023) / 1024 * 1024;
}

void resume(Fiber& lane) {
    current = &lane;
    cuda_on_cpu_switch(&executor->scheduler, lane.stack_pointer);
    current = nullptr;
}

void leave() { cuda_on_cpu_switch(&current->stack_pointer, executor->scheduler); }

}  // namespace cuda_on_cpu
