#include "kvt/tasks/text.h"

namespace kvt::tasks {

namespace {

// Length in bytes of the UTF-8 character at `at`, 0 if there is none.
size_t character_length(std::string_view text, size_t at) {
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

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
    return text;
}

std::string lower_ascii(std::string_view text) {
    std::string out(text);
    for (char & c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return out;
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
    std::string out;
    out.reserve(text.size());
    for (size_t at = 0;;) {
        const size_t found = text.find(from, at);
        out += text.substr(at, found - at);
        if (found == std::string_view::npos) return out;
        out += to;
        at = found + from.size();
    }
}

std::string without(std::string_view text, std::string_view part) { return replaced(text, part, ""); }

size_t count_of(std::string_view text, std::string_view part) {
    size_t n = 0;
    for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + part.size())) ++n;
    return n;
}

std::vector<std::string_view> split(std::string_view text, std::string_view separator) {
    std::vector<std::string_view> parts;
    for (size_t at = 0;;) {
        const size_t found = text.find(separator, at);
        parts.push_back(text.substr(at, found - at));
        if (found == std::string_view::npos) return parts;
        at = found + separator.size();
    }
}

std::string clean_utf8(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (size_t at = 0; at < text.size();) {
        const size_t n = text[at] == '\0' ? 0 : character_length(text, at);
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

std::string_view without_thinking(std::string_view text) {
    constexpr std::string_view kEnd  = "</think>";
    const size_t               found = text.rfind(kEnd);
    return found == std::string_view::npos ? text : text.substr(found + kEnd.size());
}

uint64_t fnv1a64(std::string_view text) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
    return hash;
}

uint64_t splitmix64_finaliser(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

}  // namespace kvt::tasks
