// Plans for tests: one small example with every kind of format, and random legal ones.
#pragma once

#include <string>
#include <utility>

#include "kvt/base/rng.h"
#include "kvt/plan/plan.h"

namespace kvt::testing {

// --- Interface ---

inline std::string hash_of(char digit) { return std::string(64, digit); }

inline ModelInfo example_model() { return {"example-4L", "llama", hash_of('a'), 4, 2, 64, 64}; }

// Pairs (8,8) (8,4) (4,4) (4,2) over four layers, with a measured figure and provenance.
inline PrecisionPlan example_plan(Mode mode = Mode::per_token_asym) {
    constexpr PairBits pairs[] = {{8, 8}, {8, 4}, {4, 4}, {4, 2}};
    PrecisionPlan      plan;
    plan.model = example_model();
    plan.mode  = mode;
    for (int i = 0; i < 4; ++i) {
        plan.layers.push_back({i, i, Attention::full, mode_format(mode, Side::key, pairs[i].k, 64),
                               mode_format(mode, Side::value, pairs[i].v, 64)});
    }
    Measured m;
    m.metric      = "kld_mean";
    m.unit        = "nat";
    m.value       = 0.0021;
    m.floor       = 1e-7;
    m.ci_low      = 0.0018;
    m.ci_high     = 0.0024;
    m.n           = 4096;
    m.context     = 512;
    m.baseline    = "f16-kv";
    m.data_sha256 = hash_of('b');
    m.pass        = "batch";
    m.prefill     = "quantized";
    plan.measured.push_back(m);
    plan.provenance = {"0.1.0", "search", "kld_mean", 1234, 200, {{"model", hash_of('a')}, {"calibration", hash_of('c')}}};
    return plan;
}

// 4-bit keys and 8-bit values with transforms, a calibration and 16-bit tokens.
inline PrecisionPlan rotated_plan() {
    PrecisionPlan plan        = uniform_plan(example_model(), Mode::rotated, 4, 8);
    plan.kept.residual_tokens = 64;
    plan.calibration          = {"", "example.safetensors", hash_of('e'), 32768};
    return plan;
}

// Any legal plan; same seed, same plan.
inline PrecisionPlan random_plan(uint64_t seed) {
    SplitMix64 rng(seed);
    const auto dim  = [&] { return static_cast<int>(16 * (1 + rng.below(16))); };
    const auto real = [&] { return (rng.uniform() - 0.3) * (rng.below(2) == 0 ? 1e-9 : 1e12); };

    PrecisionPlan plan;
    plan.model = {"m\"\\/\n" + std::to_string(rng.next()),
                  "arch",
                  rng.below(4) == 0 ? "" : hash_of("0123456789abcdef"[rng.below(16)]),
                  static_cast<int>(1 + rng.below(40)),
                  static_cast<int>(1 + rng.below(9)),
                  dim(),
                  dim()};
    plan.mode  = static_cast<Mode>(rng.below(4));
    plan.kept  = {static_cast<int>(rng.below(3)), static_cast<int>(rng.below(4)) * 100};

    constexpr int kWidths[] = {2, 3, 4, 5, 6, 8, 16};
    const auto    format    = [&](Side side) {
        const int head_dim = side == Side::key ? plan.model.head_dim_k : plan.model.head_dim_v;
        const int bits     = kWidths[rng.below(7)];
        if (bits == 16) return f16_format();
        const Mode mode = plan.mode == Mode::custom && rng.below(2) == 0 && head_dim >= 32 ? Mode::kivi : plan.mode;
        Format     f    = mode_format(mode, side, bits, head_dim);
        if (mode == Mode::custom && rng.below(2) == 0) f.group = 16;
        if (plan.mode == Mode::custom && f.axis == Axis::per_token && rng.below(2) == 0) f.params = Params::byte;
        if (f.group > head_dim) f = f16_format();
        return f;
    };
    const auto transform = [&](const Format & f) {
        const std::pair<const char *, Rotation> known[] = {
            {"centered", Rotation::none}, {"ha \"mard", Rotation::hadamard}, {"dense4", Rotation::dense}};
        if (f.codec == Codec::f16 || rng.below(2) == 0) return std::string();
        return plan.transforms.insert(known[rng.below(3)]).first->first;
    };
    for (int layer = 0; layer < plan.model.n_layer; ++layer) {
        if (rng.below(5) == 0 && !(layer == plan.model.n_layer - 1 && plan.layers.empty())) continue;  // layers without a cache
        plan.layers.push_back({layer, static_cast<int>(plan.layers.size()),
                               rng.below(3) == 0 ? Attention::sliding : Attention::full, format(Side::key), format(Side::value)});
        plan.layers.back().k_transform = transform(plan.layers.back().k);
        plan.layers.back().v_transform = transform(plan.layers.back().v);
    }
    if (!plan.transforms.empty()) plan.calibration = {"", "c.safetensors", hash_of('f'), static_cast<int>(1 + rng.below(100000))};
    for (uint64_t i = rng.below(3); i > 0; --i) {
        Measured m;
        m.metric = "metric";
        m.value  = real();
        m.floor  = real();
        if (rng.below(2) == 0) {
            m.ci_low  = real();
            m.ci_high = real();
        }
        m.n       = static_cast<int64_t>(rng.below(uint64_t(1) << 62));
        m.context = static_cast<int>(rng.below(100000));
        m.joint   = rng.below(2) == 0;
        plan.measured.push_back(m);
    }
    plan.provenance = {"0.1.0", "m", "o", rng.next(), static_cast<int>(rng.below(1000)), {{"model", hash_of('d')}}};
    return plan;
}

}  // namespace kvt::testing
