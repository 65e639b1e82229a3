// Names of NVIDIA ModelOpt's per-layer KV cache map, schema 1, shared by its writer and its readers.
#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include "kvt/plan/plan.h"

namespace kvt::recipes {

// --- Interface ---

inline constexpr std::string_view kMixed = "MIXED_PRECISION", kFp8 = "FP8", kNvfp4 = "NVFP4", kFp8KNvfp4V = "FP8_K_NVFP4_V";

// Nominal bits of a per-layer name; none if the name is unknown.
inline std::optional<PairBits> bits_of_modelopt_name(std::string_view name) {
    if (name == kFp8) return PairBits{8, 8};
    if (name == kNvfp4) return PairBits{4, 4};
    if (name == kFp8KNvfp4V) return PairBits{8, 4};
    return std::nullopt;
}

// "model.layers.{i}.self_attn" around one layer number; the path ends in one more name.
struct ModulePath {
    std::string before, after;  // "model.layers.", ".self_attn"
    int         layer = 0;

    std::string with(int index) const { return before + std::to_string(index) + after; }
};

// Errors as nullopt: no "layers.<number>.<name>" at the end, or characters other than letters, digits, '_' and '.'.
inline std::optional<ModulePath> parse_module_path(std::string_view path) {
    constexpr std::string_view kMark = "layers.";
    const size_t               mark  = path.rfind(kMark);
    if (mark == std::string_view::npos || (mark > 0 && path[mark - 1] != '.')) return std::nullopt;
    const auto is_name = [](std::string_view text) {
        for (const char c : text) {
            if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '_') return false;
        }
        return !text.empty();
    };
    for (std::string_view rest = path.substr(0, mark); !rest.empty();) {
        const size_t dot = rest.find('.');  // there is one: the mark follows a dot
        if (!is_name(rest.substr(0, dot))) return std::nullopt;
        rest.remove_prefix(dot + 1);
    }
    ModulePath         found;
    const char *       begin = path.data() + mark + kMark.size();
    const char * const end   = path.data() + path.size();
    const auto [stop, code]  = std::from_chars(begin, end, found.layer);
    if (code != std::errc{} || stop == end || *stop != '.' || found.layer < 0 || (*begin == '0' && stop != begin + 1))
        return std::nullopt;
    if (!is_name(std::string_view(stop + 1, static_cast<size_t>(end - stop - 1)))) return std::nullopt;
    found.before = path.substr(0, mark + kMark.size());
    found.after  = std::string(stop, end);
    return found;
}

}  // namespace kvt::recipes
