"""What a packed cache serves and what it refuses: every kind of attention and every flag that concerns the cache, on generated models.

    matrix_test.py DOCUMENT [--write]

Each case runs a stock llama-perplexity without the plugin, with a plan of 16 bits (all tokens of a chunk in one batch), with one of 8
bits (token by token) and with one of 2. "Served" means that the mean KL divergence of the first two against stock stays within LIMITS,
while that of 2 bits is SEEN times as large as the limit: attention matters in this model. All else must end before the first number, and
say why. DOCUMENT holds the outcomes; the test prints a diff when they changed.
Paths come from the environment, as in stock.py.
"""
import difflib
import os
import sys
import tempfile

import tiny_models as tiny
from stock import CORPUS, MODEL, Server, kl_divergence, kvtuner, read_logits, run

LIMITS = {"f16": 2e-4, "kivi:KV8": 2e-2}
COARSE, SEEN = "kivi:KV2", 5  # the coarse plan must exceed the limit of 8 bits this many times

BOTH_WAYS = "attention in both directions, cache kept"  # llama.cpp takes a whole batch at once then, never token by token
MODELS = {
    "GQA, 2 queries per KV head, head_dim 64": lambda v: tiny.llama(v),
    "MQA, one KV head": lambda v: tiny.llama(v, kv_heads=1),
    "MHA, a KV head for each query": lambda v: tiny.llama(v, kv_heads=4),
    **{f"head_dim {d}": lambda v, d=d: tiny.llama(v, dk=d, dv=d) for d in (32, 80, 96, 112, 128, 256)},
    "K of 96 and V of 64 elements": lambda v: tiny.deepseek2(v, latent=False),
    "sliding window and learned attention sinks": tiny.sinks,
    "logit softcap, sliding window in every second layer": tiny.gemma2,
    "ALiBi": tiny.bloom,
    BOTH_WAYS: lambda v: tiny.llama(v, **{"attention.causal": False}),
    "MLA: latent cache, no V": tiny.deepseek2,
    "hybrid: short convolution and attention": tiny.lfm2,
}

ENCODER = "encoder (BERT), `llama-server --embeddings --pooling mean`"

# Flags on the first model. A --device among them takes the place of --device KVT0.
FLAGS = {
    "-fa off": ("-fa", "off"),
    "-ctk q8_0": ("-ctk", "q8_0"),
    "-ctv q8_0": ("-ctv", "q8_0"),
    "--no-kv-offload": ("--no-kv-offload",),
    "-ngl 0": ("-ngl", "0"),
    "-ngl 1": ("-ngl", "1"),
    "4 sequences, a stream each": ("-b", "512", "--no-kv-unified"),
    "4 sequences, unified cache": ("-b", "512", "--kv-unified"),
    "16 sequences, a stream each": ("-b", "2048", "--no-kv-unified"),
    "16 sequences, unified cache": ("-b", "2048", "--kv-unified"),
    "--split-mode none": ("-sm", "none"),
    "--device none": ("--device", "none"),
    "--device KVT0,none": ("--device", "KVT0,none"),
    "--rpc 127.0.0.1:1": ("--rpc", "127.0.0.1:1"),
}


class Case:
    """One model file in `folder`, with its plans."""

    def __init__(self, folder, model):
        self.folder, self.model = folder, model

    def plan(self, form):
        """A plan file, or the words of a refusal."""
        path = os.path.join(self.folder, form.replace(":", "-") + ".json")
        refusal = kvtuner("plan", "make", form, "-m", self.model, "-o", path, check=False)
        return path, refusal

    def logits(self, plan, *args):
        """The run, and the log-probabilities it wrote: for each scored token, those of the whole vocabulary. Empty if it wrote none."""
        path = os.path.join(self.folder, "logits")
        if os.path.exists(path):
            os.remove(path)
        chunks = "16" if "2048" in args else "4"
        batch = () if "-b" in args else ("-b", "128")
        result = run("llama-perplexity", "-f", CORPUS, "-c", "128", "--chunks", chunks, "--kl-divergence-base", path, *batch, *args,
                     plan=plan, model=self.model, device="--device" not in args)
        return result, read_logits(path) if os.path.exists(path) else []

    def words(self, result):
        """Ours, else the last ones of a program that did not start."""
        ours = sorted({line.partition("KVT: ")[2] for line in result.stderr.splitlines() if "KVT: " in line})
        return ours or ([] if result.returncode == 0 else ["llama.cpp: " + line for line in result.stderr.splitlines() if "rror" in line][-1:])

    def outcome(self, args, stock_args, plan_of):
        """(outcome, words); raises AssertionError for what must not be. `plan_of` makes a plan out of a short form."""
        stock, reference = self.logits(None, *stock_args)
        assert stock.returncode == 0 and reference, f"stock llama.cpp ends with {stock.returncode}: {stock.stderr[-1500:]}"
        divergence, said = {}, []
        for form in (*LIMITS, COARSE):
            # Token by token, so that the other way through the attention op is taken, too; not where -b is the point.
            one = ("-ub", "1") if form == "kivi:KV8" and "-b" not in args else ()
            result, logits = self.logits(plan_of(form), *args, *one)
            said = self.words(result) or said
            assert result.returncode >= 0, f"{form}: ended by signal {-result.returncode}: {result.stderr[-1500:]}"
            if len(logits) < len(reference):
                assert said, f"{form}: exit status {result.returncode} without words: {result.stderr[-1500:]}"
                assert not logits, f"{form}: broke off after {len(logits)} tokens"
                return ("no start" if result.returncode != 0 else "every request ends with an error"), said[0]
            divergence[form] = kl_divergence(reference, logits)
        print("   ", {form: f"{value:.6f}" for form, value in divergence.items()}, said, flush=True)
        for form, limit in LIMITS.items():
            assert divergence[form] <= limit, f"{form}: KL divergence {divergence[form]}, limit {limit}"
        if said or tuple(args)[-2:] == ("--device", "none"):  # answers of llama.cpp's own f16 cache, in part or in whole, and the words that say so
            assert said or divergence[COARSE] <= LIMITS["f16"], divergence
            return "served without the plan", said[0] if said else "none: llama.cpp does not ask a device that is not in the list"
        assert divergence[COARSE] >= SEEN * LIMITS["kivi:KV8"], f"the test cannot see the cache: {COARSE} diverges by {divergence[COARSE]}"
        return "served", ""

    def outcomes(self, args=(), stock_args=()):
        """[(kind of plan, outcome, words)]: a plan file, and if kvtuner makes none for this model, short forms."""
        refusal = self.plan("f16")[1]
        if not refusal:
            return [("file", *self.outcome(args, stock_args, lambda form: self.plan(form)[0]))]
        reason = refusal.strip().partition("model.gguf: ")[2] or refusal.strip()
        return [("file", "none made", reason), ("short form", *self.outcome(args, stock_args, lambda form: form))]


def embeddings(model, plan):
    with Server(plan, "-c", "256", "--embeddings", "--pooling", "mean", model=model) as server:
        for _ in range(2):  # the first request tells a device nothing of where the cache is
            reply = server.post("/embedding", content="Once upon a time there was a girl")
        words = [line for line in server.words().splitlines() if "KVT: " in line]
    return reply[0]["embedding"][0], words


def embeddings_outcome(case):
    stock, _ = embeddings(case.model, None)
    path, refusal = case.plan("f16")
    ours, words = embeddings(case.model, COARSE if refusal else path)
    assert max(abs(a - b) for a, b in zip(stock, ours)) < 1e-3, (stock[:4], ours[:4])
    outcome = ("served without the plan", words[0].partition("KVT: ")[2]) if words else ("served", "")
    if not refusal:
        return [("file", *outcome)]
    return [("file", "none made", refusal.strip().partition("model.gguf: ")[2] or refusal.strip()), ("short form", *outcome)]


def all_outcomes():
    """[(section, name, kind of plan, outcome, words)] and problems."""
    rows, problems = [], []

    def note(section, name, fn):
        print(name, flush=True)
        try:
            rows.extend((section, name, *outcome) for outcome in fn())
        except Exception as error:  # noqa: BLE001 - reported at the end
            problems.append(f"{name}: {error}")

    with tempfile.TemporaryDirectory() as top:
        cases = {}
        for number, (name, make) in enumerate({**MODELS, ENCODER: tiny.bert}.items()):
            folder = os.path.join(top, str(number))
            os.mkdir(folder)
            case = cases[name] = Case(folder, os.path.join(folder, "model.gguf"))
            make(MODEL).write(case.model)
            note("Attention", name, {ENCODER: lambda: embeddings_outcome(case), BOTH_WAYS: lambda: case.outcomes(("-b", "128"))}.get(name, case.outcomes))
        first = next(iter(cases.values()))
        for name, args in FLAGS.items():
            # Without flash attention a quantized V does not exist, and stock with these types is another reference.
            note("Flags", name, lambda args=args: first.outcomes(args, args if "-b" in args else ()))
        note("Flags", "`llama-server --embeddings --pooling mean`", lambda: embeddings_outcome(first))
    return rows, problems


def document(rows):
    lines = ["# What a packed cache serves", "",
             "Generated by `tests/integration/plugin/matrix_test.py docs/results/runtime-matrix.md --write` (ctest: `integration.matrix`; paths",
             "come from the environment, see `stock.py`) with stock llama.cpp v0.5.0 and models of two layers with random weights.", "",
             f"* served: mean KL divergence against llama.cpp's f16 cache at most {LIMITS['f16']:g} with a plan of 16 bits (chunks of 128 tokens in",
             f"  one batch) and at most {LIMITS['kivi:KV8']:g} with `kivi:KV8` (token by token), while `{COARSE}` exceeds {SEEN * LIMITS['kivi:KV8']:g}",
             "* served without the plan: the same numbers as llama.cpp's f16 cache, and these words on stderr",
             "* no start, or every request ends with an error: not a single number, and these words on stderr",
             "* none made: `kvtuner plan make` ends with these words; a short form then stands in for the plan file"]
    for section in dict.fromkeys(row[0] for row in rows):
        lines += ["", f"## {section}", "| case | plan | outcome | words |", "|---|---|---|---|"]
        lines += [f"| {name} | {kind} | {outcome} | {words} |" for group, name, kind, outcome, words in rows if group == section]
    return "\n".join(lines) + "\n"


def main():
    path = sys.argv[1]
    rows, problems = all_outcomes()
    for problem in problems:
        print("FAILED:", problem)
    text = document(rows)
    if "--write" in sys.argv and not problems:
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return 0
    with open(path, encoding="utf-8") as f:
        changes = list(difflib.unified_diff(f.read().splitlines(), text.splitlines(), "the document", "this run", lineterm=""))
    print("\n".join(changes))
    return 1 if problems or changes else 0


if __name__ == "__main__":
    sys.exit(main())
