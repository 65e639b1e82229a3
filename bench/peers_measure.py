"""The measurements of vs_peers: each returns raw rows, one for an engine and a round, every round in another order."""
import json
import random
import re
import subprocess
import sys

import machine
from peers_engines import PROMPT, SHAPES, all_engines, fail, model_path


def device(options, name, engine, depths, streams=1, reps=5):
    """Lines of device_bench for one cache, by depth."""
    layers, heads, kv_heads, head_dim = SHAPES[name][0]
    command = [str(options.build / "bin" / "device_bench"), "--plugin", str(options.build / "bin" / "libggml-kvtuner.so"), "--cache", engine.cache,
               "--depth", ",".join(map(str, depths)), "--streams", str(streams), "--layers", str(layers), "--heads", str(heads), "--kv-heads",
               str(kv_heads), "--head-dim", str(head_dim), "--threads", str(options.threads), "--reps", str(reps)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        fail(f"{engine.name}: {done.stderr.strip()}")
    return {line["depth"]: line for line in map(json.loads, done.stdout.splitlines())}


def rounds(options, section, engines, measure):
    """Rows of `measure(engine)`, a dictionary or a list of them."""
    rows, order = [], random.Random(1)
    for number in range(1, options.rounds + 1):
        read, shuffled = machine.bandwidth(options.build / "bin" / "kvtuner"), list(engines)
        order.shuffle(shuffled)
        for i, engine in enumerate(shuffled):
            print(f"  {section}: round {number} of {options.rounds}, {i + 1} of {len(shuffled)}: {engine.name}".ljust(100), end="\r", file=sys.stderr)
            found = measure(engine)
            for row in found if isinstance(found, list) else [found]:
                rows.append({"section": section, "engine": engine.name, "bits": engine.bits, "round": number, "bandwidth": read} | row)
    print(" " * 100, end="\r", file=sys.stderr)
    return rows


def middle(values):
    return sorted(values)[len(values) // 2]


def of_device(line, pick=middle):
    """Of one line, in seconds per layer; `pick` chooses among the repetitions of attention."""
    return {"attention": pick(line["attention_s"]) / line["layers"], "write": middle(line["write_s"]) / line["layers"], "write_one": line["write_one_s"] / line["layers"],
            "bytes": line["bytes"] / line["layers"], "depth": line["depth"], "streams": line["streams"],
            "resident": line["resident"] / line["layers"]}


def measure_decode(options):
    """Attention of one token at the depth asked for, seconds and bytes per layer; writing rows beside it."""
    engines = all_engines(options, "attention", model_path(options, "attention"))
    short, (layers, _, kv_heads, head_dim) = model_path(options, "short"), SHAPES["short"][0]

    def measure(engine):
        if engine.cache is not None:
            return of_device(device(options, "attention", engine, [options.depth])[options.depth])
        size = options.depth * 2 * kv_heads * head_dim * engine.bits / 8
        return {"attention": engine.attention(short, options.threads, options.depth, options.tokens) / layers, "bytes": size, "depth": options.depth}

    return rounds(options, "decode", engines, measure)


def measure_prefill(options):
    """Seconds of a long prompt, and of PROMPT tokens at a depth, the 8b shape."""
    model = model_path(options, "8b")
    engines = [e for e in all_engines(options, "8b", model) if e.bits == 16 or e.name.startswith("ik") or re.fullmatch(r"kvtuner (per-token|kivi) K(\d)V\2", e.name)]

    def measure(engine):
        return engine.prefill(model, options.threads, options.prefill_depth) | {"depth": options.prefill_depth}

    return rounds(options, "prefill", engines, measure)


def measure_batched(options):
    """One token for each of 8 sequences, and for one sequence of the same bytes."""
    n = 8
    engines = [e for e in all_engines(options, "attention", model_path(options, "attention")) if e.cache is not None]

    def measure(engine):
        return [of_device(device(options, "attention", engine, [depth], streams)[depth]) for depth, streams in ((options.depth // n, n), (options.depth, 1))]

    return rounds(options, "batched", engines, measure)


def measure_long(options):
    """Attention at depths up to 128k with SmolLM2's heads and layers; memory of the process."""
    depths = [4096 << i for i in range(6)]
    engines = [e for e in all_engines(options, "small", options.small_model) if e.cache is not None and not re.search("rotated|kivi-128", e.name)]

    def measure(engine):
        # The fastest of some: whether the cost is a line is asked of the program, not of its neighbours on the machine.
        return [of_device(line, min) for line in device(options, "small", engine, depths, reps=7).values()]

    return rounds(options, "long", engines, measure)


SECTIONS = {"decode": measure_decode, "prefill": measure_prefill, "batched": measure_batched, "long": measure_long}
