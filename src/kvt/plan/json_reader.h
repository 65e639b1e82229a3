// Strict JSON for files people edit and strangers send: duplicate keys, depth and size are refused while parsing, and every
// complaint about a value carries its JSON pointer (RFC 6901).
//
// ObjectReader keeps the first error and answers with neutral values after it, so a reader states its fields in a row and
// asks once at the end; keys nobody asked for are errors, except "x_...".
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "kvt/base/result.h"

namespace kvt {

// --- Interface ---

// Errors: "line 3, column 7: not valid JSON near ..." for text that is not JSON, the pointer for a duplicate key. Never throws.
Result<nlohmann::json> parse_strict_json(std::string_view text, size_t max_bytes, int max_depth);

// The first complaint of a whole document.
class Complaint {
public:
    void                add(std::string_view pointer, std::string_view what);
    bool                empty() const { return text_.empty(); }
    const std::string & text() const { return text_; }  // "/layers/3/k: ..."

private:
    std::string text_;
};

class ObjectReader {
public:
    ObjectReader(const nlohmann::json & value, std::string pointer, Complaint & complaint);

    std::string  text(const char * key);
    std::string  choice(const char * key, std::initializer_list<std::string_view> allowed);
    std::string  sha256(const char * key, bool may_be_empty);
    int64_t      integer(const char * key, int64_t low, int64_t high);
    uint64_t     unsigned64(const char * key);
    double       number(const char * key);
    bool         boolean(const char * key);
    ObjectReader object(const char * key);
    // The array's elements stay in the document; an empty array after an error.
    const nlohmann::json &   array(const char * key);
    const nlohmann::json &   raw(const char * key);  // null if absent
    bool                     has(const char * key) const;
    std::vector<std::string> names() const;  // for objects whose keys are names; x_ keys are left out

    void                complain(const char * key, std::string_view what);  // about the value of `key`
    void                refuse_other_keys();
    std::string         pointer_of(std::string_view key) const;
    const std::string & pointer() const { return pointer_; }
    Complaint &         complaint() { return complaint_; }

private:
    const nlohmann::json * find(const char * key);
    void                   wrong(const char * key, const nlohmann::json & found, std::string_view expected);

    const nlohmann::json & value_;
    std::string            pointer_;
    Complaint &            complaint_;
    std::set<std::string>  asked_;
};

// A value as it appears in a message: at most 40 characters, printable ASCII.
std::string shown_value(const nlohmann::json & value);
std::string shown(std::string_view text);

}  // namespace kvt
