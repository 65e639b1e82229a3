"""bench/claims on a tiny model: every section ends, its tables agree with its records, and a second run measures nothing again."""
import csv
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(os.environ["KVT_ROOT"])
SECTIONS = ("observations", "frontier", "lossless", "ablations", "throughput", "memory", "scale")


class Claims(unittest.TestCase):
    def run_all(self, folder):
        command = [sys.executable, "-B", ROOT / "bench/claims/main.py", "--quick", "--llama", os.environ["KVT_LLAMA"], "--build", os.environ["KVT_BUILD"],
                   "--model", os.environ["KVT_TEST_MODEL"], "--work", folder / "work", "--out", folder / "out", "-t", "1"]
        return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=800)

    def test_quick(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            done = self.run_all(folder)
            self.assertEqual(done.returncode, 0, done.stderr[-2000:])
            out = folder / "out" / pathlib.Path(os.environ["KVT_TEST_MODEL"]).stem.lower()
            for page in SECTIONS:
                self.assertIn("Made by `bench/reproduce --quick --threads 1`", (out / f"{page}.md").read_text())
            self.assertRegex((out / "README.md").read_text(), r"\| \[observations\]\(observations.md\) \| .* \| (does not hold|holds) \|")
            record = json.loads((out / "raw/frontier.json").read_text())["value"]
            with open(out / "frontier.csv") as file:
                rows = list(csv.DictReader(file))
            shown = {row["KLD (95 %)"] for row in rows}
            for plan in record["plans"]:
                self.assertIn(f"{plan['kld']['mean']['value']:.4f}", shown)
            bits = [float(row["effective bits"]) for row in rows]
            self.assertEqual(bits, sorted(bits))
            again = self.run_all(folder)
            self.assertEqual((again.returncode, again.stdout), (0, done.stdout))
            self.assertEqual([line for line in again.stderr.splitlines() if not line.startswith(("reproduce: wrote", "reproduce: matplotlib"))], [])


if __name__ == "__main__":
    unittest.main()
