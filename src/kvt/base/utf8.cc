#include "kvt/base/utf8.h"

#include <cstdint>

namespace kvt {

namespace {

// Length in bytes of the UTF-8 character at `at`, 0 if there is none.
size_t utf8_length(std::string_view text, size_t at) {
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
    const auto tail = [&](size_t i) { return i < text.size() && (byte(i) & 0xc0u) == 0x80u; };
    const auto lead = byte(at);
    if (lead < 0x80) return 1;
    if (lead < 0xc2) return 0;  // a tail byte, or the overlong 0xc0 and 0xc1
    if (lead < 0xe0) return tail(at + 1) ? 2 : 0;
    if (!tail(at + 1) || !tail(at + 2)) return 0;
    const uint8_t second = byte(at + 1);
    if (lead < 0xf0) {
        const bool overlong  = lead == 0xe0 && second < 0xa0;
        const bool surrogate = lead == 0xed && second >= 0xa0;
        return overlong || surrogate ? 0 : 3;
    }
    if (lead > 0xf4 || !tail(at + 3)) return 0;
    const bool overlong = lead == 0xf0 && second < 0x90;
    const bool too_high = lead == 0xf4 && second >= 0x90;
    return overlong || too_high ? 0 : 4;
}

}  // namespace

bool is_utf8(std::string_view bytes) {
    for (size_t at = 0; at < bytes.size();) {
        const size_t n = utf8_length(bytes, at);
        if (n == 0) return false;
        at += n;
    }
    return true;
}

std::string clean_utf8(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (size_t at = 0; at < text.size();) {
        const size_t n = text[at] == '\0' ? 0 : utf8_length(text, at);
        if (n == 0) {
            out += "\xef\xbf\xbd";
            ++at;
        } else {
            out += text.substr(at, n);
            at += n;
        }
    }
    return out;
}

std::string_view utf8_prefix(std::string_view text, size_t max_bytes) {
    if (text.size() <= max_bytes) return text;
    size_t end = max_bytes;
    while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xc0u) == 0x80u) --end;
    return text.substr(0, end);
}

}  // namespace kvt
