#!/usr/bin/env python3
"""Times the KV cache of kvtuner against its peers, all through unmodified llama-bench programs, and writes tables and a plot.

A machine may be slowed by others for minutes, so every round runs all engines once, in another order, and ratios are taken inside
a round. Decode is timed at a small depth and at the asked one; the difference of the times per token is the attention's own time,
apart from weights and overhead. Prefill at a depth is the time of a prompt of depth + 512 tokens minus that of depth tokens.

models
  attention   4 layers with the attention of Llama-3.1-8B (32 query heads, 8 KV heads, head_dim 128) and tiny other weights
  8b          2 layers of Llama-3.1-8B's shape, Q4_0
  small       SmolLM2-135M-Instruct
ik_llama.cpp is measured when --ik names the folder of its built programs (llama-bench in it), built by you with GGML_IQK_FA_ALL_QUANTS.
"""
import argparse
import csv
import json
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys

TIMEOUT_S = 1800
PROMPT = 512
NEAR = 64  # depth of the first decode figure
# KV elements per token and layer (K and V), layers: for bytes read by attention
ELEMENTS = {"attention": (2 * 8 * 128, 4), "8b": (2 * 8 * 128, 2), "small": (2 * 3 * 64, 30)}
SHAPES = {"attention": ["--layers", "4", "--embd", "512", "--ff", "512"], "8b": []}


def fail(message):
    sys.exit(f"vs_peers: error: {message}")


class Engine:
    """One engine with one cache type: how to run it, and bits per stored element."""

    def __init__(self, name, bench, bits, arguments, environment=None, depth_option="-d"):
        self.name, self.bench, self.bits, self.arguments = name, bench, bits, arguments
        self.environment, self.depth_option = environment or {}, depth_option

    def run(self, model, threads, arguments):
        environment = {k: v for k, v in os.environ.items() if k not in ("GGML_BACKEND_PATH", "KVT_PLAN")} | self.environment
        command = [str(self.bench), "-m", str(model), "-fa", "1", "-t", str(threads), "-r", "1", "-o", "json"] + self.arguments + arguments
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            fail(f"{self.name}: more than {TIMEOUT_S} s")
        if done.returncode != 0:
            fail(f"{self.name} ended with code {done.returncode}:\n" + "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:]))
        return json.loads(done.stdout[done.stdout.index("["):])

    def decode(self, model, threads, depth, tokens):
        """Seconds per generated token with `depth` tokens in the cache."""
        if self.depth_option == "-d":
            row = self.run(model, threads, ["-p", "0", "-n", str(tokens), "-d", str(depth)])[0]
        else:  # ik_llama.cpp has no depth: a prompt is read first, generation alone is timed
            row = self.run(model, threads, ["-p", "0", "-n", "0", "-gp", f"{depth},{tokens}"])[0]
        return row["avg_ns"] / 1e9 / tokens

    def prefill(self, model, threads, depth):
        """Seconds of a prompt of depth + PROMPT tokens, and of its last PROMPT tokens."""
        rows = self.run(model, threads, ["-n", "0", "-p", f"{depth},{depth + PROMPT}"])
        part, whole = (next(r["avg_ns"] / 1e9 for r in rows if r["n_prompt"] == n) for n in (depth, depth + PROMPT))
        return whole, whole - part


def rotated_plans(options, model):
    """pair -> plan file; the calibration of a random model costs as much at run time as any other."""
    program, plans = str(options.build / "bin" / "kvtuner"), {}
    folder = options.cache / f"rotated-{model.stem}"
    folder.mkdir(parents=True, exist_ok=True)
    calibration = folder / "calibration.safetensors"
    positions = max(options.depth, options.prefill_depth + PROMPT) + 1024
    subprocess.run([program, "calibrate", "-m", str(model), "--calibration-tokens", "1024", "--positions", str(positions), "--fresh", "-o",
                    str(calibration)], check=True, capture_output=True)
    for pair in options.pairs:
        plans[pair] = folder / f"{pair}.json"
        subprocess.run([program, "plan", "make", f"rotated:{pair}", "-m", str(model), "--calibration", str(calibration), "-o", str(plans[pair])],
                       check=True, capture_output=True)
    return plans


def engines(options, head_dim, model):
    stock = options.llama / "build" / "bin" / "llama-bench"
    found = [Engine(f"llama.cpp {t}", stock, bits, ["-ctk", t, "-ctv", t]) for t, bits in (("f16", 16), ("q8_0", 8.5), ("q4_0", 4.5))]
    if options.ik is not None:
        bench = options.ik / "llama-bench"
        if not bench.exists():
            fail(f"--ik {options.ik}: no llama-bench in it")
        found += [Engine(f"ik_llama.cpp {t}", bench, bits, ["-ctk", t, "-ctv", t], depth_option="-gp")
                  for t, bits in (("f16", 16), ("q8_0", 8.5), ("q4_0", 4.5))]
    plugin = options.build / "bin" / "libggml-kvtuner.so"
    for mode, overhead, suffix in (("per-token", 32 / head_dim, f":hd{head_dim}"), ("kivi", 1.0, "")):
        for pair in options.pairs:
            k, v = pair_bits(pair)
            found.append(Engine(f"kvtuner {mode} {pair}", stock, (k + v) / 2 + overhead, ["--device", "KVT0"],
                                {"GGML_BACKEND_PATH": str(plugin.resolve()), "KVT_PLAN": f"{mode}:{pair}{suffix}"}))
    for pair, plan in rotated_plans(options, model).items():
        k, v = pair_bits(pair)
        found.append(Engine(f"kvtuner rotated {pair}", stock, (k + v) / 2 + 16 / head_dim, ["--device", "KVT0"],
                            {"GGML_BACKEND_PATH": str(plugin.resolve()), "KVT_PLAN": str(plan)}))
    found.append(Engine("kvtuner f16", stock, 16, ["--device", "KVT0"], {"GGML_BACKEND_PATH": str(plugin.resolve()), "KVT_PLAN": "f16"}))
    return [e for e in found if re.search(options.only, e.name)]


def pair_bits(pair):
    match = re.fullmatch(r"K(\d+)V(\d+)|KV(\d+)", pair)
    if not match:
        fail(f"--pairs: {pair} is not a pair such as K8V4")
    return (int(match[3]), int(match[3])) if match[3] else (int(match[1]), int(match[2]))


def model_path(options, name):
    if name == "small":
        return options.small_model
    path = options.cache / f"random-{name}.gguf"
    if not path.exists():
        options.cache.mkdir(parents=True, exist_ok=True)
        vocab = options.small_model if name == "8b" else options.root / "tests/data/stories260K/stories260K-hd64-f32.gguf"
        part = path.with_suffix(".part")
        subprocess.run([str(options.build / "bin" / "random_model"), str(part), "--vocab", str(vocab)] + SHAPES[name], check=True)
        part.rename(path)
    return path


def bandwidth(options):
    """Bytes per second that this machine reads from memory, as `kvtuner doctor` measures it."""
    out = subprocess.run([str(options.build / "bin" / "kvtuner"), "doctor", "--json"], capture_output=True, text=True).stdout
    found = next(c["found"] for c in json.loads(out)["checks"] if c["name"] == "memory bandwidth")
    return float(found.split()[0]) * 1e9


def measure(options, name, found, model):
    """Rows of raw figures: one per engine and round."""
    rows, order = [], random.Random(1)
    for number in range(options.rounds):
        read = bandwidth(options)
        shuffled = list(found)
        order.shuffle(shuffled)
        for i, engine in enumerate(shuffled):
            print(f"  {name}: round {number + 1} of {options.rounds}, {i + 1} of {len(shuffled)}: {engine.name}      ", end="\r", file=sys.stderr)
            row = {"model": name, "round": number + 1, "engine": engine.name, "bits": engine.bits, "bandwidth": read}
            if "decode" in options.what:
                row["near"] = engine.decode(model, options.threads, NEAR, options.tokens)
                row["far"] = engine.decode(model, options.threads, options.depth, options.tokens)
            if "prefill" in options.what:
                row["whole"], row["last"] = engine.prefill(model, options.threads, options.prefill_depth)
            rows.append(row)
    print(" " * 100, end="\r", file=sys.stderr)
    return rows


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f} .. {max(values):.2f})"


def best_of(rows, prefix, key):
    """The peer's fastest type: lowest median of `key`."""
    by_name = {}
    for row in rows:
        if row["engine"].startswith(prefix) and key(row) is not None:
            by_name.setdefault(row["engine"], []).append(key(row))
    return min(by_name, key=lambda n: statistics.median(by_name[n])) if by_name else None


def attention(row):
    return row["far"] - row["near"] if "far" in row else None


def summarize(options, name, rows):
    """One table: a row per engine."""
    elements, layers = ELEMENTS[name]
    per_round = {(r["engine"], r["round"]): r for r in rows}
    names = sorted({r["engine"] for r in rows}, key=lambda n: [r["engine"] for r in rows].index(n))
    names.sort(key=lambda n: (0 if n.startswith("llama") else 1 if n.startswith("ik") else 2, n))
    ik = best_of(rows, "ik_llama.cpp", attention)
    table = []
    for engine in names:
        mine = [r for r in rows if r["engine"] == engine]
        line = {"engine": engine, "bits": f"{mine[0]['bits']:.2f}"}
        if "far" in mine[0]:
            size = options.depth * elements * layers * mine[0]["bits"] / 8
            against = lambda other, key: spread([key(per_round[other, r["round"]]) / key(r) for r in mine])
            line["attention ms"] = spread([1e3 * attention(r) for r in mine])
            line["of bandwidth"] = f"{statistics.median(size / attention(r) / r['bandwidth'] for r in mine):.0%}"
            line["faster than llama.cpp f16"] = against("llama.cpp f16", attention) if ("llama.cpp f16", 1) in per_round else ""
            line["than ik's fastest"] = against(ik, attention) if ik else ""
            line[f"tg t/s at {options.depth}"] = spread([1 / r["far"] for r in mine])
        if "whole" in mine[0]:
            n = options.prefill_depth + PROMPT
            line[f"pp{n} t/s"] = spread([n / r["whole"] for r in mine])
            line[f"pp{PROMPT} at {options.prefill_depth} t/s"] = spread([PROMPT / r["last"] for r in mine])
            line["pp of llama.cpp f16"] = spread([per_round["llama.cpp f16", r["round"]]["whole"] / r["whole"] for r in mine]) \
                if ("llama.cpp f16", 1) in per_round else ""
        table.append(line)
    return table


def print_table(title, table):
    head = list(table[0])
    widths = [max(len(h), *(len(row[h]) for row in table)) for h in head]
    print("\n" + title)
    for row in [dict(zip(head, head))] + table:
        print("  " + row[head[0]].ljust(widths[0]) + "".join("  " + row[h].rjust(w) for h, w in zip(head[1:], widths[1:])))


def markdown(title, table):
    head = list(table[0])
    lines = [f"## {title}", "", "| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row[h] for h in head) + " |" for row in table]) + "\n"


def plot(options, rows, path):
    try:
        import matplotlib
        matplotlib.use("Agg")
        import matplotlib.pyplot as plt
    except ImportError:
        print("vs_peers: matplotlib is missing: no plot", file=sys.stderr)
        return
    names = [n for n in options.models if any(r["model"] == n and "far" in r for r in rows)]
    if not names:
        return
    figure, axes = plt.subplots(1, len(names), figsize=(7 * len(names), 5.5), squeeze=False)
    for axis, name in zip(axes[0], names):
        mine = [r for r in rows if r["model"] == name]
        elements, layers = ELEMENTS[name]
        for prefix, color in (("llama.cpp", "tab:gray"), ("ik_llama.cpp", "tab:orange"), ("kvtuner kivi", "tab:green"), ("kvtuner per-token", "tab:blue"), ("kvtuner rotated", "tab:red"),
                              ("kvtuner f16", "tab:purple")):
            engines_of = sorted({r["engine"] for r in mine if r["engine"].startswith(prefix)})
            for i, engine in enumerate(engines_of):
                values = [1e3 * attention(r) for r in mine if r["engine"] == engine]
                bits = next(r["bits"] for r in mine if r["engine"] == engine)
                middle = statistics.median(values)
                axis.errorbar(bits, middle, yerr=[[middle - min(values)], [max(values) - middle]], fmt="o", color=color, label=prefix if i == 0 else None, capsize=3)
                axis.annotate(engine.split()[-1], (bits, middle), textcoords="offset points", xytext=(5, 4), fontsize=7)
        read = statistics.median(r["bandwidth"] for r in mine)
        xs = [2 + 0.25 * i for i in range(61)]  # a straight line is a curve on a logarithmic axis
        axis.plot(xs, [1e3 * options.depth * elements * layers * b / 8 / read for b in xs], "k--", linewidth=1, label=f"memory limit, {read / 1e9:.0f} GB/s")
        axis.set(title=f"{name}: decode attention at depth {options.depth}, {options.threads} threads", xlabel="stored bits per element",
                 ylabel="ms per token (lower is better)", yscale="log")
        axis.legend(fontsize=8)
        axis.grid(True, which="both", alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def machine(options):
    cpu = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    version = subprocess.run([str(options.build / "bin" / "kvtuner"), "--version"], capture_output=True, text=True).stdout.strip().replace("\n", "; ")
    return f"{cpu[1] if cpu else 'unknown processor'}, {os.cpu_count()} hardware threads; {version}"


def main():
    parser = argparse.ArgumentParser(prog="vs_peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llama", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--build", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--small-model", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--ik", type=pathlib.Path, help="folder with the built llama-bench of ik_llama.cpp")
    parser.add_argument("--models", nargs="+", choices=list(ELEMENTS), default=["attention", "8b"])
    parser.add_argument("--what", nargs="+", choices=["decode", "prefill"], default=["decode", "prefill"])
    parser.add_argument("--pairs", nargs="+", default=["K8V8", "K8V4", "K4V4", "K4V2"])
    parser.add_argument("--only", default=".", metavar="REGEX", help="engines to run")
    parser.add_argument("--depth", type=int, default=16384, help="tokens in the cache while decoding")
    parser.add_argument("--prefill-depth", type=int, default=4096)
    parser.add_argument("--tokens", type=int, default=32, help="tokens to generate")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=pathlib.Path, help="folder for vs_peers.md, .csv and .png")
    parser.add_argument("--quick", action="store_true", help="one round of the attention model at depth 2048")
    options = parser.parse_args()
    options.root = pathlib.Path(__file__).resolve().parent.parent
    if options.quick:
        options.models, options.rounds, options.depth, options.prefill_depth, options.tokens = ["attention"], 1, 2048, 1024, 16

    rows, texts = [], []
    for name in options.models:
        model = model_path(options, name)
        mine = measure(options, name, engines(options, 64 if name == "small" else 128, model), model)
        rows += mine
        table = summarize(options, name, mine)
        title = f"{name}: median (lowest .. highest) of {options.rounds} rounds, {options.threads} threads"
        print_table(title, table)
        texts.append(markdown(title, table))
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        command = "bench/vs_peers " + " ".join(a for a in sys.argv[1:] if not a.startswith("/"))
        read = spread([r["bandwidth"] / 1e9 for r in rows])
        head = f"# Speed beside the peers\n\n{machine(options)}; memory read {read} GB/s.\nMade by `{re.sub(r'--(llama|build|small-model|cache|ik) ?', '', command).strip()}`.\n\n"
        (options.out / "vs_peers.md").write_text(head + "\n".join(texts))
        with open(options.out / "vs_peers.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=sorted({k for r in rows for k in r}), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        plot(options, rows, options.out / "vs_peers.png")


if __name__ == "__main__":
    main()
