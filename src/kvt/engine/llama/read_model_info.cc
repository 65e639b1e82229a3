#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "kvt/base/sha256.h"
#include "kvt/engine/llama/gguf_header.h"
#include "kvt/engine/llama/open_model.h"

namespace kvt {

// --- Implementation ---

namespace {

constexpr uint64_t kMaxLayers = 512;  // llama.cpp's own array bound
constexpr uint64_t kMaxHeads  = 4096;
constexpr uint64_t kMaxWidth  = 1 << 20;

struct ForeignCache {
    const char * key;  // after "<arch>."
    const char * what;
};

// Keys of models that keep something other than one K and one V row per token, KV head and layer.
constexpr ForeignCache kForeign[] = {
    {"attention.kv_lora_rank", "multi-head latent attention (MLA), which stores one latent row instead of K and V"},
    {"attention.key_length_mla", "multi-head latent attention (MLA), which stores one latent row instead of K and V"},
    {"attention.shared_kv_layers", "layers that share a KV cache"},
    {"attention.recurrent_layers", "recurrent layers without a KV cache"},
    {"attention.compress_ratios", "a compressed KV cache"},
    {"full_attention_interval", "recurrent layers without a KV cache"},
    {"ssm.", "recurrent (state space) layers without a KV cache"},
    {"wkv.", "recurrent (RWKV) layers without a KV cache"},
    {"kda.", "recurrent (linear attention) layers without a KV cache"},
    {"shortconv.", "convolution layers without a KV cache"},
};

class InfoReader {
public:
    InfoReader(const GgufHeader & header, const std::string & path) : header_(header), path_(path) {}

    Result<ModelInfo> run() {
        ModelInfo info;
        KVT_CHECK_OK(identity(info));
        KVT_CHECK_OK(refuse_foreign());
        KVT_CHECK_OK(shape(info));
        return info;
    }

private:
    Error       bad(std::string_view what) const { return Error{fmt::format("model {}: {}", path_, what)}; }
    std::string key(std::string_view tail) const { return fmt::format("{}.{}", arch_, tail); }

    Status identity(ModelInfo & info) {
        KVT_TRY(const auto arch, header_.text("general.architecture"));
        if (!arch || arch->empty()) return bad("the header has no general.architecture, so it is not a language model");
        arch_     = *arch;
        info.arch = arch_;
        KVT_TRY(const auto name, header_.text("general.name"));
        info.name = name && !name->empty() ? *name : std::filesystem::path(path_).filename().string();
        KVT_TRY(const auto parts, header_.number("split.count"));
        if (parts.value_or(1) > 1) {
            return bad(fmt::format("one of {} parts of a split model: join them first (llama-gguf-split --merge)", *parts));
        }
        if (header_.n_tensors() == 0) return bad("no weights in the file (0 tensors)");
        return ok_status();
    }

    Status refuse_foreign() const {
        for (const ForeignCache & f : kForeign) {
            const std::string full  = key(f.key);
            const bool        found = full.ends_with('.') ? header_.has_prefix(full) : header_.has(full);
            if (!found) continue;
            if (!full.ends_with('.')) {
                KVT_TRY(const auto values, header_.numbers(full));
                if (std::all_of(values.begin(), values.end(), [](uint64_t v) { return v == 0; })) continue;
            }
            return bad(fmt::format("architecture '{}' has {} ({}); this is not supported yet", arch_, f.what, full));
        }
        KVT_TRY(const auto causal, header_.number(key("attention.causal")));
        if (causal.has_value() && *causal == 0)
            return bad(fmt::format("architecture '{}' is an encoder: it keeps no KV cache", arch_));
        return ok_status();
    }

    // A number that may be given per layer but must be the same in all of them.
    Result<std::optional<uint64_t>> uniform(std::string_view tail, uint64_t max) const {
        KVT_TRY(const auto values, header_.numbers(key(tail)));
        if (values.empty()) return std::optional<uint64_t>{};
        for (size_t i = 0; i < values.size(); ++i) {
            if (values[i] != values[0]) {
                return bad(fmt::format("{} differs between layers ({} in layer 0, {} in layer {}); this is not supported yet",
                                       key(tail), values[0], values[i], i));
            }
        }
        if (values[0] < 1 || values[0] > max) return bad(fmt::format("{} is {}, expected 1 to {}", key(tail), values[0], max));
        return std::optional{values[0]};
    }

    Result<uint64_t> needed(std::string_view tail, uint64_t max) const {
        KVT_TRY(const auto value, uniform(tail, max));
        if (!value) return bad(fmt::format("the header has no {}", key(tail)));
        return *value;
    }

    Status shape(ModelInfo & info) const {
        KVT_TRY(const uint64_t layers, needed("block_count", kMaxLayers));
        KVT_TRY(const auto extra, header_.number(key("nextn_predict_layers")));
        if (extra.value_or(0) >= layers)
            return bad(fmt::format("{} is {} of {} layers", key("nextn_predict_layers"), *extra, layers));
        KVT_TRY(const uint64_t width, needed("embedding_length", kMaxWidth));
        KVT_TRY(const uint64_t heads, needed("attention.head_count", kMaxHeads));
        KVT_TRY(const auto kv_heads, uniform("attention.head_count_kv", kMaxHeads));
        const uint64_t n_kv = kv_heads.value_or(heads);
        if (heads % n_kv != 0) return bad(fmt::format("{} query heads cannot share {} KV heads evenly", heads, n_kv));
        KVT_TRY(const auto key_length, uniform("attention.key_length", kMaxWidth));
        KVT_TRY(const auto value_length, uniform("attention.value_length", kMaxWidth));
        if (!key_length && width % heads != 0) return bad(fmt::format("width {} is not a multiple of {} heads", width, heads));
        const uint64_t dim_k = key_length.value_or(width / heads), dim_v = value_length.value_or(width / heads);
        KVT_CHECK_OK(same_in_windows("attention.key_length_swa", dim_k));
        KVT_CHECK_OK(same_in_windows("attention.value_length_swa", dim_v));
        if (dim_k == 0 || dim_v == 0) return bad(fmt::format("width {} gives {} heads no elements", width, heads));
        info.n_layer    = static_cast<int>(layers - extra.value_or(0));
        info.n_kv_heads = static_cast<int>(n_kv);
        info.head_dim_k = static_cast<int>(dim_k);
        info.head_dim_v = static_cast<int>(dim_v);
        return ok_status();
    }

    Status same_in_windows(std::string_view tail, uint64_t expected) const {
        KVT_TRY(const auto value, uniform(tail, kMaxWidth));
        if (value && *value != expected) {
            return bad(fmt::format("{} is {} but other layers have {}; this is not supported yet", key(tail), *value, expected));
        }
        return ok_status();
    }

    const GgufHeader &  header_;
    const std::string & path_;
    std::string         arch_;
};

}  // namespace

Result<ModelInfo> read_model_info(const std::string & path) {
    KVT_TRY(const GgufHeader header, GgufHeader::read(path));
    KVT_TRY(ModelInfo info, InfoReader(header, path).run());
    KVT_TRY(info.file_sha256, sha256_file(path));
    return info;
}

}  // namespace kvt
