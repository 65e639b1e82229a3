"""What each choice is worth: one line each, KLD of a plan that differs in it alone."""
import json

from common import CHECK, Table, interval, signed_interval
import observations

# choice, short form, options of `kvtuner plan make`
VARIANTS = [
    ("mode: rotated (default)", "rotated:KV4", []),
    ("mode: per-token", "per-token:KV4", []),
    ("mode: kivi", "kivi:KV4", []),
    ("rotated without the sink token", "rotated:KV4", ["--sink-tokens", "0"]),
    ("rotated with 4 sink tokens", "rotated:KV4", ["--sink-tokens", "4"]),
    ("per-token, groups of 32", "per-token:KV4", ["--key-group", "32", "--value-group", "32"]),
    ("per-token with 4 sink tokens", "per-token:KV4", ["--sink-tokens", "4"]),
    ("kivi, key blocks of 64 tokens", "kivi:KV4", ["--key-group", "64"]),
    ("kivi, key blocks of 128 tokens", "kivi:KV4", ["--key-group", "128"]),
    ("kivi with 4 sink tokens", "kivi:KV4", ["--sink-tokens", "4"]),
    ("kivi with the last 128 tokens at 16 bits", "kivi:KV4", ["--residual-tokens", "128"]),
]
# The paper's search without its parts.
SEARCHES = [("pruned and clustered", [], []), ("no pruning", ["--no-pruning"], []), ("no clustering", [], ["--no-clustering"])]


def formats(bench):
    plans = [bench.plan(f"variant-{i}", form, *options) for i, (_, form, options) in enumerate(VARIANTS)]
    found, floor = bench.kld("ablation-formats", plans, "--text", CHECK)
    rows = [{"choice": name, "effective bits": plan["effective_bits"], "KLD (95 %)": interval(plan)} for (name, _, _), plan in zip(VARIANTS, found)]
    return Table("ablation-formats", "Ablations of the formats, 4 bits", rows, [f"Noise floor {floor:.4f}."])


def searches(bench):
    """The paper's stages by hand, on the profile of the section observations."""
    profile = observations.profile(bench, "maths")
    few = ["--population", 8, "--generations", 1, "-c", 128, "--chunks", 1] if bench.quick else ["--population", 12, "--generations", 4, "--chunks", 2]
    rows = []
    for name, prune, cluster in SEARCHES:
        stem = bench.work / f"search-{name.replace(' ', '-')}"
        files = [f"{stem}-candidates.json", f"{stem}-groups.json", f"{stem}-study.sqlite"]
        def measure():
            bench.kvtuner("prune", profile, "-o", files[0], *prune)
            bench.kvtuner("cluster", profile, files[0], "-o", files[1], *cluster)
            return json.loads(bench.kvtuner("search", files[1], "-m", bench.model, "-o", files[2], "--json", *few))
        study = bench.keep(f"ablation-{name.replace(' ', '-')}", measure)
        scored = [e for e in study["evaluations"] if e["label"] != "KV16"]
        best = [min((e["kld"] for e in scored if e["payload_bits"] <= bits), default=float("nan")) for bits in (4, 6)]
        rows.append({"search": name, "groups": len(study["groups"]), "evaluations": len(scored), "best KLD, payload <= 4": best[0], "payload <= 6": best[1]})
    return Table("ablation-search", "Ablations of the paper's search, kivi", rows, ["KLD on the text that was searched on."])


# What the default search makes small: options of `kvtuner tune`.
OBJECTIVES = {"KLD on prose": [], "likelihood of GSM8K's answers": ["--objective", "gsm8k", "--score", "loglik"]}
BUDGET = 4.5


def objectives(bench):
    items = 8 if bench.quick else 200
    few = ["-c", 128, "--check-chunks", 2, "--calibration-tokens", 2048, "--positions", 1024] if bench.quick else []
    plans = {}
    for i, (name, options) in enumerate(OBJECTIVES.items()):
        out = bench.work / f"objective-{i}"
        plans[name] = out / "plan.json"
        if bench.quick:
            options = [*options, *(["--task-items", 3, "--task-shots", 0] if options else ["--chunks", 1])]
        if not plans[name].exists():
            bench.kvtuner("tune", "-m", bench.model, "-o", out, "--bits", BUDGET, "-t", bench.threads, *few, *options)
    found, floor = bench.kld("ablation-objective-kld", plans.values(), "--text", CHECK)
    compared = bench.compared("ablation-objective-likelihood", "gsm8k", plans.values(), "--likelihood", "--limit", items, *bench.few_shots())
    rows = []
    for name, plan, comparison in zip(plans, found, compared):
        (score,) = comparison["scores"].values()
        rows.append({"objective": name, "effective bits": plan["effective_bits"], "KLD (95 %)": interval(plan),
                     "log-likelihood to f16 (95 %)": signed_interval(score, 5)})
    return Table("ablation-objective", f"Ablations of the objective, at most {BUDGET} bits", rows,
                 [f"KLD on WikiText-2 test, noise floor {floor:.4f}; log-likelihood per token of the reference answers to {items} items of GSM8K test."])


def tables(bench):
    return [formats(bench), searches(bench), objectives(bench)]
