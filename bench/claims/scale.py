"""Larger models on paper: formulas, shares of the bandwidth out of docs/results/vs_peers.md, and what is measured on this machine."""
import math
from time import monotonic

from common import Table, machine

# layers, KV heads, head_dim, weights in GiB at about 4.5 bits, context of a sequence, slots
MODELS = {"8B at 128k": (32, 8, 128, 4.66, 131072, 1), "70B with 8 slots of 32k": (80, 8, 128, 39.6, 32768, 8)}
# effective bits at long contexts (head_dim 128), and the share of the read bandwidth that decode attention reaches (docs/results/vs_peers.md, kvtuner rows)
CACHES = {"f16": (16.0, 0.72), "kivi:KV8": (9.0, 0.70), "rotated:KV8": (8.13, 0.86), "rotated:KV4": (4.13, 0.50), "rotated, 3.25 payload bits": (3.38, 0.40)}
# `kvtuner tune`: two probes a layer and 30 other plans of 3 chunks of 512 tokens (docs/design/0006-allocation.md)
TOKENS_PER_PLAN, PROBES_PER_LAYER, OTHER_PLANS = 3 * 512, 2, 30
RESULT_BYTES = 4096  # one scored plan as a message: its pairs, the divergence of every chunk


def decode(bandwidth):
    rows = []
    for model, (layers, heads, dim, weights, context, slots) in MODELS.items():
        for cache, (bits, share) in CACHES.items():
            cells = context * slots
            size = 2 * layers * heads * dim * cells * bits / 8
            attention, rest = size / (share * bandwidth), weights * 2**30 / (0.7 * bandwidth)  # all slots read the weights once a step
            rows.append({"model": model, "cache": cache, "cache GiB": size / 2**30, "with weights GiB": size / 2**30 + weights,
                         "attention s per step": attention, "step s": attention + rest, "tokens a second, all slots": slots / (attention + rest)})
    return Table("scale-decode", "Decode of larger models, computed", rows,
                 [f"Read bandwidth {bandwidth / 1e9:.1f} GB/s (`kvtuner doctor`). Attention reads the whole cache at the share of the bandwidth measured in vs_peers.md, the weights "
                  "are read at 70 %. Full contexts. Where cache and weights do not fit into memory the plan breaks first: the column tells."])


def tuning(bench):
    """Cost of `kvtuner tune` on a 70B model: plans, and the seconds of one plan scaled by weights from the model at hand."""
    log = bench.keep("seconds-per-plan", lambda: seconds_per_plan(bench))
    layers, weights = MODELS["70B with 8 slots of 32k"][0], MODELS["70B with 8 slots of 32k"][3] * 2**30
    each = log["seconds"] * weights / log["weights"]
    plans = PROBES_PER_LAYER * layers + OTHER_PLANS
    rows = [{"workers": workers, "plans": plans, "hours on machines like this": math.ceil(plans / workers) * each / 3600, "KiB to the coordinator": plans * RESULT_BYTES / 1024,
             "GiB of a worker": weights / 2**30 + 2} for workers in (1, 8, 64, plans)]
    return Table("scale-tune", "Tuning a 70B model over MPI, computed", rows,
                 [f"One plan of {TOKENS_PER_PLAN} tokens took {log['seconds']:.1f} s on a model of {log['weights'] / 2**20:.0f} MiB; time grows with the bytes of the weights. "
                  "More workers than plans are idle: probes are independent, the dozen joint scores after them are not."])


def seconds_per_plan(bench):
    begin = monotonic()
    bench.kvtuner("eval", "kld", "-m", bench.model, "-c", 128 if bench.quick else 512, "--chunks", 3, "--no-floors", "--plan", "per-token:KV8")
    return {"seconds": (monotonic() - begin) / 2, "weights": bench.model.stat().st_size}  # the reference was run too


def tables(bench):
    return [decode(bench.keep("bandwidth", lambda: machine.bandwidth(bench.program))), tuning(bench)]
