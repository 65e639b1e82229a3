"""kvtuner tune under mpirun: the study and the plan of one process, also when a worker is killed.

Paths come from the environment (set by CMake): KVT_TEST_PROGRAM, KVT_TEST_MODEL, KVT_TEST_MPIRUN.
"""
import contextlib
import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import tempfile
import time
import unittest

PROGRAM = os.environ["KVT_TEST_PROGRAM"]
MODEL = os.environ["KVT_TEST_MODEL"]
MPIRUN = os.environ["KVT_TEST_MPIRUN"]
CORPUS = str(pathlib.Path(MODEL).parent / "selfgen-corpus.txt")
TUNE = ["tune", "-m", MODEL, "--text", CORPUS, "--check-text", CORPUS, "-c", "128", "--chunks", "4", "--check-chunks", "4", "-t", "1"]
ALLOCATION = ["--mode", "per-token", "--bits", "5"]
PAPER = ["--method", "paper", "--prompts", "1", "--generate", "4", "--population", "8", "--generations", "2"]


def environment():
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("KVT_", "GGML_"))}
    if "ASAN_OPTIONS" in kept:  # what Open MPI leaves behind is not ours to report
        kept["ASAN_OPTIONS"] += ":detect_leaks=0"
    return {**kept, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def started(n, folder, *options, mpi=()):
    command = [PROGRAM, *TUNE, "-o", str(folder), *options]
    if n > 1:
        command = [MPIRUN, "-n", str(n), "--oversubscribe", "--bind-to", "none", *mpi, *command]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


class Mpi(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory()
        self.addCleanup(self.place.cleanup)
        self.folder = pathlib.Path(self.place.name)

    def tune(self, n, name, *options, mpi=()):
        process = started(n, self.folder / name, *options, mpi=mpi)
        out, err = process.communicate(timeout=300)
        self.assertEqual(process.returncode, 0, err)
        return out

    def study(self, name):
        done = subprocess.run([PROGRAM, "report", self.folder / name, "--json"], env=environment(), capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)["study"]

    def workers(self, name):
        """Process numbers of those that have scored so far, with how many plans each."""
        file = self.folder / name / "study.sqlite"
        if not file.exists():
            return {}
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            rows = database.execute("SELECT worker, count(*) FROM evaluation GROUP BY worker").fetchall()
        return {int(worker.rpartition(":")[2]): count for worker, count in rows}

    def assert_same(self, name, expected):
        self.assertEqual(self.study(name), self.study(expected))
        for file in ("held_out.json", "plan.json"):
            self.assertEqual((self.folder / name / file).read_bytes(), (self.folder / expected / file).read_bytes(), file)

    def killed_in_the_middle(self, name, *mpi):
        """A run of three of which one worker is killed while it works."""
        process = started(3, self.folder / name, *ALLOCATION, mpi=mpi)
        while process.poll() is None and sum(self.workers(name).values()) < 4:
            time.sleep(0.005)
        os.kill(max(self.workers(name)), signal.SIGKILL)
        out, err = process.communicate(timeout=300)
        return process.returncode, err

    def test_two_and_three_processes_give_what_one_gives(self):
        for options in (ALLOCATION, PAPER):
            kind = options[1]
            self.tune(1, f"{kind}-1", *options)
            self.assertEqual(len(self.workers(f"{kind}-1")), 1)
            for n in (2, 3):
                out = self.tune(n, f"{kind}-{n}", *options)
                self.assertEqual(out.count("Written to"), 1, "one process reports")
                self.assert_same(f"{kind}-{n}", f"{kind}-1")
                self.assertEqual(len(self.workers(f"{kind}-{n}")), n - 1)

    def test_task_as_objective_is_scored_by_workers(self):
        data = self.folder / "train.jsonl"
        data.write_text("".join(json.dumps({"question": f"Tom has {i} cats. How many?", "answer": f"He has {i}.\n#### {i}"}) + "\n" for i in range(24)))
        task = [*ALLOCATION, "--objective", "gsm8k", "--score", "loglik", "--task-items", "2", "--task-shots", "0", "--task-data", data]
        self.tune(1, "task-1", *task)
        self.tune(3, "task-3", *task)
        self.assert_same("task-3", "task-1")
        self.assertEqual(self.study("task-3")["objective"], "gsm8k loglik")
        self.assertEqual(len(self.workers("task-3")), 2)

    def test_killed_worker_is_replaced_with_recovery(self):
        self.tune(1, "whole", *ALLOCATION)
        code, err = self.killed_in_the_middle("cut", "--enable-recovery")
        self.assertEqual(code, 0, err)
        self.assert_same("cut", "whole")
        self.assertEqual(len(self.workers("cut")), 2)

    def test_killed_worker_ends_the_job_without_and_the_next_run_goes_on(self):
        self.tune(1, "whole", *ALLOCATION)
        code, err = self.killed_in_the_middle("cut")
        self.assertNotEqual(code, 0)
        before = sum(self.workers("cut").values())
        self.assertGreaterEqual(before, 4)
        self.assertLess(before, len(self.study("whole")["evaluations"]))
        self.tune(2, "cut", *ALLOCATION)
        self.assert_same("cut", "whole")

    def test_program_itself_needs_no_mpi(self):
        libraries = subprocess.run(["ldd", PROGRAM], capture_output=True, text=True, timeout=60).stdout
        self.assertIn("libsqlite3", libraries)
        self.assertNotIn("libmpi", libraries)


if __name__ == "__main__":
    unittest.main()
