#include "kvt/plan/calibration.h"

#include <charconv>
#include <filesystem>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kvt/base/file_io.h"
#include "kvt/base/sha256.h"

namespace kvt {

namespace {

// The part of a tensor that belongs to one head; null if the tensor is absent.
struct Slice {
    const float * at    = nullptr;
    size_t        count = 0;
};

enum class Presence : uint8_t { needed, optional };

Result<const Tensor *> find(const Tensors & tensors, const std::string & name, const std::vector<int64_t> & shape,
                            Presence presence) {
    const auto found = tensors.find(name);
    if (found == tensors.end()) {
        if (presence == Presence::optional) return nullptr;
        return Error{fmt::format("the calibration has no tensor {}: it was made for another plan", name)};
    }
    if (found->second.shape != shape) {
        return Error{fmt::format("calibration tensor {} has shape [{}], expected [{}]", name,
                                 fmt::join(found->second.shape, ", "), fmt::join(shape, ", "))};
    }
    return &found->second;
}

std::vector<float> slice(const Tensor * tensor, size_t head, size_t n_heads) {
    if (tensor == nullptr) return {};
    const size_t n  = tensor->values.size() / n_heads;
    const auto   at = tensor->values.begin() + static_cast<ptrdiff_t>(head * n);
    return {at, at + static_cast<ptrdiff_t>(n)};
}

}  // namespace

Result<std::shared_ptr<const Tensors>> load_calibration(const CalibrationRef & ref) {
    if (ref.file.empty()) return Error{"the plan uses transforms but names no calibration file"};
    // A plan from elsewhere must not reach files outside of its folder.
    if (ref.file.find('/') != std::string::npos || ref.file == "." || ref.file == "..")
        return Error{fmt::format("calibration file \"{}\": must be a file in the plan's folder", ref.file)};
    const std::string path = (std::filesystem::path(ref.folder) / ref.file).string();
    KVT_TRY(const std::string bytes, read_file(path));
    const std::string hash = sha256_hex(bytes);
    if (hash != ref.sha256) {
        return Error{fmt::format("calibration file \"{}\" is not the one the plan was made with: sha256 {}..., expected {}...",
                                 path, hash.substr(0, 12), ref.sha256.substr(0, 12))};
    }
    auto file = parse_safetensors(bytes);
    if (!file.ok()) return Error{fmt::format("calibration file \"{}\": {}", path, file.error().message)};
    return std::make_shared<const Tensors>(std::move(file->tensors));
}

Result<CalibrationRef> calibration_ref(const std::string & path, std::string_view bytes, const Metadata & metadata) {
    const std::filesystem::path place(path);
    CalibrationRef ref{place.has_parent_path() ? place.parent_path().string() : ".", place.filename().string(), sha256_hex(bytes),
                       0};
    const auto     found = metadata.find(kPositionsKey);
    if (found != metadata.end())
        std::from_chars(found->second.data(), found->second.data() + found->second.size(), ref.positions);
    if (ref.positions < 1) return Error{fmt::format("\"{}\" is not a calibration file: make one with kvtuner calibrate", path)};
    return ref;
}

Result<CalibrationRef> describe_calibration(const std::string & path, std::string_view model_sha256) {
    KVT_TRY(const std::string bytes, read_file(path));
    auto file = parse_safetensors(bytes);
    if (!file.ok()) return Error{fmt::format("calibration file \"{}\": {}", path, file.error().message)};
    KVT_TRY(CalibrationRef ref, calibration_ref(path, bytes, file->metadata));
    const auto model = file->metadata.find(kModelKey);
    if (model != file->metadata.end() && !model_sha256.empty() && !model->second.empty() && model->second != model_sha256) {
        return Error{
            fmt::format("calibration file \"{}\" was made for another model file (sha256 {}..., not {}...): calibrate this one",
                        path, model->second.substr(0, 12), model_sha256.substr(0, 12))};
    }
    return ref;
}

std::string transform_prefix(int layer, Side side, std::string_view name) {
    return fmt::format("blk.{}.{}.{}.", layer, side == Side::key ? "key" : "value", name);
}

Result<std::vector<HeadTransform>> head_transforms(const Tensors & tensors, int layer, Side side, std::string_view name,
                                                   Rotation rotation, int n_kv_heads, int head_dim) {
    const std::string prefix = transform_prefix(layer, side, name);
    const int64_t     n = n_kv_heads, d = head_dim;
    KVT_TRY(const Tensor * center, find(tensors, prefix + "center", {n, d}, Presence::needed));
    KVT_TRY(const Tensor * scale, find(tensors, prefix + "scale", {n, d}, Presence::optional));
    const Tensor * matrix = nullptr;
    if (rotation == Rotation::dense) {
        KVT_TRY(matrix, find(tensors, prefix + "matrix", {n, d, d}, Presence::needed));
    }
    KVT_TRY(const Tensor * feedback, find(tensors, prefix + "feedback", {n, d * (d - 1) / 2}, Presence::optional));
    std::vector<HeadTransform> heads;
    for (size_t h = 0; h < static_cast<size_t>(n_kv_heads); ++h) {
        const auto    heads_total = static_cast<size_t>(n_kv_heads);
        HeadTransform t;
        t.rotation = rotation;
        t.center   = slice(center, h, heads_total);
        t.scale    = slice(scale, h, heads_total);
        t.matrix   = slice(matrix, h, heads_total);
        if (feedback != nullptr) {
            const std::vector<float> packed = slice(feedback, h, heads_total);
            const int                stride = row_stride(head_dim);
            t.feedback.assign(static_cast<size_t>(head_dim * stride), 0.0f);
            size_t next = 0;
            for (int i = 0; i < head_dim; ++i) {
                for (int j = 0; j < i; ++j) t.feedback[static_cast<size_t>(i * stride + j)] = packed[next++];
            }
        }
        heads.push_back(std::move(t));
    }
    return heads;
}

void put_head_transforms(int layer, Side side, std::string_view name, const std::vector<HeadTransform> & heads, int head_dim,
                         Tensors & tensors) {
    const std::string prefix = transform_prefix(layer, side, name);
    const int64_t     n = static_cast<int64_t>(heads.size()), d = head_dim;
    const auto        put = [&](const char * what, Dtype dtype, std::vector<int64_t> shape, auto values_of) {
        Tensor t{dtype, std::move(shape), {}};
        for (const HeadTransform & head : heads) {
            const std::vector<float> values = values_of(head);
            t.values.insert(t.values.end(), values.begin(), values.end());
        }
        if (!t.values.empty()) tensors[prefix + what] = std::move(t);
    };
    put("center", Dtype::f32, {n, d}, [](const HeadTransform & h) { return h.center; });
    put("scale", Dtype::f32, {n, d}, [](const HeadTransform & h) { return h.scale; });
    put("matrix", Dtype::f16, {n, d, d}, [](const HeadTransform & h) { return h.matrix; });
    put("feedback", Dtype::f16, {n, d * (d - 1) / 2}, [&](const HeadTransform & h) {
        std::vector<float> packed;
        for (int i = 0; i < head_dim && !h.feedback.empty(); ++i) {
            for (int j = 0; j < i; ++j) packed.push_back(h.feedback[static_cast<size_t>(i * row_stride(head_dim) + j)]);
        }
        return packed;
    });
}

}  // namespace kvt
