#include "kvt/plan/safetensors.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "kvt/base/fp16.h"
#include "kvt/plan/json_reader.h"

namespace kvt {

namespace {

constexpr size_t kMaxHeader  = size_t{64} << 20;
constexpr size_t kMaxTensors = 1 << 20;
constexpr size_t kMaxRank    = 8;

struct Place {
    std::string name;
    uint64_t    begin = 0, end = 0;
};

size_t width_of(Dtype dtype) { return dtype == Dtype::f16 ? 2 : 4; }

// Elements of a shape; 0 stands for one that is not sensible.
Result<uint64_t> count(const std::string & name, const std::vector<int64_t> & shape, uint64_t limit) {
    uint64_t n = 1;
    for (const int64_t dim : shape) {
        if (dim <= 0 || static_cast<uint64_t>(dim) > limit / n)
            return Error{fmt::format("tensor \"{}\" has an impossible shape", shown(name))};
        n *= static_cast<uint64_t>(dim);
    }
    return n;
}

void read_values(std::string_view data, Tensor & tensor) {
    for (size_t i = 0; i < tensor.values.size(); ++i) {
        if (tensor.dtype == Dtype::f16) {
            f16_t h;
            std::memcpy(&h, data.data() + 2 * i, 2);
            tensor.values[i] = f16_to_f32(h);
        } else {
            std::memcpy(&tensor.values[i], data.data() + 4 * i, 4);
        }
    }
}

}  // namespace

Result<SafetensorsFile> parse_safetensors(std::string_view bytes) {
    uint64_t header_size = 0;
    if (bytes.size() < sizeof header_size) return Error{"not a safetensors file: too short"};
    std::memcpy(&header_size, bytes.data(), sizeof header_size);
    bytes.remove_prefix(sizeof header_size);
    if (header_size > bytes.size() || header_size > kMaxHeader)
        return Error{"not a safetensors file, or truncated: its header does not fit"};
    KVT_TRY(const nlohmann::json header, parse_strict_json(bytes.substr(0, header_size), kMaxHeader, 4));
    const std::string_view data = bytes.substr(header_size);
    if (!header.is_object() || header.size() > kMaxTensors) return Error{"the header is not an object of tensors"};

    SafetensorsFile    file;
    std::vector<Place> places;
    Complaint          complaint;
    for (const auto & [name, entry] : header.items()) {
        if (name == "__metadata__") {
            if (!entry.is_object()) return Error{"/__metadata__: expected an object"};
            for (const auto & [key, value] : entry.items()) {
                if (!value.is_string()) return Error{"/__metadata__: expected texts"};
                file.metadata[key] = value.get<std::string>();
            }
            continue;
        }
        ObjectReader object(entry, "/" + shown(name), complaint);
        Tensor       tensor;
        tensor.dtype         = object.choice("dtype", {"F16", "F32"}) == "F16" ? Dtype::f16 : Dtype::f32;
        const auto & shape   = object.array("shape");
        const auto & offsets = object.array("data_offsets");
        if (shape.size() > kMaxRank) object.complain("shape", "too many dimensions");
        for (const auto & dim : shape) {
            if (!dim.is_number_integer()) {
                object.complain("shape", "expected whole numbers");
            } else {
                tensor.shape.push_back(dim.get<int64_t>());
            }
        }
        if (offsets.size() != 2 || !offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned())
            object.complain("data_offsets", "expected two offsets");
        object.refuse_other_keys();
        if (!complaint.empty()) return Error{complaint.text()};
        KVT_TRY(const uint64_t n, count(name, tensor.shape, data.size()));
        const Place place{name, offsets[0].get<uint64_t>(), offsets[1].get<uint64_t>()};
        if (place.end > data.size() || place.begin > place.end || place.end - place.begin != n * width_of(tensor.dtype))
            return Error{fmt::format("tensor \"{}\" does not fit its place in the file", shown(name))};
        tensor.values.resize(n);
        read_values(data.substr(place.begin, place.end - place.begin), tensor);
        places.push_back(place);
        file.tensors.emplace(name, std::move(tensor));
    }
    std::sort(places.begin(), places.end(), [](const Place & a, const Place & b) { return a.begin < b.begin; });
    uint64_t at = 0;
    for (const Place & place : places) {
        if (place.begin != at) return Error{fmt::format("tensor \"{}\" leaves a gap or overlaps another", shown(place.name))};
        at = place.end;
    }
    if (at != data.size()) return Error{"there are bytes after the last tensor"};
    return file;
}

std::string write_safetensors(const SafetensorsFile & file) {
    std::string data;
    auto        header = nlohmann::ordered_json::object();
    if (!file.metadata.empty()) header["__metadata__"] = file.metadata;
    for (const auto & [name, tensor] : file.tensors) {
        const size_t begin = data.size();
        for (const float x : tensor.values) {
            if (tensor.dtype == Dtype::f16) {
                const f16_t h = f32_to_f16(x);
                data.append(reinterpret_cast<const char *>(&h), sizeof h);
            } else {
                data.append(reinterpret_cast<const char *>(&x), sizeof x);
            }
        }
        header[name] = {{"dtype", tensor.dtype == Dtype::f16 ? "F16" : "F32"},
                        {"shape", tensor.shape},
                        {"data_offsets", {begin, data.size()}}};
    }
    std::string text = header.dump();
    while ((text.size() + 8) % 8 != 0) text += ' ';  // data starts at a multiple of 8
    const uint64_t size = text.size();
    return std::string(reinterpret_cast<const char *>(&size), sizeof size) + text + data;
}

}  // namespace kvt
