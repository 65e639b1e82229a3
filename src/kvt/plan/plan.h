// The plan: which format the K and the V cache of each layer uses. The only thing tune time and run time share.
//
// File form: JSON, schema "kvtuner.plan" version 1 (docs/formats/plan.md). Reading is strict; writing is canonical, so
// read(write(x)) == x and write(read(file)) is byte-identical.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvt/base/result.h"
#include "kvt/quant/format.h"
#include "kvt/quant/tile.h"
#include "kvt/quant/transform.h"

namespace kvt {

// --- Interface ---

enum class Attention : uint8_t { full, sliding };

// What a plan must know of the model. Filled by the engine from the GGUF file.
struct ModelInfo {
    std::string name;
    std::string arch;
    std::string file_sha256;     // 64 hex digits; empty only in plans made from a short form
    int         n_layer    = 0;  // model layers
    int         n_kv_heads = 0;
    int         head_dim_k = 0;
    int         head_dim_v = 0;

    bool operator==(const ModelInfo &) const = default;
};

struct LayerPlan {
    int         layer = 0;  // model layer, 0-based
    int         kv    = 0;  // KV-layer ordinal: 0, 1, 2, ... without gaps
    Attention   attn  = Attention::full;
    Format      k, v;
    std::string k_transform{}, v_transform{};  // names out of PrecisionPlan::transforms, or empty

    bool operator==(const LayerPlan &) const = default;
};

// The file that holds the numbers of the transforms: in the plan's folder, named without a path.
struct CalibrationRef {
    std::string folder;  // where it is; not part of the plan file
    std::string file;
    std::string sha256;         // 64 hex digits
    int         positions = 0;  // token positions that it covers: longer caches are refused

    bool operator==(const CalibrationRef &) const = default;
};

// A measured figure of the whole plan; value, floor and interval in `unit`. One that is not finite is not written, nor is an
// interval that is not.
struct Measured {
    std::string           metric, unit;
    double                value = 0, floor = 0;
    std::optional<double> ci_low, ci_high;
    int64_t               n       = 0;
    int                   context = 0;
    std::string           baseline, data_sha256, pass, prefill;
    bool                  joint = true;

    bool operator==(const Measured &) const = default;
};

struct InputHash {
    std::string role, sha256;
    bool        operator==(const InputHash &) const = default;
};

struct Provenance {
    std::string            tool_version, method, objective;
    uint64_t               seed        = 0;
    int                    evaluations = 0;
    std::vector<InputHash> inputs;

    bool operator==(const Provenance &) const = default;
};

// Tokens that stay at 16 bits in every layer whose format is not f16.
struct Kept {
    int sink_tokens     = 0;  // the first ones of each sequence
    int residual_tokens = 0;  // at least so many of the newest, in sealed_block formats; 0: what the open block holds

    bool operator==(const Kept &) const = default;
};

struct PrecisionPlan {
    ModelInfo                       model;
    Mode                            mode = Mode::custom;
    Kept                            kept;
    std::map<std::string, Rotation> transforms;   // every transform that a layer names
    CalibrationRef                  calibration;  // empty if there are none
    std::vector<LayerPlan>          layers;       // one per KV layer, ascending
    std::vector<Measured>           measured;
    Provenance                      provenance;

    bool operator==(const PrecisionPlan &) const = default;
};

// Size of one cache. Every byte the plugin allocates is counted: tiles, padding, open 16-bit blocks.
//   n_cells    cells per stream, as llama.cpp prints them (rounded up to whole blocks of 32)
//   n_streams  1 for a unified cache, else the number of sequences
struct CacheSize {
    uint64_t bytes          = 0;
    uint64_t bytes_f16      = 0;  // the same cells stored as f16
    double   effective_bits = 0;  // 8 * bytes / elements
};

// 16-bit blocks kept open per stream and side of a sealed_block format. Blocks of 32 tokens: the one being filled, and one more
// so that rolling back over a block border (speculative decoding) re-quantizes nothing. Longer blocks: one, because a second
// one would cost up to half a bit per element at 4096 tokens; rolling back over a border decodes and seals once more. With a
// residual window: as many as cover it, and the one being filled.
constexpr int open_blocks(const Format & f, const Kept & kept) {
    const int tokens = tile_tokens(f);
    if (f.store != Store::sealed_block) return 0;
    if (kept.residual_tokens > 0) return (kept.residual_tokens + tokens - 1) / tokens + 1;
    return tokens == kBlockTokens ? 2 : 1;
}

// Sink tokens that a stream can hold: those of one sequence where each has its own stream, of up to 8 sequences in a unified
// cache (n_streams 1), where the plugin cannot know their number.
constexpr int sink_slots(const Format & f, const Kept & kept, uint64_t n_streams) {
    return f.codec == Codec::f16 ? 0 : n_streams > 1 ? kept.sink_tokens : 8 * kept.sink_tokens;
}

// Bytes of one tensor (one side of one layer). Shared by plan size and plugin allocation.
uint64_t tensor_bytes(const Format & f, Side side, int n_kv_heads, int head_dim, uint64_t n_cells, uint64_t n_streams,
                      const Kept & kept);

CacheSize plan_size(const PrecisionPlan & plan, uint64_t n_cells, uint64_t n_streams = 1);
double    payload_bits(const PrecisionPlan & plan);  // mean of (K bits + V bits) / 2 over layers, the paper's figure

struct PairBits {
    int  k = 0, v = 0;
    bool operator==(const PairBits &) const = default;
};

// One pair per layer, in the formats that `mode` prescribes; bits 2, 3, 4, 5, 6, 8 or 16. Mode rotated also names transforms
// ("dense4" for 4-bit keys, "hadamard" for values) and keeps one sink token; its calibration is still to be filled in.
PrecisionPlan plan_of(const ModelInfo & model, Mode mode, const std::vector<PairBits> & pairs);

// The bits of each layer of a plan, in any mode.
std::vector<PairBits> pairs_of(const PrecisionPlan & plan);

// check_format() of both sides of a layer.
Status check_formats(const LayerPlan & layer, const ModelInfo & model);

// One pair for all n_layer layers. Provenance says method "uniform" and nothing else.
PrecisionPlan uniform_plan(const ModelInfo & model, Mode mode, int k_bits, int v_bits);

// 16 bits everywhere: the plugin's kernels on an unpacked cache.
PrecisionPlan f16_plan(const ModelInfo & model);

// Names that the calibration gives its transforms: of keys for so many bits, of values for any.
std::string key_transform_name(Rotation rotation, int bits);
std::string value_transform_name();

// Pair names: "KV8", "K8V4", "KV16", ... and their bits.
std::string      pair_name(int k_bits, int v_bits);
Result<PairBits> parse_pair(std::string_view text);  // accepts KV4 and K4V4

// Short forms, for KVT_PLAN and --plan: "f16", "kivi:K4V2", "per-token:K8V4", "rotated:KV4" (not for KVT_PLAN: it needs a
// calibration; for per-token the device needs ":hd64" after it,
// because it learns head_dim too late: "per-token:K8V4:hd64").
struct ShortForm {
    Mode     mode = Mode::custom;
    PairBits pair{16, 16};
    int      head_dim = 0;  // 0: not given
};
bool              looks_like_short_form(std::string_view text);
Result<ShortForm> parse_short_form(std::string_view text);

// Strict reader. Each error names the JSON pointer of the offending value.
Result<PrecisionPlan> parse_plan(std::string_view json_text);
Result<PrecisionPlan> read_plan_file(const std::string & path);
std::string           write_plan(const PrecisionPlan & plan);  // canonical JSON text, ends with a newline

// Errors if the plan was made for another model (name the first difference).
Status check_plan_for_model(const PrecisionPlan & plan, const ModelInfo & model);

}  // namespace kvt
