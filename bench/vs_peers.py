#!/usr/bin/env python3
"""Times the KV cache of kvtuner against its peers and writes tables, raw rows and a plot.

A machine may be slowed by others for minutes, so every round runs all engines once, in another order, and ratios are taken inside
a round. Sections:
  decode   attention of one token at a depth: the op alone, of our plugin and of stock ggml, in one small program
           (bench/device_bench.cc) that fills the cache with random rows; ik_llama.cpp by its own llama-bench, as what a token costs
           more at the depth than at depth 64. Four layers with the attention of Llama-3.1-8B (32 query heads, 8 KV heads, head_dim
           128), one for ik_llama.cpp, whose cache only a prompt can fill; figures are per layer. Rows are stored there too.
  prefill  llama-bench on 2 layers of Llama-3.1-8B's shape, Q4_0 weights: a prompt of depth + 512 tokens and, but for ik_llama.cpp,
           which has no option for a depth, 512 tokens at the depth. That takes a minute each: of stock types only f16, of ours
           per-token and KIVI where V has the bits of K.
  batched  8 sequences beside one that holds as many tokens
  long     depths to 128k with the heads and layers of SmolLM2-135M; growth of the process beside the bytes of the plan
kivi-128 is KIVI with blocks of 128 tokens for keys and one group for the values of a head.
With --out, sections measured before stay in the result until they are measured again.
ik_llama.cpp is measured when --ik names the folder of its built programs (llama-bench in it), built by you with GGML_IQK_FA_ALL_QUANTS.
"""
import argparse
import csv
import os
import pathlib
import statistics
import sys

import machine
import md_tables
from peers_measure import SECTIONS
from peers_tables import batched_table, decode_table, long_table, plot, prefill_table, spread, targets, text_table, write_share


def tables(sections):
    """Title, table and note of everything that was measured."""
    found, decode, prefill = [], sections.get("decode", []), sections.get("prefill", [])
    rounds = lambda rows: f"median (lowest .. highest) of {len({r['round'] for r in rows})} rounds"
    if decode:
        found.append((f"Decode attention at depth {int(decode[0]['depth'])}", decode_table(decode),
                      f"One token, {rounds(decode)}; ratios are times faster."))
    if prefill:
        found.append(("Prefill", prefill_table(prefill), f"2 layers of Llama-3.1-8B's shape, {rounds(prefill)}. Attention: what the long prompt takes more than "
                      "as many prompts of 512 tokens, so without the products with the weights, which are the engine's own and not the cache's."))
    if decode:
        found.append(("Writing", write_share(decode, prefill), "Packing K and V of one layer: one token beside its attention at that depth, "
                      "averaged over 128 tokens because formats with blocks work once a block; 512 tokens, and their share of the prompt "
                      "of the section Prefill."))
    if sections.get("batched"):
        found.append(("Batched decode", batched_table(sections["batched"]), f"One token for each sequence, {rounds(sections['batched'])}."))
    if sections.get("long"):
        found.append(("Context to 128k", long_table(sections["long"]), "SmolLM2-135M's cache: ms per layer and token by depth, the fastest of 7, the line "
                      "through them, growth of the process beside the bytes of the plan."))
    if sections:
        found.append(("Targets", targets(sections), "Of the project's own list; why some are missed: "
                      "[docs/design/0008-roofline.md](../design/0008-roofline.md)."))
    return [entry for entry in found if entry[1]]


def number(text):
    try:
        return float(text)
    except ValueError:
        return text


def read_rows(path):
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return [{k: number(v) for k, v in row.items() if v != ""} for row in csv.DictReader(file)]


def publish(options, rows, found):
    read = spread([r["bandwidth"] / 1e9 for r in rows])
    where = machine.described(options.build / "bin" / "kvtuner")
    head = (f"# Speed beside the peers\n\n{where}; {options.threads} threads used; memory read {read} GB/s.\n"
            "Made by `bench/vs_peers --what SECTION --rounds N --out docs/results --ik FOLDER`, N and the engines as each table says (--only).\n\n")
    (options.out / "vs_peers.md").write_text(head + "\n".join(md_tables.section(*entry) for entry in found))
    with open(options.out / "vs_peers.csv", "w", newline="") as file:
        names = list(dict.fromkeys(k for r in rows for k in r))
        writer = csv.DictWriter(file, fieldnames=names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    decode = [r for r in rows if r["section"] == "decode"]
    if decode:
        plot(decode, f"decode attention at depth {int(decode[0]['depth'])}, {options.threads} threads", options.out / "vs_peers.png")


def main():
    parser = argparse.ArgumentParser(prog="vs_peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llama", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--build", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--small-model", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--ik", type=pathlib.Path, help="folder with the built llama-bench of ik_llama.cpp")
    parser.add_argument("--what", nargs="+", choices=list(SECTIONS), default=list(SECTIONS))
    parser.add_argument("--pairs", nargs="+", default=["K8V8", "K8V4", "K4V4", "K4V2"])
    parser.add_argument("--only", default=".", metavar="REGEX", help="engines to run")
    parser.add_argument("--depth", type=int, default=16384, help="tokens in the cache while decoding")
    parser.add_argument("--prefill-depth", type=int, default=4096)
    parser.add_argument("--tokens", type=int, default=32, help="tokens that ik_llama.cpp generates")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=pathlib.Path, help="folder for vs_peers.md, .csv and .png")
    parser.add_argument("--quick", action="store_true", help="one round of decode at depth 2048")
    options = parser.parse_args()
    options.root = pathlib.Path(__file__).resolve().parent.parent
    if options.quick:
        options.what, options.rounds, options.depth = ["decode"], 1, 2048

    measured = []
    for number, section in enumerate(options.what, 1):
        measured += SECTIONS[section](options)
        # Written after each section: an interrupted run leaves what it has.
        done = options.what[:number]
        rows = measured
        if options.out is not None:
            options.out.mkdir(parents=True, exist_ok=True)
            rows = [r for r in read_rows(options.out / "vs_peers.csv") if r.get("section") not in done] + measured
        sections = {}
        for row in rows:
            sections.setdefault(row["section"], []).append(row)
        found = tables(sections)
        if options.out is not None:
            publish(options, rows, found)
    for title, table, _ in found:
        print(text_table(title, table))


if __name__ == "__main__":
    main()
