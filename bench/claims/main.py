#!/usr/bin/env python3
"""Measures the claims of the KVTuner paper and of this project on models and writes tables (Markdown, CSV) and raw records.

sections
  observations  what the paper observed: pairs, layers, heads
  frontier      quality against size: searches, uniform plans, cache types of llama.cpp; kinds of text, lengths of context
  lossless      answers and likelihood of reference answers under plans beside f16
  ablations     what each choice of the formats and of the search is worth
  throughput    a plan of 3.25 bits against KIVI at 8 bits and f16
  memory        bytes per token, peak RSS, the longest context in 8 GiB
  second        KLD by an implementation in numpy that shares no code; needs numpy and gguf (pip)
  scale         larger models, computed from constants measured here
Every model has a folder of its own in --out. What this machine and version measured before stays (raw/ there, plans and models in --work): a second run goes on where the first
stopped; remove a file to measure it again.
Speed beside the peers is the work of bench/vs_peers.
"""
import argparse
import csv
import importlib.util
import pathlib
import sys

import ablations
import frontier
import lossless
import memory
import observations
import scale
import second
import speed
from common import ROOT, Bench, Table, fail

SECTIONS = {"observations": observations, "frontier": frontier, "lossless": lossless, "ablations": ablations, "throughput": speed, "memory": memory, "second": second, "scale": scale}


def summarize(bench, verdicts):
    """README.md with the verdicts of all pages: of those not written today as verdicts.csv has them. `verdicts`: rows by section."""
    known = bench.out / "verdicts.csv"
    if known.exists():
        with open(known) as file:
            before = list(csv.DictReader(file))
        verdicts = {name: [row for row in before if row["section"] == name] for name in SECTIONS} | verdicts
    rows = [row for name in SECTIONS for row in verdicts.get(name, [])]
    if not rows:
        return
    table = Table("verdicts", "What holds", rows)
    table.write(bench.out)
    pages = [{**row, "section": f"[{row['section']}]({row['section']}.md)"} for row in rows]
    (bench.out / "README.md").write_text(f"# Claims on {bench.model.stem}\n\nThe pages say by which command and on which machine.\n\n{Table('', table.title, pages).markdown()}")


def measure(model, options, asked):
    """All sections on one model."""
    bench = Bench(model, options)
    verdicts = {}
    for name in options.sections:
        bench.measured_on = []
        tables = SECTIONS[name].tables(bench)
        head = f"# Claims: {name}\n\n{model.stem}; {' and '.join(bench.measured_on)}.\nMade by `{asked}`.\n\n"
        (bench.out / f"{name}.md").write_text(head + "\n".join(table.markdown() for table in tables))
        for table in tables:
            table.write(bench.out)
            print(table.markdown(), flush=True)
        verdicts[name] = [{"section": name, "claim": table.claim(row), "verdict": row["verdict"]} for table in tables for row in table.rows if "verdict" in row]
    summarize(bench, verdicts)
    print(f"reproduce: wrote {bench.out}", file=sys.stderr)


def command_line(options, parser):
    """What was asked for beside the defaults, without paths: those of this machine say nothing elsewhere."""
    words = ["bench/reproduce"]
    for name in ("quick", "allow_code_execution", "items", "contexts", "sections", "threads"):
        value = getattr(options, name)
        if value != parser.get_default(name):
            words += [f"--{name.replace('_', '-')}", *([] if value is True else map(str, value) if isinstance(value, list) else [str(value)])]
    return " ".join(words)


def main():
    p = argparse.ArgumentParser(prog="reproduce", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--llama", type=pathlib.Path, help=argparse.SUPPRESS)
    p.add_argument("--build", type=pathlib.Path, help=argparse.SUPPRESS)
    p.add_argument("--cache", type=pathlib.Path, help=argparse.SUPPRESS)
    p.add_argument("--model", type=pathlib.Path, action="append", help="GGUF model, may be repeated; default: SmolLM2-135M-Instruct, with --quick a tiny one")
    p.add_argument("--items", type=int, default=0, help="of the section lossless; 0: 400 of GSM8K, all of HumanEval")
    p.add_argument("--allow-code-execution", action="store_true", help="HumanEval in the section lossless: runs what the model wrote, in a sandbox")
    p.add_argument("--contexts", type=int, nargs="+", default=[512, 4096], help="lengths that are scored token by token")
    p.add_argument("--ik", type=pathlib.Path, help="folder of ik_llama.cpp with build/bin/llama-perplexity")
    p.add_argument("--quick", action="store_true", help="the tiny model and short texts: shows that everything runs, its figures mean little")
    p.add_argument("--elsewhere", action="store_true", help="take results of other machines and versions too, where raw/ has them; the pages name all")
    p.add_argument("--sections", nargs="+", choices=list(SECTIONS), help="default: all that can be run here")
    p.add_argument("--out", type=pathlib.Path, default=ROOT / "docs" / "results" / "claims", help="folder to write to")
    p.add_argument("--work", type=pathlib.Path, help="folder for models, plans and texts, one below it for each model; default: in the cache folder")
    p.add_argument("-t", "--threads", type=int, default=0, help="threads; 0: one per physical core")
    options = p.parse_args()
    asked = command_line(options, p)
    options.sections = options.sections or [name for name in SECTIONS if name != "second" or importlib.util.find_spec("gguf")]
    for model in options.model:
        if not model.is_file():
            fail(f"there is no model {model}")
    for model in options.model:
        measure(model, options, asked)


if __name__ == "__main__":
    main()
