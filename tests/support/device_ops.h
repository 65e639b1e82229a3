// The KV cache of some layers on a ggml device and the two ops on it, as llama.cpp builds them: rows stored, attention on the
// cells. For benchmarks and for tests that want nothing else of llama.cpp around the ops.
#pragma once

#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml.h>

#include "kvt/base/rng.h"

namespace kvt::testing {

// --- Interface ---

struct DeviceShape {
    int       n_layers = 1, n_heads = 4, n_kv_heads = 1, head_dim = 64;
    int64_t   n_cells   = 256;  // of one stream
    int       n_streams = 1;
    ggml_type type      = GGML_TYPE_F16;
};

struct GgmlFree {
    void operator()(ggml_context * c) const { ggml_free(c); }
    void operator()(ggml_backend_buffer * b) const { ggml_backend_buffer_free(b); }
    void operator()(ggml_backend * b) const { ggml_backend_free(b); }
};

// A graph that is ready to run: its inputs hold random numbers, its ops are of one device.
class DeviceGraph {
public:
    void run(ggml_backend_t backend) const {
        if (ggml_backend_graph_compute(backend, graph_) != GGML_STATUS_SUCCESS) throw std::runtime_error("the device refused");
    }
    const std::vector<ggml_tensor *> & outputs() const { return outputs_; }
    size_t bytes() const { return ggml_backend_buffer_get_size(memory_.get()); }  // of inputs and outputs

private:
    friend class DeviceCache;
    std::unique_ptr<ggml_context, GgmlFree>        context_;
    std::unique_ptr<ggml_backend_buffer, GgmlFree> memory_;
    ggml_cgraph *                                  graph_ = nullptr;
    std::vector<ggml_tensor *>                     outputs_;
};

// Throws std::runtime_error with the reason for whatever the device does not do.
class DeviceCache {
public:
    DeviceCache(ggml_backend_dev_t device, const DeviceShape & shape, int n_threads) : shape_(shape), device_(device) {
        backend_.reset(ggml_backend_dev_init(device, nullptr));
        if (!backend_) throw std::runtime_error("the device gives no backend");
        using SetThreads       = void (*)(ggml_backend_t, int);
        const auto set_threads = reinterpret_cast<SetThreads>(
            ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(device), "ggml_backend_set_n_threads"));
        if (set_threads != nullptr) set_threads(backend_.get(), n_threads);
        context_.reset(ggml_init({ggml_tensor_overhead() * 2 * static_cast<size_t>(shape.n_layers), nullptr, true}));
        for (int l = 0; l < shape.n_layers; ++l) {
            for (const char side : {'k', 'v'}) {
                ggml_tensor * t = ggml_new_tensor_3d(context_.get(), shape.type, row(), shape.n_cells, shape.n_streams);
                ggml_set_name(t, (std::string("cache_") + side + "_l" + std::to_string(l)).c_str());
                tensors_.push_back(t);
            }
        }
        memory_.reset(ggml_backend_alloc_ctx_tensors_from_buft(context_.get(), ggml_backend_dev_buffer_type(device)));
        if (!memory_) throw std::runtime_error("the device gives no memory for the cache");
        ggml_backend_buffer_clear(memory_.get(), 0);
    }

    ggml_backend_t backend() const { return backend_.get(); }
    size_t         bytes() const { return ggml_backend_buffer_get_size(memory_.get()); }

    // Stores random rows into n cells of every stream, in all layers; which ones is said later.
    DeviceGraph write_graph(int64_t n) {
        DeviceGraph    g   = new_graph();
        ggml_context * c   = g.context_.get();
        cells_             = ggml_new_tensor_1d(c, GGML_TYPE_I64, n * shape_.n_streams);
        ggml_tensor * rows = ggml_new_tensor_2d(c, GGML_TYPE_F32, row(), n * shape_.n_streams);
        for (ggml_tensor * t : tensors_) {
            ggml_tensor * flat = ggml_reshape_2d(c, t, row(), shape_.n_cells * shape_.n_streams);
            g.outputs_.push_back(ggml_set_rows(c, flat, rows, cells_));
        }
        finish(g);
        fill(rows);
        return g;
    }

    // The cells that the newest write graph stores into: first_cell on in every stream.
    void aim(int64_t first_cell) const {
        auto *        out = static_cast<int64_t *>(cells_->data);
        const int64_t n   = cells_->ne[0] / shape_.n_streams;
        for (int64_t s = 0; s < shape_.n_streams; ++s) {
            for (int64_t i = 0; i < n; ++i) *out++ = s * shape_.n_cells + first_cell + i;
        }
    }

    // Attention of one query in every stream on its first n_kv cells, one layer after the other.
    DeviceGraph attention_graph(int64_t n_kv) {
        DeviceGraph    g    = new_graph();
        ggml_context * c    = g.context_.get();
        ggml_tensor *  q    = ggml_new_tensor_4d(c, GGML_TYPE_F32, shape_.head_dim, 1, shape_.n_heads, shape_.n_streams);
        ggml_tensor *  mask = ggml_new_tensor_4d(c, GGML_TYPE_F16, n_kv, 1, 1, shape_.n_streams);
        for (size_t l = 0; l < tensors_.size(); l += 2) {
            ggml_tensor * out = ggml_flash_attn_ext(c, q, view(c, tensors_[l], n_kv), view(c, tensors_[l + 1], n_kv), mask,
                                                    1.0f / 16.0f, 0.0f, 0.0f);
            if (!ggml_prec_set_acc(out, GGML_PREC_F32)) throw std::runtime_error("attention takes no precision");
            g.outputs_.push_back(out);
        }
        finish(g);
        fill(q);
        std::memset(mask->data, 0, ggml_nbytes(mask));
        return g;
    }

private:
    int64_t row() const { return int64_t{shape_.n_kv_heads} * shape_.head_dim; }

    DeviceGraph new_graph() const {
        DeviceGraph  g;
        const size_t n = 16 + 8 * tensors_.size();
        g.context_.reset(ggml_init({ggml_tensor_overhead() * n + ggml_graph_overhead_custom(n, false), nullptr, true}));
        g.graph_ = ggml_new_graph_custom(g.context_.get(), n, false);
        return g;
    }

    // [head_dim, n_kv, n_kv_heads, n_streams]
    ggml_tensor * view(ggml_context * c, ggml_tensor * t, int64_t n_kv) const {
        const size_t  head = ggml_row_size(t->type, shape_.head_dim);
        ggml_tensor * v =
            ggml_view_4d(c, t, shape_.head_dim, shape_.n_kv_heads, n_kv, shape_.n_streams, head, t->nb[1], t->nb[2], 0);
        return ggml_permute(c, v, 0, 2, 1, 3);
    }

    // Memory for inputs and outputs; as llama.cpp's scheduler does, the device is asked whether it takes every op.
    void finish(DeviceGraph & g) const {
        for (ggml_tensor * t : g.outputs_) ggml_build_forward_expand(g.graph_, t);
        g.memory_.reset(ggml_backend_alloc_ctx_tensors_from_buft(g.context_.get(), ggml_backend_cpu_buffer_type()));
        if (!g.memory_) throw std::runtime_error("no memory for the graph");
        for (const ggml_tensor * t : g.outputs_) {
            if (!ggml_backend_dev_supports_op(device_, t))
                throw std::runtime_error(std::string(ggml_op_name(t->op)) + " is not supported");
        }
    }

    void fill(ggml_tensor * t) {
        auto * x = static_cast<float *>(t->data);
        for (int64_t i = 0; i < ggml_nelements(t); ++i) x[i] = static_cast<float>(rng_.uniform() - 0.5);
    }

    DeviceShape                                    shape_;
    ggml_backend_dev_t                             device_;
    std::unique_ptr<ggml_backend, GgmlFree>        backend_;
    std::unique_ptr<ggml_context, GgmlFree>        context_;
    std::unique_ptr<ggml_backend_buffer, GgmlFree> memory_;
    std::vector<ggml_tensor *>                     tensors_;  // K and V of layer 0, of layer 1, ...
    ggml_tensor *                                  cells_ = nullptr;
    SplitMix64                                     rng_{1};
};

}  // namespace kvt::testing
