"""What kvtuner export writes, read by the libraries that the targets read it with: PyYAML and the GGUF package.

ModelOpt, vLLM, TensorRT-LLM and SGLang have no released reader of their per-layer maps; tests/unit/recipes hold those against their schemas.
Paths come from the environment (set by CMake): KVT_TEST_PROGRAM, KVT_TEST_MODEL.
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import clients  # noqa: E402

PROGRAM = os.environ["KVT_TEST_PROGRAM"]
MODEL = os.environ["KVT_TEST_MODEL"]
EXPORTS_PAGE = clients.ROOT / "docs" / "formats" / "exports.md"
PAIRS = [(8, 8), (8, 4), (4, 4), (4, 2), (2, 2)]  # of the tiny model's layers
N_HEADS = 4


def kvtuner(*arguments):
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


class PeerParsers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        clients.python()
        scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(scratch.cleanup)
        cls.folder = pathlib.Path(scratch.name)
        recipe = cls.folder / "Tiny_pertoken_KVTuner4_0.yaml"
        recipe.write_text("".join(f"{i}: {{nbits_key: {k}, nbits_value: {v}}}\n" for i, (k, v) in enumerate(PAIRS)))
        cls.plan = cls.folder / "plan.json"
        kvtuner("import", recipe, "-m", MODEL, "-o", cls.plan)

    def yaml(self, text):
        return json.loads(clients.run("import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.argv[1])))", text))

    def test_kvtuner_yaml(self):
        """FlexibleQuantizedCacheConfig takes yaml.safe_load of the file: integer keys, and per head one level more."""
        layers = self.yaml(kvtuner("export", self.plan, "--to", "kvtuner-yaml"))
        self.assertEqual([(layers[str(i)]["nbits_key"], layers[str(i)]["nbits_value"]) for i in range(len(PAIRS))], PAIRS)
        heads = self.yaml(kvtuner("export", self.plan, "--to", "kvtuner-yaml-per-head"))
        self.assertEqual(heads, {str(i): {str(h): layers[str(i)] for h in range(N_HEADS)} for i in range(len(PAIRS))})
        kinds = clients.run("import sys, yaml; print({type(key).__name__ for key in yaml.safe_load(sys.argv[1])})",
                            kvtuner("export", self.plan, "--to", "kvtuner-yaml"))
        self.assertEqual(kinds.strip(), "{'int'}")

    def test_tensorrt_llm_yaml(self):
        document = self.yaml(kvtuner("export", self.plan, "--to", "tensorrt-llm", "--approx"))
        self.assertEqual(list(document), ["kv_cache_config"])
        dtype = {}
        for part in document["kv_cache_config"]["dtype"].split(","):
            numbers, name = part.split(":")
            first, _, last = numbers.partition("-")
            dtype.update({i: name for i in range(int(first), int(last or first) + 1)})
        self.assertEqual(dtype, {0: "fp8", 1: "fp8", 2: "nvfp4", 3: "nvfp4", 4: "nvfp4"})

    def test_gguf_keys_through_the_snippet_of_the_page(self):
        """The Python of docs/formats/exports.md puts the keys into a model file; kvtuner import gives the plan back, and the weights stay."""
        snippet = re.search(r"```python\n(.*?)```", EXPORTS_PAGE.read_text(), re.S)[1]
        keys, carrier, back = self.folder / "keys.json", self.folder / "with-plan.gguf", self.folder / "back.json"
        keys.write_text(kvtuner("export", self.plan, "--to", "gguf"))
        clients.run(snippet, MODEL, keys, carrier)
        kvtuner("import", carrier, "-o", back)
        given, found = (json.loads(path.read_text()) for path in (self.plan, back))
        self.assertEqual(found["layers"], given["layers"])
        self.assertEqual(found["memory"], given["memory"])
        self.assertNotEqual(found["model"]["file_sha256"], given["model"]["file_sha256"])  # it is the plan of the new file
        kvtuner("plan", "check", back, "-m", carrier)
        tensors = """
import hashlib, sys, gguf
print([(t.name, hashlib.sha256(t.data.tobytes()).hexdigest()) for t in gguf.GGUFReader(sys.argv[1]).tensors])"""
        self.assertEqual(clients.run(tensors, carrier), clients.run(tensors, MODEL))


if __name__ == "__main__":
    unittest.main()
