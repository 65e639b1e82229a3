// A plan for people and for programs, with its exact size in a given llama.cpp context.
#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

#include "kvt/plan/plan.h"

namespace kvt::cli {

// --- Interface ---

// A context as given to llama.cpp: -c n_ctx, n_seq sequences that do not share cells.
struct ContextShape {
    int n_ctx = 4096;
    int n_seq = 1;
};

inline constexpr int64_t kCellStep = 256;  // llama.cpp's rounding of a sequence's cells

// Cells of one sequence as llama.cpp v0.5.0 allocates them: n_ctx rounded up to kCellStep, divided by n_seq, rounded up again.
uint64_t cells_per_sequence(const ContextShape & shape);

std::string            plan_text(const PrecisionPlan & plan, const ContextShape & shape);
nlohmann::ordered_json plan_json(const PrecisionPlan & plan, const ContextShape & shape);

// "4.5" and such: up to three digits after the point, none of them a trailing zero.
std::string bits_text(double bits);

}  // namespace kvt::cli
