#include <unistd.h>

#include "ggml-backend-impl.h"
#include "kvt/ggml_plugin/backend.h"
#include "kvt/ggml_plugin/buffer.h"
#include "kvt/ggml_plugin/cache_tensor.h"
#include "kvt/ggml_plugin/ops.h"
#include "kvt/ggml_plugin/plugin_state.h"

namespace kvt::plugin {

namespace {

const char * device_get_name(ggml_backend_dev_t) { return "KVT0"; }
const char * device_get_description(ggml_backend_dev_t) { return "kvtuner packed KV cache (CPU)"; }

void device_get_memory(ggml_backend_dev_t, size_t * free, size_t * total) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    *free           = static_cast<size_t>(sysconf(_SC_AVPHYS_PAGES)) * page;
    *total          = static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * page;
}

// llama.cpp gives every layer's cache to GPU devices under the default --n-gpu-layers; weights stay on the CPU because
// supports_op refuses their ops.
enum ggml_backend_dev_type device_get_type(ggml_backend_dev_t) { return GGML_BACKEND_DEVICE_TYPE_GPU; }

void device_get_props(ggml_backend_dev_t device, ggml_backend_dev_props * props) {
    props->name        = device_get_name(device);
    props->description = device_get_description(device);
    props->type        = device_get_type(device);
    props->device_id   = nullptr;
    device_get_memory(device, &props->memory_free, &props->memory_total);
    props->caps              = {};    // no async, no host buffer, no buffer_from_host_ptr, no events
    props->caps.mmap_support = true;  // weights never come here, so the host may map the model file as usual
}

ggml_backend_t device_init_backend(ggml_backend_dev_t device, const char *) { return kvt_backend_init(device); }

ggml_backend_buffer_type_t device_get_buffer_type(ggml_backend_dev_t device) { return kvt_buffer_type(device); }

// Whether an op was built on a cache tensor of this device, also during planning without memory.
bool on_cache(const ggml_tensor * tensor) {
    const ggml_tensor * root = tensor->view_src != nullptr ? tensor->view_src : tensor;
    return root->buffer != nullptr && is_kvt_buffer_type(root->buffer->buft);
}

bool device_supports_op(ggml_backend_dev_t, const ggml_tensor * op) {
    try {
        switch (op->op) {
            case GGML_OP_NONE:
            case GGML_OP_VIEW:
            case GGML_OP_RESHAPE:
            case GGML_OP_PERMUTE:
            case GGML_OP_TRANSPOSE:
                return true;
            case GGML_OP_SET_ROWS:
                return on_cache(op) && supports_set_rows(op);
            case GGML_OP_FLASH_ATTN_EXT:
                return on_cache(op->src[1]) && supports_flash_attn(op);
            case GGML_OP_ROPE:
                return on_cache(op) && supports_rope_shift(op);
            default:
                return false;
        }
    } catch (...) {
        return false;
    }
}

bool device_supports_buft(ggml_backend_dev_t, ggml_backend_buffer_type_t buft) {
    return is_kvt_buffer_type(buft) || ggml_backend_buft_is_host(buft);
}

const ggml_backend_device_i kDeviceInterface = {
    /* .get_name             = */ device_get_name,
    /* .get_description      = */ device_get_description,
    /* .get_memory           = */ device_get_memory,
    /* .get_type             = */ device_get_type,
    /* .get_props            = */ device_get_props,
    /* .init_backend         = */ device_init_backend,
    /* .get_buffer_type      = */ device_get_buffer_type,
    /* .get_host_buffer_type = */ nullptr,
    /* .buffer_from_host_ptr = */ nullptr,
    /* .supports_op          = */ device_supports_op,
    /* .supports_buft        = */ device_supports_buft,
    /* .offload_op           = */ nullptr,
    /* .event_new            = */ nullptr,
    /* .event_free           = */ nullptr,
    /* .event_synchronize    = */ nullptr,
};

}  // namespace

ggml_backend_dev_t kvt_device(ggml_backend_reg_t reg) {
    static ggml_backend_device device = {kDeviceInterface, reg, nullptr};
    return &device;
}

}  // namespace kvt::plugin
