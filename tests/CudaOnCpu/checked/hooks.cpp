// What clang's instrumentation calls: before every access (-fsanitize=thread), and where an expression has no meaning
// (-fsanitize=alignment,array-bounds,...). The sanitizers' own runtimes are not linked.
#include "checker.h"

using cuda_on_cpu::checked::Access;
using cuda_on_cpu::checked::check_access;

namespace {

// What the compiler tells about an expression (compiler-rt, ubsan_value.h and ubsan_handlers.h).
struct SourceLocation {
    const char* file;
    std::uint32_t line;
    std::uint32_t column;
};
struct TypeDescriptor {
    std::uint16_t kind;
    std::uint16_t info;
    char name[1];
};
struct TypeMismatch {
    SourceLocation location;
    const TypeDescriptor* type;
    unsigned char log_alignment;
    unsigned char check_kind;
};

std::string place(const SourceLocation& location) {
    const std::string file = location.file == nullptr ? "?" : location.file;
    return " at " + file.substr(file.find_last_of('/') + 1) + ":" + std::to_string(location.line);
}

[[noreturn]] void end(const std::string& what, const void* data) {
    const std::string text = what + place(*static_cast<const SourceLocation*>(data));
    if (cuda_on_cpu::current == nullptr) std::abort();
    cuda_on_cpu::fail(text);
}

}  // namespace

#define CODE __builtin_return_address(0)

extern "C" {

void __tsan_init() {}

#define ACCESS(bytes)                                                                              \
    void __tsan_read##bytes(void* at) { check_access(at, bytes, Access::read, CODE); }             \
    void __tsan_write##bytes(void* at) { check_access(at, bytes, Access::write, CODE); }
ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)

#define UNALIGNED_ACCESS(bytes)                                                                    \
    void __tsan_unaligned_read##bytes(void* at) { check_access(at, bytes, Access::read, CODE); }   \
    void __tsan_unaligned_write##bytes(void* at) { check_access(at, bytes, Access::write, CODE); }
UNALIGNED_ACCESS(2)
UNALIGNED_ACCESS(4)
UNALIGNED_ACCESS(8)
UNALIGNED_ACCESS(16)

void* __tsan_memcpy(void* to, const void* from, std::size_t bytes) {
    check_access(from, bytes, Access::read, CODE);
    check_access(to, bytes, Access::write, CODE);
    return std::memcpy(to, from, bytes);
}
void* __tsan_memmove(void* to, const void* from, std::size_t bytes) {
    check_access(from, bytes, Access::read, CODE);
    check_access(to, bytes, Access::write, CODE);
    return std::memmove(to, from, bytes);
}
void* __tsan_memset(void* to, int value, std::size_t bytes) {
    check_access(to, bytes, Access::write, CODE);
    return std::memset(to, value, bytes);
}

void __ubsan_handle_type_mismatch_v1(void* data, std::uintptr_t address) {
    const auto* const mismatch = static_cast<const TypeMismatch*>(data);
    const std::size_t alignment = std::size_t{1} << mismatch->log_alignment;
    if (address == 0) end("a null pointer used", data);
    if (address % alignment != 0) {
        char text[96];
        std::snprintf(text, sizeof text, "misaligned: %#zx used as an address that %zu divides", static_cast<std::size_t>(address),
                      alignment);
        end(text, data);
    }
    end("too little memory behind a pointer", data);
}
void __ubsan_handle_out_of_bounds(void* data, std::uintptr_t index) {
    end("out of bounds: index " + std::to_string(static_cast<std::int64_t>(index)) + " of an array", data);
}
void __ubsan_handle_shift_out_of_bounds(void* data, std::uintptr_t, std::uintptr_t) { end("a shift by too many bits", data); }
void __ubsan_handle_divrem_overflow(void* data, std::uintptr_t, std::uintptr_t) {
    end("a division of integers that has no result", data);
}
void __ubsan_handle_add_overflow(void* data, std::uintptr_t, std::uintptr_t) { end("a signed sum that overflows", data); }
void __ubsan_handle_sub_overflow(void* data, std::uintptr_t, std::uintptr_t) { end("a signed difference that overflows", data); }
void __ubsan_handle_mul_overflow(void* data, std::uintptr_t, std::uintptr_t) { end("a signed product that overflows", data); }
void __ubsan_handle_negate_overflow(void* data, std::uintptr_t) { end("a negation that overflows", data); }
void __ubsan_handle_builtin_unreachable(void* data) { end("code that must not be reached", data); }
void __ubsan_handle_load_invalid_value(void* data, std::uintptr_t) { end("a bool that is neither true nor false", data); }

}  // extern "C"
