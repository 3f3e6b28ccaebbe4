#include "files.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace lk {

std::optional<std::string> read_file(const std::string& path) {
    std::ifstream file(path);
    if (!file) return std::nullopt;
    std::ostringstream text;
    text << file.rdbuf();
    if (file.bad()) return std::nullopt;
    std::string all = text.str();
    if (!all.empty() && all.back() == '\n') all.pop_back();
    return all;
}

std::optional<std::int64_t> read_number(const std::string& path) {
    const auto text = read_file(path);
    if (!text) return std::nullopt;
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (error != std::errc{} || end == text->data()) return std::nullopt;
    return value;
}

std::optional<std::string> find_text(const std::string& text, const std::string& key) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with(key)) continue;
        const std::size_t start = line.find_first_not_of(" \t", key.size());
        return start == std::string::npos ? std::string() : line.substr(start);
    }
    return std::nullopt;
}

std::optional<std::uint64_t> find_number(const std::string& text, const std::string& key) {
    const auto rest = find_text(text, key);
    if (!rest) return std::nullopt;
    std::uint64_t value = 0;
    const auto result = std::from_chars(rest->data(), rest->data() + rest->size(), value);
    if (result.ec != std::errc{}) return std::nullopt;
    return value;
}

std::vector<int> numbered_entries(const std::string& folder, const std::string& prefix) {
    std::vector<int> ids;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
        const std::string name = entry.path().filename().string();
        if (!name.starts_with(prefix)) continue;
        int id = 0;
        const char* last = name.data() + name.size();
        const auto result = std::from_chars(name.data() + prefix.size(), last, id);
        if (result.ec == std::errc{} && result.ptr == last) ids.push_back(id);
    }
    std::sort(ids.begin(), ids.end());
    return ids;
}

}  // namespace lk
