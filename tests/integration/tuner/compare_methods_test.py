"""bench/compare_methods.py: its hypervolume on worked fronts, and a whole run on a tiny model.

Paths come from the environment (set by CMake): KVT_TEST_PROGRAM, KVT_TEST_MODEL.
"""
import csv
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

PROGRAM = os.environ["KVT_TEST_PROGRAM"]
MODEL = os.environ["KVT_TEST_MODEL"]
CORPUS = str(pathlib.Path(MODEL).parent / "selfgen-corpus.txt")
SCRIPT = pathlib.Path(__file__).resolve().parents[3] / "bench" / "compare_methods.py"
sys.path.insert(0, str(SCRIPT.parent))
import compare_methods  # noqa: E402


class Hypervolume(unittest.TestCase):
    def test_worked(self):
        # From 4 to 6 bits one decade below the corner, from 6 to 10 two: 2 * 1 + 4 * 2.
        self.assertAlmostEqual(compare_methods.hypervolume([(4, 0.1), (6, 0.01)], 10, 1), 10)
        self.assertAlmostEqual(compare_methods.hypervolume([(4, 0.1), (6, 0.01), (7, 0.05), (12, 0.001), (3, 2.0)], 10, 1), 10,
                               msg="beaten plans and plans beyond the corner add nothing")
        self.assertEqual(compare_methods.hypervolume([], 10, 1), 0)
        self.assertAlmostEqual(compare_methods.hypervolume([(9, 0.0)], 10, 1), 9, msg="no KLD counts as 1e-9")


class Spread(unittest.TestCase):
    def test_worked(self):
        rows = compare_methods.spread_rows({"paper": {"increments": None}, "default": {"increments": {"k": [1.0, 4.0], "v": [2.0, 2.0], "noise": 1.5}}})
        self.assertEqual([(row["method"], row["side"]) for row in rows], [("default", "K"), ("default", "V")])
        self.assertAlmostEqual(rows[0]["evenness"], 2 / 2.5)
        self.assertAlmostEqual(rows[0]["less_noise"], 1, msg="both are 1.5 from the mean: no more than noise")
        self.assertAlmostEqual(rows[1]["evenness"], 1)


class Run(unittest.TestCase):
    def test_tiny_model(self):
        with tempfile.TemporaryDirectory() as place:
            done = subprocess.run(
                [sys.executable, "-B", SCRIPT, "-m", MODEL, "-o", place, "--program", PROGRAM, "--text", CORPUS, "--check-text", CORPUS, "-c", "64",
                 "--chunks", "1", "--check-chunks", "4", "--budgets", "5.5", "--trials", "16", "--population", "8", "--prompts", "1",
                 "--calibration-tokens", "256", "--positions", "2048", "-t", "1"], capture_output=True, text=True, timeout=500)
            self.assertEqual(done.returncode, 0, done.stderr)
            folder = pathlib.Path(place)
            volumes = list(csv.DictReader((folder / "hypervolume.csv").read_text().splitlines()))
            self.assertEqual([row["method"] for row in volumes], ["default", "default-kivi", "paper"])
            self.assertTrue(all(float(row["hypervolume"]) > 0 for row in volumes))
            rows = list(csv.DictReader((folder / "budgets.csv").read_text().splitlines()))
            self.assertEqual(len(rows), 3)
            for row in rows:
                self.assertLessEqual(float(row["effective_bits"]), float(row["budget"]) + 1e-9)
                self.assertGreaterEqual(float(row["uniform_bits"]), float(row["effective_bits"]) - 1e-4)
                self.assertTrue(math.isfinite(float(row["ratio"])))
                self.assertTrue(row["of_paper"].startswith("kivi:"))
                if row["method"] != "default":
                    self.assertEqual((row["uniform"], row["ratio"]), (row["of_paper"], row["ratio_to_it"]))
                self.assertAlmostEqual(float(row["difference"]), float(row["kld"]) - float(row["uniform_kld"]), places=6)
            plot = (folder / "methods.svg").read_text()
            self.assertEqual(plot.count("<polyline"), 3)
            self.assertNotIn("nan", plot)
            page = (folder / "methods.md").read_text()
            self.assertEqual(page.count("| default-kivi |"), 4, "a row of two tables, K and V in the third")
            self.assertIn("--trials 16 --population 8", page)


if __name__ == "__main__":
    unittest.main()
