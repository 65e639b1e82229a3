"""Bytes of the cache: by plan, inside a real process, and the longest context in 8 GiB."""
import json
import os
import re
import subprocess

from common import Table, fail

PLANS = ["kivi:KV8", "kivi:KV4", "kivi:K4V2", "per-token:KV8", "per-token:KV4"]
LAYERS = 4
STOCK = {"f16": 16.0, "q8_0": 8.5, "q4_0": 4.5}
WEIGHTS_8B = 4.66 * 2**30  # Llama-3.1-8B at Q4_0
ROOM = 8 * 2**30
COMPUTE = 300 * 2**20  # what llama.cpp takes beside weights and cache at a batch of 512


def big_model(bench):
    """A model of Llama-3.1-8B's shape with LAYERS layers, random; a narrower one in a quick run."""
    path = bench.work / "model-8b.gguf"
    if not path.exists():
        bench.run([bench.random_model, path, "--vocab", bench.model, "--layers", LAYERS, *(["--embd", "256", "--ff", "256"] if bench.quick else [])])
    return path


def size(bench, model, plan, n_ctx):
    return json.loads(bench.kvtuner("plan", "show", plan, "-m", model, "-c", n_ctx, "--json"))


def plan_file(bench, model, plan):
    return bench.plan(f"uniform-{plan.replace(':', '-')}", plan, model=model)


def peak_rss(bench, model, plan, n_ctx):
    """(peak resident bytes, bytes of the cache in the log) of llama-completion with a cache of n_ctx cells; plan None: llama.cpp's f16."""
    command = [bench.llama / "build/bin/llama-completion", "-m", model, "-c", n_ctx, "-n", 1, "-p", "1 2 3", "-no-cnv", "-fa", "on", "--no-warmup", "-t", 1, "-lv", 4]
    environment = dict(bench.environment)
    if plan in STOCK:
        command += ["-ctk", plan, "-ctv", plan]
    else:
        command += ["--device", "KVT0"]
        environment |= {"GGML_BACKEND_PATH": str(bench.plugin), "KVT_PLAN": str(plan_file(bench, model, plan))}
    log = bench.work / "completion.log"
    with open(log, "w") as file:
        process = subprocess.Popen([str(part) for part in command], env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        _, status, usage = os.wait4(process.pid, 0)
    text = log.read_text(errors="replace")
    found = re.search(r"KV buffer size\s*=\s*([\d.]+) MiB", text)
    if status != 0 or found is None:
        fail(f"llama-completion with {plan} ended with status {status}; its words are in {log}")
    return usage.ru_maxrss * 1024, float(found[1]) * 2**20


def tables(bench):
    model, n_ctx = big_model(bench), 2048 if bench.quick else 65536
    shown = {plan: bench.keep(f"size-{plan.replace(':', '-')}", lambda plan=plan: size(bench, model, plan, n_ctx)) for plan in ["f16", *PLANS]}
    f16 = shown["f16"]["bytes"]
    rows = []
    for plan in [*STOCK, *PLANS]:
        measured = bench.keep(f"rss-{plan.replace(':', '-')}", lambda plan=plan: peak_rss(bench, model, plan, n_ctx))
        stated = shown[plan]["bytes"] if plan in shown else int(f16 * STOCK[plan] / 16)
        per_token = stated / n_ctx / LAYERS * 32  # as the real model has 32 layers
        rows.append({"cache": plan, "KiB per token, 32 layers": per_token / 1024, "stated MiB": stated / 2**20, "in llama.cpp's log": measured[1] / 2**20,
                     "peak RSS MiB": measured[0] / 2**20, "of f16": stated / f16, "longest context in 8 GiB": int((ROOM - WEIGHTS_8B - COMPUTE) / per_token)})
    return [Table("memory", f"Memory, a model of Llama-3.1-8B's shape with {LAYERS} layers and {n_ctx} cells", rows,
                  [f"Longest context: 8 GiB less {WEIGHTS_8B / 2**30:.2f} GiB of weights and {COMPUTE >> 20} MiB of buffers, computed from the bytes per token. "
                   "Peak RSS is of llama-completion, which clears the cache at the start: all of it counts."])]
