#!/usr/bin/env python3
"""Measures the claims of the KVTuner paper and of this project on one model and writes tables (Markdown, CSV) and raw records.

sections
  observations  what the paper observed: pairs, layers, heads
  frontier      quality against size: searches, uniform plans, cache types of llama.cpp; kinds of text, lengths of context
  ablations     what each choice of the formats and of the search is worth
  throughput    a plan of 3.25 bits against KIVI at 8 bits and f16
  memory        bytes per token, peak RSS, the longest context in 8 GiB
  scale         larger models, computed from constants measured here
What was measured before stays (raw/ in the output folder, plans and models in --work): a second run goes on where the first stopped; remove a
file to measure it again.
Speed beside the peers is the work of bench/vs_peers.
"""
import argparse
import pathlib
import sys

import ablations
import frontier
import memory
import observations
import scale
import speed
from common import ROOT, Bench, fail, machine

SECTIONS = {"observations": observations, "frontier": frontier, "ablations": ablations, "throughput": speed, "memory": memory, "scale": scale}


def main():
    p = argparse.ArgumentParser(prog="reproduce", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--llama", type=pathlib.Path, help=argparse.SUPPRESS)
    p.add_argument("--build", type=pathlib.Path, help=argparse.SUPPRESS)
    p.add_argument("--cache", type=pathlib.Path, help=argparse.SUPPRESS)
    p.add_argument("--model", type=pathlib.Path, help="GGUF model; default: SmolLM2-135M-Instruct, with --quick a tiny one")
    p.add_argument("--ik", type=pathlib.Path, help="folder of ik_llama.cpp with build/bin/llama-perplexity")
    p.add_argument("--quick", action="store_true", help="the tiny model and short texts: shows that everything runs, its figures mean little")
    p.add_argument("--sections", nargs="+", choices=list(SECTIONS), default=list(SECTIONS))
    p.add_argument("--out", type=pathlib.Path, default=ROOT / "docs" / "results" / "claims", help="folder to write to")
    p.add_argument("--work", type=pathlib.Path, help="folder for models, plans and texts; default: a folder for each model in the cache folder")
    p.add_argument("-t", "--threads", type=int, default=0, help="threads; 0: one per physical core")
    options = p.parse_args()
    if not options.model.is_file():
        fail(f"there is no model {options.model}")
    options.work = options.work or options.cache / options.model.stem
    options.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(options)
    asked = " ".join(["bench/reproduce", *(["--quick"] if options.quick else []), *(["--sections", *options.sections] if options.sections != list(SECTIONS) else [])])
    for name in options.sections:
        tables = SECTIONS[name].tables(bench)
        head = f"# Claims: {name}\n\n{options.model.stem}; {machine.described(bench.program)}.\nMade by `{asked}`.\n\n"
        (options.out / f"{name}.md").write_text(head + "\n".join(table.markdown() for table in tables))
        for table in tables:
            table.write(options.out)
            print(table.markdown(), flush=True)
    print(f"reproduce: wrote {options.out}", file=sys.stderr)


if __name__ == "__main__":
    main()
