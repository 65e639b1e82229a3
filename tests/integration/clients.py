"""The Python that has the official clients (scripts/python_clients.sh), for tests that hold our output against them."""
import os
import pathlib
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def python():
    """Its path. Skips the test in words where it was never made: nothing is downloaded here."""
    done = subprocess.run([ROOT / "scripts" / "python_clients.sh", "--if-present"], capture_output=True, text=True)
    if done.returncode != 0:
        raise unittest.SkipTest(done.stderr.strip())
    return done.stdout.strip()


def run(code, *arguments, timeout=120, **more):
    """stdout of a program for that Python. The package site of this interpreter and proxies are none of its business."""
    environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy") and key != "PYTHONPATH"}
    done = subprocess.run([python(), "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, env=environment, **more)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return done.stdout
