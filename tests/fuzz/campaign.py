#!/usr/bin/env python3
"""Runs every fuzz target for as much processor time as asked for, and writes what came of it as a table.

    cmake --preset fuzz && cmake --build --preset fuzz
    tests/fuzz/campaign.py --build build/fuzz --minutes 20 --keep --out docs/results/fuzzing.md

Stopped at any time, it goes on where it was: inputs and counts are kept in BUILD/campaign, and a build folder without counts begins with those of the
table in OUT. Inputs that reach new code are merged into tests/fuzz/corpus with --keep. The exit status is 1 if a target found something; its input lies
beside the counts.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parents[1] / "bench"))
import md_tables  # noqa: E402

SLICE = 120  # seconds of a run; what it found is not lost when the next one is stopped
LARGEST_KEPT = 2048  # bytes of an input that joins the corpus in the repository
MOST_KEPT = 16  # of a target; every test run mutates each of them 300 times


class Target:
    def __init__(self, build, name):
        self.name, self.program = name, build / "tests" / f"{name}_fuzz"
        self.folder = build / "campaign" / name
        self.counts = self.folder / "counts.json"
        self.corpus = HERE / "corpus" / name
        (self.folder / "inputs").mkdir(parents=True, exist_ok=True)

    def state(self):
        return json.loads(self.counts.read_text()) if self.counts.exists() else {"executions": 0, "cpu": 0.0, "coverage": 0, "features": 0}

    def save(self, state):
        whole = self.counts.with_suffix(".new")
        whole.write_text(json.dumps(state))
        whole.replace(self.counts)

    def begin_with(self, table):
        """The counts of an earlier build folder, whose inputs are lost but for those in the corpus."""
        row = re.search(rf"^\| `{self.name}` \| (\d+) \| ([\d.]+) \| (\d+), (\d+) \|", table, re.MULTILINE)
        if row and not self.counts.exists():
            self.save({"executions": int(row[1]), "cpu": 60 * float(row[2]), "coverage": int(row[3]), "features": int(row[4])})

    def found(self):
        return sorted(p.name for p in self.folder.iterdir() if p.name.startswith(("crash-", "timeout-", "oom-", "leak-")))

    def run_slice(self, seconds):
        """Some seconds of libFuzzer; its counts are added to the state."""
        log = self.folder / "log"
        with open(log, "w") as said:
            process = subprocess.Popen([self.program, f"-max_total_time={max(1, round(seconds))}", "-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1",
                                        f"-artifact_prefix={self.folder}/", self.folder / "inputs", self.corpus], stdout=said, stderr=said)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        text = log.read_text(errors="replace")
        state = self.state()
        state["executions"] += int((re.findall(r"stat::number_of_executed_units:\s*(\d+)", text) or [0])[-1])
        state["cpu"] += used.ru_utime + used.ru_stime
        for key, name in (("cov", "coverage"), ("ft", "features")):
            state[name] = max([state[name], *map(int, re.findall(rf"\b{key}: (\d+)", text))])
        self.save(state)

    def run(self, minutes):
        while not self.found() and (left := 60 * minutes - self.state()["cpu"]) > 0.5:
            self.run_slice(min(SLICE, left))
            print(f"{self.name}: {self.state()['cpu'] / 60:.1f} of {minutes:g} minutes, {self.state()['executions']} executions, {len(self.found())} found", flush=True)

    def keep(self):
        """The smallest inputs that reach what the corpus does not, into the corpus."""
        before = set(self.corpus.iterdir())
        small = self.folder / "small"
        small.mkdir(exist_ok=True)
        for path in (self.folder / "inputs").iterdir():
            if path.stat().st_size <= LARGEST_KEPT and not (small / path.name).exists():
                os.link(path, small / path.name)
        subprocess.run([self.program, "-merge=1", self.corpus, small], check=True, stderr=subprocess.DEVNULL)
        new = sorted(set(self.corpus.iterdir()) - before, key=lambda path: (path.stat().st_size, path.name))
        for path in new[MOST_KEPT:]:
            path.unlink()
        return len(new[:MOST_KEPT])


def row(target):
    s = target.state()
    return {"target": f"`{target.name}`", "executions": str(s["executions"]), "minutes of processor time": f"{s['cpu'] / 60:.1f}",
            "edges, features": f"{s['coverage']}, {s['features']}", "found": str(len(target.found()))}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", help="default: all")
    parser.add_argument("--build", type=pathlib.Path, required=True, help="build folder of the preset fuzz")
    parser.add_argument("--minutes", type=float, default=20, help="processor time for each target")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--keep", action="store_true", help="merge small new inputs into the corpus when done")
    parser.add_argument("--out", type=pathlib.Path, help="Markdown to write")
    options = parser.parse_args()
    names = sorted(p.name for p in (HERE / "corpus").iterdir())
    if unknown := set(options.targets) - set(names):
        sys.exit(f"no target {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    all_targets = [Target(options.build, name) for name in names]
    targets = [t for t in all_targets if not options.targets or t.name in options.targets]
    for target in targets:
        if not target.program.exists():
            sys.exit(f"no {target.program}: build the preset fuzz first (cmake --preset fuzz && cmake --build --preset fuzz)")
    if options.out and options.out.exists():
        for target in all_targets:
            target.begin_with(options.out.read_text())
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        # The one with the least time goes first, so that a campaign that was stopped goes on where most is missing.
        list(pool.map(lambda t: t.run(options.minutes), sorted(targets, key=lambda t: t.state()["cpu"])))
    lines = md_tables.table([row(t) for t in all_targets if t.state()["executions"] > 0])
    print("\n".join(lines))
    if options.keep:
        kept = {t.name: t.keep() for t in targets}
        print("kept: " + ", ".join(f"{name} {n}" for name, n in kept.items()))
    if options.out:
        head = ["# Fuzzing", "", "libFuzzer with AddressSanitizer, made by", "```",
                "tests/fuzz/campaign.py --build build/fuzz --minutes N --keep --out docs/results/fuzzing.md", "```",
                "in one or more runs; N as the table says. A target that is not there has not been run for long.", ""]
        options.out.write_text("\n".join(head + lines) + "\n")
    sys.exit(any(t.found() for t in targets))


if __name__ == "__main__":
    main()
