// The calibrated transforms that a plan names: a safetensors file beside the plan, known by its hash.
//
// Tensors of layer 3, keys, transform "dense4":        (n = KV heads, d = head_dim)
//   blk.3.key.dense4.center    [n, d]
//   blk.3.key.dense4.scale     [n, d]               optional
//   blk.3.key.dense4.matrix    [n, d, d]            dense rotations only; row i gives element i
//   blk.3.key.dense4.feedback  [n, d (d - 1) / 2]   optional; rows 1 .. d-1 of the strictly lower triangle
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kvt/base/result.h"
#include "kvt/plan/plan.h"
#include "kvt/plan/safetensors.h"
#include "kvt/quant/transform.h"

namespace kvt {

// --- Interface ---

// Reads and checks the file that `ref` names in `ref.folder`. Errors: a file name with a folder in it, another hash, a bad file.
Result<std::shared_ptr<const Tensors>> load_calibration(const CalibrationRef & ref);

// What a plan says of the calibration file at `path`, whose content is known. Errors: the metadata is not a calibration's.
Result<CalibrationRef> calibration_ref(const std::string & path, std::string_view bytes, const Metadata & metadata);

// A calibration file to be used by a plan: its hash, and the positions it covers according to its metadata. Errors: unreadable,
// not a calibration, made for another model than `model_sha256` (empty: not checked).
Result<CalibrationRef> describe_calibration(const std::string & path, std::string_view model_sha256 = {});

// Keys of the metadata: the number of positions, and the hash of the model's file.
inline constexpr std::string_view kPositionsKey = "positions";
inline constexpr std::string_view kModelKey     = "model_sha256";

// The transform of every KV head of one side of one layer. Errors: a tensor that is missing or has another shape.
Result<std::vector<HeadTransform>> head_transforms(const Tensors & tensors, int layer, Side side, std::string_view name,
                                                   Rotation rotation, int n_kv_heads, int head_dim);

// Puts the same into `tensors`: vectors as f32, matrices as f16.
void put_head_transforms(int layer, Side side, std::string_view name, const std::vector<HeadTransform> & heads, int head_dim,
                         Tensors & tensors);

// "blk.3.key.dense4."
std::string transform_prefix(int layer, Side side, std::string_view name);

}  // namespace kvt
