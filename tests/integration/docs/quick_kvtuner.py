#!/usr/bin/env python3
"""kvtuner as the documentation's tests run it: the same command, made quick by options that it does not give itself.

usage: quick_kvtuner.py PROGRAM CORPUS [kvtuner's arguments]      The corpus suits the tiny model.
"""
import os
import sys

QUICK = {  # by subcommand: options that are added where the command has none of the names before the first value
    "tune": [["--text", "{corpus}"], ["--check-text", "{corpus}"], ["--calibration-text", "{corpus}"], ["-c", "--ctx", "64"], ["--chunks", "1"],
             ["--check-chunks", "4"], ["--calibration-tokens", "256"], ["--positions", "8192"], ["--prompts", "1"], ["--generate", "4"],
             ["--population", "8"], ["--generations", "--trials", "1"]],
    "calibrate": [["--calibration-text", "{corpus}"], ["--calibration-tokens", "256"]],
    "profile": [["--prompts", "1"], ["--generate", "4"]],
    "search": [["--text", "{corpus}"], ["-c", "--ctx", "64"], ["--chunks", "1"], ["--population", "8"], ["--generations", "--trials", "1"]],
    "eval kld": [["--text", "{corpus}"], ["-c", "--ctx", "64"], ["--chunks", "4"]],
    "eval ppl": [["--text", "{corpus}"], ["-c", "--ctx", "64"], ["--chunks", "4"]],
    "eval agreement": [["-n", "--n-prompts", "2"], ["-l", "--tokens", "8"]],
    "eval niah_single_1": [["--limit", "2"], ["-c", "--ctx", "4608"], ["--variant", "text"], ["--max-new-tokens", "4"]],  # the tiny model has no chat template and knows 512 tokens
    "eval task": [["--limit", "2"], ["--shots", "0"], ["--max-new-tokens", "4"]],
    "bench": [["--reps", "1"]],
}
PREPARES = ("serve", "run")  # these start a program that does not end: the command is prepared and printed


def quick(arguments, corpus):
    words = [word for word in arguments if not word.startswith("-")]
    name = words[0] if words else ""
    if name == "eval" and len(words) > 1:
        name = f"eval {words[1]}" if f"eval {words[1]}" in QUICK or words[1] == "compare" else "eval task"
    if name in PREPARES and "--help" not in arguments:
        at = arguments.index("--") if "--" in arguments else len(arguments)
        return arguments[:at] + (["--dry-run"] if "--dry-run" not in arguments else []) + arguments[at:]
    added = []
    for *names, value in QUICK.get(name, []):
        if not any(word in names for word in arguments):
            added += [names[0], value.format(corpus=corpus)]
    if name in QUICK and name != "calibrate":
        added += [] if {"-t", "--threads"} & set(arguments) else ["-t", "2"]
    return arguments + added


if __name__ == "__main__":
    program, corpus, *given = sys.argv[1:]
    os.execv(program, [program, *quick(given, corpus)])
