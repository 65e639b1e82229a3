"""The packages of scripts/package.sh, each installed from scratch: tarball in a clean root, wheel in a fresh venv."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import built
import clean_root

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "tests/data/stories260K/stories260K-hd64-f32.gguf"
KLD = ["eval", "kld", "-m", "model.gguf", "--plan", "kivi:KV4", "-c", "128", "--chunks", "2", "--no-floors", "--json"]
PYTHON = """
import json, os, subprocess, sys, kvtuner
kvtuner.run("plan", "make", "kivi:K4V2", "-m", "model.gguf", "-o", "plan.json")
plan = kvtuner.read_plan("plan.json", ctx=4096)
assert kvtuner.run_json("plan", "show", "plan.json", "-c", 4096)["bytes"] == plan.bytes > 0
assert plan.layers[0].k != plan.layers[0].v and plan.payload_bits == 3, plan
record = kvtuner.eval_kld("model.gguf", ["plan.json", "kivi:KV8"], ctx=128, chunks=2)
assert record.plans[0].kld.value > record.plans[1].kld.value > 0, record
try:
    kvtuner.read_plan("absent.json")
except kvtuner.KvtunerError as error:
    assert "absent.json" in str(error) and error.exit_code != 0
else:
    raise AssertionError("a plan that does not exist was read")
print(json.dumps(kvtuner.environment("plan.json")))
"""


class Packages(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)

    def run_ok(self, command, **more):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **more)
        self.assertEqual(done.returncode, 0, f"{command}: {done.stdout[-1500:]} {done.stderr[-1500:]}")
        return done.stdout

    def test_tarball_runs_where_nothing_is_installed(self):
        tarball, root = built.package(r"kvtuner-.*\.tar\.gz"), self.scratch / "root"
        clean_root.make(root)
        self.run_ok(["tar", "-C", root / "opt", "-xf", tarball])
        (folder,) = (root / "opt").iterdir()
        shutil.copy(MODEL, root / "root/model.gguf")
        program = f"/opt/{folder.name}/bin/kvtuner"
        record = json.loads(self.run_ok(clean_root.inside(root, program, *KLD)))
        self.assertGreater(record["plans"][0]["kld"]["mean"]["value"], 0)
        self.assertIn("llama-server", self.run_ok(clean_root.inside(root, program, "serve", "-m", "model.gguf", "--dry-run")))
        checks = json.loads(subprocess.run(clean_root.inside(root, program, "doctor", "--json"), capture_output=True, text=True).stdout)
        names = {check["name"]: check["ok"] for check in checks["checks"]}
        for name in ("llama.cpp", "llama.cpp programs", "plugin", "kernel self-test"):
            self.assertTrue(names[name], checks)

    def test_no_package_names_the_folders_of_the_machine_that_built_it(self):
        self.run_ok(["tar", "-C", self.scratch, "-xf", built.package(r"kvtuner-.*\.tar\.gz")])
        home = str(clean_root.CACHE).encode()
        for path in self.scratch.rglob("*"):
            if path.is_file() and (path.name == "kvtuner" or "ggml-kvtuner" in path.name):
                data = path.read_bytes()
                self.assertNotIn(str(ROOT).encode(), data, path)
                self.assertNotIn(home, data, path)

    def test_debs_ask_for_what_debian_has(self):
        fields = self.run_ok(["dpkg-deb", "--field", built.package(r"kvtuner_.*\.deb")])
        depends = re.search(r"^Depends: (.*)$", fields, re.M)[1]
        self.assertRegex(depends, r"libc6 \(>= ")
        self.assertNotRegex(depends, r"mpi|llama|ggml|mesa|libx11")
        self.assertIn(" ./usr/bin/kvtuner\n", self.run_ok(["dpkg-deb", "--contents", built.package(r"kvtuner_.*\.deb")]))
        self.assertIn("openmpi", self.run_ok(["dpkg-deb", "--field", built.package(r"kvtuner-mpi_.*\.deb"), "Depends"]))
        self.assertIn("usr/lib/cmake/kvtuner/kvtunerConfig.cmake", self.run_ok(["dpkg-deb", "--contents", built.package(r"kvtuner-dev_.*\.deb")]))

    def test_wheel_in_a_fresh_venv(self):
        venv, work = self.scratch / "venv", self.scratch / "work"
        work.mkdir()
        shutil.copy(MODEL, work / "model.gguf")
        self.run_ok([sys.executable, "-m", "venv", venv])
        self.run_ok([venv / "bin/pip", "install", "--quiet", "--no-index", built.package(r"kvtuner-.*\.whl")])
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("KVT_", "GGML_", "LD_", "PYTHON"))}
        record = json.loads(self.run_ok([venv / "bin/kvtuner", *KLD], cwd=work, env=environment))
        self.assertGreater(record["plans"][0]["kld"]["mean"]["value"], 0)
        said = self.run_ok([venv / "bin/python", "-c", PYTHON], cwd=work, env=environment)
        variables = json.loads(said)
        self.assertTrue(variables["GGML_BACKEND_PATH"].startswith(str(venv)), variables)
        self.assertEqual(variables["KVT_PLAN"], str((work / "plan.json").resolve()))


if __name__ == "__main__":
    unittest.main()
