#!/usr/bin/env python3
"""Loads stock llama-servers with a kvtuner plan for a long time, beside stock servers with a q8_0 cache, and writes what came of it.

Phases alternate: the plan, then q8_0, with the same slots and the same mixed load (tests/integration/plugin/load.py), so that latencies are
compared under the same weather. All servers live from beginning to end. SIGTERM ends it after
the round, with a report. Errors: a wrong answer, a crash, words of the plugin, growing memory.
"""
import argparse
import collections
import os
import pathlib
import platform
import signal
import statistics
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# As in ctest: short answers of load_test.py come from the same file.
SETUPS = {"4 slots, unified": (4, "-np", "4", "--kv-unified", "-c", "2048"),
          "16 slots, a stream each, shifts": (16, "-np", "16", "-c", "4096", "--context-shift")}
STOCK = ("-fa", "on", "-ctk", "q8_0", "-ctv", "q8_0")
SETTLED = 1 / 3  # of the time, after which pools and prompt caches are full: memory is judged from there
MOST_GROWTH_KIB = 8 * 1024


class Memory(threading.Thread):
    """Resident memory of a process every second: [(seconds, KiB)]."""

    def __init__(self, load, process):
        super().__init__(daemon=True)
        self.load, self.process, self.samples, self.begun = load, process, [], load.CLOCK.now()

    def run(self):
        while self.process.poll() is None:
            try:
                self.samples.append((self.load.CLOCK.now() - self.begun, self.load.memory_kib(self.process.pid)))
            except (OSError, StopIteration):
                return
            time.sleep(1)

    def settled(self):
        """Samples after the pools are full."""
        return [s for s in self.samples if s[0] >= self.samples[-1][0] * SETTLED]

    def slope(self):
        """KiB per minute."""
        return 60 * statistics.linear_regression(*zip(*self.settled())).slope

    def growth(self):
        """KiB between the means of the first and of the last quarter of the settled time."""
        kib = [sample[1] for sample in self.settled()]
        quarter = max(len(kib) // 4, 1)
        return statistics.mean(kib[-quarter:]) - statistics.mean(kib[:quarter])


class Served:
    """One server through all its phases."""

    def __init__(self, load, server, form, setup, tolerance):
        self.load, self.server, self.form, self.setup, self.n_slots = load, server, form, setup, SETUPS[setup][0]
        self.alone = load.answers_alone(server)
        self.again = load.Comparison(tolerance)
        for request, tokens in load.answers_alone(server).items():
            self.again.add(request, self.alone[request], tokens)
        self.compared = load.Comparison(tolerance)
        self.done, self.seconds, self.problems = collections.Counter(), collections.defaultdict(list), []
        self.memory = Memory(load, server.process)
        self.memory.start()

    def phase(self, number, seconds):
        one = self.load.Load(self.server, self.alone, self.compared.tolerance, self.n_slots, seed=number)
        one.compared = self.compared  # goes on
        one.run(self.n_slots + 2, self.load.for_seconds(seconds))
        self.done += one.done
        self.problems += one.failed
        for kind, took in one.seconds.items():
            self.seconds[kind] += took

    def end(self):
        after = self.load.Comparison(self.compared.tolerance)
        for request, tokens in self.load.answers_alone(self.server).items():
            after.add(("after the load", *request), self.alone[request], tokens)
        self.problems += self.again.wrong + self.compared.wrong + after.wrong
        self.problems += [line for line in self.server.words().splitlines() if "KVT: " in line]
        if self.memory.growth() > MOST_GROWTH_KIB:
            self.problems.append(f"memory grew by {self.memory.growth():.0f} KiB")
        status = self.server.stop()
        if status != 0:
            self.problems.append(f"exit status {status}")


def percentiles(values):
    """p50, p95 and p99 in milliseconds."""
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return [1000 * cuts[p - 1] for p in (50, 95, 99)]


def report(served, options, command, minutes):
    lines = ["# Soak: a stock llama-server under load for a long time", "", "Made by", "```", command, "```",
             f"on {platform.machine()} with {os.cpu_count()} cores, shared with other work; {minutes:.1f} minutes in phases of {options.phase:g} s, in turn.", ""]
    lines += ["## Answers", "",
              "`equal`: answers whose every token is that of the same request alone; the others leave at a close call. `bit-equal`: log-probabilities "
              "too. `furthest`: largest difference of a log-probability before that.", "",
              "| setup | cache | requests | answers compared | equal | bit-equal | furthest | twice alone: bit-equal | wrong |", "|---|---|---|---|---|---|---|---|---|"]
    for s in served:
        c = s.compared
        lines.append(f"| {s.setup} | {s.form} | {sum(s.done.values())} | {c.answers} | {100 * c.same_tokens / c.answers:.1f} % | {100 * c.same_bits / c.answers:.1f} % | "
                     f"{c.furthest:.4f} | {s.again.same_bits} of {s.again.answers} | {len(s.problems)} |")
    lines += ["", "Requests: " + "; ".join(f"{s.setup}, {s.form}: " + ", ".join(f"{n} {kind}" for kind, n in sorted(s.done.items())) for s in served) + ".",
              "", "## Memory", "", "Resident memory once per second; slope and growth after the first third.", "",
              "| setup | cache | at the end, MiB | slope, KiB per minute | last quarter over first, KiB |", "|---|---|---|---|---|"]
    for s in served:
        lines.append(f"| {s.setup} | {s.form} | {s.memory.samples[-1][1] / 1024:.1f} | {s.memory.slope():+.1f} | {s.memory.growth():+.0f} |")
    lines += ["", "## Latency", "", "Milliseconds from request to whole answer, and the plan's over those of q8_0.", "",
              "| setup | request | plan p50 | p95 | p99 | q8_0 p50 | p95 | p99 | ratio p50 | p95 | p99 |", "|---|---|---|---|---|---|---|---|---|---|---|"]
    for ours, stock in zip(served[::2], served[1::2]):
        for kind in ("short", "long", "prompt", "shift"):
            a, b = percentiles(ours.seconds[kind]), percentiles(stock.seconds[kind])
            lines.append(f"| {ours.setup} | {kind} | " + " | ".join(f"{x:.0f}" for x in a + b) + " | " + " | ".join(f"{x / y:.2f}" for x, y in zip(a, b)) + " |")
    return "\n".join(lines) + "\n"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, default=30)
    options.add_argument("--phase", type=float, default=30, help="seconds of one phase")
    options.add_argument("--form", default="rotated:KV8", help="short form of the plan")
    options.add_argument("--tolerance", type=float, default=0.1, help="of log-probabilities")
    options.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    options.add_argument("--llama", type=pathlib.Path, default=os.environ.get("KVT_LLAMA_ROOT"), required="KVT_LLAMA_ROOT" not in os.environ)
    options.add_argument("--out", type=pathlib.Path, default=ROOT / "docs/results/soak.md")
    options = options.parse_args()
    os.environ.update(KVT_TEST_LLAMA_BIN=f"{options.llama}/build/bin", KVT_TEST_PLUGIN=str(options.build.resolve() / "bin/libggml-kvtuner.so"),
                      KVT_TEST_PROGRAM=str(options.build.resolve() / "bin/kvtuner"), KVT_TEST_MODEL=str(ROOT / "tests/data/stories260K/stories260K-hd64-f32.gguf"))
    sys.path.insert(0, str(ROOT / "tests/integration/plugin"))
    import load  # noqa: PLC0415 - reads the environment set above
    from stock import Plans, Server  # noqa: PLC0415

    plans, served = Plans(positions=4096), []
    with tempfile.TemporaryDirectory() as folder:
        for setup, (_, *arguments) in SETUPS.items():
            for form in (options.form, "stock q8_0"):
                states = pathlib.Path(folder) / f"{len(served)}"
                states.mkdir()
                more = STOCK if form == "stock q8_0" else ()
                server = Server(None if more else plans[form], "-t", "1", *arguments, *more, "--slot-save-path", str(states), "--cache-ram", "16")
                served.append(Served(load, server, form, setup, options.tolerance))
        begun, number, asked = load.CLOCK.now(), 0, []
        signal.signal(signal.SIGTERM, lambda *_: asked.append("to end"))
        more = load.for_seconds(60 * options.minutes)
        while more() and not asked:
            number += 1
            for one in served if number % 2 else reversed(served):
                one.phase(number, options.phase)
            print(f"round {number}: {sum(sum(one.done.values()) for one in served)} requests, {sum(len(one.problems) for one in served)} problems", file=sys.stderr)
        minutes = (load.CLOCK.now() - begun) / 60
        for one in served:
            one.end()
    command = f"bench/soak.py --llama \"$(scripts/llama_cpp.sh)\" --minutes {options.minutes:g} --phase {options.phase:g} --form {options.form}"
    options.out.write_text(report(served, options, command, minutes), encoding="ascii")
    for one in served:
        print("\n".join(f"{one.setup}, {one.form}: {problem}" for problem in one.problems[:20] or ["no problem"]), file=sys.stderr)
    return any(one.problems for one in served if one.form == options.form)


if __name__ == "__main__":
    sys.exit(main())
