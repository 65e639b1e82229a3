#include "kvt/ggml_plugin/buffer.h"

#include <cstdlib>
#include <cstring>
#include <exception>
#include <list>
#include <mutex>

#include <fmt/format.h>
#include <sys/mman.h>

#include "ggml-backend-impl.h"
#include "kvt/ggml_plugin/cache_group.h"
#include "kvt/ggml_plugin/cache_tensor.h"
#include "kvt/ggml_plugin/plugin_state.h"

namespace kvt::plugin {

namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kSlack     = 64;  // decoders may read up to 64 bytes past the last tile
constexpr size_t kHugePage  = size_t{2} << 20;

struct buffer_context {
    uint8_t *               data = nullptr;
    size_t                  size = 0;
    std::list<cache_tensor> caches;

    std::shared_ptr<const plan_source> source;  // that caches in here follow
};

// get_alloc_size cannot fail, so a refusal waits here until alloc_buffer, which can. Same thread, next call.
thread_local std::string pending_refusal;
thread_local cache_group group;

buffer_context * context_of(ggml_backend_buffer_t buffer) { return static_cast<buffer_context *>(buffer->context); }

void report(const Status & status) {
    if (!status.ok()) fail(status.error().message);
}

size_t view_offset(const ggml_tensor * tensor) { return tensor->view_src != nullptr ? tensor->view_offs : 0; }

void buffer_free(ggml_backend_buffer_t buffer) {
    buffer_context * context = context_of(buffer);
    std::free(context->data);
    delete context;
}

void * buffer_get_base(ggml_backend_buffer_t buffer) { return context_of(buffer)->data; }

ggml_status buffer_init_tensor(ggml_backend_buffer_t buffer, ggml_tensor * tensor) {
    try {
        if (tensor->view_src != nullptr || !parse_cache_name(tensor->name)) return GGML_STATUS_SUCCESS;
        buffer_context * context = context_of(buffer);
        if (context->source == nullptr) {
            fail(fmt::format("{}: a cache that was not allocated with the others of its model", tensor->name));
            return GGML_STATUS_FAILED;
        }
        auto made = make_cache_tensor(tensor, context->source);
        if (!made.ok()) {
            group.forget();
            fail(made.error().message);
            return GGML_STATUS_FAILED;
        }
        group.placed(*tensor);
        context->caches.push_back(std::move(*made));
        cache_tensor & stored = context->caches.back();
        tensor->extra         = &stored;
        return GGML_STATUS_SUCCESS;
    } catch (const std::exception & e) {
        fail(e.what());
        return GGML_STATUS_ALLOC_FAILED;
    }
}

void buffer_memset_tensor(ggml_backend_buffer_t, ggml_tensor * tensor, uint8_t value, size_t offset, size_t size) {
    if (cache_tensor_of(tensor) == nullptr) {
        std::memset(static_cast<uint8_t *>(tensor->data) + offset, value, size);
    } else {
        fail(fmt::format("{}: filling part of a packed cache is not supported", tensor->name));
    }
}

void buffer_set_tensor(ggml_backend_buffer_t, ggml_tensor * tensor, const void * data, size_t offset, size_t size) {
    try {
        if (cache_tensor * cache = cache_tensor_of(tensor)) {
            report(cache->load(view_offset(tensor) + offset, size, data));
        } else {
            std::memcpy(static_cast<uint8_t *>(tensor->data) + offset, data, size);
        }
    } catch (const std::exception & e) {
        fail(e.what());
    }
}

void buffer_get_tensor(ggml_backend_buffer_t, const ggml_tensor * tensor, void * data, size_t offset, size_t size) {
    try {
        if (cache_tensor * cache = cache_tensor_of(tensor)) {
            // Saved states are read through a plain view of the cache. Whatever else comes is the input of an op that some
            // other device computes: it wants floats.
            const bool state = tensor->op == GGML_OP_VIEW || tensor->op == GGML_OP_NONE;
            report(state ? cache->save(view_offset(tensor) + offset, size, data)
                         : cache->get_f16(view_offset(tensor) + offset, size, data));
        } else {
            std::memcpy(data, static_cast<const uint8_t *>(tensor->data) + offset, size);
        }
    } catch (const std::exception & e) {
        fail(e.what());
    }
}

// Copies between streams (llama_memory_seq_cp): whole streams of tensors with the same storage.
bool buffer_cpy_tensor(ggml_backend_buffer_t, const ggml_tensor * src, ggml_tensor * dst) {
    cache_tensor * from = cache_tensor_of(src);
    cache_tensor * to   = cache_tensor_of(dst);
    if (from == nullptr || to == nullptr || !from->cache || !to->cache) return false;
    const size_t stream_bytes = static_cast<size_t>(from->n_embd * from->n_cells) * 2;
    const bool   same         = from->format == to->format && from->n_embd == to->n_embd && from->n_cells == to->n_cells &&
                      from->cache->shape().head_dim == to->cache->shape().head_dim;
    if (!same || ggml_nbytes(src) != stream_bytes || view_offset(src) % stream_bytes != 0 ||
        view_offset(dst) % stream_bytes != 0) {
        return false;
    }
    const auto from_stream = static_cast<int64_t>(view_offset(src) / stream_bytes);
    const auto to_stream   = static_cast<int64_t>(view_offset(dst) / stream_bytes);
    to->cache->copy_stream(*from->cache, from_stream, to_stream);
    for (int64_t c = 0; c < from->n_cells; ++c) {
        to->unusable.erase(to_stream * to->n_cells + c);
        if (!from->unusable.contains(from_stream * from->n_cells + c)) continue;
        to->unusable.insert(to_stream * to->n_cells + c);
        to->why_unusable = from->why_unusable;
    }
    return true;
}

void buffer_clear(ggml_backend_buffer_t buffer, uint8_t value) {
    buffer_context * context = context_of(buffer);
    std::memset(context->data, value, context->size);
    for (cache_tensor & cache : context->caches) {
        if (cache.cache) cache.cache->clear();
        cache.unusable.clear();
    }
}

const ggml_backend_buffer_i kBufferInterface = {
    /* .free_buffer   = */ buffer_free,
    /* .get_base      = */ buffer_get_base,
    /* .init_tensor   = */ buffer_init_tensor,
    /* .memset_tensor = */ buffer_memset_tensor,
    /* .set_tensor    = */ buffer_set_tensor,
    /* .get_tensor    = */ buffer_get_tensor,
    /* .set_tensor_2d = */ nullptr,
    /* .get_tensor_2d = */ nullptr,
    /* .cpy_tensor    = */ buffer_cpy_tensor,
    /* .clear         = */ buffer_clear,
    /* .reset         = */ nullptr,
};

const char * type_get_name(ggml_backend_buffer_type_t) { return "KVT0"; }

size_t type_get_alignment(ggml_backend_buffer_type_t) { return kAlignment; }

size_t type_get_alloc_size(ggml_backend_buffer_type_t, const ggml_tensor * tensor) {
    try {
        if (tensor->view_src == nullptr && parse_cache_name(tensor->name)) {
            const auto bytes = group.bytes_of(*tensor);
            if (bytes.ok()) return *bytes;
            if (pending_refusal.empty()) pending_refusal = bytes.error().message;
        } else if (tensor->view_src == nullptr && is_recurrent_state(tensor->name) && pending_refusal.empty()) {
            // Left alone, the host aborts when it plans the first op on the state.
            pending_refusal = fmt::format(
                "{}: the model has recurrent or convolution layers, whose state this device cannot hold: "
                "run it without --device KVT0",
                tensor->name);
        }
    } catch (const std::exception & e) {
        pending_refusal = e.what();
    }
    return ggml_nbytes(tensor);
}

ggml_backend_buffer_t type_alloc_buffer(ggml_backend_buffer_type_t buft, size_t asked) {
    try {
        if (!pending_refusal.empty()) {
            fail(pending_refusal);
            pending_refusal.clear();
            return nullptr;
        }
        const auto wanted = group.buffer_wanted(asked, kAlignment);
        if (!wanted.ok()) {
            fail(wanted.error().message);
            return nullptr;
        }
        const size_t size      = wanted->bytes;
        const size_t total     = (size + kSlack + kAlignment - 1) / kAlignment * kAlignment;
        const size_t alignment = total >= 4 * kHugePage ? kHugePage : kAlignment;
        auto * data = static_cast<uint8_t *>(std::aligned_alloc(alignment, (total + alignment - 1) / alignment * alignment));
        if (data == nullptr) {
            fail(fmt::format("cannot allocate {:.1f} MiB for the cache", static_cast<double>(size) / 1048576.0));
            return nullptr;
        }
        if (alignment == kHugePage) madvise(data, total, MADV_HUGEPAGE);  // best effort: fewer page walks on long caches
        std::memset(data + size, 0, total - size);
        auto * context = new buffer_context{data, size, {}, wanted->source};
        return ggml_backend_buffer_init(buft, kBufferInterface, context, size);
    } catch (const std::exception & e) {
        fail(e.what());
        return nullptr;
    }
}

bool type_is_host(ggml_backend_buffer_type_t) { return false; }

}  // namespace

bool is_kvt_buffer_type(ggml_backend_buffer_type_t buft) {
    return buft != nullptr && buft->iface.alloc_buffer == type_alloc_buffer;
}

ggml_backend_buffer_type_t kvt_buffer_type(ggml_backend_dev_t device) {
    static ggml_backend_buffer_type type = {
        {
            /* .get_name       = */ type_get_name,
            /* .alloc_buffer   = */ type_alloc_buffer,
            /* .get_alignment  = */ type_get_alignment,
            /* .get_max_size   = */ nullptr,
            /* .get_alloc_size = */ type_get_alloc_size,
            /* .is_host        = */ type_is_host,
        },
        /* .device  = */ device,
        /* .context = */ nullptr,
    };
    return &type;
}

}  // namespace kvt::plugin
