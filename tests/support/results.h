// What kvtuner tune leaves behind, as records: a small example of each method.
#pragma once

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "kvt/report/results.h"
#include "support/plans.h"

namespace kvt::testing {

// --- Interface ---

inline constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

inline Evaluation scored(const char * label, std::vector<PairBits> pairs, double kld, double low = kUnknown,
                         double high = kUnknown) {
    Evaluation e;
    e.label          = label;
    const auto plan  = plan_of(example_model(), Mode::per_token_asym, pairs);
    const auto size  = plan_size(plan, 4096);
    e.payload_bits   = payload_bits(plan);
    e.effective_bits = size.effective_bits;
    e.kld            = kld;
    e.kld_ci_low     = low;
    e.kld_ci_high    = high;
    e.pairs          = std::move(pairs);
    return e;
}

inline std::vector<PairBits> uniform(int k, int v) { return std::vector<PairBits>(4, {k, v}); }

inline const std::vector<PairBits> & chosen_example() {
    static const std::vector<PairBits> pairs{{8, 8}, {8, 4}, {4, 4}, {4, 2}};
    return pairs;
}

// Method "knapsack", complete, with a plan and a check.
inline Results example_results() {
    Results r;
    Study & s       = r.study;
    s.model         = example_model();
    s.mode          = Mode::per_token_asym;
    s.method        = kKnapsack;
    s.chunk_tokens  = 512;
    s.n_chunks      = 8;
    s.floor         = 0.003;
    s.data_sha256   = hash_of('d');
    s.inputs_sha256 = hash_of('1');
    s.complete      = true;
    s.increments    = Increments{3, {0.25, 0.00066, 0.001, -0.0001}, {0.125, 0.002, 0.003, 0.004}, 0.0002};
    s.evaluations   = {scored("KV16", uniform(16, 16), 0.003), scored("KV8", uniform(8, 8), 0.0041234567890123),
                       scored("KV4", uniform(4, 4), 0.05, 0.04, 0.06), scored("", chosen_example(), 0.0081, 0.007, 0.009)};
    s.front         = {2, 3, 1};

    HeldOutCheck & check = r.held_out.emplace();
    check.model          = s.model;
    check.mode           = s.mode;
    check.data_sha256    = hash_of('b');
    check.inputs_sha256  = hash_of('2');
    check.chunk_tokens   = 512;
    check.n_chunks       = 12;
    check.n_tokens       = 3060;
    check.floor          = 0.0031;
    check.plans          = {{"tuned", 5.5, 6.0, 0.0082, 0.0071, 0.0093, 0.125, 0.9375, 0, kUnknown, kUnknown, chosen_example()},
                            {"KV8", 8, 8.5, 0.0040, 0.0035, 0.0045, kUnknown, 0.96875, -0.0042, -0.0051, -0.0033, uniform(8, 8)}};
    r.plan               = example_plan(Mode::per_token_asym);
    r.chosen             = 3;
    return r;
}

// Stock f16 and the plan at two depths, of example_model().
inline BenchRecord example_bench() {
    const Speed f16{100, 98, 103, 1}, plan{150, 149, 151, 1.5}, plan_deep{140, 139.5, 141, 1.75};
    BenchRecord b{"example-4L", example_model().file_sha256, "Some Processor", 2, 3, 512, 32, {}};
    b.rows = {{"f16 (stock)", 0, f16, f16, 4321},
              {"tuned/plan.json", 0, plan, plan, 1234},
              {"f16 (stock)", 4096, f16, f16, 4321},
              {"tuned/plan.json", 4096, plan_deep, plan_deep, 1234}};
    return b;
}

// Method "nsga2" with its profile, candidates and groups.
inline Results paper_results() {
    Results r                = example_results();
    r.study.method           = kNsga2;
    r.study.increments       = std::nullopt;
    r.study.seed             = 7;
    r.study.population       = 16;
    r.study.generations      = 2;
    r.study.groups.model     = r.study.model;
    r.study.groups.groups    = {{{0, 1}, {0, 4}, {0.01, 0.5}}, {{2, 3}, {4, 8}, {0.25, 0.75}}};
    SensitivityTable & table = r.sensitivity.emplace();
    table.model              = r.study.model;
    table.mode               = r.study.mode;
    table.n_prompts          = 20;
    table.n_generated        = 32;
    table.n_tokens           = 640;
    table.data_sha256        = hash_of('5');
    table.inputs_sha256      = hash_of('6');
    CandidateSets & sets     = r.candidates.emplace();
    sets.model               = r.study.model;
    sets.mode                = r.study.mode;
    sets.inputs_sha256       = hash_of('7');
    for (int l = 0; l < 4; ++l) {
        LayerErrors errors;
        errors.layer = l;
        for (size_t p = 0; p < kPairs.size(); ++p) errors.e_o[p] = 0.01 * (l + 1) * static_cast<double>(p + 1);
        errors.e_k_head = errors.e_v_head = errors.e_a_head = {2, {0.1, 0.2, 0.3}};
        errors.e_o_head                                     = {2, std::array<double, 9>{}};
        table.layers.push_back(errors);
        sets.layers.push_back({l, {0, 4, 8}});
    }
    return r;
}

}  // namespace kvt::testing
