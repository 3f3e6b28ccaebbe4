// What was done last to each byte of memory, and by whom.
#pragma once
#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <unordered_map>

#include "clocks.h"

namespace cuda_on_cpu::checked {

// Who: a thread, with marks; or one of these in place of it.
inline constexpr std::uint16_t kThreadMask = 0x3ff;
inline constexpr std::uint16_t kAtomic = 0x8000;
inline constexpr std::uint16_t kCopying = 0x4000;  // an asynchronous copy has yet to fill the byte
inline constexpr std::uint16_t kManyThreads = 0x2000;

struct Cell {
    Time written = 0;
    Time read = 0;                // by this block, the latest
    Time read_before = 0;          // by an earlier block of the launch, the latest
    std::uint32_t read_warps = 0;  // of this block, where many threads read
    std::uint16_t writer = 0;
    std::uint16_t reader = 0;
};

// Cells of all memory that was touched, a page at a time.
class Cells {
public:
    static constexpr std::size_t kPage = 4096;

    Cells() = default;
    ~Cells() { forget(); }
    Cells(const Cells&) = delete;
    Cells& operator=(const Cells&) = delete;

    // Those of the address and of what follows it in its page.
    Cell* at(std::uintptr_t address) {
        const std::uintptr_t page = address / kPage;
        Recent& recent = recent_[page % kRecent];
        if (recent.page != page) recent = {page, find(page)};
        return recent.cells + address % kPage;
    }

    std::size_t pages() const { return pages_.size(); }

    void forget() {
        for (const auto& [page, cells] : pages_) munmap(cells, kPage * sizeof(Cell));
        pages_.clear();
        for (Recent& recent : recent_) recent = {};
    }

private:
    static constexpr std::size_t kRecent = 256;
    struct Recent {
        std::uintptr_t page = 0;
        Cell* cells = nullptr;
    };

    Cell* find(std::uintptr_t page) {
        Cell*& cells = pages_[page];
        if (cells != nullptr) return cells;
        void* const map = mmap(nullptr, kPage * sizeof(Cell), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (map == MAP_FAILED) std::abort();
        return cells = static_cast<Cell*>(map);
    }

    std::unordered_map<std::uintptr_t, Cell*> pages_;
    Recent recent_[kRecent];
};

}  // namespace cuda_on_cpu::checked
