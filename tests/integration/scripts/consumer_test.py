"""find_package(kvtuner): a project of somebody else is built against the installed libraries and reads a plan like the program."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(os.environ["KVT_ROOT"])
BUILD = pathlib.Path(os.environ["KVT_BUILD"])
MODEL = ROOT / "tests" / "data" / "stories260K" / "stories260K-hd64-f32.gguf"


class Consumer(unittest.TestCase):
    def run_cmake(self, *arguments):
        done = subprocess.run([os.environ["KVT_CMAKE"], *map(str, arguments)], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_builds_and_reads_a_plan(self):
        with tempfile.TemporaryDirectory() as scratch:
            scratch = pathlib.Path(scratch)
            self.run_cmake("--install", BUILD, "--prefix", scratch / "prefix", "--component", "dev")
            self.assertFalse((scratch / "prefix" / "bin").exists())
            self.run_cmake("-S", ROOT / "tests" / "package" / "consumer", "-B", scratch / "build", f"-DCMAKE_PREFIX_PATH={scratch / 'prefix'}")
            self.run_cmake("--build", scratch / "build")
            plan = scratch / "plan.json"
            program = BUILD / "bin" / "kvtuner"
            subprocess.run([program, "plan", "make", "kivi:K4V2", "-m", MODEL, "-o", plan], check=True, capture_output=True)
            shown = json.loads(subprocess.run([program, "plan", "show", plan, "-c", "4096", "--json"], check=True, capture_output=True, text=True).stdout)
            done = subprocess.run([scratch / "build" / "consumer", plan], capture_output=True, text=True)
            self.assertEqual(done.stdout.split(), [f"{shown['payload_bits']:.4f}", str(shown["bytes"]), shown["layers"][0]["k"]], done.stderr)
            plan.write_text("{}")
            self.assertEqual(subprocess.run([scratch / "build" / "consumer", plan], capture_output=True).returncode, 1)


if __name__ == "__main__":
    unittest.main()
