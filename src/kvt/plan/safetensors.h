// The safetensors container (8 bytes of header length, JSON header, raw data), for the vectors and matrices that a plan's
// transforms need. Reading accepts F16 and F32, trusts nothing and copies; writing is canonical: tensors by name, F16 or F32.
// Source: the format's own description, https://github.com/huggingface/safetensors.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kvt/base/result.h"

namespace kvt {

// --- Interface ---

enum class Dtype : uint8_t { f16, f32 };

struct Tensor {
    Dtype                dtype = Dtype::f32;  // as stored; values are always f32 in memory
    std::vector<int64_t> shape;
    std::vector<float>   values;  // [product of shape]

    bool operator==(const Tensor &) const = default;
};

using Tensors  = std::map<std::string, Tensor, std::less<>>;
using Metadata = std::map<std::string, std::string, std::less<>>;

struct SafetensorsFile {
    Tensors  tensors;
    Metadata metadata;
};

// Errors: truncated, header that is not JSON or too large, other types, shapes that do not fit their offsets, gaps or overlaps.
Result<SafetensorsFile> parse_safetensors(std::string_view bytes);
std::string             write_safetensors(const SafetensorsFile & file);

}  // namespace kvt
