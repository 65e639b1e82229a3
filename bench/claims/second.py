"""KLD of plans by a second implementation: model, formats and transforms in numpy (bench/second_implementation), written from their documents."""
from common import CHECK, Table, mean_kld

PLANS = ["per-token:KV8", "per-token:KV4", "kivi:KV8", "kivi:KV4", "kivi:K4V2", "rotated:KV8", "rotated:KV4", "rotated:KV3"]


class Base:
    """Tokens and log-probabilities of a file of llama-perplexity --kl-divergence-base."""

    def __init__(self, path):
        import numpy as np
        data = path.read_bytes()
        if data[:8] != b"_logits_":
            raise ValueError(f"{path} is no file of llama-perplexity --kl-divergence-base")
        self.n_ctx, self.n_vocab, n_chunk = (int(x) for x in np.frombuffer(data, np.int32, 3, 8))
        end = 20 + 4 * n_chunk * self.n_ctx
        self.tokens = np.frombuffer(data[20:end], np.int32).reshape(n_chunk, self.n_ctx).copy()
        width = 2 * ((self.n_vocab + 1) // 2) + 4
        rows = np.frombuffer(data[end:], np.uint16).reshape(n_chunk, -1, width)
        scale, least = (np.ascontiguousarray(rows[..., at : at + 2]).view(np.float32) for at in (0, 2))
        self.log_probabilities = rows[..., 4 : 4 + self.n_vocab] * scale + least


def measured(bench, plans):
    """Mean KLD of the plans from the same model's own f32 cache, and of that from llama.cpp's f16."""
    import numpy as np
    from second_implementation.cache import Cache
    from second_implementation.model import Model
    chunks, n_ctx = (2, 128) if bench.quick else (4, 512)
    file = bench.work / "second.base"
    bench.run([bench.llama / "build/bin/llama-perplexity", "-m", bench.model, "-f", CHECK, "-c", n_ctx, "--chunks", chunks, "-fa", "on", "--kl-divergence-base", file])
    base, model = Base(file), Model(bench.model)
    if model.bos is not None:  # llama-perplexity begins every chunk with it
        base.tokens[:, 0] = model.bos
    file.unlink()

    def log_softmax(x):
        x = x.astype(np.float64)
        x = x - x.max(-1, keepdims=True)
        return x - np.log(np.exp(x).sum(-1, keepdims=True))

    divergence = lambda p, q: float((np.exp(p) * (p - q)).sum(-1).mean())
    scored = slice(n_ctx // 2, n_ctx - 1)
    own = [log_softmax(model.forward(tokens)[scored]) for tokens in base.tokens]
    found = {"llama.cpp": sum(map(divergence, base.log_probabilities.astype(np.float64), own)) / chunks}
    for name, path in plans.items():
        cache = Cache(path)
        found[name] = sum(divergence(p, log_softmax(model.forward(tokens, cache)[scored])) for p, tokens in zip(own, base.tokens)) / chunks
    return found


def tables(bench):
    plans = {form: bench.plan(f"second-{form.replace(':', '-')}", form) for form in (PLANS[::3] if bench.quick else PLANS)}
    second = bench.keep("second", lambda: measured(bench, plans))
    ours, floor = bench.kld("second-kld", plans.values(), "--text", CHECK, chunks=4)
    rows = [{"plan": form, "kvtuner": mean_kld(plan), "less the noise floor": mean_kld(plan) - floor, "second implementation": second[form]}
            for form, plan in zip(plans, ours)]
    return [Table("second", "KLD from 16 bits by two implementations", rows,
                  [f"The same chunks. The second one computes model and attention in f32 and has no noise floor; kvtuner's is {floor:.4f}. Its unquantized model is "
                   f"{second['llama.cpp']:.4f} from llama.cpp's f16: llama.cpp rounds activations to 8 bits.",
                   "It rounds no queries to integers, as the kernels do (docs/design/0004-integer-attention.md)."])]
