"""What vs_peers runs: models, engines with their cache types, one llama-bench call."""
import json
import os
import re
import subprocess
import sys

TIMEOUT_S = 1800
PROMPT = 512
NEAR = 64  # depth of a decode figure without much attention
# Layers, query heads, KV heads, head_dim; what random_model makes them with.
#   attention  the attention of Llama-3.1-8B with tiny other weights
#   short      the same with one layer, for engines whose cache only a prompt can fill
#   8b         Llama-3.1-8B's shape, Q4_0
#   small      SmolLM2-135M-Instruct
SHAPES = {
    "attention": ((4, 32, 8, 128), ["--layers", "4", "--embd", "512", "--ff", "512"]),
    "short": ((1, 32, 8, 128), ["--layers", "1", "--embd", "512", "--ff", "512"]),
    "8b": ((2, 32, 8, 128), []),
    "small": ((30, 9, 3, 64), None),
}


def fail(message):
    sys.exit(f"vs_peers: error: {message}")


def elements(name):
    """K and V elements of one token in one layer."""
    _, _, kv_heads, head_dim = SHAPES[name][0]
    return 2 * kv_heads * head_dim


class Engine:
    """One engine with one cache type: how to run it, bits per stored element, and its name in device_bench (None: not there)."""

    def __init__(self, name, bench, bits, arguments, environment=None, cache=None):
        self.name, self.bench, self.bits, self.arguments = name, bench, bits, arguments
        self.environment, self.cache = environment or {}, cache

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

    def attention(self, model, threads, depth, tokens):
        """Seconds that attention takes for a token at `depth`, all layers: what a token costs more there than at depth NEAR.

        For ik_llama.cpp, which has no option for a depth: a prompt is read first, generation alone is timed."""
        near, far = (self.run(model, threads, ["-p", "0", "-n", "0", "-gp", f"{d},{tokens}"])[0]["avg_ns"] / 1e9 / tokens for d in (NEAR, depth))
        return far - near

    def prefill(self, model, threads, depth):
        """Seconds of a prompt of depth + PROMPT tokens and, where there is an option for a depth, of PROMPT tokens there.

        `deep` is what the long prompt takes more than as many prompts of PROMPT tokens: attention without the products with the
        weights, which are llama.cpp's or ik_llama.cpp's own. Without the warm-up, which would be the prompt itself."""
        cold = ["-w", "0"] if self.name.startswith("ik") else ["--no-warmup"]
        seconds = lambda arguments: self.run(model, threads, ["-n", "0", *arguments])[0]["avg_ns"] / 1e9
        whole, short = seconds(["-p", str(depth + PROMPT), *cold]), seconds(["-p", str(PROMPT), "-r", "5"])
        found = {"whole": whole, "deep": whole - short * (depth / PROMPT + 1)}
        return found if self.name.startswith("ik") else found | {"last": seconds(["-p", str(PROMPT), "-d", str(depth), *cold])}


def made_plans(options, model, label, form, arguments):
    """pair -> plan file of the short form `form:PAIR` with `arguments`, made once per build."""
    program = options.build / "bin" / "kvtuner"
    folder = options.cache / f"{label}-{model.stem}"
    folder.mkdir(parents=True, exist_ok=True)
    plans = {pair: folder / f"{pair}.json" for pair in options.pairs}
    for pair, plan in plans.items():
        if not newer(plan, program):
            call(program, "plan", "make", f"{form}:{pair}", "-m", model, *arguments, "-o", plan)
    return plans


def calibration(options, model):
    """A file for rotated plans; that of a random model costs as much at run time as any other."""
    program = options.build / "bin" / "kvtuner"
    positions = max(options.depth, options.prefill_depth + PROMPT) + 1024
    path = options.cache / f"calibration-{model.stem}-{positions}.safetensors"
    if not newer(path, program):
        call(program, "calibrate", "-m", model, "--calibration-tokens", "1024", "--positions", positions, "--fresh", "-o", path)
    return path


def call(*command):
    subprocess.run([str(part) for part in command], check=True, capture_output=True)


def newer(path, program):
    return path.exists() and path.stat().st_mtime > program.stat().st_mtime


def all_engines(options, name, model):
    """Every engine and cache type for the model `name` at path `model`."""
    stock, head_dim = options.llama / "build" / "bin" / "llama-bench", SHAPES[name][0][3]
    stored = (("f16", 16), ("q8_0", 8.5), ("q4_0", 4.5))
    found = [Engine(f"llama.cpp {t}", stock, bits, ["-ctk", t, "-ctv", t], cache=f"stock:{t}") for t, bits in stored]
    if options.ik is not None:
        bench = options.ik / "llama-bench"
        if not bench.exists():
            fail(f"--ik {options.ik}: no llama-bench in it")
        found += [Engine(f"ik_llama.cpp {t}", bench, bits, ["-ctk", t, "-ctv", t]) for t, bits in stored]

    def ours(label, bits, plan):
        environment = {"GGML_BACKEND_PATH": str((options.build / "bin" / "libggml-kvtuner.so").resolve()), "KVT_PLAN": plan}
        found.append(Engine(f"kvtuner {label}", stock, bits, ["--device", "KVT0"], environment, plan))

    # Plans that have no short form: KIVI with one scale for 128 tokens of a channel and for all channels of a token, and rotated.
    long_blocks = made_plans(options, model, "kivi-128", "kivi", ["--key-group", 128, "--value-group", head_dim])
    rotated = {}
    if re.search(options.only, "kvtuner rotated"):
        rotated = made_plans(options, model, "rotated", "rotated", ["--calibration", calibration(options, model)])
    for pair in options.pairs:
        k, v = pair_bits(pair)
        ours(f"per-token {pair}", (k + v) / 2 + 32 / head_dim, f"per-token:{pair}:hd{head_dim}")
        ours(f"kivi {pair}", (k + v) / 2 + 1, f"kivi:{pair}")
        ours(f"kivi-128 {pair}", (k + v) / 2 + 16 / 128 + 16 / head_dim, str(long_blocks[pair]))
        if pair in rotated:
            ours(f"rotated {pair}", (k + v) / 2 + 16 / head_dim, str(rotated[pair]))
    ours("f16", 16, "f16")
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
        subprocess.run([str(options.build / "bin" / "random_model"), str(part), "--vocab", str(vocab)] + SHAPES[name][1], check=True)
        part.rename(path)
    return path
