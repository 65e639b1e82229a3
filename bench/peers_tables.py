"""Tables, targets and plot of vs_peers, from raw rows."""
import statistics
import sys


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f} .. {max(values):.2f})"


def by_engine(rows):
    """engine -> rows, stock first, then ik_llama.cpp, then ours."""
    found = {}
    for row in rows:
        found.setdefault(row["engine"], []).append(row)
    place = lambda name: (0 if name.startswith("llama") else 1 if name.startswith("ik") else 2, name)
    return {name: found[name] for name in sorted(found, key=place)}


def fastest(rows, prefix, key):
    """The cache type of an engine with the lowest median of `key`; None if none was measured."""
    found = {n: statistics.median(r[key] for r in rs) for n, rs in by_engine([r for r in rows if key in r]).items() if n.startswith(prefix)}
    return min(found, key=found.get) if found else None


def ratios(rows, engine, other, key):
    """How many times faster `engine` is than `other`, in every round."""
    at = {r["round"]: r[key] for r in rows if r["engine"] == other and key in r}
    return [at[r["round"]] / r[key] for r in rows if r["engine"] == engine and key in r and r["round"] in at]


def against(rows, engine, other, key):
    return spread(ratios(rows, engine, other, key)) if other else ""


def share_of_bandwidth(rows):
    return statistics.median(r["bytes"] / r["attention"] / r["bandwidth"] for r in rows)


def decode_table(rows):
    ik, stock = fastest(rows, "ik_llama.cpp", "attention"), fastest(rows, "llama.cpp", "attention")
    table = []
    for engine, mine in by_engine(rows).items():
        table.append({"engine": engine, "bits": f"{mine[0]['bits']:.2f}", "ms per layer": spread([1e3 * r["attention"] for r in mine]),
                      "of bandwidth": f"{share_of_bandwidth(mine):.0%}", "than stock's fastest": against(rows, engine, stock, "attention"),
                      "than ik's fastest": against(rows, engine, ik, "attention")})
    return table


def prefill_table(rows):
    prompt, depth = 512, rows[0]["depth"]
    table = []
    for engine, mine in by_engine(rows).items():
        line = {"engine": engine}
        for key, n, title in (("whole", depth + prompt, f"pp{depth + prompt:.0f}"), ("last", prompt, f"pp{prompt} at {depth:.0f}")):
            if all(key in r for r in mine):
                line[f"{title} t/s"] = spread([n / r[key] for r in mine])
                line[f"{title} than f16"] = against(rows, engine, "llama.cpp f16", key)
            if key == "whole":
                line[f"{title} than ik's best"] = against(rows, engine, fastest(rows, "ik_llama.cpp", key), key)
                line["its attention, s"] = spread([r["deep"] for r in mine])
                line["attention than ik's best"] = against(rows, engine, fastest(rows, "ik_llama.cpp", "deep"), "deep")
        table.append(line)
    return same_columns(table)


def write_share(decode, prefill):
    """Time of packing: ms per layer, share of attention and packing of a token, share of a long prompt."""
    table, whole = [], by_engine(prefill)
    for engine, mine in by_engine([r for r in decode if r.get("write")]).items():
        if not engine.startswith("kvtuner"):
            continue
        line = {"engine": engine, "one token, us": spread([1e6 * r["write_one"] for r in mine]),
                "of decode": f"{statistics.median(r['write_one'] / (r['write_one'] + r['attention']) for r in mine):.2%}",
                "512 tokens, ms": spread([1e3 * r["write"] for r in mine])}
        if engine in whole:
            packing = statistics.median(r["write"] for r in mine) * 2 * (whole[engine][0]["depth"] / 512 + 1)
            line["of prefill"] = f"{packing / statistics.median(r['whole'] for r in whole[engine]):.2%}"
        table.append(line)
    return same_columns(table)


def same_columns(table):
    """Every line with the columns of the longest one."""
    return [{**dict.fromkeys(max(table, key=len), ""), **line} for line in table]


def batched_table(rows):
    table = []
    for engine, mine in by_engine(rows).items():
        many, one = ([r for r in mine if (r["streams"] > 1) == several] for several in (True, False))
        depth, streams = int(many[0]["depth"]), int(many[0]["streams"])
        pairs = [a["attention"] / b["attention"] for a, b in zip(many, one)]
        table.append({"engine": engine, f"{streams} x {depth}, ms per layer": spread([1e3 * r["attention"] for r in many]),
                      f"1 x {int(one[0]['depth'])}": spread([1e3 * r["attention"] for r in one]), "time for the same bytes": spread(pairs),
                      "of bandwidth": f"{share_of_bandwidth(many):.0%}"})
    return table


def line_through(points):
    """Least squares a + b x with errors relative to y. Returns a, b and the largest relative deviation."""
    w = [1 / y ** 2 for _, y in points]
    sw, sx, sy = sum(w), sum(k * x for k, (x, _) in zip(w, points)), sum(k * y for k, (_, y) in zip(w, points))
    sxx, sxy = sum(k * x * x for k, (x, _) in zip(w, points)), sum(k * x * y for k, (x, y) in zip(w, points))
    b = (sw * sxy - sx * sy) / (sw * sxx - sx * sx)
    a = (sy - b * sx) / sw
    return a, b, max(abs(a + b * x - y) / y for x, y in points)


def long_line(rows):
    """Median time by depth, the line through it, and what the process grew by at the largest depth beside the cache's bytes."""
    times = {}
    for row in rows:
        times.setdefault(row["depth"], []).append(row["attention"])
    points = sorted((depth, statistics.median(t)) for depth, t in times.items())
    deepest = [r for r in rows if r["depth"] == points[-1][0]]
    return points, line_through(points), statistics.median(r["resident"] / r["bytes"] for r in deepest)


def long_table(rows):
    table = []
    for engine, mine in by_engine(rows).items():
        points, (_, slope, deviation), memory = long_line(mine)
        line = {"engine": engine} | {f"{int(d) // 1024}k": f"{1e3 * t:.3f}" for d, t in points}
        table.append(line | {"ns per cell": f"{1e9 * slope:.2f}", "off the line": f"{deviation:.1%}", "memory / plan": f"{memory:.4f}"})
    return table


def targets(sections):
    """What issue and design ask for, beside what was measured."""
    table = []

    def add(target, measured, met):
        table.append({"target": target, "measured": measured, "": "met" if met else "missed"})

    decode = sections.get("decode", [])
    ours = {n: rs for n, rs in by_engine(decode).items() if n.startswith("kvtuner") and not n.endswith("f16")}
    ik, middle = fastest(decode, "ik_llama.cpp", "attention"), statistics.median
    for engine, mine in ours.items():
        low = max(int(x) for x in engine.split()[-1].replace("K", "").split("V"))
        want = 0.6 if low == 8 and engine.endswith("K8V8") else 0.4
        share = share_of_bandwidth(mine)
        stock = [middle(ratios(decode, engine, f"llama.cpp {t}", "attention")) for t in ("f16", "q8_0") if ratios(decode, engine, f"llama.cpp {t}", "attention")]
        if ik:
            ratio = middle(ratios(decode, engine, ik, "attention"))
            add(f"{engine}: 3 times ik's fastest", f"{ratio:.2f}", ratio >= 3)
        if stock:
            add(f"{engine}: 10 times stock f16 or q8_0", f"{max(stock):.2f}", max(stock) >= 10)
        add(f"{engine}: {want:.0%} of bandwidth", f"{share:.0%}", share >= want)
    prefill = sections.get("prefill", [])
    for key, title in (("whole", "pp4608"), ("deep", "attention of pp4608"), ("last", "pp512 at 4096")):
        for engine in (n for n in by_engine(prefill) if n.startswith("kvtuner")):
            stock, best = ratios(prefill, engine, "llama.cpp f16", key), fastest(prefill, "ik_llama.cpp", key)
            if stock:
                add(f"{engine}: {title} 1.2 times stock f16", f"{middle(stock):.2f}", middle(stock) >= 1.2)
            if best:
                ratio = middle(ratios(prefill, engine, best, key))
                add(f"{engine}: {title} not below ik's best", f"{ratio:.2f}", ratio >= 1)
    for line in write_share(decode, prefill) if decode else []:
        for what in ("of decode", "of prefill"):
            if line.get(what):
                add(f"{line['engine']}: writing under 3 % {what}", line[what], float(line[what][:-1]) < 3)
    for engine, mine in by_engine(sections.get("batched", [])).items():
        if engine.startswith("kvtuner"):
            many, one = ([r["attention"] for r in mine if (r["streams"] > 1) == several] for several in (True, False))
            ratio = middle(a / b for a, b in zip(many, one))
            add(f"{engine}: 8 sequences cost as their bytes", f"{ratio:.2f}", ratio <= 1.1)
    for engine, mine in by_engine(sections.get("long", [])).items():
        if engine.startswith("kvtuner"):
            _, (_, _, deviation), memory = long_line(mine)
            add(f"{engine}: linear to 128k, within 10 %", f"{deviation:.1%}", deviation <= 0.1)
            add(f"{engine}: memory within 1 % of the plan", f"{memory - 1:+.2%}", abs(memory - 1) <= 0.01)
    return table


def text_table(title, table):
    head = list(table[0])
    widths = [max(len(h), *(len(row[h]) for row in table)) for h in head]
    lines = ["  " + row[head[0]].ljust(widths[0]) + "".join("  " + row[h].rjust(w) for h, w in zip(head[1:], widths[1:])) for row in [dict(zip(head, head))] + table]
    return "\n" + "\n".join([title] + lines)


def plot(rows, title, path):
    """Attention time over stored bits."""
    try:
        import matplotlib
        matplotlib.use("Agg")
        import matplotlib.pyplot as plt
    except ImportError:
        print("vs_peers: matplotlib is missing: no plot", file=sys.stderr)
        return
    figure, axis = plt.subplots(figsize=(8, 5.5))
    colors = {"llama.cpp": "tab:gray", "ik_llama.cpp": "tab:orange", "kvtuner kivi ": "tab:green", "kvtuner kivi-128": "tab:olive", "kvtuner per-token": "tab:blue",
              "kvtuner rotated": "tab:red", "kvtuner f16": "tab:purple"}
    for prefix, color in colors.items():
        label = prefix.strip()
        for engine, mine in ((n, rs) for n, rs in by_engine(rows).items() if n.startswith(prefix)):
            values, bits = [1e3 * r["attention"] for r in mine], mine[0]["bits"]
            middle = statistics.median(values)
            axis.errorbar(bits, middle, yerr=[[middle - min(values)], [max(values) - middle]], fmt="o", color=color, label=label, capsize=3)
            axis.annotate(engine.split()[-1], (bits, middle), textcoords="offset points", xytext=(5, 4), fontsize=7)
            label = None
    read = statistics.median(r["bandwidth"] for r in rows)
    per_bit = statistics.median(r["bytes"] / r["bits"] for r in rows)
    xs = [2 + 0.25 * i for i in range(61)]  # a straight line is a curve on a logarithmic axis
    axis.plot(xs, [1e3 * per_bit * b / read for b in xs], "k--", linewidth=1, label=f"memory limit, {read / 1e9:.0f} GB/s")
    axis.set(title=title, xlabel="stored bits per element", ylabel="ms per layer and token (lower is better)", yscale="log")
    axis.legend(fontsize=8)
    axis.grid(True, which="both", alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
