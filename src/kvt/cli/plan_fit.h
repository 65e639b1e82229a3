// Which cache a model can have in a given memory: llama.cpp's own types, one kvtuner format for all layers, plans of the library.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "kvt/cli/plan_library.h"
#include "kvt/cli/plan_text.h"
#include "kvt/plan/plan.h"

namespace kvt::cli {

// --- Interface ---

struct FitQuestion {
    uint64_t     memory = 0;  // bytes of the cache
    ContextShape shape;       // the context that is wanted
};

struct FitRow {
    enum class Kind : uint8_t { stock, uniform, tuned };
    Kind                    kind = Kind::stock;
    std::string             name;                     // "q8_0", "kivi:KV8", the plan's file name
    std::string             path;                     // of a tuned plan
    double                  bits            = 0;      // effective bits per element in the context that is wanted
    double                  bytes_per_token = 0;      // of every further token
    uint64_t                bytes           = 0;      // in the context that is wanted
    int64_t                 largest_ctx     = 0;      // -c of llama.cpp, all sequences together; 0: not even the smallest fits
    int                     positions       = 0;      // of a tuned plan: tokens that a sequence may have; 0: no bound
    double                  payload         = 0;      // mean of K and V bits, without scales and open blocks
    bool                    calibrated      = false;  // a uniform format that needs kvtuner calibrate or tune first
    bool                    fits            = false;
    std::optional<Measured> kld;
};

struct Fit {
    std::vector<FitRow> rows;       // by bits, largest first
    int                 best = -1;  // index; -1: nothing fits
    std::string         why;
};

// The best is f16 if it fits; else the tuned plan with the smallest measured KL divergence; else the format without calibration
// with the most bits; of those that fit.
Fit fit_of(const ModelInfo & model, const std::vector<LibraryPlan> & library, const FitQuestion & question);

std::string            fit_text(const ModelInfo & model, const Fit & fit, const FitQuestion & question);
nlohmann::ordered_json fit_json(const ModelInfo & model, const Fit & fit, const FitQuestion & question);

}  // namespace kvt::cli
