// The versions of llama.cpp that one binary of the plugin was run in (docs/guide/llama-versions.md). It speaks ggml's private
// backend interface, whose number stayed 2 through changes of its structs, so the plugin compares versions itself.
#pragma once

#include <string>
#include <string_view>

namespace kvt {

// --- Interface ---

struct LlamaVersion {
    std::string_view llama;  // as its programs say with --version: a release, or a build
    std::string_view ggml;   // its ggml; patch levels are taken to be alike
};

inline constexpr LlamaVersion kLlamaVersions[] = {
    {"10069", "0.17"}, {"10335", "0.19"}, {"0.2.0", "0.21"}, {"0.4.0", "0.23"}, {"0.5.0", "0.25"}};

// "0.25" out of "0.25.3-dev".
constexpr std::string_view minor_version(std::string_view version) {
    const size_t first = version.find('.');
    return version.substr(0, first == std::string_view::npos ? first : version.find('.', first + 1));
}

constexpr bool serves_llama(std::string_view version) {
    for (const LlamaVersion & served : kLlamaVersions) {
        if (served.llama == version) return true;
    }
    return false;
}

//   built  the version whose headers this binary was compiled with
constexpr bool serves_ggml(std::string_view version, std::string_view built) {
    for (const LlamaVersion & served : kLlamaVersions) {
        if (served.ggml == minor_version(version)) return true;
    }
    return minor_version(version) == minor_version(built);
}

// "0.1.0, 0.5.0"
inline std::string llama_versions_text() {
    std::string text;
    for (const LlamaVersion & served : kLlamaVersions) text.append(text.empty() ? "" : ", ").append(served.llama);
    return text;
}

}  // namespace kvt
