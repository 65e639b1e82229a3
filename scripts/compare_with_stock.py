#!/usr/bin/env python3
"""Runs unmodified llama.cpp programs with a plan and with stock cache types, and prints two tables: speed and quality.

Speed comes from llama-bench. A machine may be slowed by others for minutes, so all caches take turns in every round, and the
ratio to f16 is the median of the ratios inside a round. Quality comes from llama-perplexity: KL divergence from stock f16 on the
same tokens. usage: scripts/compare_with_stock.py --llama ROOT --plugin libggml-kvtuner.so --model model.gguf --plan plan.json
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

# name, bits per element as stored, cache type of llama.cpp
STOCK = (("stock f16", 16.0, "f16"), ("stock q8_0", 8.5, "q8_0"), ("stock q4_0", 4.5, "q4_0"))
TIMEOUT_S = 900


def fail(message):
    sys.exit(f"compare_with_stock.py: error: {message}")


class Host:
    """The stock programs, run with one of the caches to compare."""

    def __init__(self, options):
        self.options = options
        self.bin = options.llama / "build" / "bin"

    def run(self, program, cache_type, arguments):
        """stdout and stderr of the program; cache_type None stands for the plan."""
        environment = {key: value for key, value in os.environ.items() if key not in ("GGML_BACKEND_PATH", "KVT_PLAN")}
        command = [str(self.bin / program), "-m", str(self.options.model), "-t", str(self.options.threads), "-fa", self.flash_on(program)]
        if cache_type is None:
            environment.update(GGML_BACKEND_PATH=str(self.options.plugin.resolve()), KVT_PLAN=str(self.options.plan))
            command += ["--device", "KVT0"]
        else:
            command += ["-ctk", cache_type, "-ctv", cache_type]
        try:
            done = subprocess.run(command + arguments, env=environment, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            fail(f"{program} took more than {TIMEOUT_S} s")
        except OSError as error:
            fail(f"cannot run {program}: {error}")
        if done.returncode != 0:
            tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
            fail(f"{program} ended with code {done.returncode}; its last lines:\n{tail}")
        return done.stdout, done.stderr

    @staticmethod
    def flash_on(program):
        return "1" if program == "llama-bench" else "on"

    def speed(self, cache_type):
        """(prefill, generation) in tokens a second at the asked depth."""
        options = self.options
        out, _ = self.run("llama-bench", cache_type, ["-p", str(options.prompt), "-n", str(options.generate), "-d", str(options.depth), "-r", "1",
                                                       "-o", "json"])
        rows = json.loads(out[out.index("["):])
        return (next(row["avg_ts"] for row in rows if row["n_prompt"]), next(row["avg_ts"] for row in rows if row["n_gen"]))

    def write_base(self, base):
        self.run("llama-perplexity", "f16", ["-f", str(self.options.text), "-c", "512", "--chunks", str(self.options.chunks),
                                               "--kl-divergence-base", str(base)])

    def quality(self, cache_type, base):
        """(mean KLD, 99.9 % KLD, same top token in percent) against the base file."""
        patterns = (r"Mean\s+KLD:\s+(-?[\d.]+)", r"99\.9%\s+KLD:\s+(-?[\d.]+)", r"Same top p:\s+([\d.]+)")
        for _ in range(12):  # llama.cpp's logger may lose the last lines before exit, the more often the busier the machine
            out, err = self.run("llama-perplexity", cache_type, ["-c", "512", "--kl-divergence-base", str(base), "--kl-divergence"])
            found = [re.search(pattern, out + err) for pattern in patterns]
            if all(found):
                return tuple(float(match[1]) for match in found)
        missing = next(pattern for pattern, match in zip(patterns, found) if match is None)
        fail(f"llama-perplexity printed no line like {missing}")


def print_table(title, head, rows):
    print("\n" + title)
    widths = [max(len(row[column]) for row in [head] + rows) for column in range(len(head))]
    for row in [head] + rows:
        print("  " + row[0].ljust(widths[0]) + "".join("  " + cell.rjust(width) for cell, width in zip(row[1:], widths[1:])))
    sys.stdout.flush()


def plan_bits(plan):
    """Effective bits of the plan, out of its file; a short form has no file."""
    try:
        return json.loads(pathlib.Path(plan).read_text())["memory"]["effective_bits"]
    except FileNotFoundError:
        return float("nan")
    except (OSError, ValueError, KeyError, TypeError) as error:
        fail(f"{plan} is not a plan: {error!r}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llama", type=pathlib.Path, required=True, help="folder printed by scripts/llama_cpp.sh")
    parser.add_argument("--plugin", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--plan", required=True, help="plan file or short form")
    parser.add_argument("--text", type=pathlib.Path, required=True, help="text for KLD, not the one the plan was tuned on")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--depth", type=int, default=4096, help="tokens in the cache before anything is timed")
    parser.add_argument("--prompt", type=int, default=128)
    parser.add_argument("--generate", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--chunks", type=int, default=12)
    options = parser.parse_args()
    host = Host(options)
    caches = list(STOCK) + [("this plan", plan_bits(options.plan), None)]

    speeds = {name: [] for name, _, _ in caches}
    for number in range(options.rounds):
        for name, _, cache_type in caches:
            print(f"  speed, round {number + 1} of {options.rounds}: {name}", file=sys.stderr)
            speeds[name].append(host.speed(cache_type))
    rows = []
    for name, bits, _ in caches:
        cells = [name, f"{bits:.2f}"]
        for side in (0, 1):
            ratios = [mine[side] / f16[side] for mine, f16 in zip(speeds[name], speeds[STOCK[0][0]])]
            cells += [f"{statistics.median(mine[side] for mine in speeds[name]):.1f}", f"{statistics.median(ratios):.2f}"]
        rows.append(cells)
    print_table(f"Speed of stock llama-bench with {options.depth} tokens in the cache, {options.threads} threads, median of {options.rounds} rounds",
                ["KV cache", "bits", f"pp{options.prompt} t/s", "of f16", f"tg{options.generate} t/s", "of f16"], rows)

    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        base = pathlib.Path(scratch) / "f16.kld"
        print("  quality: writing the f16 reference", file=sys.stderr)
        host.write_base(base)
        for name, bits, cache_type in caches[1:]:
            print(f"  quality: {name}", file=sys.stderr)
            mean, tail, top = host.quality(cache_type, base)
            rows.append([name, f"{bits:.2f}", f"{mean:.4f}", f"{tail:.3f}", f"{top:.1f} %"])
    print_table(f"KL divergence from stock f16 by stock llama-perplexity, {options.chunks} chunks of 512 tokens of {options.text.name} (lower is better)",
                ["KV cache", "bits", "mean KLD", "99.9 % KLD", "same top token"], rows)


if __name__ == "__main__":
    main()
