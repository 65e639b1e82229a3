"""What cmake --install puts into a prefix runs there: program, plugin and texts find each other."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(os.environ["KVT_ROOT"])
BUILD = pathlib.Path(os.environ["KVT_BUILD"])
MODEL = ROOT / "tests" / "data" / "stories260K" / "stories260K-hd64-f32.gguf"


class Install(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.prefix = pathlib.Path(scratch.name) / "a prefix"
        subprocess.run([os.environ["KVT_CMAKE"], "--install", str(BUILD), "--prefix", str(self.prefix)], check=True, capture_output=True)

    def kvtuner(self, *arguments):
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("KVT_", "LD_", "GGML_"))}
        return subprocess.run([str(self.prefix / "bin" / "kvtuner"), *arguments], cwd="/", env=environment, capture_output=True, text=True)

    def test_plan_is_measured_with_the_installed_plugin_and_text(self):
        done = self.kvtuner("eval", "kld", "-m", str(MODEL), "--plan", "kivi:KV4", "-c", "128", "--chunks", "2", "--no-floors", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        record = json.loads(done.stdout)
        self.assertIn("wiki.test.head.raw", json.dumps(record))

    def test_it_is_the_installed_plugin(self):
        (self.prefix / "lib" / "kvtuner" / "libggml-kvtuner.so").unlink()
        done = self.kvtuner("eval", "kld", "-m", str(MODEL), "--plan", "kivi:KV4", "-c", "128", "--chunks", "1")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("plugin", done.stderr)
        self.assertIn(str(self.prefix / "lib" / "kvtuner"), done.stderr)

    def test_texts_and_licences_are_there(self):
        for name in ("share/kvtuner/gsm8k_train_20.jsonl", "share/kvtuner/wikitext2/wiki.valid.head.raw", "share/doc/kvtuner/LICENSE"):
            self.assertTrue((self.prefix / name).is_file(), name)

    def test_man_page_and_completions_are_those_of_the_program(self):
        for name, arguments in (("man/man1/kvtuner.1", ["man"]), ("bash-completion/completions/kvtuner", ["completion", "bash"]),
                                ("zsh/site-functions/_kvtuner", ["completion", "zsh"]), ("fish/vendor_completions.d/kvtuner.fish", ["completion", "fish"])):
            self.assertEqual((self.prefix / "share" / name).read_text(), self.kvtuner(*arguments).stdout, name)


if __name__ == "__main__":
    unittest.main()
