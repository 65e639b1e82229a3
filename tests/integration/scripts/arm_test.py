"""Formats and kernels on 64-bit ARM, cross-compiled and emulated, by the script that a developer uses."""
import os
import pathlib
import shutil
import subprocess
import unittest

ROOT = pathlib.Path(os.environ["KVT_ROOT"])


class Arm(unittest.TestCase):
    @unittest.skipUnless(shutil.which("aarch64-linux-gnu-g++") and shutil.which("qemu-aarch64"),
                         "no ARM cross compiler or no qemu-aarch64: scripts/deps.sh --arm installs both")
    def test_kernels_match_the_reference(self):
        # The row counts and head dimensions of these tests cover every instruction; the long ones take a minute under emulation.
        done = subprocess.run([str(ROOT / "scripts" / "test_arm.sh"), "--gtest_filter=-*DoubleSum*:*EveryPair*"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout[-3000:] + done.stderr[-3000:])
        self.assertIn("PASSED", done.stdout)


if __name__ == "__main__":
    unittest.main()
