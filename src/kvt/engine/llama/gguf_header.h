// Reads the header of a GGUF file without trusting a byte of it: keys, types, values, and the place of every tensor.
//
// ggml has a reader too; this one runs first because it can refuse in words what would stop the process there, and because
// it checks that each tensor's data lies inside the file (a truncated download is the most common broken model).
// Source: ggml docs/gguf.md, versions 2 and 3, little endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kvt/base/result.h"

namespace kvt {

// --- Interface ---

class GgufHeader {
public:
    // Errors: missing, not a regular file, empty, not GGUF, another version, truncated or malformed; all name the path.
    static Result<GgufHeader> read(const std::string & path);
    // The same for bytes in memory; `name` stands for the path in messages.
    static Result<GgufHeader> parse(std::span<const std::byte> bytes, const std::string & name);

    bool has(std::string_view key) const;
    bool has_prefix(std::string_view prefix) const;

    // Absent key: nullopt. A key of another kind: an Error that says so. Strings come with bad bytes replaced by '?'.
    Result<std::optional<std::string>> text(std::string_view key) const;
    Result<std::optional<uint64_t>>    number(std::string_view key) const;
    // As text(), with every byte as it stands in the file: for JSON, never for a message.
    Result<std::optional<std::string>> raw_text(std::string_view key) const;
    Result<std::vector<uint64_t>>      numbers(std::string_view key) const;  // a scalar is a list of one; absent: empty

    int64_t n_tensors() const { return n_tensors_; }

private:
    struct Value {
        bool                  is_text = false, is_array = false;
        std::string           text;
        std::vector<uint64_t> numbers;  // integers only; arrays longer than kMaxKept are not kept
        bool                  integral = false;
    };
    friend class GgufParser;

    std::string                               name_;
    std::map<std::string, Value, std::less<>> values_;
    int64_t                                   n_tensors_ = 0;
};

}  // namespace kvt
