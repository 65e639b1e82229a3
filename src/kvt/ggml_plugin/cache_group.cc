#include "kvt/ggml_plugin/cache_group.h"

#include <algorithm>
#include <cstring>

#include "kvt/ggml_plugin/cache_tensor.h"

namespace kvt::plugin {

namespace {

std::vector<CacheRow> rows_of(const std::vector<ggml_tensor> & tensors) {
    std::vector<CacheRow> rows;
    for (const ggml_tensor & tensor : tensors) {
        const auto name = parse_cache_name(tensor.name);
        if (name) rows.push_back({name->layer, name->side, tensor.ne[0]});
    }
    return rows;
}

size_t padded(size_t bytes, size_t alignment) { return (bytes + alignment - 1) / alignment * alignment; }

}  // namespace

cache_group::member * cache_group::find(const ggml_tensor & tensor) {
    const auto found = std::find_if(members_.begin(), members_.end(), [&](const member & m) {
        return std::strcmp(m.tensor.name, tensor.name) == 0 && std::equal(m.tensor.ne, m.tensor.ne + GGML_MAX_DIMS, tensor.ne);
    });
    return found == members_.end() ? nullptr : &*found;
}

void cache_group::forget() {
    members_.clear();
    source_.reset();
}

Result<size_t> cache_group::bytes_of(const ggml_tensor & tensor) {
    KVT_TRY(const auto plans, current_plans());
    if (plans->only) return cache_tensor_bytes(&tensor, *plans->only);
    if (source_ && find(tensor) != nullptr) return cache_tensor_bytes(&tensor, *source_);
    if (source_) forget();
    std::erase_if(members_, [&](const member & m) { return std::strcmp(m.tensor.name, tensor.name) == 0; });

    Result<size_t> most = ggml_nbytes(&tensor);  // if no plan fits: buffer_wanted() will say so
    bool           any  = false;
    for (const plan_source * source : possible_sources(*plans, rows_of({tensor}))) {
        const auto bytes = cache_tensor_bytes(&tensor, *source);
        if (!any || (bytes.ok() && (!most.ok() || *bytes > *most))) most = bytes;
        any = true;
    }
    if (most.ok()) members_.push_back({tensor, *most});
    return most;
}

Result<cache_group::purpose> cache_group::buffer_wanted(size_t size, size_t alignment) {
    const auto plans = current_plans();
    if (!plans.ok()) return purpose{nullptr, size};  // a cache would have been refused when its size was asked for
    if ((*plans)->only) return purpose{(*plans)->only, size};
    // Those whose sizes were asked for last, and only they, fill the buffer.
    size_t told = 0, first = members_.size();
    while (told < size && first > 0) told += padded(members_[--first].bytes, alignment);
    if (told != size || source_) return purpose{nullptr, size};
    members_.erase(members_.begin(), members_.begin() + static_cast<std::ptrdiff_t>(first));

    std::vector<ggml_tensor> tensors;
    for (const member & m : members_) tensors.push_back(m.tensor);
    auto source = source_of(**plans, rows_of(tensors));
    if (!source.ok()) {
        forget();
        return source.error();
    }
    size_t bytes = 0;
    for (const ggml_tensor & tensor : tensors) {
        KVT_TRY(const size_t one, cache_tensor_bytes(&tensor, **source));
        bytes += padded(one, alignment);
    }
    source_ = *source;
    return purpose{*source, bytes};
}

void cache_group::placed(const ggml_tensor & tensor) {
    if (const member * found = find(tensor)) members_.erase(members_.begin() + (found - members_.data()));
    if (members_.empty()) forget();
}

}  // namespace kvt::plugin
