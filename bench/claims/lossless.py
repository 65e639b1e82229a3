"""Nearly lossless: answers and reference answers of benchmarks under plans beside f16, the same items."""
from common import Table, signed_interval, verdict
import frontier

MARGIN = 2  # points
WIDTH = 256  # new tokens, as the paper has them for GSM8K


def tasks(bench):
    """task -> options of `kvtuner eval` for answers."""
    few = bench.items or (8 if bench.quick else 400)
    found = {"gsm8k": ["--limit", few, "--max-new-tokens", 16 if bench.quick else WIDTH, *bench.few_shots()]}
    if bench.allow_code:
        found["humaneval"] = ["--limit", bench.items, "--allow-code-execution"]  # 0: all
    return found


def plans_of(bench):
    _, folder = frontier.methods(bench)
    tuned = frontier.tuned_plans(bench, folder)
    return {f"tuned, <= {budget} bits": tuned[f"default-{budget}"] for budget in ("3.5", "4.5", "5.5")} | {"kivi:KV4": "kivi:KV4"}


def answer_rows(bench, plans):
    rows = []
    for task, arguments in tasks(bench).items():
        for plan, found in zip(plans, bench.compared(f"answers-{task}", task, plans.values(), "--margin", MARGIN, *arguments)):
            name, score = next(iter(found["scores"].items()))
            margin = score["smallest_margin"]
            rows.append({"task": f"{task} ({name})", "items": found["n_answers"], "cache": plan, "f16, %": 100 * score["reference"]["mean"],
                         "plan, %": 100 * score["candidate"]["mean"],
                         "difference, points (95 %)": signed_interval(score, 2, unit=100),
                         "smallest margin": float("nan") if margin is None else 100 * margin,
                         "verdict": verdict(score["equivalent"] is True)})
    return rows


def likelihood_rows(bench, plans):
    few = bench.items or (8 if bench.quick else 200)
    rows = []
    for plan, found in zip(plans, bench.compared("answers-likelihood", "gsm8k", plans.values(), "--likelihood", "--limit", few, *bench.few_shots())):
        (_, score), = found["scores"].items()
        rows.append({"cache": plan, "items": found["n_answers"], "f16": score["reference"]["mean"], "plan": score["candidate"]["mean"],
                     "difference (95 %)": signed_interval(score, 5)})
    return rows


def tables(bench):
    plans = plans_of(bench)
    return [Table("answers", "Answers of benchmarks", answer_rows(bench, plans),
                  [f"Greedy, the same items under f16 and the plan. holds: equivalent within {MARGIN} points at 95 % (two one-sided tests)."]),
            Table("likelihood", "Log-likelihood of the reference answers of GSM8K", likelihood_rows(bench, plans), ["Nats a token, so that few items tell plans apart."])]
