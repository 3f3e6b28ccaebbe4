#include "ptx.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <regex>

namespace cuda_on_cpu::driver {

namespace {

// A variable in the .shared space; bytes 0 for an extern one.
struct Shared {
    std::string name;
    std::size_t from = 0;
    std::uint32_t bytes = 0;
};

std::size_t element_bytes(const std::string& type) {
    const std::size_t digits = type.find_first_of("0123456789");
    return digits == std::string::npos ? 0 : std::strtoul(type.c_str() + digits, nullptr, 10) / 8;
}

std::string without_comments(const char* text) {
    std::string result;
    for (const char* at = text; *at != 0;) {
        if (at[0] == '/' && at[1] == '/') {
            while (*at != 0 && *at != '\n') ++at;
        } else if (at[0] == '/' && at[1] == '*') {
            const char* const end = std::strstr(at + 2, "*/");
            at = end == nullptr ? at + std::strlen(at) : end + 2;
        } else {
            result += *at++;
        }
    }
    return result;
}

// The place behind the bracket that closes the one at `from`.
std::size_t matching(const std::string& text, std::size_t from, char open, char close) {
    int depth = 0;
    for (std::size_t at = from; at < text.size(); ++at) {
        if (text[at] == open) ++depth;
        if (text[at] == close && --depth == 0) return at + 1;
    }
    return std::string::npos;
}

bool mentions(const std::string& text, std::size_t from, std::size_t to, const std::string& name) {
    const auto is_part = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$'; };
    for (std::size_t at = text.find(name, from); at < to; at = text.find(name, at + 1)) {
        const std::size_t end = at + name.size();
        if (!is_part(text[at - 1]) && (end >= text.size() || !is_part(text[end]))) return true;
    }
    return false;
}

std::vector<Shared> shared_variables(const std::string& text) {
    static const std::regex form(R"(\.shared\s+(?:\.align\s+\d+\s+)?(\.[a-z]+\d+)\s+([\w$]+)\s*(?:\[(\d*)\])?)");
    std::vector<Shared> result;
    for (std::sregex_iterator at(text.begin(), text.end(), form), end; at != end; ++at) {
        const std::string count = (*at)[3];
        const auto elements = (*at)[3].matched ? std::strtoul(count.c_str(), nullptr, 10) : 1;
        result.push_back({(*at)[2], static_cast<std::size_t>(at->position()),
                          static_cast<std::uint32_t>(elements * element_bytes((*at)[1]))});
    }
    return result;
}

std::size_t parameter_bytes(const std::string& list) {
    static const std::regex form(R"(\.param\s+(?:\.align\s+(\d+)\s+)?(\.[a-z]+\d+)[^,]*?([\w$]+)\s*(?:\[(\d+)\])?\s*(?:,|$))");
    std::size_t bytes = 0;
    for (std::sregex_iterator at(list.begin(), list.end(), form), end; at != end; ++at) {
        const std::size_t element = element_bytes((*at)[2]);
        const std::size_t align = (*at)[1].matched ? std::strtoul((*at)[1].str().c_str(), nullptr, 10) : element;
        const std::size_t count = (*at)[4].matched ? std::strtoul((*at)[4].str().c_str(), nullptr, 10) : 1;
        bytes = (bytes + align - 1) / align * align + element * count;
    }
    return bytes;
}

}  // namespace

PtxText parse_ptx(const char* given) {
    PtxText ptx;
    const std::string text = without_comments(given);
    std::smatch match;
    if (!std::regex_search(text, match, std::regex(R"(\.version\s+(\d+)\.(\d+))"))) {
        ptx.wrong = "no .version";
        return ptx;
    }
    ptx.isa = std::stoi(match[1]) * 10 + std::stoi(match[2]);
    if (!std::regex_search(text, match, std::regex(R"(\.target\s+sm_(\d+)(a?))"))) {
        ptx.wrong = "no .target";
        return ptx;
    }
    ptx.target = std::stoi(match[1]);
    ptx.is_exact = match[2].length() != 0;
    const std::vector<Shared> shared = shared_variables(text);
    for (std::size_t at = text.find(".entry"); at != std::string::npos; at = text.find(".entry", at + 1)) {
        PtxEntry entry;
        const std::size_t name = text.find_first_not_of(" \t\n", at + 6);
        const std::size_t open = text.find('(', at);
        const std::size_t close = open == std::string::npos ? open : matching(text, open, '(', ')');
        const std::size_t body = close == std::string::npos ? close : text.find('{', close);
        const std::size_t end = body == std::string::npos ? body : matching(text, body, '{', '}');
        if (end == std::string::npos) {
            ptx.wrong = "an .entry without parameters or body";
            return ptx;
        }
        entry.name = text.substr(name, text.find_first_of(" \t\n(", name) - name);
        entry.parameter_bytes = parameter_bytes(text.substr(open + 1, close - open - 2));
        const std::string directives = text.substr(close, body - close);
        if (std::regex_search(directives, match, std::regex(R"(\.maxntid\s+(\d+)(?:\s*,\s*(\d+))?(?:\s*,\s*(\d+))?)"))) {
            entry.threads_max = 1;
            for (std::size_t i = 1; i <= 3; ++i) entry.threads_max *= match[i].matched ? std::stoul(match[i]) : 1;
        }
        for (const Shared& variable : shared) {
            if (mentions(text, body, end, variable.name)) entry.static_shared += variable.bytes;
        }
        ptx.entries.push_back(entry);
    }
    return ptx;
}

}  // namespace cuda_on_cpu::driver
