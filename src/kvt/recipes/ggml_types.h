// Cache types of ggml that llama.cpp and ik_llama.cpp take: blocks of 32 values with a 16-bit scale.
#pragma once

namespace kvt::recipes {

// --- Interface ---

struct GgmlType {
    const char * name;
    int          bits;
    double       stored;  // bits per value
    bool         stock;   // false: ik_llama.cpp only
};

// Ascending.
inline constexpr GgmlType kGgmlTypes[] = {
    {"q4_0", 4, 4.5, true}, {"q5_0", 5, 5.5, true}, {"q6_0", 6, 6.5, false}, {"q8_0", 8, 8.5, true}, {"f16", 16, 16, true}};
inline constexpr int kGgmlBlock = 32;

}  // namespace kvt::recipes
