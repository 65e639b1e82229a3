"""What the policy tests share: the checkers of tools/, a scratch folder, and running a checker as CI does."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(os.environ.get("KVT_ROOT", pathlib.Path(__file__).resolve().parents[2]))
BUILD = pathlib.Path(os.environ.get("KVT_BUILD", ROOT / "build" / "release"))
sys.path.insert(0, str(ROOT / "tools"))


class PolicyCase(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)

    def write(self, name, text):
        """A file in the scratch folder; returns its path."""
        path = self.scratch / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def run_tool(self, tool, root, *arguments):
        """(exit code, output) of tools/<tool>."""
        done = subprocess.run([sys.executable, "-B", str(ROOT / "tools" / tool), "--root", str(root), *map(str, arguments)],
                              capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def assert_clean(self, tool, *arguments):
        code, output = self.run_tool(tool, ROOT, *arguments)
        self.assertEqual(code, 0, "\n" + output)
        self.assertIn("no violation", output)

    def compile(self, name, text, *flags, language="cxx"):
        """An object or library built from text; returns its path."""
        source = self.write(name + (".cc" if language == "cxx" else ".c"), text)
        output = source.with_name(source.name + ".o") if "-shared" not in flags else source.with_suffix(".so")
        compiler = os.environ.get("KVT_CXX", "c++") if language == "cxx" else os.environ.get("KVT_CC", "cc")
        subprocess.run([compiler, *([] if "-shared" in flags else ["-c"]), *flags, str(source), "-o", str(output)], check=True)
        return output
