// Holds every access of a kernel against what memory there is, what of it was written, and who else is at it.
#pragma once
#include <string>
#include <vector>

#include "arena.h"
#include "cells.h"
#include "clocks.h"

namespace cuda_on_cpu::checked {

enum class Access { read, write, atomic_read, atomic_write, start_copy, end_copy };

// One an OS thread.
class Checker {
public:
    void start_launch();
    void end_launch();
    void start_block();
    void define_shared(const char* name, const void* begin, std::size_t bytes);

    void access(std::uintptr_t address, std::size_t bytes, Access kind);
    void fence(bool is_system);
    void update(const void* at);
    void acquire(const void* at);
    void release(const void* at);

    Clocks clocks;

private:
    struct Shared {
        const char* name;
        std::uintptr_t begin, end;
    };
    // A store to mapped host memory that the host need not see yet.
    struct Store {
        std::uintptr_t address;
        std::uint32_t bytes, thread;
        Time when;
    };
    // The memory that holds an access.
    struct Place {
        const Range* range = nullptr;
        const Shared* shared = nullptr;
    };

    bool find(std::uintptr_t address, std::size_t bytes, Access kind, Place& place);
    const Range* find_range(std::uintptr_t address);
    const Shared* find_shared(std::uintptr_t address) const;
    void check_written(const Place& place, std::uintptr_t address, std::size_t bytes);
    void touch(const Place& place, std::uintptr_t address, std::size_t bytes, Access kind);
    void touch_cell(const Place& place, Cell& cell, std::uintptr_t address, std::size_t bytes, Access kind);
    bool conflicts_with_write(const Cell& cell, bool is_atomic) const;
    bool conflicts_with_reads(const Cell& cell, bool is_atomic) const;
    void note_read(Cell& cell, bool is_atomic);
    [[noreturn]] void race(const Place& place, std::uintptr_t address, std::size_t bytes, Access kind, std::uint16_t other,
                           Time when, bool other_writes);
    std::string name(const Place& place, std::uintptr_t address) const;
    void publish(bool everything);
    void maybe_publish_one();

    Cells cells_;
    std::vector<Shared> shared_;
    std::uint64_t generation_ = 0;
    std::vector<Range> ranges_;  // found since the arena changed
    std::size_t last_range_ = 0;
    std::vector<Store> stores_;
    std::minstd_rand random_;
};

// Reports the access by the place of the code that makes it; nothing outside of fibers.
void check_access(const void* address, std::size_t bytes, Access kind, const void* code);

}  // namespace cuda_on_cpu::checked
