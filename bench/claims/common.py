"""What the sections share: running programs with a memory of what was run, tables, rank correlation."""
import csv
import json
import math
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "bench"), str(ROOT / "scripts")]  # what other benchmarks have already
import machine  # noqa: E402
import md_tables  # noqa: E402
from records import mean_kld  # noqa: E402, F401: the sections take it from here

DATA = ROOT / "data"
CHECK = DATA / "wikitext2" / "wiki.test.head.raw"  # text that no search has seen


def fail(message):
    sys.exit(f"reproduce: error: {message}")


def plan_options(plans):
    return [word for plan in plans for word in ("--plan", plan)]


class Bench:
    """One model and the programs. Results are kept in `raw` with the machine and version they are of, and are not measured again there; models, plans and
    texts lie in `work`."""

    def __init__(self, model, options):
        self.quick, self.model, self.llama, self.threads, self.ik = options.quick, model, options.llama, options.threads, options.ik
        self.out, self.work = options.out / model.stem.lower(), (options.work or options.cache) / model.stem
        self.raw = self.out / "raw"
        self.contexts, self.items, self.allow_code = options.contexts, options.items, options.allow_code_execution
        self.n_threads = options.threads or os.cpu_count()
        self.program = options.build / "bin" / "kvtuner"
        self.plugin = options.build / "bin" / "libggml-kvtuner.so"
        self.random_model = options.build / "bin" / "random_model"
        for folder in (self.raw, self.work):
            folder.mkdir(parents=True, exist_ok=True)
        self.here, self.elsewhere = machine.described(self.program), options.elsewhere
        self.measured_on = []  # whose results the section at hand has used
        # Plans made here stay out of the user's library.
        self.environment = {k: v for k, v in os.environ.items() if k not in ("GGML_BACKEND_PATH", "KVT_PLAN")} | {"XDG_DATA_HOME": str(self.work / "library")}

    def run(self, command):
        done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True, errors="replace", env=self.environment)
        if done.returncode != 0:
            fail(f"code {done.returncode} from: {' '.join(map(str, command))}")
        return done.stdout

    def kvtuner(self, *arguments):
        return self.run([self.program, *arguments])

    def keep(self, name, measure, makes=None):
        """The value of `measure()`, from raw/NAME.json where this machine and version measured it before (any, with --elsewhere) and the file `makes` is still
        there."""
        path = self.raw / f"{name}.json"
        record = json.loads(path.read_text()) if path.exists() else None
        if record is None or (record["by"] != self.here and not self.elsewhere) or (makes is not None and not makes.exists()):
            print(f"reproduce: {name}", file=sys.stderr, flush=True)
            text = json.dumps({"by": self.here, "value": measure()}).replace(f"{self.work}/", "")  # names of files in work without this machine's paths
            part = path.with_suffix(".part")
            part.write_text(text + "\n")
            part.rename(path)
            record = json.loads(text)
        if record["by"] not in self.measured_on:
            self.measured_on.append(record["by"])
        return record["value"]

    def few_shots(self):
        """Options of `kvtuner eval gsm8k`: the tiny model's context has no room for worked examples."""
        return ["--shots", "0"] if self.quick else []

    def text(self, name, make):
        """A file in work with the text of `make()`."""
        path = self.work / name
        if not path.exists():
            path.write_text(make())
        return path

    def calibration(self):
        path = self.work / "calibration.safetensors"
        if not path.exists():
            few = ["--calibration-tokens", "2048", "--positions", "1024"] if self.quick else []
            self.kvtuner("calibrate", "-m", self.model, "-o", path, *few)
        return path

    def plan(self, name, form, *options, model=None):
        """The file work/NAME.json with the plan of a short form, for the model at hand or another one."""
        path = self.work / f"{name}.json"
        if not path.exists():
            calibration = ["--calibration", self.calibration()] if form.startswith("rotated") else []
            self.kvtuner("plan", "make", form, "-m", model or self.model, "-o", path, *options, *calibration)
        return path

    def compared(self, name, task, plans, *arguments):
        """Scores of the plans beside f16 on a benchmark, in their order, without the answers, which fill megabytes. Its records stay in work, so that a
        stopped run goes on there."""
        command = ["eval", task, "-m", self.model, "--out", self.work / name, "-t", self.threads, "--json", *arguments, *plan_options(plans)]
        def measure():
            return [{"scores": c["scores"], "n_answers": c["n_answers"]} for c in json.loads(self.kvtuner(*command))["comparisons"]]
        return self.keep(name, measure)

    def kld(self, name, plans, *arguments, chunks=12, n_ctx=512):
        """Rows of `kvtuner eval kld` in the order of the plans, and the noise floor. A quick run takes 2 chunks of 128 tokens."""
        chunks, n_ctx = (2, 128) if self.quick else (chunks, n_ctx)
        command = ["eval", "kld", "-m", self.model, "-c", n_ctx, "--chunks", chunks, "--json", *arguments, *plan_options(plans)]
        if any(str(plan).startswith("rotated") for plan in plans):
            command += ["--calibration", self.calibration()]
        record = self.keep(name, lambda: json.loads(self.kvtuner(*command)))
        return record["plans"], max(f["mean"]["value"] for f in record["floors"])


class Table:
    """Rows (dicts of equal keys) with a title, sentences on them and perhaps a picture (a file's name)."""

    def __init__(self, name, title, rows, notes=(), picture=None):
        self.name, self.title, self.rows, self.notes, self.picture = name, title, rows, notes, picture

    def markdown(self):
        head = list(self.rows[0])
        texts = [h for h in head if any(isinstance(row[h], str) for row in self.rows)]
        lines = md_tables.table([{h: shown(row[h]) for h in head} for row in self.rows], texts)
        picture = [f"![{self.title}]({self.picture})", ""] if self.picture else []
        return "\n".join([f"## {self.title}", "", *picture, *lines, ""] + [f"* {note}" for note in self.notes]) + "\n"

    @staticmethod
    def claim(row):
        """The row in a sentence, less its verdict."""
        return ", ".join(shown(value) if key in ("observation", "claim", "figure") else f"{key} {shown(value)}" for key, value in row.items() if key != "verdict")

    def write(self, folder):
        with open(folder / f"{self.name}.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, self.rows[0].keys(), lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)


def shown(value):
    if not isinstance(value, float):
        return str(value)
    if math.isnan(value):
        return ""
    if abs(value) >= 1:
        return f"{value:.2f}"
    return f"{value:.4f}" if abs(value) >= 0.001 or value == 0 else f"{value:.2e}"


def interval(plan):
    """The mean KLD with its 95 % interval, which short runs have not."""
    mean = plan["kld"]["mean"]
    return f"{mean['value']:.4f}" + (f" ({mean['ci_low']:.4f} .. {mean['ci_high']:.4f})" if mean["ci_low"] is not None else "")


def signed_interval(score, digits, unit=1):
    """The paired difference of a comparison of `kvtuner eval` with its 95 % interval, which fewer than 8 items have not."""
    signed = lambda key: f"{unit * score[key]:+.{digits}f}"
    return signed("difference") + (f" ({signed('ci_low')} .. {signed('ci_high')})" if score["ci_low"] is not None else "")


def verdict(holds):
    return "holds" if holds else "does not hold"


def ranks(values):
    """Ranks from 0, the mean rank where values tie."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    out = [0.0] * len(values)
    at = 0
    while at < len(order):
        end = at
        while end < len(order) and values[order[end]] == values[order[at]]:
            end += 1
        for i in order[at:end]:
            out[i] = (at + end - 1) / 2
        at = end
    return out


def rank_correlation(x, y):
    """Spearman's."""
    a, b = ranks(x), ranks(y)
    ma, mb = sum(a) / len(a), sum(b) / len(b)
    top = sum((p - ma) * (q - mb) for p, q in zip(a, b))
    bottom = math.sqrt(sum((p - ma) ** 2 for p in a) * sum((q - mb) ** 2 for q in b))
    return top / bottom if bottom else math.nan
