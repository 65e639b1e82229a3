#include "kvt/ggml_plugin/backend.h"

#include <algorithm>
#include <exception>
#include <new>
#include <utility>

#include <fmt/format.h>
#include <omp.h>

#include "ggml-backend-impl.h"
#include "ggml-impl.h"
#include "kvt/ggml_plugin/cache_tensor.h"
#include "kvt/ggml_plugin/ops.h"
#include "kvt/ggml_plugin/plugin_state.h"

namespace kvt::plugin {

namespace {

struct backend_context {
    int        n_threads = omp_get_max_threads();
    bool       used      = false;  // some graph had an op for this device
    int        n_graphs  = 0;      // until then
    op_scratch scratch;
};

backend_context * context_of(ggml_backend_t backend) { return static_cast<backend_context *>(backend->context); }

const char * backend_get_name(ggml_backend_t) { return "KVT0"; }

void backend_free(ggml_backend_t backend) {
    delete context_of(backend);
    delete backend;
}

Status compute_node(const ggml_tensor * node, backend_context & context) {
    switch (node->op) {
        case GGML_OP_NONE:
        case GGML_OP_VIEW:
        case GGML_OP_RESHAPE:
        case GGML_OP_PERMUTE:
        case GGML_OP_TRANSPOSE:
            return ok_status();
        case GGML_OP_SET_ROWS:
            return compute_set_rows(node, context.scratch);
        case GGML_OP_FLASH_ATTN_EXT:
            return compute_flash_attn(node, context.n_threads, context.scratch);
        case GGML_OP_ROPE:
            return compute_rope_shift(node, context.n_threads, context.scratch);
        default:
            return Error{fmt::format("op {} is not supported", ggml_op_name(node->op))};
    }
}

// A host may put the cache of some layers elsewhere, where no plan applies. Its answers are right, but not what was asked for.
void warn_of_missing_layers(const ggml_cgraph & graph) {
    const cache_tensor * cache = nullptr;
    for (int i = 0; i < graph.n_nodes && cache == nullptr; ++i) cache = cache_tensor_of(graph.nodes[i]);
    if (cache == nullptr || !cache->source->plan) return;
    const std::vector<LayerPlan> & layers = cache->source->plan->layers;
    const auto                     here =
        std::count_if(layers.begin(), layers.end(), [&](const LayerPlan & l) { return layer_is_here(*cache->source, l.layer); });
    if (here == static_cast<std::ptrdiff_t>(layers.size())) return;
    fail(fmt::format(
        "the cache of {} of {} layers is not on this device, so the plan does not apply to it: -ngl must cover all layers",
        static_cast<std::ptrdiff_t>(layers.size()) - here, layers.size()));
}

ggml_status backend_graph_compute(ggml_backend_t backend, ggml_cgraph * graph) {
    try {
        if (!std::exchange(context_of(backend)->used, true)) warn_of_missing_layers(*graph);
        for (int i = 0; i < graph->n_nodes; ++i) {
            const bool wanted = (graph->nodes[i]->flags & GGML_TENSOR_FLAG_COMPUTE) != 0;
            if (!wanted || ggml_is_empty(graph->nodes[i])) continue;
            const Status status = compute_node(graph->nodes[i], *context_of(backend));
            if (!status.ok()) {
                fail(status.error().message);
                return GGML_STATUS_FAILED;
            }
        }
        return GGML_STATUS_SUCCESS;
    } catch (const std::bad_alloc &) {
        fail("out of memory");
        return GGML_STATUS_ALLOC_FAILED;
    } catch (const std::exception & e) {
        fail(e.what());
        return GGML_STATUS_ALLOC_FAILED;
    }
}

const ggml_backend_i kBackendInterface = {
    /* .get_name            = */ backend_get_name,
    /* .free                = */ backend_free,
    /* .set_tensor_async    = */ nullptr,
    /* .get_tensor_async    = */ nullptr,
    /* .set_tensor_2d_async = */ nullptr,
    /* .get_tensor_2d_async = */ nullptr,
    /* .cpy_tensor_async    = */ nullptr,
    /* .synchronize         = */ nullptr,
    /* .graph_plan_create   = */ nullptr,
    /* .graph_plan_free     = */ nullptr,
    /* .graph_plan_update   = */ nullptr,
    /* .graph_plan_compute  = */ nullptr,
    /* .graph_compute       = */ backend_graph_compute,
    /* .event_record        = */ nullptr,
    /* .event_wait          = */ nullptr,
    /* .graph_optimize      = */ nullptr,
};

ggml_guid_t backend_guid() {
    static ggml_guid guid = {0x6b, 0x76, 0x74, 0x75, 0x6e, 0x65, 0x72, 0x2d, 0x70, 0x6c, 0x75, 0x67, 0x69, 0x6e, 0x2d, 0x30};
    return &guid;
}

}  // namespace

ggml_backend_t kvt_backend_init(ggml_backend_dev_t device) {
    try {
        return new ggml_backend{backend_guid(), kBackendInterface, device, new backend_context};
    } catch (const std::exception & e) {
        fail(e.what());
        return nullptr;
    }
}

// The host calls this before every graph, whether this device has a part in it or not.
void kvt_backend_set_n_threads(ggml_backend_t backend, int n_threads) {
    backend_context & context = *context_of(backend);
    context.n_threads         = n_threads > 0 ? n_threads : 1;
    if (!context.used && ++context.n_graphs == 2)
        fail(
            "the KV cache is not on this device, so the plan does not apply: -ngl must cover all layers, and --no-kv-offload "
            "must "
            "not be given");
}

}  // namespace kvt::plugin
