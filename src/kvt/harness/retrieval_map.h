// Where in a context a needle is found: scores by length and depth (evaluation.md section 7).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "kvt/harness/record.h"

namespace kvt {

// --- Interface ---

struct RetrievalCell {
    int    length = 0;  // tokens of prompt and answer
    int    depth  = 0;  // percent of the haystack before the needle, 0..100
    int    n      = 0;  // items
    double mean   = 0;  // of the headline score
};

// One cell for every length and depth that items with a single needle have, by length, then depth; empty for other tasks.
std::vector<RetrievalCell> retrieval_map(std::span<const ItemLine> lines);

// The same in ten steps of depth, 0-9 to 90-100, each the mean of its items.
std::vector<RetrievalCell> by_tenths(std::span<const RetrievalCell> cells);

// A step as text, by the depth at which it begins: "10-19", "90-100".
std::string tenth_name(int depth);

// Below this score of the reference a cell says nothing about a plan.
inline constexpr double kInformativeScore = 0.5;

Json to_json(std::span<const RetrievalCell> cells);

}  // namespace kvt
