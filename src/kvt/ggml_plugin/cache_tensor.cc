#include "kvt/ggml_plugin/cache_tensor.h"

#include <charconv>
#include <cstring>

#include <fmt/format.h>

#include "ggml-backend-impl.h"
#include "kvt/ggml_plugin/buffer.h"
#include "kvt/ggml_plugin/plugin_state.h"

namespace kvt::plugin {

namespace {

// What is known of a cache tensor before memory is assigned.
struct description {
    cache_name    name;
    tensor_choice choice;
    size_t        bytes = 0;
};

Result<description> describe(const ggml_tensor * tensor) {
    const auto name = parse_cache_name(tensor->name);
    if (!name) return Error{fmt::format("tensor {} is not a KV cache", tensor->name)};
    if (tensor->type != GGML_TYPE_F16) {
        return Error{fmt::format("{} has type {}: the plan decides how the cache is stored, so leave -ctk and -ctv at f16",
                                 tensor->name, ggml_type_name(tensor->type))};
    }
    KVT_TRY(const auto source, current_plan());
    KVT_TRY(const tensor_choice choice, choose(*source, name->side, name->layer, tensor->ne[0]));
    // With an unknown head_dim the formats that remain (f16, kivi) take the same bytes for every multiple of 32.
    const int head_dim = choice.head_dim != 0 ? choice.head_dim : 32;
    if (tensor->ne[0] % head_dim != 0) {
        return Error{fmt::format("{} has rows of {} elements, not a multiple of {}: use a plan file, which knows head_dim",
                                 tensor->name, tensor->ne[0], head_dim)};
    }
    const Status legal = check_format(choice.format, name->side, head_dim);
    if (!legal.ok()) return Error{fmt::format("{}: {}", tensor->name, legal.error().message)};
    if (source->plan && !source->plan->transforms.empty() && tensor->ne[1] > source->plan->calibration.positions) {
        return Error{
            fmt::format("the plan was calibrated for {} positions, the cache has {} cells: use -c {} or less, or calibrate for "
                        "more (kvtuner calibrate --positions)",
                        source->plan->calibration.positions, tensor->ne[1], source->plan->calibration.positions)};
    }
    const size_t bytes = tensor_bytes(choice.format, name->side, static_cast<int>(tensor->ne[0] / head_dim), head_dim,
                                      static_cast<uint64_t>(tensor->ne[1]), static_cast<uint64_t>(tensor->ne[2]), choice.kept);
    return description{*name, choice, bytes};
}

}  // namespace

std::optional<cache_name> parse_cache_name(std::string_view name) {
    if (!name.starts_with("cache_")) return std::nullopt;
    const size_t at = name.rfind("_l");
    if (at == std::string_view::npos || at < 6) return std::nullopt;
    const char kind = name[at - 1];
    if ((kind != 'k' && kind != 'v') || name[at - 2] != '_') return std::nullopt;
    cache_name         parsed{kind == 'k' ? Side::key : Side::value, 0};
    const char * const first = name.data() + at + 2;
    const char * const last  = name.data() + name.size();
    const auto [end, error]  = std::from_chars(first, last, parsed.layer);
    if (error != std::errc{} || end != last || parsed.layer < 0) return std::nullopt;
    return parsed;
}

Result<size_t> cache_tensor_bytes(const ggml_tensor * tensor) {
    KVT_TRY(const description d, describe(tensor));
    return d.bytes;
}

Result<cache_tensor> make_cache_tensor(const ggml_tensor * tensor) {
    KVT_TRY(const description d, describe(tensor));
    cache_tensor made;
    made.name   = d.name;
    made.format = d.choice.format;
    made.kept   = d.choice.kept;
    KVT_TRY(const auto source, current_plan());
    KVT_TRY(made.transforms, transforms_of(*source, d.name.side, d.name.layer));
    made.n_embd    = tensor->ne[0];
    made.n_cells   = tensor->ne[1];
    made.n_streams = tensor->ne[2];
    made.bytes     = d.bytes;
    made.memory    = static_cast<uint8_t *>(tensor->data);
    KVT_TRY(made.kernels, current_kernels());
    made.row_buffer.resize(static_cast<size_t>(made.n_embd));
    if (d.choice.head_dim != 0) KVT_CHECK_OK(made.learn_head_dim(d.choice.head_dim));
    return made;
}

Status cache_tensor::learn_head_dim(int head_dim) {
    const char * what = name.side == Side::key ? "K" : "V";
    if (cache) {
        if (cache->shape().head_dim == head_dim) return ok_status();
        return Error{fmt::format("layer {} {}: the plan says head_dim {}, the model uses {}", name.layer, what,
                                 cache->shape().head_dim, head_dim)};
    }
    const Status legal = check_format(format, name.side, head_dim);
    if (!legal.ok()) return Error{fmt::format("layer {} {}: {}", name.layer, what, legal.error().message)};
    const int n_heads = static_cast<int>(n_embd / head_dim);
    if (n_embd % head_dim != 0 || tensor_bytes(format, name.side, n_heads, head_dim, static_cast<uint64_t>(n_cells),
                                               static_cast<uint64_t>(n_streams), kept) != bytes) {
        return Error{fmt::format("layer {} {}: head_dim {} is not a multiple of 32: use a plan file, which knows head_dim",
                                 name.layer, what, head_dim)};
    }
    cache.emplace(CacheShape{format, name.side, n_heads, head_dim, n_cells, n_streams, kept, transforms}, *kernels, memory);
    return ok_status();
}

Status cache_tensor::get_f16(size_t offset, size_t size, void * out) {
    const size_t row_bytes = static_cast<size_t>(n_embd) * 2;
    if (!cache) return Error{"the cache was read before anything was stored in it"};
    if (offset + size > row_bytes * static_cast<size_t>(n_cells * n_streams)) return Error{"read past the end of the cache"};
    std::vector<f16_t> half(static_cast<size_t>(n_embd));
    uint8_t *          to = static_cast<uint8_t *>(out);
    while (size > 0) {
        const size_t cell = offset / row_bytes, skip = offset % row_bytes;
        const size_t n = size < row_bytes - skip ? size : row_bytes - skip;
        cache->read_cell(static_cast<int64_t>(cell), row_buffer.data());
        for (size_t i = 0; i < half.size(); ++i) half[i] = f32_to_f16(row_buffer[i]);
        std::memcpy(to, reinterpret_cast<const uint8_t *>(half.data()) + skip, n);
        to += n;
        offset += n;
        size -= n;
    }
    return ok_status();
}

Status cache_tensor::set_f16(size_t offset, size_t size, const void * in) {
    const size_t row_bytes = static_cast<size_t>(n_embd) * 2;
    if (!cache) return Error{"the cache was restored before its head dimension was known"};
    if (offset % row_bytes != 0 || size % row_bytes != 0) return Error{"the cache can only be restored in whole rows"};
    if (offset + size > row_bytes * static_cast<size_t>(n_cells * n_streams)) return Error{"write past the end of the cache"};
    std::vector<int64_t> cells(1);
    std::vector<f16_t>   half(static_cast<size_t>(n_embd));
    for (size_t at = 0; at < size; at += row_bytes) {
        std::memcpy(half.data(), static_cast<const uint8_t *>(in) + at, row_bytes);
        for (size_t i = 0; i < half.size(); ++i) row_buffer[i] = f16_to_f32(half[i]);
        cells[0] = static_cast<int64_t>((offset + at) / row_bytes);
        KVT_CHECK_OK(write_rows(cells, row_buffer.data(), n_embd));
    }
    return ok_status();
}

Status cache_tensor::write_rows(std::vector<int64_t> & cells, const float * rows, int64_t row_stride) {
    for (const int64_t cell : cells) {
        if (cell < 0 || cell >= n_cells * n_streams) {
            return Error{
                fmt::format("cell {} is outside of the cache of layer {} ({} cells)", cell, name.layer, n_cells * n_streams)};
        }
    }
    cache->plan_write(cells);
    const int n_heads = cache->shape().n_heads, head_dim = cache->shape().head_dim;
    int       bad = 0;
    // A thread per head pays from about 64 rows on (a parallel region costs 2-5 us, a row about 0.1 us).
#pragma omp parallel for schedule(dynamic) reduction(+ : bad) if (cells.size() * static_cast <size_t>(n_heads) >= 64)
    for (int h = 0; h < n_heads; ++h) {
        bad += cache->write_head(h, rows + static_cast<ptrdiff_t>(h) * head_dim, row_stride) != Encoded::ok;
    }
    if (bad != 0)
        fail_once(fmt::format(
            "layer {}: keys or values beyond the range of 16-bit floats, or not finite; their groups decode to NaN", name.layer));
    return ok_status();
}

cache_tensor * cache_tensor_of(const ggml_tensor * tensor) {
    const ggml_tensor * root = tensor->view_src != nullptr ? tensor->view_src : tensor;
    if (root->buffer == nullptr || !is_kvt_buffer_type(root->buffer->buft)) return nullptr;
    return static_cast<cache_tensor *>(root->extra);
}

}  // namespace kvt::plugin
