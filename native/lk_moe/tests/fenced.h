// A buffer between two unreadable pages, flush against one of them: one element too far is a crash, not a
// pass.
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace lk::testing {

enum class Fence { after, before };

template <typename T>
class Fenced {
public:
    explicit Fenced(std::size_t count, Fence fence = Fence::after) : count_(count) {
        const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
        body_bytes_ = (count * sizeof(T) + page - 1) / page * page;
        bytes_ = body_bytes_ + 2 * page;
        void* base = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (base == MAP_FAILED) throw std::runtime_error("mmap");
        base_ = static_cast<unsigned char*>(base);
        body_ = base_ + page;
        std::memset(base_, kFiller, bytes_);
        if (is_guarded() &&
            (mprotect(base_, page, PROT_NONE) != 0 || mprotect(body_ + body_bytes_, page, PROT_NONE) != 0)) {
            throw std::runtime_error("mprotect");
        }
        data_ = reinterpret_cast<T*>(fence == Fence::after ? body_ + body_bytes_ - count * sizeof(T) : body_);
    }
    ~Fenced() { munmap(base_, bytes_); }
    Fenced(const Fenced&) = delete;
    Fenced& operator=(const Fenced&) = delete;

    T* data() const { return data_; }
    std::size_t size() const { return count_; }
    T& operator[](std::size_t i) const { return data_[i]; }
    T* begin() const { return data_; }
    T* end() const { return data_ + count_; }

    // True while nothing has been written beside the elements, on the side without the fence.
    bool is_surrounding_intact() const {
        const auto* first = reinterpret_cast<const unsigned char*>(data_);
        const auto* last = first + count_ * sizeof(T);
        for (const unsigned char* p = body_; p < body_ + body_bytes_; ++p) {
            if ((p < first || p >= last) && *p != kFiller) return false;
        }
        return true;
    }

private:
    // LK_CHECK_FENCES=0 is for qemu 7.2, which reads the masked lanes of vmaskmovps, as no processor does.
    static bool is_guarded() {
        static const char* const given = std::getenv("LK_CHECK_FENCES");
        return given == nullptr || std::strcmp(given, "0") != 0;
    }

    static constexpr unsigned char kFiller = 0xff;  // reads as NaN in every format: what leaks in shows

    std::size_t count_;
    std::size_t body_bytes_ = 0;
    std::size_t bytes_ = 0;
    unsigned char* base_ = nullptr;
    unsigned char* body_ = nullptr;
    T* data_ = nullptr;
};

}  // namespace lk::testing
