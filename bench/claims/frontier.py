"""Quality against size: searches, uniform plans and the cache types of llama.cpp, on the same tokens."""
import json
import sys

from common import CHECK, DATA, ROOT, Table, interval, mean_kld, shown
import plots
import compare_with_stock  # from scripts/: the programs of llama.cpp are run in one place

UNIFORM = ["rotated:KV8", "rotated:KV6", "rotated:KV5", "rotated:K5V4", "rotated:KV4", "rotated:KV3", "kivi:KV8", "kivi:KV4", "kivi:K4V2",
           "per-token:KV8", "per-token:KV4"]
STOCK = {"q8_0": 8.5, "q5_1": 6.0, "q5_0": 5.5, "q4_1": 5.0, "q4_0": 4.5, "iq4_nl": 4.5}
NEARLY_LOSSLESS = 3  # times the noise floor
LONG = 8192  # one chunk has thousands of tokens to score then


def methods(bench):
    """Fronts of the default search and of the paper's on the same tokens."""
    folder = bench.work / "methods"
    small = ["-c", 128, "--chunks", 2, "--check-chunks", 2, "--trials", 16, "--population", 8, "--prompts", 1, "--calibration-tokens", 2048,
             "--positions", 1024] if bench.quick else ["-c", 256, "--chunks", 2, "--trials", 60, "--population", 12, "--prompts", 8, "--check-chunks", 8]
    arguments = [sys.executable, ROOT / "bench" / "compare_methods.py", "-m", bench.model, "-o", folder, "--program", bench.program, "-t", bench.threads]
    def measure():
        bench.run(arguments + small)
        read = lambda name: [dict(zip(head, row)) for head, *rows in [[line.split(",") for line in (folder / name).read_text().splitlines()]] for row in rows]
        return {"budgets": read("budgets.csv"), "hypervolume": read("hypervolume.csv"), "svg": (folder / "methods.svg").read_text()}
    return bench.keep("methods", measure, makes=folder / "default-4.5" / "plan.json"), folder


def stock_types(bench):
    """KLD of llama.cpp's own cache types by llama-perplexity on the same text; ik_llama.cpp's where its programs are."""
    if bench.quick:
        return []  # llama-perplexity ends so fast on a tiny model that its logger loses the figures
    class Options:
        model, text, threads = bench.model, CHECK, bench.n_threads
        chunks = 12

    def measure(root, types):
        options = Options()
        options.llama = root
        host = compare_with_stock.Host(options)
        base = bench.work / "stock.base"
        host.write_base(base)
        found = {kind: host.quality(kind, base) for kind in types}
        base.unlink()
        return found

    rows = [("llama.cpp", bench.keep("stock-types", lambda: measure(bench.llama, STOCK)))]
    if bench.ik:
        rows.append(("ik_llama.cpp", bench.keep("ik-types", lambda: measure(bench.ik, ["q8_0", "q6_0", "q4_0"]))))
    bits = STOCK | {"q6_0": 6.5}
    return [{"cache": f"{engine} {kind}", "payload bits": float("nan"), "effective bits": bits[kind], "KLD (95 %)": f"{kld:.4f}", "value": kld}
            for engine, found in rows for kind, (kld, _, _) in found.items()]


def plan_row(plan, name=None):
    return {"cache": name or plan["name"], "payload bits": plan["payload_bits"], "effective bits": plan["effective_bits"], "KLD (95 %)": interval(plan),
            "value": mean_kld(plan)}


def tuned_plans(bench, folder):
    names = [f"{method}-{budget}" for method in ("default", "default-kivi", "paper") for budget in ("3.5", "4.5", "5.5")]
    return {name: path for name in names for path in (folder / name / "plan.json", folder / f"{name}.json") if path.exists()}


def domains(bench, tuned):
    """The same plans on text of other kinds."""
    def maths():
        rows = [json.loads(line) for line in (DATA / "gsm8k" / "test.jsonl").read_text().splitlines()[:200]]
        return "\n\n".join(f"{row['question']}\n{row['answer']}" for row in rows)

    def code():
        rows = [json.loads(line) for line in (DATA / "humaneval" / "HumanEval.jsonl").read_text().splitlines()]
        return "\n\n".join(row["prompt"] + row["canonical_solution"] for row in rows)

    plans = [tuned, "rotated:KV4", "kivi:KV4"]
    out = []
    for kind, text in (("prose", CHECK), ("maths", bench.text("maths.txt", maths)), ("code", bench.text("code.txt", code))):
        rows, floor = bench.kld(f"domain-{kind}", plans, "--text", text)
        out.append({"text": kind, "noise floor": floor} | {name: mean_kld(row) for name, row in zip(["tuned, <= 4.5 bits", *plans[1:]], rows)})
    return Table("domains", "Other kinds of text", out, ["Calibrated and tuned on prose; questions and answers of GSM8K, prompts and solutions of HumanEval."])


def contexts(bench, tuned):
    """Token by token, as generation does, at longer contexts."""
    plans, out = [tuned, "rotated:KV4", "kivi:KV4"], []
    for n_ctx in (128,) if bench.quick else bench.contexts:
        rows, floor = bench.kld(f"decode-{n_ctx}", plans, "--decode", chunks=max(2, 2048 // n_ctx) if n_ctx < LONG else 1, n_ctx=n_ctx)
        out.append({"context": n_ctx, "noise floor": floor} | {name: mean_kld(row) for name, row in zip(["tuned, <= 4.5 bits", *plans[1:]], rows)})
    return Table("contexts", "Decode mode, by context length", out, ["The second half of every chunk is fed token by token."])


def draw(bench, rows, floor):
    """KLD against effective bits: one line for each search, mode and engine."""
    series = {}
    for row in rows:
        cache = row["cache"]
        family = cache.rsplit("-", 1)[0] if cache.startswith("tuned: ") else cache.split(":")[0] if ":" in cache else cache.split()[0]
        series.setdefault(family, []).append((row["effective bits"], row["value"]))
    return plots.draw(bench.out / "frontier.png", series, bench.model.stem, "effective bits", "KLD from f16, nats", floor)


def tables(bench):
    found, folder = methods(bench)
    tuned = tuned_plans(bench, folder)
    uniform = UNIFORM[::4] if bench.quick else UNIFORM
    plans, floor = bench.kld("frontier", [*tuned.values(), *uniform], "--text", CHECK)
    rows = [plan_row(plan, name) for plan, name in zip(plans, [*(f"tuned: {name}" for name in tuned), *uniform])] + stock_types(bench)
    rows.sort(key=lambda row: (row["effective bits"], row["value"]))
    notes = [f"Noise floor {floor:.4f}. `tuned: METHOD-BUDGET` are plans of `bench/compare_methods.py`."]
    near = [row for row in rows if row["value"] <= NEARLY_LOSSLESS * floor]
    if near:
        best = min(near, key=lambda row: row["effective bits"])
        notes.append(f"Smallest cache within {NEARLY_LOSSLESS} times the noise floor: {best['cache']}, {shown(best['effective bits'])} effective bits.")
    picture = draw(bench, rows, floor)
    for row in rows:
        del row["value"]
    (bench.out / "methods.svg").write_text(found["svg"])
    four = tuned["default-4.5"]
    return [Table("frontier", "KLD from f16 by size, WikiText-2 test", rows, notes, picture),
            Table("budgets", "Searches at equal budgets", found["budgets"], ["ratio: KLD by that of the smallest uniform plan of no fewer bits."]),
            Table("hypervolume", "Hypervolume of the fronts", found["hypervolume"], ["Over effective bits and log10 KLD; larger is better."], "methods.svg"),
            domains(bench, four), contexts(bench, four)]
