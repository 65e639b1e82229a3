#include "kvt/ggml_plugin/cache_tensor.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <mutex>

#include <fmt/format.h>

#include "ggml-backend-impl.h"
#include "kvt/base/parallel_errors.h"
#include "kvt/base/sha256.h"
#include "kvt/cache/saved_row.h"
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

Result<description> describe(const ggml_tensor * tensor, const plan_source & source) {
    const auto name = parse_cache_name(tensor->name);
    if (!name) return Error{fmt::format("tensor {} is not a KV cache", tensor->name)};
    if (tensor->type != GGML_TYPE_F16) {
        return Error{fmt::format("{} has type {}: the plan decides how the cache is stored, so leave -ctk and -ctv at f16",
                                 tensor->name, ggml_type_name(tensor->type))};
    }
    KVT_TRY(const tensor_choice choice, choose(source, name->side, name->layer, tensor->ne[0]));
    // With an unknown head_dim the formats that remain (f16, kivi) take the same bytes for every multiple of 32.
    const int head_dim = choice.head_dim != 0 ? choice.head_dim : 32;
    if (tensor->ne[0] % head_dim != 0) {
        return Error{fmt::format("{} has rows of {} elements, not a multiple of {}: use a plan file, which knows head_dim",
                                 tensor->name, tensor->ne[0], head_dim)};
    }
    const Status legal = check_format(choice.format, name->side, head_dim);
    if (!legal.ok()) return Error{fmt::format("{}: {}", tensor->name, legal.error().message)};
    if (source.plan && !source.plan->transforms.empty() && tensor->ne[1] > source.plan->calibration.positions) {
        return Error{
            fmt::format("the plan was calibrated for {} positions, the cache has {} cells: use -c {} or less, or calibrate for "
                        "more (kvtuner calibrate --positions)",
                        source.plan->calibration.positions, tensor->ne[1], source.plan->calibration.positions)};
    }
    const size_t bytes = tensor_bytes(choice.format, name->side, static_cast<int>(tensor->ne[0] / head_dim), head_dim,
                                      static_cast<uint64_t>(tensor->ne[1]), static_cast<uint64_t>(tensor->ne[2]), choice.kept);
    return description{*name, choice, bytes};
}

// Tells rows that this tensor packs from those of other models, formats and transforms.
uint64_t signature_of(const plan_source & source, const description & d, int64_t n_embd) {
    std::string text = fmt::format("saved row 1, {} {} {} {}", d.name.side == Side::key ? 'k' : 'v', d.name.layer,
                                   format_name(d.choice.format), n_embd);
    if (source.plan) {
        text += ' ' + source.plan->model.file_sha256 + ' ' + source.plan->calibration.sha256;
        for (const LayerPlan & layer : source.plan->layers) {
            if (layer.layer == d.name.layer) text += ' ' + (d.name.side == Side::key ? layer.k_transform : layer.v_transform);
        }
    }
    return std::stoull(sha256_hex(text).substr(0, 16), nullptr, 16);
}

void say_not_finite(int layer) {
    fail_once(fmt::format("layer {}: keys or values beyond the range of 16-bit floats, or not finite; their groups decode to NaN",
                          layer));
}

// Calls fn(cell, first byte, bytes) for each row that bytes offset .. offset+size touch.
template <class Fn>
Status for_each_row(const cache_tensor & t, size_t offset, size_t size, const Fn & fn) {
    const size_t row_bytes = static_cast<size_t>(t.n_embd) * sizeof(f16_t);
    const size_t all       = row_bytes * static_cast<size_t>(t.n_cells * t.n_streams);
    if (!t.cache) return Error{"the cache was read or restored before its head dimension was known"};
    if (size > all || offset > all - size) return Error{"access past the end of the cache"};
    while (size > 0) {
        const size_t skip = offset % row_bytes, n = std::min(size, row_bytes - skip);
        fn(static_cast<int64_t>(offset / row_bytes), skip, n);
        offset += n;
        size -= n;
    }
    return ok_status();
}

// Copies bytes offset .. offset+size of the rows that `read` makes of cells, to `out`.
template <class Read>
Status copy_rows(const cache_tensor & t, size_t offset, size_t size, void * out, const Read & read) {
    std::vector<uint8_t> row(static_cast<size_t>(t.n_embd) * sizeof(f16_t));
    auto *               to = static_cast<uint8_t *>(out);
    return for_each_row(t, offset, size, [&](int64_t cell, size_t first, size_t n) {
        read(cell, row);
        std::memcpy(to, row.data() + first, n);
        to += n;
    });
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

bool is_recurrent_state(std::string_view name) { return name.starts_with("cache_r_l") || name.starts_with("cache_s_l"); }

Result<size_t> cache_tensor_bytes(const ggml_tensor * tensor, const plan_source & source) {
    KVT_TRY(const description d, describe(tensor, source));
    return d.bytes;
}

Result<cache_tensor> make_cache_tensor(const ggml_tensor * tensor, const std::shared_ptr<const plan_source> & source) {
    KVT_TRY(const description d, describe(tensor, *source));
    cache_tensor made;
    made.name   = d.name;
    made.source = source;
    made.format = d.choice.format;
    made.kept   = d.choice.kept;
    KVT_TRY(made.transforms, transforms_of(*source, d.name.side, d.name.layer));
    made.n_embd    = tensor->ne[0];
    made.n_cells   = tensor->ne[1];
    made.n_streams = tensor->ne[2];
    made.bytes     = d.bytes;
    made.memory    = static_cast<uint8_t *>(tensor->data);
    KVT_TRY(made.kernels, current_kernels());
    made.signature = signature_of(*source, d, made.n_embd);
    if (d.choice.head_dim != 0) KVT_CHECK_OK(made.learn_head_dim(d.choice.head_dim));
    const std::scoped_lock guard(source->here->lock);
    source->here->numbers.insert(d.name.layer);
    return made;
}

bool layer_is_here(const plan_source & source, int layer) {
    const std::scoped_lock guard(source.here->lock);
    return source.here->numbers.contains(layer);
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
    return copy_rows(*this, offset, size, out, [&](int64_t cell, std::span<uint8_t> row) { cache->read_cell_f16(cell, row); });
}

Status cache_tensor::save(size_t offset, size_t size, void * out) {
    return copy_rows(*this, offset, size, out, [&](int64_t cell, std::span<uint8_t> row) {
        cache->save_row(cell, signature, row);
        if (unusable.contains(cell)) put_header(~signature, row.data());  // so that nobody takes it back
    });
}

Status cache_tensor::load(size_t offset, size_t size, const void * in) {
    const size_t row_bytes = static_cast<size_t>(n_embd) * sizeof(f16_t);
    if (offset % row_bytes != 0 || size % row_bytes != 0) return Error{"the cache can only be restored in whole rows"};
    const auto * from = static_cast<const uint8_t *>(in);
    Loaded       worst{};
    KVT_CHECK_OK(for_each_row(*this, offset, size, [&](int64_t cell, size_t, size_t n) {
        const Loaded one = cache->load_row(cell, signature, {from, n});
        unusable.erase(cell);
        if (one == Loaded::foreign) unusable.insert(cell);
        worst = std::max(worst, one);
        from += n;
    }));
    if (worst == Loaded::foreign) {
        why_unusable = "the restored state was saved under another plan or model, and cannot be used: process the prompt anew";
        fail_once(why_unusable);
    } else if (worst == Loaded::not_finite) {
        say_not_finite(name.layer);
    }
    return ok_status();
}

Status cache_tensor::check_visible(int64_t stream, const f16_t * mask, int64_t n) const {
    for (auto at = unusable.lower_bound(stream * n_cells); at != unusable.end() && *at < stream * n_cells + n; ++at) {
        if (mask == nullptr || mask[*at - stream * n_cells] != kF16MinusInfinity) return Error{why_unusable};
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
    // A thread per head pays from about 64 rows on (a parallel region costs 2-5 us, a row about 0.1 us). With dense transforms
    // one row is enough: it multiplies head_dim^2 numbers per head that must come from memory.
    const bool     many = cells.size() * static_cast<size_t>(n_heads) >= 64 || (transforms && n_heads * head_dim >= 512);
    ParallelErrors errors;  // memory for the rows grows with the batch
#pragma omp parallel for schedule(dynamic) reduction(+ : bad) if (many)
    for (int h = 0; h < n_heads; ++h) {
        errors.run([&] { bad += cache->write_head(h, rows + static_cast<ptrdiff_t>(h) * head_dim, row_stride) != Encoded::ok; });
    }
    errors.rethrow();
    if (bad != 0) say_not_finite(name.layer);
    if (!unusable.empty()) {
        for (const int64_t cell : cells) unusable.erase(cell);
    }
    return ok_status();
}

cache_tensor * cache_tensor_of(const ggml_tensor * tensor) {
    const ggml_tensor * root = tensor->view_src != nullptr ? tensor->view_src : tensor;
    if (root->buffer == nullptr || !is_kvt_buffer_type(root->buffer->buft)) return nullptr;
    return static_cast<cache_tensor *>(root->extra);
}

}  // namespace kvt::plugin
