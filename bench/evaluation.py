#!/usr/bin/env python3
"""Scores of the stock f16 cache on benchmarks, asked in process and through stock llama-server, and the time beside llama-batched-bench.

answers  Each task is answered three times from the same prompts: by `kvtuner eval` with 4 answers side by side, by the same one at a time, and by
         a stock llama-server with 4 slots (--alone leaves out the second). Greedy answers may differ only where two tokens are nearly as likely: how often that happens between the
         first two, which differ in the shape of their batches alone, is the measure for the third.
speed    GSM8K with 4 worked examples: seconds in process, beside what llama-batched-bench needs to read as many tokens and to generate as many.
Records stay in the working folder: a second run of `answers` goes on where the first stopped.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path += [str(ROOT / "bench"), str(ROOT / "tests" / "integration" / "plugin")]
import batched_bench  # noqa: E402
import machine  # noqa: E402
import md_tables  # noqa: E402
import ties  # noqa: E402

TASKS = ["gsm8k", "humaneval", "niah_single_1"]
SIDE_BY_SIDE = 4
SPEED_ITEMS = 50


def fail(message):
    sys.exit(f"evaluation: error: {message}")


def tasks(options):
    """task -> its options."""
    found = (["--limit", options.items or 100], ["--limit", options.items, "--allow-code-execution"],  # 0: all
             ["--limit", options.items or 40, "--length", options.length])
    return dict(zip(TASKS, found))


def kvtuner(options, *arguments):
    command = [str(part) for part in (options.build / "bin" / "kvtuner", *arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, errors="replace")
    if done.returncode != 0:
        fail(f"code {done.returncode} from: {' '.join(command)}")
    return json.loads(done.stdout)


def answered(options, task, name, more):
    """The run of `task` whose records lie in the folder `name`."""
    out = options.work / options.model.stem / name
    return kvtuner(options, "eval", task, "-m", options.model, "--out", out, "--json", *more)["runs"][0]


def same_texts(options, first, second):
    found = kvtuner(options, "eval", "compare", first["record"], second["record"], "--json")
    return f"{found['n_same_text']} of {found['n_texts']}"


def in_process(options, task):
    """The run side by side, and the one answer at a time or None."""
    run = lambda n: answered(options, task, f"parallel-{n}", [*tasks(options)[task], "--parallel", n, "-t", options.threads])
    return run(SIDE_BY_SIDE), run(1) if task in options.alone else None


def prompts_of(options, task):
    """SHA-256 -> prompt."""
    listener = ties.Listener()
    with tempfile.TemporaryDirectory() as folder:
        kvtuner(options, "eval", task, "-m", options.model, *tasks(options)[task], "--server", listener.url, "--out", folder, "--json")
    listener.shutdown()
    return listener.prompts


def recorded_port(folder):
    """The port of the server that records in the folder are of: they go on with the same address only. 0: any."""
    for record in folder.glob("*.jsonl"):
        with open(record) as file:
            return json.loads(file.readline())["server"]["url"].rsplit(":", 1)[1]
    return 0


def by_server(options, ours):
    """task -> its run by a stock llama-server, and the gaps (ties.gaps) where its answers part from those of `ours`, and where ours part alone."""
    os.environ.update(KVT_TEST_LLAMA_BIN=str(options.llama / "build" / "bin"), KVT_TEST_PLUGIN="", KVT_TEST_MODEL=str(options.model),
                      KVT_TEST_PROGRAM=str(options.build / "bin" / "kvtuner"))
    import stock  # reads the environment
    cells = SIDE_BY_SIDE * (options.length + 1024)
    arguments = ["-np", SIDE_BY_SIDE, "-c", cells, "-fa", "on", "-b", 512, "-ub", 512, "--port", recorded_port(options.work / options.model.stem / "server")]
    with stock.Server(None, *map(str, arguments)) as server:
        found = {}
        for task, arguments in tasks(options).items():
            run = answered(options, task, "server", [*arguments, "--parallel", SIDE_BY_SIDE, "--server", f"http://127.0.0.1:{server.port}"])
            prompts, (beside, alone) = prompts_of(options, task), ours[task]
            gaps = [ties.gaps(server, prompts, beside["record"], other["record"]) if other else ([], 0) for other in (run, alone)]
            found[task] = run, gaps
        return found


def gap_text(gaps):
    found, unknown = gaps
    known = f"{statistics.median(found):.3f}, {found[int(0.9 * (len(found) - 1))]:.3f}, {found[-1]:.3f}" if found else ""
    return known + (f" ({unknown} unknown)" if unknown else "")


def answers_table(options):
    ours = {task: in_process(options, task) for task in tasks(options)}
    theirs = by_server(options, ours)
    score = lambda run: next(f"{name} {100 * s['mean']:.1f}" for name, s in run["summary"]["scores"].items())
    rows = []
    for task, (beside, alone) in ours.items():
        served, (gaps, gaps_alone) = theirs[task]
        rows.append({"task": task, "items": str(served["summary"]["n_items"]), "in process": score(beside), "llama-server": score(served),
                     "same answer as the server": same_texts(options, beside, served), "gap": gap_text(gaps),
                     "same answer one at a time": same_texts(options, beside, alone) if alone else "", "its gap": gap_text(gaps_alone)})
    return rows


def raw_seconds(options, read, new, prompt):
    """Seconds of llama-batched-bench for `read` tokens of prompts and `new` generated ones with a prompt of `prompt` in the cache."""
    each = max(new // SPEED_ITEMS, 1)
    command = [batched_bench.program(options.llama, options.work), "-m", options.model, "-c", SIDE_BY_SIDE * (prompt + each) + 512, "-b", 512, "-ub", 512, "-npp", prompt,
               "-ntg", each, "-npl", SIDE_BY_SIDE, "-pps", "-kvu", "-fa", "on", "-t", options.threads]
    try:
        speed = batched_bench.run(command)[0]
    except RuntimeError as error:
        fail(error)
    return read / speed["speed_pp"] + new / speed["speed_tg"]


def speed_table(options):
    rows = []
    for number in range(options.rounds):
        for name in (f"speed-{number}-bare", f"speed-{number}"):  # a record that is there would be gone on with, in no time
            shutil.rmtree(options.work / options.model.stem / name, ignore_errors=True)
        few = ["--limit", SPEED_ITEMS, "--parallel", SIDE_BY_SIDE, "-t", options.threads]
        bare = answered(options, "gsm8k", f"speed-{number}-bare", [*few, "--shots", 0, "--max-new-tokens", 1])["summary"]
        run = answered(options, "gsm8k", f"speed-{number}", [*few, "--shots", 4])["summary"]
        shared = (run["prompt_tokens"] - bare["prompt_tokens"]) // SPEED_ITEMS  # the worked examples, which are read once
        read = bare["prompt_tokens"] + shared
        raw = raw_seconds(options, read, run["new_tokens"], run["prompt_tokens"] // SPEED_ITEMS)
        rows.append({"round": str(number + 1), "tokens read": str(read), "tokens generated": str(run["new_tokens"]), "kvtuner eval, s": f"{run['wall_seconds']:.1f}",
                     "llama-batched-bench, s": f"{raw:.1f}", "ratio": f"{run['wall_seconds'] / raw:.2f}"})
    return rows


def main():
    p = argparse.ArgumentParser(prog="evaluation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-m", "--model", type=pathlib.Path, required=True, help="GGUF model")
    p.add_argument("--llama", type=pathlib.Path, required=True, help="folder that scripts/llama_cpp.sh prints")
    p.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release")
    p.add_argument("--work", type=pathlib.Path, required=True, help="folder for records")
    p.add_argument("--out", type=pathlib.Path, help="Markdown file to write; default: only the terminal")
    p.add_argument("--items", type=int, default=0, help="of every task; 0: 100 of GSM8K, all of HumanEval, 40 needles")
    p.add_argument("--length", type=int, default=2048, help="tokens of a text with a needle")
    p.add_argument("--alone", nargs="*", choices=TASKS, default=TASKS, help="tasks that are also answered one at a time")
    p.add_argument("--rounds", type=int, default=2, help="of the section speed")
    p.add_argument("--sections", nargs="+", choices=["answers", "speed"], default=["answers", "speed"])
    p.add_argument("-t", "--threads", type=int, default=os.cpu_count())
    options = p.parse_args()
    asked = "".join(f" --{name} {' '.join(map(str, value if isinstance(value, list) else [value]))}".rstrip() for name in ("items", "length", "alone", "rounds", "sections")
                    if (value := getattr(options, name)) != p.get_default(name))
    if not options.model.is_file():
        fail(f"there is no model {options.model}")
    options.work.mkdir(parents=True, exist_ok=True)
    parts = [f"# Benchmarks under f16: {options.model.stem}\n\n{machine.described(options.build / 'bin' / 'kvtuner')}.\nMade by `bench/evaluation.py "
             f"-m MODEL --llama FOLDER --work FOLDER{asked}` (--help says how), {options.threads} threads.\n"]
    if "answers" in options.sections:
        parts.append(md_tables.section("Answers", answers_table(options), "Greedy. gap: nats between the two tokens with which differing answers go on "
                                        "behind what they share, by the server: median, 90 %, largest (texts are tokenized again: where other tokens spelled the same text, the gap is of another place). One at a time differs from the first run in the shape of its batches alone."))
    if "speed" in options.sections:
        parts.append(md_tables.section("Time of GSM8K, 4 worked examples", speed_table(options), f"{SPEED_ITEMS} items, {SIDE_BY_SIDE} side by side; the worked examples are read once."))
    print("\n".join(parts))
    if options.out:
        options.out.write_text("\n".join(parts))


if __name__ == "__main__":
    main()
