"""Writes GGUF models of a few layers with random weights, one for each kind of attention. The vocabulary is that of another model.

What they say makes no sense, but stock llama.cpp computes it, so a cache can be held against it. Queries and keys are large enough
for attention to be peaked: a wrong cap, bias or window then changes the logits.
"""
import array
import random
import struct

from gguf_edit import Reader, encode, string

EMBD, FF, LAYERS, HEADS = 128, 128, 2, 4


def _tokenizer(source):
    """Encoded pairs tokenizer.* of a model, and the number of its tokens."""
    with open(source, "rb") as f:
        found = Reader(f.read()).head()[3]
    pairs = {key: value for key, value in found.items() if key.startswith("tokenizer.")}
    return pairs, struct.unpack_from("<IQ", pairs["tokenizer.ggml.tokens"][1])[1]


class Model:
    def __init__(self, architecture, vocabulary, **pairs):
        self.architecture, self.random, self.tensors = architecture, random.Random(architecture), []
        self.pairs, self.n_vocab = _tokenizer(vocabulary)
        self.pairs["general.architecture"] = encode(architecture)
        self.set(**{"block_count": LAYERS, "context_length": 4096, "embedding_length": EMBD, "feed_forward_length": FF,
                    "attention.head_count": HEADS, "vocab_size": self.n_vocab, **pairs})

    def set(self, **pairs):
        self.pairs.update({f"{self.architecture}.{key}": encode(value) for key, value in pairs.items()})

    def add(self, name, *shape, size=1.0):
        """A tensor with its fastest dimension first: `size` (norms) if it has one dimension and ends in weight, else random."""
        n = 1
        for extent in shape:
            n *= extent
        if len(shape) == 1 and name.endswith("norm.weight"):
            values = array.array("f", [size]) * n
        else:
            width = size * (3.0 / shape[0]) ** 0.5 if len(shape) > 1 else 0.1 * size
            values = array.array("f", (self.random.uniform(-width, width) for _ in range(n)))
        self.tensors.append((name, shape, values.tobytes()))

    def frame(self, *, output_norm="output_norm", bias=False):
        self.add("token_embd.weight", EMBD, self.n_vocab, size=12.0)
        self.norm(output_norm, bias)
        self.add("output.weight", EMBD, self.n_vocab, size=2.0)

    def norm(self, name, bias=False, n=EMBD, size=1.0):
        self.add(f"{name}.weight", n, size=size)
        if bias:
            self.add(f"{name}.bias", n)

    def attention(self, block, kv_heads, dk, dv, heads=HEADS):
        self.add(f"{block}.attn_q.weight", EMBD, heads * dk, size=2.0)
        self.add(f"{block}.attn_k.weight", EMBD, kv_heads * dk, size=2.0)
        self.add(f"{block}.attn_v.weight", EMBD, kv_heads * dv)
        self.add(f"{block}.attn_output.weight", heads * dv, EMBD, size=2.0)

    def feed_forward(self, block, gate=True, bias=False):
        if gate:
            self.add(f"{block}.ffn_gate.weight", EMBD, FF)
        self.add(f"{block}.ffn_up.weight", EMBD, FF)
        self.add(f"{block}.ffn_down.weight", FF, EMBD)
        if bias:
            self.add(f"{block}.ffn_up.bias", FF)
            self.add(f"{block}.ffn_down.bias", EMBD)

    def write(self, path):
        head = struct.pack("<IIQQ", 0x46554747, 3, len(self.tensors), len(self.pairs))
        for key, (kind, value) in self.pairs.items():
            head += string(key.encode()) + struct.pack("<I", kind) + value
        at, weights = 0, b""
        for name, shape, values in self.tensors:
            head += string(name.encode()) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, at)
            values += b"\0" * (-len(values) % 32)
            weights += values
            at += len(values)
        with open(path, "wb") as f:
            f.write(head + b"\0" * (-len(head) % 32) + weights)


def _rms(model):
    model.set(**{"attention.layer_norm_rms_epsilon": 1e-5})


def llama(vocabulary, kv_heads=2, dk=64, dv=64, architecture="llama", **pairs):
    """Also for architectures that add to it by `pairs` only."""
    m = Model(architecture, vocabulary, **{"attention.head_count_kv": kv_heads, "attention.key_length": dk, "attention.value_length": dv,
                                           "rope.dimension_count": dk, **pairs})
    _rms(m)
    m.frame()
    for i in range(LAYERS):
        b = f"blk.{i}"
        m.norm(f"{b}.attn_norm")
        m.attention(b, kv_heads, dk, dv)
        m.norm(f"{b}.ffn_norm")
        m.feed_forward(b)
    return m


def sinks(vocabulary):
    m = llama(vocabulary, architecture="granite_swa", logit_scale=1.0,
              **{"attention.sliding_window": 48, "attention.sliding_window_pattern": [True, False]})
    for i in range(LAYERS):
        m.add(f"blk.{i}.attn_sinks.weight", HEADS, size=20.0)
    return m


def gemma2(vocabulary, cap=6.0):
    m = Model("gemma2", vocabulary, **{"attention.head_count_kv": 2, "attention.key_length": 64, "attention.value_length": 64,
                                       "attention.sliding_window": 48, "attn_logit_softcapping": cap, "final_logit_softcapping": 30.0})
    _rms(m)
    m.add("token_embd.weight", EMBD, m.n_vocab, size=2.0)
    m.norm("output_norm")
    for i in range(LAYERS):
        b = f"blk.{i}"
        for norm in ("attn_norm", "ffn_norm", "post_ffw_norm"):
            m.norm(f"{b}.{norm}")
        m.norm(f"{b}.post_attention_norm", size=8.0)  # else the token's own embedding, which is also the output's, decides alone
        m.attention(b, 2, 64, 64)
        m.feed_forward(b)
    return m


def bloom(vocabulary):
    """ALiBi, with a number of heads that is a power of two."""
    m = Model("bloom", vocabulary, **{"attention.head_count_kv": HEADS, "attention.layer_norm_epsilon": 1e-5})
    m.frame(bias=True)
    m.norm("token_embd_norm", True)
    for i in range(LAYERS):
        b = f"blk.{i}"
        m.norm(f"{b}.attn_norm", True)
        m.add(f"{b}.attn_qkv.weight", EMBD, 3 * EMBD, size=2.0)
        m.add(f"{b}.attn_qkv.bias", 3 * EMBD)
        m.add(f"{b}.attn_output.weight", EMBD, EMBD, size=2.0)
        m.add(f"{b}.attn_output.bias", EMBD)
        m.norm(f"{b}.ffn_norm", True)
        m.feed_forward(b, gate=False, bias=True)
    return m


def bert(vocabulary):
    """An encoder: attention in both directions, no cache, embeddings for output."""
    m = Model("bert", vocabulary, **{"attention.layer_norm_epsilon": 1e-5, "attention.causal": False, "context_length": 512, "pooling_type": 1})
    m.pairs["tokenizer.ggml.token_type_count"] = encode(2)
    m.add("token_embd.weight", EMBD, m.n_vocab, size=2.0)
    m.add("token_types.weight", EMBD, 2)
    m.add("position_embd.weight", EMBD, 512)
    m.norm("token_embd_norm", True)
    for i in range(LAYERS):
        b = f"blk.{i}"
        m.attention(b, HEADS, EMBD // HEADS, EMBD // HEADS)
        m.norm(f"{b}.attn_output_norm", True)
        m.feed_forward(b, gate=False, bias=True)
        m.norm(f"{b}.layer_output_norm", True)
    return m


def deepseek2(vocabulary, latent=True, lora=64, rope=32, nope=64, dv=64):
    """MLA, `latent`: one latent cache for all heads, V a view of it; else unpacked keys of nope + rope and values of dv elements."""
    sizes = {"attention.head_count_kv": 1, "attention.key_length": lora + rope, "attention.value_length": lora,
             "attention.key_length_mla": nope + rope, "attention.value_length_mla": dv}
    if not latent:
        sizes = {"attention.head_count_kv": HEADS, "attention.key_length": nope + rope, "attention.value_length": dv}
    m = Model("deepseek2", vocabulary,
              **{**sizes, "attention.q_lora_rank": 64, "attention.kv_lora_rank": lora, "rope.dimension_count": rope,
                 "leading_dense_block_count": LAYERS, "expert_feed_forward_length": FF, "expert_shared_count": 1, "expert_count": 1,
                 "expert_used_count": 1})
    _rms(m)
    m.frame()
    for i in range(LAYERS):
        b = f"blk.{i}"
        m.norm(f"{b}.attn_norm")
        m.norm(f"{b}.attn_q_a_norm", n=64)
        m.norm(f"{b}.attn_kv_a_norm", n=lora)
        m.add(f"{b}.attn_q_a.weight", EMBD, 64)
        m.add(f"{b}.attn_q_b.weight", 64, HEADS * (nope + rope), size=2.0)
        m.add(f"{b}.attn_kv_a_mqa.weight", EMBD, lora + rope)
        if latent:
            m.add(f"{b}.attn_k_b.weight", nope, lora, HEADS)
            m.add(f"{b}.attn_v_b.weight", lora, dv, HEADS)
        else:
            m.add(f"{b}.attn_kv_b.weight", lora, HEADS * (nope + dv))
        m.add(f"{b}.attn_output.weight", HEADS * dv, EMBD, size=2.0)
        m.norm(f"{b}.ffn_norm")
        m.feed_forward(b)
    return m


def lfm2(vocabulary):
    """Hybrid: the first layer is a short convolution without a KV cache."""
    m = Model("lfm2", vocabulary, **{"attention.head_count_kv": [0, 2], "attention.key_length": 32, "attention.value_length": 32,
                                     "rope.dimension_count": 32, "shortconv.l_cache": 3})
    _rms(m)
    m.frame(output_norm="token_embd_norm")
    for i in range(LAYERS):
        b = f"blk.{i}"
        m.norm(f"{b}.attn_norm")
        if i == 0:
            m.add(f"{b}.shortconv.conv.weight", 3, EMBD)
            m.add(f"{b}.shortconv.in_proj.weight", EMBD, 3 * EMBD)
            m.add(f"{b}.shortconv.out_proj.weight", EMBD, EMBD)
        else:
            m.attention(b, 2, 32, 32)
            m.norm(f"{b}.attn_q_norm", n=32)
            m.norm(f"{b}.attn_k_norm", n=32)
        m.norm(f"{b}.ffn_norm")
        m.feed_forward(b)
    return m
