"""kvtuner tune on a tiny model: planted fragile layers, the paper's settings, interrupts, refusals, several held-out texts.

Paths come from the environment (set by CMake): KVT_TEST_PROGRAM, KVT_TEST_MODEL.
"""
import contextlib
import json
import os
import pathlib
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "plugin"))
from gguf_edit import scale_rows  # noqa: E402

PROGRAM = os.environ["KVT_TEST_PROGRAM"]
MODEL = os.environ["KVT_TEST_MODEL"]
CORPUS = str(pathlib.Path(MODEL).parent / "selfgen-corpus.txt")
SMALL = ["--text", CORPUS, "--check-text", CORPUS, "-c", "64", "--chunks", "3", "--check-chunks", "4", "-t", "1"]
PAPER = ["--method", "paper", "--mode", "per-token", "--prompts", "1", "--generate", "4", "--population", "8", "--algorithm", "moead",
         "--first-plans", "chance", "--soft-limits", "4,6", "--trials", "24"]


def environment():
    return {key: value for key, value in os.environ.items() if not key.startswith(("KVT_", "GGML_"))}


def kvtuner(*arguments):
    return subprocess.run([PROGRAM, *map(str, arguments)], env=environment(), capture_output=True, text=True, timeout=300)


class Tune(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory()
        self.addCleanup(self.place.cleanup)
        self.folder = pathlib.Path(self.place.name)

    def tune(self, output, *arguments, model=MODEL):
        done = kvtuner("tune", "-m", model, "-o", self.folder / output, *SMALL, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def record(self, output, name="study"):
        """The study, or a file of JSON."""
        if name != "study":
            return json.loads((self.folder / output / name).read_text())
        done = kvtuner("report", self.folder / output, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)["study"]

    def scored(self, output):
        """Evaluations so far, asked for as any reader may while a tune is at work."""
        with contextlib.closing(sqlite3.connect(f"file:{self.folder / output / 'study.sqlite'}?mode=ro", uri=True)) as database:
            return database.execute("SELECT count(*) FROM evaluation").fetchone()[0]

    def test_fragile_layers_get_the_most_bits(self):
        # Queries of all layers but 0 and 2 become a tenth, so their attention is nearly flat and bears coarse keys. In the model as it is, layers 1
        # and 3 are the sensitive ones.
        fragile, sturdy = [0, 2], [1, 3, 4]
        model = self.folder / "fragile.gguf"
        scale_rows(MODEL, model, {f"blk.{layer}.attn_q.weight": {row: 0.1 for row in range(512)} for layer in sturdy})
        self.tune("fragile", "--mode", "per-token", "--bits", "4.9", model=model)
        alone = self.record("fragile")["increments"]["k"]
        chosen = self.record("fragile", "held_out.json")["plans"][0]["pairs"]
        k_bits = [int(pair.lstrip("KV")[0]) for pair in chosen]  # K6V3, KV4
        self.assertGreater(min(alone[i] for i in fragile), 2 * max(alone[i] for i in sturdy), alone)
        self.assertGreater(min(k_bits[i] for i in fragile), max(k_bits[i] for i in sturdy), chosen)

    def test_paper_as_published_and_the_same_again(self):
        self.tune("a", *PAPER)
        study = self.record("a")
        self.assertEqual((study["method"], study["soft_limits"], study["seeded"]), ("moead", [4, 6], False))
        plans = sorted((self.folder / "a").glob("KVTuner-C*.json"))
        self.assertTrue(plans)
        for plan in plans:
            payload = float(plan.stem.split("-C")[1])
            self.assertLessEqual(payload, 6)
            self.assertEqual(kvtuner("plan", "check", plan, "-m", MODEL).returncode, 0)
        self.tune("b", *PAPER)
        self.assertEqual(self.record("a"), self.record("b"))
        self.assertEqual((self.folder / "a/plan.json").read_bytes(), (self.folder / "b/plan.json").read_bytes())
        same = kvtuner("plan", "diff", self.folder / "a/plan.json", self.folder / "b/plan.json", "--json")
        self.assertEqual(json.loads(same.stdout)["overlap"]["equal_share"], 1.0)
        self.tune("c", *PAPER, "--seed", "2")
        other = kvtuner("plan", "diff", self.folder / "a/plan.json", self.folder / "c/plan.json")
        self.assertIn("of 10 K and V have the same bits", other.stdout)

    def test_ablation_switches_widen_the_space(self):
        self.tune("all", "--method", "paper", "--prompts", "1", "--generate", "4", "--population", "8", "--generations", "1", "--no-pruning",
                  "--no-clustering")
        groups = self.record("all")["groups"]
        self.assertEqual([group["layers"] for group in groups], [[layer] for layer in range(5)])
        self.assertEqual({len(group["pairs"]) for group in groups}, {9})

    def test_interrupted_or_killed_and_resumed_equals_uninterrupted(self):
        self.tune("whole", "--mode", "per-token", "--bits", "5")
        for number in (signal.SIGINT, signal.SIGKILL):
            output = f"cut{number}"
            process = subprocess.Popen(
                [PROGRAM, "tune", "-m", MODEL, "-o", self.folder / output, *SMALL, "--mode", "per-token", "--bits", "5"], env=environment(),
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while process.poll() is None and not ((self.folder / output / "study.sqlite").exists() and self.scored(output) >= 3):
                time.sleep(0.01)
            reader = kvtuner("report", self.folder / output, "--json")
            self.assertEqual(reader.returncode, 0, reader.stderr)
            process.send_signal(number)
            process.wait(timeout=60)
            self.assertGreaterEqual(self.scored(output), 3)
            self.assertLess(self.scored(output), len(self.record("whole")["evaluations"]))
            self.assertEqual((self.folder / output / "study.sqlite.lock").exists(), number == signal.SIGKILL)
            self.tune(output, "--mode", "per-token", "--bits", "5")
            self.assertEqual(self.record(output), self.record("whole"))
            for name in ("held_out.json", "plan.json"):
                self.assertEqual((self.folder / output / name).read_bytes(), (self.folder / "whole" / name).read_bytes(), name)
            self.assertEqual([path.name for path in (self.folder / output).glob("study*")], ["study.sqlite"])

    def test_folder_of_an_earlier_version_goes_on(self):
        self.tune("whole", "--mode", "per-token", "--bits", "5")
        study = self.record("whole")
        earlier = {**study, "schema_version": 2, "complete": False, "front": [], "evaluations": study["evaluations"][:20]}
        del earlier["objective"]  # it was always KLD
        (self.folder / "earlier").mkdir()
        (self.folder / "earlier/study.json").write_text(json.dumps(earlier))
        self.assertEqual(len(self.record("earlier")["evaluations"]), 20)
        self.tune("earlier", "--mode", "per-token", "--bits", "5")
        self.assertEqual(self.record("earlier"), study)
        self.assertFalse((self.folder / "earlier/study.json").exists())

    @unittest.skipIf("TSAN_OPTIONS" in os.environ, "ThreadSanitizer maps a file of its own, larger than the limit, when a program starts")
    def test_a_write_that_fails_is_one_line_and_the_study_stays_good(self):
        arguments = [PROGRAM, "tune", "-m", MODEL, "-o", self.folder / "full", *SMALL, "--mode", "per-token", "--bits", "5"]
        done = subprocess.run(arguments, env=environment(), capture_output=True, text=True, timeout=300, restore_signals=False,  # SIGXFSZ stays ignored
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)))
        self.assertEqual(done.returncode, 1)
        self.assertIn("study.sqlite: ", done.stderr.splitlines()[-1])
        self.assertGreater(self.scored("full"), 0)
        self.tune("full", "--mode", "per-token", "--bits", "5")
        self.tune("whole", "--mode", "per-token", "--bits", "5")
        self.assertEqual(self.record("full"), self.record("whole"))

    def test_time_limit(self):
        # How many plans a slow machine scores in a time is not tested here (unit tests do that with a counted clock).
        none = kvtuner("tune", "-m", MODEL, "-o", self.folder / "none", *SMALL, "--mode", "per-token", "--time", "0.000001s")
        self.assertEqual(none.returncode, 1)
        self.assertIn("the time was up before the first plan had been scored: allow more time", none.stderr)
        self.tune("enough", "--mode", "per-token", "--bits", "5", "--time", "2h")
        self.assertTrue(self.record("enough")["complete"])

    def test_infeasible_budget_names_the_smallest(self):
        for method in ("knapsack", "paper"):
            done = kvtuner("tune", "-m", MODEL, "-o", self.folder / "none", *SMALL, "--method", method, "--mode", "per-token", "--bits", "2")
            self.assertEqual(done.returncode, 1)
            self.assertIn("no plan fits 2 effective bits: the smallest one, 2 bits everywhere, takes 2.50 effective bits", done.stderr)

    def test_every_check_text_is_measured_and_the_gap_said(self):
        second = self.folder / "other.txt"
        second.write_text("The quick brown fox jumps over the lazy dog. " * 200)
        done = self.tune("two", "--mode", "per-token", "--bits", "5", "--check-text", second)
        self.assertIn("KLD of the chosen plan where it was searched:", done.stdout)
        self.assertIn("  on other.txt: ", done.stdout)
        self.assertNotEqual(self.record("two", "held_out.json")["data_sha256"], self.record("two", "held_out-2.json")["data_sha256"])

    def test_task_as_objective(self):
        # A model of children's stories answers no word problem, but some answers it finds likelier than others.
        task = ["--objective", "gsm8k", "--score", "loglik", "--task-items", "2", "--task-shots", "0"]
        small = ["--mode", "per-token", "--bits", "5", "--check-text", CORPUS, "-c", "64", "--check-chunks", "4", "-t", "1"]
        data = self.folder / "train.jsonl"
        data.write_text("".join(json.dumps({"question": f"Tom has {i} cats. How many?", "answer": f"He has {i}.\n#### {i}"}) + "\n" for i in range(24)))
        done = kvtuner("tune", "-m", MODEL, "-o", self.folder / "task", *small, *task, "--task-data", data)
        self.assertEqual(done.returncode, 0, done.stderr)
        study = self.record("task")
        self.assertEqual((study["objective"], study["n_chunks"], study["chunk_tokens"]), ("gsm8k loglik", 2, 0))
        self.assertTrue(all(len(e["clipped"]) == 2 for e in study["evaluations"]))
        self.assertEqual(self.record("task", "plan.json")["provenance"]["objective"], "gsm8k loglik")
        self.assertIn("scored on 2 items: gsm8k loglik lost against f16, nats a token", done.stdout)
        self.assertIn("gsm8k loglik lost by the chosen plan on the 2 items of the search:", done.stdout)
        self.assertIn("  on 2 other items: ", done.stdout)
        # Another objective is another study.
        other = kvtuner("tune", "-m", MODEL, "-o", self.folder / "task", *SMALL, "--mode", "per-token", "--bits", "5")
        self.assertEqual(other.returncode, 1)
        self.assertIn("study.sqlite was made from another text or with other settings", other.stderr)
        refused = kvtuner("tune", "-m", MODEL, "-o", self.folder / "none", *SMALL, "--objective", "aime24")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("--objective aime24: it has a test split only", refused.stderr)

    def test_speed_is_measured_once_and_limits_the_plan(self):
        done = self.tune("fast", "--mode", "per-token", "--speed", "0.5x", "--for-ctx", "2048")
        self.assertIn("about ", done.stderr)
        self.assertIn("GiB of memory", done.stderr)
        self.assertIn("attention 0.5 times as fast as f16 at 2048 cells", done.stdout)
        self.assertIn("Luck: chosen without one part of the search data", done.stdout)
        costs = self.record("fast", "speed.json")
        self.assertEqual((costs["n_cells"], costs["bits"]), (2048, [2, 3, 4, 5, 6, 8]))
        pairs = self.record("fast", "held_out.json")["plans"][0]["pairs"]
        sides = [(int(pair[1]), int(pair.split("V")[1])) if pair[1] != "V" else (int(pair[2]),) * 2 for pair in pairs]
        seconds = sum(costs["k_seconds"][costs["bits"].index(k)] + costs["v_seconds"][costs["bits"].index(v)] for k, v in sides)
        self.assertLessEqual(seconds, len(pairs) * costs["f16_seconds"] / 0.5)
        self.tune("fast", "--mode", "per-token", "--speed", "0.6", "--for-ctx", "2048")
        self.assertEqual(self.record("fast", "speed.json"), costs)
        for speed, words in (("900x", "--speed 900x: the fastest plan, "), ("fast", "--speed fast: must be how many times")):
            never = kvtuner("tune", "-m", MODEL, "-o", self.folder / "fast", *SMALL, "--mode", "per-token", "--speed", speed, "--for-ctx", "2048")
            self.assertEqual(never.returncode, 1)
            self.assertIn(words, never.stderr)

    def test_study_of_another_model_is_refused(self):
        self.tune("mixed", "--mode", "per-token", "--bits", "5")
        other = pathlib.Path(MODEL).with_name("stories260K-hd32-f32.gguf")
        done = kvtuner("tune", "-m", other, "-o", self.folder / "mixed", *SMALL, "--mode", "per-token", "--bits", "5")
        self.assertEqual(done.returncode, 1)
        self.assertIn("study.sqlite is a study of the model", done.stderr)
        shorter = ["2" if value == "3" else value for value in SMALL]  # chunks
        done = kvtuner("tune", "-m", MODEL, "-o", self.folder / "mixed", *shorter, "--mode", "per-token", "--bits", "5")
        self.assertEqual(done.returncode, 1)
        self.assertIn("study.sqlite was made from another text or with other settings", done.stderr)


if __name__ == "__main__":
    unittest.main()
