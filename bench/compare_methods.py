#!/usr/bin/env python3
"""Compares kvtuner's default search with the paper's on one model and the same evaluation tokens; writes tables and a plot.

Runs  default        kvtuner tune, rotated formats
      default-kivi   the same search in the paper's formats: what the search alone is worth
      paper          kvtuner tune --method paper as published: MOEA/D, first plans by chance, a run for each of two soft limits
Prints for each how many plans were scored and the hypervolume that they cover, also after a fifth of the paper's evaluations and after as
many, and at each budget the KLD of the plan on held-out text against the smallest uniform plan of no fewer bits, with the difference chunk by chunk
and its standard error, and against that of the paper's formats. --methods runs some of them.
Hypervolume: area between a front and the corner (--corner-bits, --corner-kld) over effective bits and log10 KLD; larger is better.
A second run with the same -o goes on where the first stopped. Tables and plot also go to NAME.md and NAME.svg there (--name).
"""
import argparse
import csv
import json
import math
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

import machine
import md_tables
from records import mean_kld

ROOT = pathlib.Path(__file__).resolve().parent.parent
UNIFORM = {
    "rotated": ["KV8", "KV6", "K6V4", "KV5", "K5V4", "KV4", "K4V3", "KV3", "K3V2", "KV2"],
    "kivi": ["KV8", "K8V4", "K4V8", "KV4", "K4V2", "KV2"],
}
COLOURS = {"default": "#0072b2", "default-kivi": "#009e73", "paper": "#d55e00"}


def fail(message):
    sys.exit(f"compare_methods: error: {message}")


def run(command):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        fail(f"code {done.returncode} from: {' '.join(map(str, command))}")
    return done.stdout


def front_of(points):
    """Of (bits, kld) the ones that no other beats, ascending in bits."""
    front = []
    for bits, kld in sorted(points):
        if not front or kld < front[-1][1]:
            front.append((bits, kld))
    return front


def hypervolume(points, corner_bits, corner_kld):
    """Area over (bits, log10 kld) that the points' front dominates within the corner."""
    inside = [(bits, max(kld, 1e-9)) for bits, kld in points if bits < corner_bits and kld < corner_kld]
    front = front_of(inside)
    area = 0.0
    for i, (bits, kld) in enumerate(front):
        until = front[i + 1][0] if i + 1 < len(front) else corner_bits
        area += (until - bits) * (math.log10(corner_kld) - math.log10(kld))
    return area


def points_of(study, n=None):
    """(bits, kld) of the first n evaluations without the f16 floor."""
    return [(e["effective_bits"], e["kld"]) for e in study["evaluations"][:n] if e["label"] != "KV16"]


def methods(a):
    paper = ["--method", "paper", "--mode", "kivi", "--algorithm", "moead", "--first-plans", "chance", "--soft-limits", "4,6", "--trials",
             a.trials, "--population", a.population, "--seed", a.seed, "--prompts", a.prompts]
    all_methods = {
        "default": ("rotated", ["--mode", "rotated", "--calibration-tokens", a.calibration_tokens] +
                    (["--calibration-text", a.text] if a.text else []) + (["--positions", a.positions] if a.positions else [])),
        "default-kivi": ("kivi", ["--mode", "kivi"]),
        "paper": ("kivi", paper),
    }
    return {name: all_methods[name] for name in all_methods if name in a.methods}


def texts(a, check):
    arguments = ["-c", a.ctx, "--chunks", a.check_chunks if check else a.chunks, "-t", a.threads]
    path = a.check_text if check else a.text
    return arguments + (["--text", path] if path else [])


def tune(a, name, arguments, budget):
    """The folder of a finished tune, its plan and its study; another budget re-solves the study that is there."""
    folder = a.output / name
    # Its own check is not used, budget_rows() measures all plans at once: no more than the 100 tokens that it insists on.
    few = math.ceil(100 / (a.ctx // 2 - 1))
    command = [a.program, "tune", "-m", a.model, "-o", folder, *texts(a, False), "--check-chunks", few, "--bits", budget, "--json"]
    said = run(command + (["--check-text", a.check_text] if a.check_text else []) + list(arguments))
    plan = a.output / f"{name}-{budget}.json"
    source = json.loads((folder / "plan.json").read_text())
    side = folder / "plan.safetensors"
    if side.exists():  # the plan names the file, so both go into a folder of their own
        plan = a.output / f"{name}-{budget}" / "plan.json"
        plan.parent.mkdir(exist_ok=True)
        shutil.copy(side, plan.parent)
    plan.write_text(json.dumps(source))
    return folder, plan, json.loads(said)["study"]


def smallest_not_below(uniform, bits):
    """Of the plans with no fewer effective bits the smallest; of equals the best."""
    return min((u for u in uniform if u["effective_bits"] >= bits - 1e-9), key=lambda u: (u["effective_bits"], mean_kld(u)))


def budget_rows(a, plans, calibration):
    """One row a method and budget: the plan on held-out text beside uniform plans, in its own formats and in the paper's. `plans`: paths by method and
    budget; `calibration`: of the rotated formats, None where no method uses them."""
    mode_of = {name: mode for name, (mode, _) in methods(a).items()}
    modes = {*mode_of.values(), "kivi"}
    wanted = [f"{mode}:{pair}" for mode in sorted(modes) for pair in UNIFORM[mode]]
    command = [a.program, "eval", "kld", "-m", a.model, *texts(a, True), "--json"] + (["--calibration", calibration] if calibration else [])
    for plan in [*plans.values(), *wanted]:
        command += ["--plan", plan]
    found = json.loads(run(command))["plans"]
    uniform = {mode: [p for p, name in zip(found[len(plans):], wanted) if name.startswith(mode)] for mode in modes}
    rows = []
    for (name, budget), tuned in zip(plans, found):
        rival = smallest_not_below(uniform[mode_of[name]], tuned["effective_bits"])
        published = smallest_not_below(uniform["kivi"], tuned["effective_bits"])
        kld, other = mean_kld(tuned), mean_kld(rival)
        apart = [x - y for x, y in zip(tuned["kld"]["chunk_means"], rival["kld"]["chunk_means"])]
        rows.append({"method": name, "budget": budget, "effective_bits": round(tuned["effective_bits"], 4), "kld": kld,
                     "uniform": rival["name"], "uniform_bits": round(rival["effective_bits"], 4), "uniform_kld": other,
                     "ratio": quotient(kld, other), "difference": statistics.mean(apart),
                     "standard_error": statistics.stdev(apart) / math.sqrt(len(apart)) if len(apart) > 1 else math.nan,
                     "of_paper": published["name"], "ratio_to_it": quotient(kld, mean_kld(published))})
    return rows


def spread_rows(studies):
    """How much layers differ in what K or V costs alone, of the studies that measured it: geometric by arithmetic mean, 1 where all are alike."""
    rows = []
    for name, study in studies.items():
        found = study.get("increments") or {}
        for side in ("k", "v") if found else ():
            average, variance = statistics.mean(found[side]), found["noise"] ** 2
            # As tune takes them: what does not stand out of the noise counts as the mean, and 0.1 of it is the least.
            quiet = [average + (x - average) * max(0.0, 1 - variance / (x - average) ** 2) if x != average else x for x in found[side]]
            means = [evenness([max(x, 0.1 * average) for x in values]) for values in (found[side], quiet)]
            rows.append({"method": name, "side": side.upper(), "mean": average, "least": min(found[side]), "largest": max(found[side]),
                         "standard_error": found["noise"], "evenness": means[0], "less_noise": means[1]})
    return rows


def evenness(values):
    return statistics.geometric_mean(values) / statistics.mean(values)


def quotient(x, y):
    return x / y if y > 0 else math.nan


def svg(studies, width=720, height=420):
    """Fronts and all scored plans: effective bits against KLD on a logarithmic axis."""
    all_points = [p for study in studies.values() for p in points_of(study) if p[1] > 0]
    x0, x1 = min(p[0] for p in all_points), max(p[0] for p in all_points)
    y0, y1 = math.floor(math.log10(min(p[1] for p in all_points))), math.ceil(math.log10(max(p[1] for p in all_points)))

    def place(bits, kld):
        x = 60 + (bits - x0) / max(x1 - x0, 1e-9) * (width - 80)
        return x, 20 + (y1 - math.log10(max(kld, 10.0**y0))) / max(y1 - y0, 1) * (height - 70)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="12">',
           f'<rect width="{width}" height="{height}" fill="white"/>']
    for power in range(y0, y1 + 1):
        y = place(x0, 10.0**power)[1]
        out.append(f'<path d="M60 {y:.1f}H{width - 20}" stroke="#ddd"/><text x="54" y="{y + 4:.1f}" text-anchor="end">1e{power}</text>')
    for bits in range(math.ceil(x0), math.floor(x1) + 1):
        x = place(bits, 1)[0]
        out.append(f'<text x="{x:.1f}" y="{height - 32}" text-anchor="middle">{bits}</text>')
    out.append(f'<text x="{width / 2}" y="{height - 10}" text-anchor="middle">effective bits; KLD in nats, logarithmic</text>')
    for i, (name, study) in enumerate(studies.items()):
        colour = COLOURS[name]
        for bits, kld in points_of(study):
            x, y = place(bits, kld)
            out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="{colour}" fill-opacity="0.35"/>')
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*p) for p in front_of(points_of(study))))
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out.append(f'<text x="{width - 130}" y="{40 + 18 * i}" fill="{colour}">{name}</text>')
    return "\n".join(out + ["</svg>"]) + "\n"


def write_csv(path, rows):
    with open(path, "w", newline="") as f:
        writer = csv.DictWriter(f, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def shown(rows):
    return [{name: f"{v:.4f}" if isinstance(v, float) else str(v) for name, v in row.items()} for row in rows]


def table(rows):
    cells = [list(rows[0])] + [list(row.values()) for row in shown(rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    return "\n".join("  ".join(text.rjust(width) for text, width in zip(row, widths)) for row in cells) + "\n"


def page(a, volumes, rows, spread):
    settings = " ".join([f"--methods {' '.join(a.methods)}"] + [f"--{name.replace('_', '-')} {getattr(a, name)}" for name in (
        "name", "budgets", "ctx", "chunks", "check_chunks", "trials", "population", "prompts", "calibration_tokens", "seed")])
    area = (f"Area over effective bits and log10 KLD up to {a.corner_bits:g} bits and {a.corner_kld:g} nats on the text that was searched on; larger is better. Where the paper's search was "
            "run, also after a fifth of its evaluations and after as many.")
    alike = ("Nats that a layer's K or V costs with 3 bits where all else has 8. evenness: geometric by arithmetic mean. Costs add up and each bit more divides them by about the same, so at the size "
             "of a uniform plan no allocation of a side's bits to its layers comes below that share of what the side loses; in less_noise, what chance adds to the differences is taken out.")
    tables = [md_tables.section("How much layers differ", shown(spread), alike)] if spread else []
    return "\n".join([f"# The default search beside the paper's\n\n{pathlib.Path(a.model).stem}; {machine.described(a.program)}.\n"
                      f"Made by `bench/compare_methods.py -m MODEL -o FOLDER {settings}`.\n\n![Plans scored and fronts]({a.name}.svg)\n",
                      md_tables.section("Hypervolume", shown(volumes), area),
                      md_tables.section("At equal budgets, on text that no search saw", shown(rows), "ratio: KLD by that of the smallest uniform plan of no fewer bits in the same formats; "
                               "difference: of the two, chunk by chunk. ratio_to_it: by that of the smallest such plan in the paper's formats.")] + tables)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-m", "--model", required=True, help="GGUF model")
    p.add_argument("-o", "--output", required=True, type=pathlib.Path, help="folder for studies, plans, tables and plot")
    p.add_argument("--program", default=ROOT / "build/release/bin/kvtuner")
    p.add_argument("--text", help="text to search on; default: the one that comes with kvtuner")
    p.add_argument("--check-text", help="held-out text; default: the one that comes with kvtuner")
    p.add_argument("-c", "--ctx", default=512, type=int)
    p.add_argument("--chunks", default=3, type=int)
    p.add_argument("--check-chunks", default=12, type=int)
    p.add_argument("--name", default="methods", help="of the page and the plot")
    p.add_argument("--methods", nargs="+", choices=list(COLOURS), default=list(COLOURS))
    p.add_argument("--budgets", default="3.5,4.5,5.5", help="effective bits")
    p.add_argument("--trials", default=200, type=int, help="of the paper's search, for each soft limit")
    p.add_argument("--population", default=20, type=int, help="of the paper's search")
    p.add_argument("--prompts", default=20, type=int, help="of the paper's profile")
    p.add_argument("--seed", default=1, type=int)
    p.add_argument("--calibration-tokens", default=8192, type=int)
    p.add_argument("--positions", default=0, type=int)
    p.add_argument("--corner-bits", default=10.0, type=float)
    p.add_argument("--corner-kld", default=10.0, type=float)
    p.add_argument("-t", "--threads", default=0, type=int)
    a = p.parse_args()
    if not os.access(a.program, os.X_OK):
        fail(f"there is no program {a.program}: build it first (scripts/build.sh release)")
    a.output.mkdir(parents=True, exist_ok=True)
    os.environ["XDG_DATA_HOME"] = str(a.output.resolve() / "library")  # experiments stay out of the user's plan library
    budgets = [float(text) for text in a.budgets.split(",")]
    studies, plans, calibration = {}, {}, None
    for name, (mode, arguments) in methods(a).items():
        for budget in budgets:
            folder, plans[name, budget], studies[name] = tune(a, name, arguments, budget)
        if mode == "rotated":
            calibration = folder / "calibration.safetensors"
    rows = budget_rows(a, plans, calibration)
    covered = lambda study, n: hypervolume(points_of(study, n), a.corner_bits, a.corner_kld)
    n_paper = len(studies["paper"]["evaluations"]) if "paper" in studies else 0
    volumes = [{"method": name, "evaluations": len(study["evaluations"]), "hypervolume": covered(study, None)} |
               {f"after_{n}": covered(study, n) for n in (n_paper // 5, n_paper) if n > 0} for name, study in studies.items()]
    spread = spread_rows(studies)
    write_csv(a.output / "hypervolume.csv", volumes)
    write_csv(a.output / "budgets.csv", rows)
    (a.output / f"{a.name}.svg").write_text(svg(studies))
    (a.output / f"{a.name}.md").write_text(page(a, volumes, rows, spread))
    print(f"{table(volumes)}\nOn held-out text; ratio: KLD by that of the uniform plan\n{table(rows)}\nwrote hypervolume.csv, budgets.csv, {a.name}.md and "
          f"{a.name}.svg in {a.output}")


if __name__ == "__main__":
    main()
