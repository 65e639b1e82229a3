"""Every command of README.md, docs/guide and docs/formats/exports.md is run on a tiny model in a scratch folder.

The folder has what the pages talk about: model.gguf, tuned/, texts, recipes. Commands are run as they stand; a kvtuner in front of PATH adds
options that make them quick (quick_kvtuner.py) and prepares servers without starting them. What cannot run is listed in NOT_RUN, each with its
reason, and its options are at least held against the program's --help.
Paths come from the environment (set by CMake): KVT_TEST_PROGRAM, KVT_TEST_PLUGIN, KVT_TEST_LLAMA_BIN, KVT_TEST_MODEL.
"""
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

import doc_blocks

ROOT = doc_blocks.ROOT
HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = os.environ["KVT_TEST_PROGRAM"]
PLUGIN = os.environ["KVT_TEST_PLUGIN"]
LLAMA = os.environ["KVT_TEST_LLAMA_BIN"]
MODEL = pathlib.Path(os.environ["KVT_TEST_MODEL"])
CORPUS = MODEL.parent / "selfgen-corpus.txt"
N_LAYERS = 5  # of the tiny model
TIMEOUT_S = 300

NETWORK = "downloads llama.cpp, packages or a model"
SUITE = "is the whole test suite"
PACKAGE = "takes minutes; packages.package and packages.newcomer_deb test what it makes"
OWN = "needs a llama.cpp of the user; unit.cli starts one"
LONG = "takes minutes; the same script is run by the quick start"
SERVER = "a server that does not end; integration.serve and integration.newcomer start one"
NEEDS_SERVER = "needs a server; integration.harness asks one"
FOREIGN = "needs presets, whose names are those of others; unit.cli imports one"
CARRIED = "needs the gguf package; integration.peer_parsers reads such a file"
INSTALLED = "prints the paths of an installation; unit.cli compares it with the build's"
NOT_RUN = {  # command, or how it begins: why it is not run
    "./scripts/quickstart.sh": NETWORK,
    "./scripts/test.sh": SUITE,
    "scripts/compare_with_stock.py": LONG,
    "scripts/package.sh": PACKAGE,
    "kvtuner serve -m model.gguf --bin my-llama.cpp/build/bin": OWN,
    "llama-server -m model.gguf --device KVT0": SERVER,
    "llama-server -m model.gguf --port 8080 &": SERVER,
    "GGML_BACKEND_PATH=.../libggml-kvtuner.so KVT_PLAN=plan.json llama-server": SERVER,
    "kvtuner eval gsm8k --server": NEEDS_SERVER,
    "kvtuner import preset:Qwen2.5-7B-Instruct_kivi_KVTuner4_0": FOREIGN,
    "kvtuner import model-with-plan.gguf": CARRIED,
    "kvtuner export plan.json --to llama-cpp -m model.gguf": INSTALLED,
}


def write_modelopt(folder):
    """A map and a search report of ModelOpt for the tiny model."""
    names = [f"model.layers.{i}.self_attn" for i in range(N_LAYERS)]
    layers = {name: {"quant_algo": "FP8"} for name in names}
    quantization = {"quant_algo": None, "quantized_layers": {}, "exclude_modules": [], "kv_cache_quant_algo": "FP8", "kv_cache_quantized_layers": layers,
                    "kv_cache_schema_version": 1}
    (folder / "hf_quant_config.json").write_text(json.dumps({"producer": {"name": "modelopt", "version": "1"}, "quantization": quantization}))
    candidates = [{"name": "FP8", "effective_bits": 8.0, "k_bits": 8, "v_bits": 8, "config": {}}]
    report = {"schema_version": 1, "method": "kl_div", "cost_model": "kv_cache", "candidates": candidates,
              "layers": {name: {"k_width": 64, "v_width": 64, "selected": "FP8", "scores": {"FP8": 0.5}} for name in names},
              "best": {"recipe": {}, "constraints": {"effective_bits": 8.0}, "score": 0.5 * N_LAYERS, "is_satisfied": True, "solver_status": "Optimal"}}
    (folder / "search_report.json").write_text(json.dumps(report))


def write_inputs(folder):
    for name in ("model.gguf", "SmolLM2-135M-Instruct.Q4_1.gguf"):
        (folder / name).symlink_to(MODEL)
    (folder / "scripts").symlink_to(ROOT / "scripts")
    (folder / "bench").symlink_to(ROOT / "bench")
    (folder / "build/release/bin").mkdir(parents=True)
    (folder / "build/release/bin/libggml-kvtuner.so").symlink_to(PLUGIN)
    for name in ("prose.txt", "code.txt"):
        shutil.copy(CORPUS, folder / name)
    sample = (ROOT / "tests/data/livecodebench/sample.jsonl").read_text()
    (folder / "test.jsonl").write_text(re.sub(r'("contest_date": ?")\d{4}-\d{2}', r"\g<1>2025-02", sample))
    presets = folder / "KVTuner/calibration_presets"
    presets.mkdir(parents=True)
    recipe = "".join(f"{i}:\n  nbits_key: {8 if i == 0 else 4}\n  nbits_value: 4\n" for i in range(N_LAYERS))
    for path in (folder / "Model_kivi_KVTuner4_0.yaml", presets / "Tiny_kivi_KVTuner4_0.yaml"):
        path.write_text(recipe)
    write_modelopt(folder)


def write_programs(folder):
    """A PATH in which kvtuner is quick and llama.cpp's programs are the stock ones."""
    folder.mkdir()
    quick = shlex.join([sys.executable, str(HERE / "quick_kvtuner.py"), PROGRAM, str(CORPUS)])
    (folder / "kvtuner").write_text(f'#!/bin/sh\nexec {quick} "$@"\n')
    (folder / "kvtuner").chmod(0o755)
    for path in pathlib.Path(LLAMA).glob("llama-*"):
        (folder / path.name).symlink_to(path)


def reason_not_to_run(command):
    return next((reason for start, reason in NOT_RUN.items() if command.startswith(start)), None)


class Commands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.scratch.cleanup)
        root = pathlib.Path(cls.scratch.name)
        cls.base, cls.bin = root / "base", root / "bin"
        cls.base.mkdir()
        write_programs(cls.bin)
        write_inputs(cls.base)
        cls.environment = {key: value for key, value in os.environ.items() if not key.startswith(("KVT_", "GGML_"))}
        cls.environment.update(PATH=f"{cls.bin}:{os.environ['PATH']}", XDG_DATA_HOME=str(root / "data"), OMP_WAIT_POLICY="passive")
        done = cls.bash("kvtuner tune -m model.gguf -o tuned && cp tuned/plan.json tuned/*.safetensors .", cls.base)
        assert done.returncode == 0, done.stderr

    @classmethod
    def bash(cls, command, folder):
        return subprocess.run(["bash", "-c", command], cwd=folder, env=cls.environment, capture_output=True, text=True, timeout=TIMEOUT_S,
                              stdin=subprocess.DEVNULL)

    def folder_of(self, page):
        folder = pathlib.Path(self.scratch.name) / page.stem
        shutil.copytree(self.base, folder, symlinks=True)
        return folder

    def check_options(self, command, where):
        """Each option of a kvtuner command that is not run is one that its --help names."""
        words = shlex.split(command.split(" -- ")[0], comments=True)
        options = [word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)]
        names = [word for word in words[1:3] if re.fullmatch(r"[a-z][a-z-]*", word)]
        done = self.bash(shlex.join(["kvtuner", *names, "--help"]), self.base)
        self.assertEqual(done.returncode, 0, f"{where}: {command}: {done.stderr}")
        for option in options:
            self.assertRegex(done.stdout, rf"(?<![\w-]){re.escape(option)}(?![\w-])", f"{where}: {command}")

    def test_commands_run(self):
        used = set()
        for page in doc_blocks.PAGES:
            folder = self.folder_of(page)
            for block in doc_blocks.blocks(page):
                exports = ""
                for command in doc_blocks.commands(block) if block.language == "sh" else []:
                    with self.subTest(where=block.where, command=command):
                        if reason_not_to_run(command):
                            used.add(next(start for start in NOT_RUN if command.startswith(start)))
                            if command.startswith("kvtuner "):
                                self.check_options(command, block.where)
                            continue
                        if command.startswith("export "):
                            exports += command.split(" #")[0] + "; "
                        done = self.bash(exports + command, folder)
                        self.assertEqual(done.returncode, 0, done.stderr[-2000:] + done.stdout[-500:])
                for command, _ in doc_blocks.sessions(block) if block.language == "console" else []:
                    used.update(start for start in NOT_RUN if command.startswith(start))
        self.assertEqual(set(NOT_RUN) - used, set(), "these are in no page any more")

    def test_outputs_are_those_of_the_program(self):
        """A console block shows "$ command" and what it prints; the example plan is docs/formats/exports.md's of four layers."""
        compared = 0
        for page in doc_blocks.PAGES:
            folder = self.folder_of(page.with_stem("console-" + page.stem))
            shutil.copy(HERE / "example-4L.json", folder / "plan.json")
            for block in doc_blocks.blocks(page):
                for command, output in doc_blocks.sessions(block) if block.language == "console" else []:
                    if reason_not_to_run(command):
                        continue
                    with self.subTest(where=block.where, command=command):
                        done = self.bash(command, folder)
                        self.assertEqual(done.returncode, 0, done.stderr)
                        if output:
                            self.assertEqual(done.stdout.strip(), output.strip())
                            compared += 1
        self.assertGreater(compared, 5)

    def test_options_in_running_text_exist(self):
        checked = 0
        for page in doc_blocks.PAGES:
            for command in re.findall(r"`(kvtuner [a-z][^`]*)`", page.read_text()):
                if "--" in command:
                    with self.subTest(page=page.name, command=command):
                        self.check_options(command, page.name)
                        checked += 1
        self.assertGreater(checked, 5)

    def test_every_fence_says_what_it_is(self):
        for page in doc_blocks.PAGES:
            found = doc_blocks.blocks(page)
            for block in found:
                self.assertIn(block.language, doc_blocks.LANGUAGES, block.where)
                if block.language == "text":
                    self.assertNotRegex(block.text, r"(?m)^(\$ )?(kvtuner|llama-\w+|scripts/|\./scripts/) ?", f"{block.where}: commands belong into a sh block")

    def test_links_lead_somewhere(self):
        for page in doc_blocks.PAGES:
            for target in re.findall(r"\]\(([^)#\s]+)(?:#[\w-]+)?\)", page.read_text()):
                if not re.match(r"https?:", target):
                    self.assertTrue((page.parent / target).exists(), f"{page.name}: {target}")


if __name__ == "__main__":
    unittest.main()
