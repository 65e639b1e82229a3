"""A newcomer's path from the .deb, on a Debian with nothing else: install, tune, report, serve and ask, export."""
import argparse
import os
import pathlib
import signal
import sys
import tempfile
import unittest

import built
import clean_root

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/integration/newcomer"))
import newcomer_test  # noqa: E402


class FromDeb(newcomer_test.Newcomer):
    def __init__(self, package, folder):
        super().__init__(argparse.Namespace(model=newcomer_test.TINY, pictures=None), folder)
        self.package, self.root = package, folder / "root"
        self.home = self.root / "root"
        self.environment = None  # clean_root sets it

    def install(self):
        newcomer_test.say("install the package in a clean root")
        clean_root.make(self.root)
        assert not (self.root / "usr/bin/kvtuner").exists()
        clean_root.install(self.root, self.package)

    def command(self, *words):
        return clean_root.inside(self.root, *words)

    def interrupt(self, server):
        # The program is the child of the one that made its walls.
        child = pathlib.Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()[0]
        os.kill(int(child), signal.SIGINT)


class NewcomerDeb(unittest.TestCase):
    def test_path(self):
        package = built.package(r"kvtuner_.*\.deb")
        with tempfile.TemporaryDirectory() as scratch:
            FromDeb(package, pathlib.Path(scratch)).walk()


if __name__ == "__main__":
    unittest.main()
