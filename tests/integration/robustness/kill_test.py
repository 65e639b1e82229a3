"""Kills kvtuner at random moments of everything that it writes, with SIGKILL or as Ctrl-C does, and starts it again until it ends.

    kill_test.py [--kills N] [--seed S]     default: 12 kills, seed 1

After every kill all files are whole; files that are not there to stay do not become more than one for each path. At the end the files are
those of an undisturbed run, byte for byte but for measured times, and nothing is left beside them.
"""
import argparse
import collections
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

import jobs

INTERRUPTED = 130  # exit status of kvtuner


def newest(folder, known):
    """Changes whenever a file comes, goes or grows."""
    state = {path: path.stat().st_size for path in jobs.files(folder)} if folder.exists() else {}
    return state != known, state


class Reference:
    """An undisturbed run: its files and how long it takes."""

    def __init__(self, job, folder):
        begun = time.monotonic()
        said = jobs.finish(job, folder)
        if said:
            raise AssertionError(f"{job}: {said}")
        self.seconds = time.monotonic() - begun
        self.files, left = jobs.results(folder)
        if left:
            raise AssertionError(f"{job}: an undisturbed run left {left}")


def wait_for_moment(process, folder, reference, rng):
    """A moment of the run: any time, or just after one of the changes of its files, which are rare and where damage is likeliest."""
    if rng.random() < 0.4:
        end = time.monotonic() + rng.uniform(0, reference.seconds)
        while time.monotonic() < end and process.poll() is None:
            time.sleep(0.001)
        return
    known = newest(folder, {})[1]
    for _ in range(rng.randint(1, len(reference.files))):
        while process.poll() is None:
            try:
                changed, state = newest(folder, known)
            except FileNotFoundError:  # it went while it was looked at: a change
                changed, state = True, known
            if changed:
                known = state
                break
    time.sleep(rng.uniform(0, 0.004))


def stage(names):
    """How far a killed run had come, by its newest kinds of files."""
    for mark, what in (("summary.txt", "end"), ("plan.json", "plan"), ("held_out", "check"), ("study", "search"), ("groups", "search"),
                       ("sensitivity.json", "profile"), (".jsonl", "answers"), ("calibration.safetensors", "calibrated")):
        if any(mark in name for name in names):
            return what
    return "start"


class Killer:
    def __init__(self, rng):
        self.rng, self.killed, self.rounds, self.signals = rng, collections.Counter(), collections.Counter(), collections.Counter()

    def round(self, job, reference, most):
        """One job in a folder of its own, killed up to `most` times. Returns how often."""
        kills = 0
        with tempfile.TemporaryDirectory() as place:
            folder = pathlib.Path(place)
            while kills < most:
                process = jobs.start(job, folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                wait_for_moment(process, folder, reference, self.rng)
                how = signal.SIGINT if self.rng.random() < 0.25 else signal.SIGKILL
                process.send_signal(how)
                status = process.wait()
                if status == 0:
                    break
                # Before main() has begun, an interrupt ends a process as any other signal does.
                if status not in ((INTERRUPTED, -signal.SIGINT) if how == signal.SIGINT else (-signal.SIGKILL,)):
                    raise AssertionError(f"{job}: exit status {status} after {how.name}")
                kills += 1
                self.signals[how.name] += 1
                whole, left = jobs.results(folder)
                self.killed[job, stage([*whole, *left])] += 1
                if len([name for name in left if name.endswith(".tmp")]) > 2:
                    raise AssertionError(f"{job}: {left} after {kills} kills")
            said = jobs.finish(job, folder)
            if said:
                raise AssertionError(f"{job}: run again after {kills} kills: {said}")
            whole, left = jobs.results(folder)
            other = jobs.differences(reference.files, whole)
            if other or left:
                raise AssertionError(f"{job}: after {kills} kills {other} are not those of an undisturbed run; left over: {left}")
        self.rounds[job] += 1
        return kills


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--kills", type=int, default=12)
    options.add_argument("--seed", type=int, default=1)
    options = options.parse_args()
    killer = Killer(random.Random(options.seed))
    references = {}
    for job in jobs.JOBS:
        with tempfile.TemporaryDirectory() as folder:
            references[job] = Reference(job, pathlib.Path(folder))
    done = 0
    while done < options.kills:
        for job in jobs.JOBS:
            if done < options.kills:
                done += killer.round(job, references[job], min(killer.rng.randint(1, 6), options.kills - done))
    for job in jobs.JOBS:
        stages = {what: n for (name, what), n in sorted(killer.killed.items()) if name == job}
        print(f"{job}: {sum(stages.values())} kills in {killer.rounds[job]} runs, each then equal to an undisturbed one; files seen when killed: {stages}")
    print(", ".join(f"{n} {name}" for name, n in sorted(killer.signals.items())))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except AssertionError as failed:
        sys.exit(f"FAILED: {failed}")
