"""A llama or qwen2 model in numpy, read from a GGUF file: the second implementation that numbers of kvtuner are held against."""
import gguf
import numpy as np


class Model:
    """Weights as f32. `forward(tokens, cache)`: logits [n, n_vocab]; `cache(layer, k, v)` gets and returns K (after RoPE) and V, [n, heads, head_dim]."""

    def __init__(self, path):
        reader = gguf.GGUFReader(path)
        field = lambda name: reader.fields[name].contents() if name in reader.fields else None
        arch = field("general.architecture")
        if arch not in ("llama", "qwen2"):
            raise ValueError(f"{path}: architecture {arch} is not llama or qwen2")
        self.n_layer, self.n_heads = field(f"{arch}.block_count"), field(f"{arch}.attention.head_count")
        self.n_kv = field(f"{arch}.attention.head_count_kv") or self.n_heads
        self.epsilon, self.base = field(f"{arch}.attention.layer_norm_rms_epsilon"), field(f"{arch}.rope.freq_base") or 10000.0
        adds_bos = field("tokenizer.ggml.add_bos_token")
        if adds_bos is None:  # what llama.cpp takes for granted
            adds_bos = field("tokenizer.ggml.model") == "llama"
        self.bos = field("tokenizer.ggml.bos_token_id") if adds_bos else None
        self.neox = arch == "qwen2"  # halves are rotated, not neighbours
        self.weights = {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32) for t in reader.tensors}
        self.dim = self.weights["blk.0.attn_q.weight"].shape[0] // self.n_heads

    def linear(self, name, x):
        y = x @ self.weights[f"{name}.weight"].T
        return y + self.weights[f"{name}.bias"] if f"{name}.bias" in self.weights else y

    def norm(self, name, x):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.epsilon) * self.weights[f"{name}.weight"]

    def rope(self, x):
        n, _, dim = x.shape
        angles = np.arange(n)[:, None] * self.base ** (-np.arange(0, dim, 2) / dim)
        cos, sin = (f(angles).astype(np.float32)[:, None] for f in (np.cos, np.sin))
        first, second = (x[..., : dim // 2], x[..., dim // 2 :]) if self.neox else (x[..., ::2], x[..., 1::2])
        a, b = first * cos - second * sin, first * sin + second * cos
        return np.concatenate([a, b], -1) if self.neox else np.stack([a, b], -1).reshape(x.shape)

    def attention(self, name, layer, x, cache):
        n, shape = len(x), (len(x), -1, self.dim)
        q, k, v = (self.linear(f"{name}.attn_{part}", x).reshape(shape) for part in "qkv")
        k, v = cache(layer, self.rope(k), v)
        q = self.rope(q).reshape(n, self.n_kv, -1, self.dim)
        logits = np.einsum("nhgd,mhd->hgnm", q, k) / np.sqrt(self.dim)
        logits += np.triu(np.full((n, n), -np.inf, np.float32), 1)
        weights = np.exp(logits - logits.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        return self.linear(f"{name}.attn_output", np.einsum("hgnm,mhd->nhgd", weights, v).reshape(n, -1))

    def forward(self, tokens, cache=lambda layer, k, v: (k, v)):
        x = self.weights["token_embd.weight"][tokens]
        for layer in range(self.n_layer):
            name = f"blk.{layer}"
            x = x + self.attention(name, layer, self.norm(f"{name}.attn_norm", x), cache)
            h = self.norm(f"{name}.ffn_norm", x)
            gate = self.linear(f"{name}.ffn_gate", h)
            x = x + self.linear(f"{name}.ffn_down", gate / (1 + np.exp(-gate)) * self.linear(f"{name}.ffn_up", h))
        output = "output" if "output.weight" in self.weights else "token_embd"
        return self.linear(output, self.norm("output_norm", x))
