// The few ways in which kernel interfaces are read: a whole small file, or one "key value" line of it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lk {

// The text without its last line break; nothing if the file cannot be read.
std::optional<std::string> read_file(const std::string& path);

std::optional<std::int64_t> read_number(const std::string& path);

// The first number of the line that starts with `key`; such files separate by ':' and blanks.
std::optional<std::uint64_t> find_number(const std::string& text, const std::string& key);

// What follows `key` and blanks in its line.
std::optional<std::string> find_text(const std::string& text, const std::string& key);

// Ids of the folder's entries named `prefix`<number>, ascending.
std::vector<int> numbered_entries(const std::string& folder, const std::string& prefix);

}  // namespace lk
