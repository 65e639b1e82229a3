"""The paper's observations: keys matter more than values, sensitivity belongs to the model, streaming heads bear few bits."""
import json
import statistics

from common import DATA, Table, interval, mean_kld, rank_correlation, verdict

PAIRS = ["KV8", "K8V4", "K8V2", "K4V8", "KV4", "K4V2", "K2V8", "K2V4", "KV2"]  # order of e_o in a sensitivity file
MIRRORED = [("K8V4", "K4V8"), ("K8V2", "K2V8"), ("K4V2", "K2V4")]
FOUR_BITS = 1  # index of 4 in the bits 8, 4, 2
LEAST_CORRELATION = 0.8


def mean_errors(bench, mode, which):
    """Mean over layers, by pair (e_o) or by bits 8, 4, 2 (e_k, e_v, e_a)."""
    layers = json.loads(profile(bench, "maths", mode).read_text())["layers"]
    return [statistics.mean(each) for each in zip(*(layer[which] for layer in layers))]


def errors(bench):
    """As the paper's Table 9."""
    rows = []
    for i, pair in enumerate(("KV8", "KV4", "KV2")):
        for mode in ("kivi", "per-token"):
            rows.append({"bits": pair, "mode": mode} | {which: mean_errors(bench, mode, which)[i] for which in ("e_k", "e_v", "e_a")}
                        | {"e_o": mean_errors(bench, mode, "e_o")[PAIRS.index(pair)]})
    return Table("errors", "Errors of keys, values, attention weights and outputs, means over layers", rows,
                 ["Relative, e_a absolute, as in Table 9 of the paper; e_o of all nine pairs is in the table above (Table 3)."])


def nine_pairs(bench):
    rows, claims = [], []
    for mode in ("kivi", "per-token"):
        plans, floor = bench.kld(f"pairs-{mode}", [f"{mode}:{pair}" for pair in PAIRS])
        found = dict(zip(PAIRS, plans))
        e_o = mean_errors(bench, mode, "e_o")
        rows += [{"mode": mode, "pair": pair, "effective bits": p["effective_bits"], "KLD (95 %)": interval(p), "same top 1": p["kld"]["same_top_1"]["value"],
                  "perplexity": p["kld"]["ppl"]["value"], "mean e_o": e_o[i]} for i, (pair, p) in enumerate(found.items())]
        for more_k, more_v in MIRRORED:
            k, v = mean_kld(found[more_k]), mean_kld(found[more_v])
            claims.append({"observation": f"{mode}: {more_k} loses less than {more_v}", "figure": f"{k:.4f} against {v:.4f}", "verdict": verdict(k < v)})
    return Table("pairs", "The nine pairs, KLD from f16", rows, [f"Noise floor {floor:.4f}. Perplexity, as in Table 2 of the paper, is of the same tokens."]), claims


def prompts(bench):
    """Prompt files of three kinds; None stands for the GSM8K questions that kvtuner takes by itself."""
    def code():
        lines = (DATA / "humaneval" / "HumanEval.jsonl").read_text().splitlines()
        return "".join(json.dumps({"prompt": json.loads(line)["prompt"]}) + "\n" for line in lines)

    def prose():
        paragraphs = [line for line in (DATA / "wikitext2" / "wiki.valid.head.raw").read_text().splitlines() if len(line) > 400]
        return "".join(json.dumps({"prompt": text[:800]}) + "\n" for text in paragraphs)

    return {"maths": None, "code": bench.text("code.jsonl", code), "prose": bench.text("prose.jsonl", prose)}


def profile(bench, kind, mode="kivi"):
    """The file of `kvtuner profile` on prompts of that kind."""
    target, path = bench.work / (f"profile-{kind}.json" if mode == "kivi" else f"profile-{kind}-{mode}.json"), prompts(bench)[kind]
    if not target.exists():
        bench.kvtuner("profile", "-m", bench.model, "--mode", mode, "--prompts", 2 if bench.quick else 8, "--generate", 8 if bench.quick else 64,
                      "-o", target, *(["--prompts-file", path] if path else []))
    return target


def profiles(bench):
    return {kind: json.loads(profile(bench, kind).read_text())["layers"] for kind in prompts(bench)}


def stability(layers):
    claims = []
    for a, b in (("maths", "code"), ("maths", "prose"), ("code", "prose")):
        each = [rank_correlation([l["e_o"][p] for l in layers[a]], [l["e_o"][p] for l in layers[b]]) for p in range(len(PAIRS))]
        claims.append({"observation": f"order of layers by e_o is the same on {a} and {b} (least rank correlation of nine pairs >= {LEAST_CORRELATION})",
                       "figure": f"{min(each):.2f}, median {statistics.median(each):.2f}", "verdict": verdict(min(each) >= LEAST_CORRELATION)})
    return claims


def heads(layers):
    local, errors = [], []
    for layer in layers["maths"]:
        group = len(layer["patterns"]) // len(layer["e_a_head"]) if len(layer["e_a_head"]) < len(layer["patterns"]) else 1
        for head, (_, sink, recent) in enumerate(layer["patterns"]):
            local.append(sink + recent)
            errors.append(layer["e_a_head"][head // group][FOUR_BITS])
    streaming = [e for e, l in zip(errors, local) if l >= 0.9]
    retrieval = [e for e, l in zip(errors, local) if l < 0.9]
    claims = [{"observation": "heads that look at sinks and recent tokens have smaller attention errors at 4 bits (rank correlation below 0)",
               "figure": f"{rank_correlation(local, errors):.2f} over {len(local)} heads", "verdict": verdict(rank_correlation(local, errors) < 0)}]
    if streaming and retrieval:
        s, r = statistics.median(streaming), statistics.median(retrieval)
        claims.append({"observation": "streaming heads (90 % of their weight there) are more robust than retrieval heads: median e_a at 4 bits",
                       "figure": f"{s:.4f} ({len(streaming)} heads) against {r:.4f} ({len(retrieval)})", "verdict": verdict(s < r)})
    return claims


def tables(bench):
    pairs, claims = nine_pairs(bench)
    layers = profiles(bench)
    claims += stability(layers) + heads(layers)
    return [Table("observations", "Observations of the paper", claims, ["e_o, e_a: errors of outputs and weights of attention, `kvtuner profile --mode kivi`."]), pairs, errors(bench)]
