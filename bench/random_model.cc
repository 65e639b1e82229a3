// Writes a GGUF model of the llama architecture with random weights, for benchmarks: speed depends on shapes, not on values.
//
//   random_model OUT.gguf --vocab FILE.gguf [--layers 2 --embd 4096 --ff 14336 --heads 32 --kv-heads 8 --head-dim 128 --type
//   q4_0]
// The default shape is Llama-3.1-8B's with 2 of its 32 layers. The vocabulary is copied from another model.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <ggml.h>
#include <gguf.h>

#include "kvt/base/rng.h"

namespace {

struct Shape {
    std::string out, vocab, type = "q4_0";
    int         layers = 2, embd = 4096, ff = 14336, heads = 32, kv_heads = 8, head_dim = 128;
};

struct GgufDeleter {
    void operator()(gguf_context * c) const { gguf_free(c); }
};
struct GgmlDeleter {
    void operator()(ggml_context * c) const { ggml_free(c); }
};

class Writer {
public:
    explicit Writer(const Shape & shape) : shape_(shape), gguf_(gguf_init_empty()) {
        ggml_.reset(ggml_init({ggml_tensor_overhead() * size_t(16 + 10 * shape.layers), nullptr, true}));
    }

    // n_rows 0: a vector of ones (norm weights).
    void add(const std::string & name, int64_t n, int64_t n_rows) {
        const ggml_type type = n_rows == 0 ? GGML_TYPE_F32 : type_of(shape_.type);
        ggml_tensor *   tensor =
            n_rows == 0 ? ggml_new_tensor_1d(ggml_.get(), type, n) : ggml_new_tensor_2d(ggml_.get(), type, n, n_rows);
        ggml_set_name(tensor, name.c_str());
        data_.emplace_back(ggml_nbytes(tensor));
        tensor->data = data_.back().data();
        std::vector<float> row(static_cast<size_t>(n), 1.0f);
        for (int64_t r = 0; r < (n_rows == 0 ? 1 : n_rows); ++r) {
            // Sum of four uniforms: near normal, variance 1/3 corrected to 1 / n as trained weights have.
            const float size = std::sqrt(3.0f / static_cast<float>(n));
            for (float & x : row) {
                if (n_rows != 0)
                    x = size * static_cast<float>(rng_.uniform() + rng_.uniform() + rng_.uniform() + rng_.uniform() - 2.0);
            }
            ggml_quantize_chunk(type, row.data(), static_cast<char *>(tensor->data) + static_cast<size_t>(r) * tensor->nb[1], 0,
                                1, n, nullptr);
        }
        gguf_add_tensor(gguf_.get(), tensor);
    }

    bool write() {
        const std::unique_ptr<gguf_context, GgufDeleter> vocab(gguf_init_from_file(shape_.vocab.c_str(), {true, nullptr}));
        if (!vocab) {
            std::fprintf(stderr, "random_model: error: cannot read the vocabulary of %s\n", shape_.vocab.c_str());
            return false;
        }
        const int64_t tokens = gguf_find_key(vocab.get(), "tokenizer.ggml.tokens");
        if (tokens < 0) {
            std::fprintf(stderr, "random_model: error: %s holds no vocabulary\n", shape_.vocab.c_str());
            return false;
        }
        const auto n_vocab = static_cast<int64_t>(gguf_get_arr_n(vocab.get(), tokens));
        gguf_set_kv(gguf_.get(), vocab.get());
        gguf_set_val_str(gguf_.get(), "general.architecture", "llama");
        gguf_set_val_str(gguf_.get(), "general.name", "random");
        const auto number = [&](const char * key, int value) {
            gguf_set_val_u32(gguf_.get(), key, static_cast<uint32_t>(value));
        };
        number("llama.block_count", shape_.layers);
        number("llama.context_length", 1 << 20);
        number("llama.embedding_length", shape_.embd);
        number("llama.feed_forward_length", shape_.ff);
        number("llama.attention.head_count", shape_.heads);
        number("llama.attention.head_count_kv", shape_.kv_heads);
        number("llama.attention.key_length", shape_.head_dim);
        number("llama.attention.value_length", shape_.head_dim);
        number("llama.rope.dimension_count", shape_.head_dim);
        number("llama.vocab_size", static_cast<int>(n_vocab));
        gguf_set_val_f32(gguf_.get(), "llama.rope.freq_base", 500000.0f);
        gguf_set_val_f32(gguf_.get(), "llama.attention.layer_norm_rms_epsilon", 1e-5f);
        add("token_embd.weight", shape_.embd, n_vocab);
        add("output_norm.weight", shape_.embd, 0);
        add("output.weight", shape_.embd, n_vocab);
        const int64_t n_q = int64_t{shape_.heads} * shape_.head_dim, n_kv = int64_t{shape_.kv_heads} * shape_.head_dim;
        for (int l = 0; l < shape_.layers; ++l) {
            const std::string b = "blk." + std::to_string(l) + ".";
            add(b + "attn_norm.weight", shape_.embd, 0);
            add(b + "attn_q.weight", shape_.embd, n_q);
            add(b + "attn_k.weight", shape_.embd, n_kv);
            add(b + "attn_v.weight", shape_.embd, n_kv);
            add(b + "attn_output.weight", n_q, shape_.embd);
            add(b + "ffn_norm.weight", shape_.embd, 0);
            add(b + "ffn_gate.weight", shape_.embd, shape_.ff);
            add(b + "ffn_up.weight", shape_.embd, shape_.ff);
            add(b + "ffn_down.weight", shape_.ff, shape_.embd);
        }
        return gguf_write_to_file(gguf_.get(), shape_.out.c_str(), false);
    }

    static ggml_type type_of(const std::string & name) {
        for (int t = 0; t < GGML_TYPE_COUNT; ++t) {
            const char * known = ggml_type_name(static_cast<ggml_type>(t));
            if (known != nullptr && name == known) return static_cast<ggml_type>(t);
        }
        return GGML_TYPE_COUNT;
    }

private:
    Shape                                      shape_;
    std::unique_ptr<gguf_context, GgufDeleter> gguf_;
    std::unique_ptr<ggml_context, GgmlDeleter> ggml_;
    std::vector<std::vector<uint8_t>>          data_;
    kvt::SplitMix64                            rng_{42};
};

}  // namespace

int main(int argc, char ** argv) {
    Shape    s;
    CLI::App app("Writes a GGUF model of the llama architecture with random weights, for benchmarks");
    app.add_option("out", s.out, "File to write")->required();
    app.add_option("--vocab", s.vocab, "GGUF model whose vocabulary is copied")->required();
    app.add_option("--layers", s.layers)->check(CLI::Range(1, 1000))->capture_default_str();
    app.add_option("--embd", s.embd)->check(CLI::Range(32, 1 << 20))->capture_default_str();
    app.add_option("--ff", s.ff)->check(CLI::Range(32, 1 << 20))->capture_default_str();
    app.add_option("--heads", s.heads)->check(CLI::Range(1, 1024))->capture_default_str();
    app.add_option("--kv-heads", s.kv_heads)->check(CLI::Range(1, 1024))->capture_default_str();
    app.add_option("--head-dim", s.head_dim)->check(CLI::Range(32, 1024))->capture_default_str();
    app.add_option("--type", s.type, "ggml type of the weights")->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    if (Writer::type_of(s.type) == GGML_TYPE_COUNT) {
        std::fprintf(stderr, "random_model: error: unknown type %s (for example q4_0, q8_0, f16)\n", s.type.c_str());
        return 1;
    }
    if (!Writer(s).write()) {
        std::fprintf(stderr, "random_model: error: %s was not written\n", s.out.c_str());
        return 1;
    }
    return 0;
}
