"""Throughput of a plan of 3.25 payload bits against KIVI at 8 bits and f16, end to end in one program, by depth."""
import json

from common import Table, verdict
from memory import big_model

PAPER_GAIN = 21.25  # percent more tokens a second, C3.25 against KIVI-KV8 (KVTuner, ICML 2025)
MIXED = "mixed, 3.25 payload bits"


def mixed_plan(bench, model):
    """Every fourth layer KV4, the others K4V2: 3.25 payload bits, as the paper's plan for Llama-3.1-8B has."""
    path = bench.work / "mixed.json"
    if not path.exists():
        n_layer = json.loads(bench.kvtuner("plan", "show", "f16", "-m", model, "--json"))["model"]["n_layer"]
        recipe = bench.work / "mixed.yaml"
        recipe.write_text("".join(f"{layer}:\n  nbits_key: 4\n  nbits_value: {4 if layer % 4 == 0 else 2}\n" for layer in range(n_layer)))
        bench.kvtuner("import", recipe, "--from", "kvtuner-yaml", "-m", model, "-o", path, "--mode", "kivi")
    return path


def tables(bench):
    model = big_model(bench)
    depths = "0,256" if bench.quick else "0,4096,16384,32768"
    names = {str(mixed_plan(bench, model)): MIXED}
    found = bench.keep("speed", lambda: json.loads(bench.kvtuner("bench", "-m", model, "--plan", mixed_plan(bench, model), "--plan", "kivi:KV8", "--plan", "kivi:KV4",
                                                                "--depth", depths, "--reps", 1 if bench.quick else 3, "-t", bench.threads, "--json")))
    rows = [{"cache": names.get(r["plan"], r["plan"]), "depth": r["depth"], "generation t/s": r["generation"]["median"], "of f16": r["generation"]["ratio_to_f16"],
             "prefill t/s": r["prefill"]["median"], "prefill, of f16": r["prefill"]["ratio_to_f16"]} for r in found["rows"]]
    at = {(r["cache"], r["depth"]): r for r in rows}
    gains = {depth: 100 * (at[MIXED, depth]["of f16"] / at["kivi:KV8", depth]["of f16"] - 1) for depth in sorted({r["depth"] for r in rows})}
    best = max(gains, key=gains.get)
    claims = [{"claim": f"a 3.25-bit plan generates {PAPER_GAIN} % more tokens a second than KIVI at 8 bits", "figure": f"{gains[best]:+.1f} % at depth {best}",
               "verdict": verdict(gains[best] >= PAPER_GAIN)}]
    return [Table("throughput-claim", "The paper's gain in throughput", claims, ["One sequence; by depth: " + ", ".join(f"{d}: {g:+.1f} %" for d, g in gains.items()) + "."]),
            Table("throughput", "Throughput, a model of Llama-3.1-8B's shape, Q4_0", rows, ["`kvtuner bench`: all caches in turn; attention apart and the peers are in vs_peers.md."])]
