#include "kvt/plan/json_reader.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <vector>

#include <fmt/format.h>

namespace kvt {

namespace {

using nlohmann::json;

constexpr size_t kShownChars = 40;
constexpr size_t kNearChars  = 20;

std::string escaped(std::string_view key) {  // RFC 6901
    std::string out;
    for (const char c : key) {
        if (c == '~') {
            out += "~0";
        } else if (c == '/') {
            out += "~1";
        } else {
            out += c;
        }
    }
    return out;
}

// Builds the document while nlohmann's parser walks the text, and stops it at the first duplicate key or excess of depth.
class Builder : public json::json_sax_t {
public:
    Builder(std::string_view text, int max_depth) : text_(text), max_depth_(max_depth) {}

    json &              document() { return document_; }
    const std::string & error() const { return error_; }

    bool null() override { return put(nullptr); }
    bool boolean(bool value) override { return put(value); }
    bool number_integer(number_integer_t value) override { return put(value); }
    bool number_unsigned(number_unsigned_t value) override { return put(value); }
    bool number_float(number_float_t value, const string_t &) override { return put(value); }
    bool string(string_t & value) override { return put(std::move(value)); }
    bool binary(binary_t &) override { return false; }
    bool start_object(std::size_t) override { return open(json::object()); }
    bool start_array(std::size_t) override { return open(json::array()); }
    bool end_object() override { return close(); }
    bool end_array() override { return close(); }

    bool key(string_t & name) override {
        if (stack_.back()->contains(name)) {
            error_ = fmt::format("{}/{}: duplicate key", pointer(), shown(escaped(name)));
            return false;
        }
        key_         = std::move(name);
        path_.back() = key_;
        return true;
    }

    // `position` is the number of bytes read when the parser gave up, the offending ones included.
    bool parse_error(std::size_t position, const std::string &, const nlohmann::detail::exception &) override {
        std::string_view before = text_.substr(0, std::min(position, text_.size()));
        before                  = before.substr(0, before.find_last_not_of(" \t\r\n") + 1);
        const auto       line   = std::count(before.begin(), before.end(), '\n') + 1;
        std::string_view last   = before.substr(before.rfind('\n') + 1);  // npos + 1 is 0
        const size_t     column = last.size();
        if (last.size() > kNearChars) last.remove_prefix(last.size() - kNearChars);
        error_ = fmt::format("line {}, column {}: not valid JSON {} \"{}\"", line, column,
                             position > text_.size() ? "that ends after" : "near", shown(last));
        if (before.empty()) error_ = "the text is empty";
        return false;
    }

private:
    json * place(json value) {
        if (stack_.empty()) return &(document_ = std::move(value));
        json & parent = *stack_.back();
        if (parent.is_array()) {
            parent.push_back(std::move(value));
            path_.back() = std::to_string(parent.size() - 1);
            return &parent.back();
        }
        return &(parent[key_] = std::move(value));
    }

    template <class T>
    bool put(T && value) {
        place(std::forward<T>(value));
        return true;
    }

    bool open(json value) {
        if (stack_.size() >= static_cast<size_t>(max_depth_)) {
            error_ = fmt::format("{}: nested more than {} deep", pointer(), max_depth_);
            return false;
        }
        stack_.push_back(place(std::move(value)));
        path_.emplace_back();
        return true;
    }

    bool close() {
        stack_.pop_back();
        path_.pop_back();
        return true;
    }

    std::string pointer() const {
        std::string text;
        for (size_t i = 0; i + 1 < path_.size(); ++i) text += fmt::format("/{}", shown(escaped(path_[i])));
        return text;
    }

    std::string_view         text_;
    int                      max_depth_;
    json                     document_;
    std::vector<json *>      stack_;  // open containers; a child's address is stable while its parent is not appended to
    std::vector<std::string> path_;
    std::string              key_, error_;
};

}  // namespace

Result<json> parse_strict_json(std::string_view text, size_t max_bytes, int max_depth) {
    if (text.size() > max_bytes) return Error{fmt::format("{} bytes of text, more than the {} allowed", text.size(), max_bytes)};
    try {
        Builder builder(text, max_depth);
        if (!json::sax_parse(text, &builder)) return Error{builder.error()};
        return std::move(builder.document());
    } catch (const std::exception & e) {
        return Error{fmt::format("cannot be read: {}", e.what())};
    }
}

std::string shown(std::string_view text) {
    std::string out;
    for (const char c : text.substr(0, kShownChars)) out += c >= ' ' && c <= '~' ? c : '?';
    return text.size() > kShownChars ? out + "..." : out;
}

std::string shown_value(const json & value) {
    if (value.is_object()) return "an object";
    if (value.is_array()) return "an array";
    if (value.is_string()) return fmt::format("\"{}\"", shown(value.get_ref<const std::string &>()));
    return shown(value.dump());
}

void Complaint::add(std::string_view pointer, std::string_view what) {
    if (text_.empty()) text_ = fmt::format("{}: {}", pointer.empty() ? "top level" : pointer, what);
}

ObjectReader::ObjectReader(const json & value, std::string pointer, Complaint & complaint)
    : value_(value), pointer_(std::move(pointer)), complaint_(complaint) {
    if (!value_.is_object()) complaint_.add(pointer_, fmt::format("expected an object, found {}", shown_value(value_)));
}

std::string ObjectReader::pointer_of(std::string_view key) const { return fmt::format("{}/{}", pointer_, shown(escaped(key))); }

bool ObjectReader::has(const char * key) const { return value_.is_object() && value_.contains(key); }

std::vector<std::string> ObjectReader::names() const {
    std::vector<std::string> names;
    if (!value_.is_object()) return names;
    for (const auto & item : value_.items()) {
        if (!item.key().starts_with("x_")) names.push_back(item.key());
    }
    return names;
}

const json * ObjectReader::find(const char * key) {
    asked_.insert(key);
    if (has(key)) return &value_.at(key);
    complaint_.add(pointer_, fmt::format("\"{}\" is missing", key));
    return nullptr;
}

void ObjectReader::wrong(const char * key, const json & found, std::string_view expected) {
    complain(key, fmt::format("expected {}, found {}", expected, shown_value(found)));
}

void ObjectReader::complain(const char * key, std::string_view what) { complaint_.add(pointer_of(key), what); }

std::string ObjectReader::text(const char * key) {
    const json * found = find(key);
    if (!found) return {};
    if (found->is_string()) return found->get<std::string>();
    wrong(key, *found, "a text");
    return {};
}

std::string ObjectReader::choice(const char * key, std::initializer_list<std::string_view> allowed) {
    const std::string found = text(key);
    std::string       names;
    for (const std::string_view name : allowed) {
        if (found == name) return found;
        names += fmt::format("{}\"{}\"", names.empty() ? "" : " or ", name);
    }
    complain(key, fmt::format("expected {}, found \"{}\"", names, shown(found)));
    return found;
}

std::string ObjectReader::sha256(const char * key, bool may_be_empty) {
    const std::string found = text(key);
    const bool        hex   = found.find_first_not_of("0123456789abcdef") == std::string::npos;
    if ((found.empty() && may_be_empty) || (found.size() == 64 && hex)) return found;
    complain(key, fmt::format("expected a SHA-256 of 64 lower-case hex digits{}, found \"{}\"", may_be_empty ? " or \"\"" : "",
                              shown(found)));
    return {};
}

int64_t ObjectReader::integer(const char * key, int64_t low, int64_t high) {
    const json * found = find(key);
    if (!found) return low;
    const bool fits =
        found->is_number_unsigned() ? found->get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX) : found->is_number_integer();
    if (fits && found->get<int64_t>() >= low && found->get<int64_t>() <= high) return found->get<int64_t>();
    wrong(key, *found, low == high ? std::to_string(low) : fmt::format("a whole number in {}..{}", low, high));
    return low;
}

uint64_t ObjectReader::unsigned64(const char * key) {
    const json * found = find(key);
    if (!found) return 0;
    if (found->is_number_unsigned()) return found->get<uint64_t>();
    wrong(key, *found, "a whole number of at most 64 bits, not negative");
    return 0;
}

double ObjectReader::number(const char * key) {
    const json * found = find(key);
    if (!found) return 0;
    if (found->is_number() && std::isfinite(found->get<double>())) return found->get<double>();
    wrong(key, *found, "a finite number");
    return 0;
}

bool ObjectReader::boolean(const char * key) {
    const json * found = find(key);
    if (!found) return false;
    if (found->is_boolean()) return found->get<bool>();
    wrong(key, *found, "true or false");
    return false;
}

ObjectReader ObjectReader::object(const char * key) { return ObjectReader(raw(key), pointer_of(key), complaint_); }

const json & ObjectReader::array(const char * key) {
    static const json empty = json::array();
    const json *      found = find(key);
    if (!found) return empty;
    if (found->is_array()) return *found;
    wrong(key, *found, "an array");
    return empty;
}

const json & ObjectReader::raw(const char * key) {
    static const json null;
    const json *      found = find(key);
    return found ? *found : null;
}

void ObjectReader::refuse_other_keys() {
    if (!value_.is_object()) return;
    for (const auto & item : value_.items()) {
        if (asked_.contains(item.key()) || item.key().starts_with("x_")) continue;
        complaint_.add(pointer_of(item.key()), "unknown key (only keys that begin with x_ are free)");
    }
}

}  // namespace kvt
