"""The packages that scripts/package.sh has made of this commit. They are not made here: the llama.cpp inside takes minutes."""
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build/package/packages"


def commit():
    found = re.search(r'kGitHash\[\] *= "(\w+)"', (ROOT / "build/package/generated/kvt_build_info.h").read_text())
    return found[1]


def package(pattern):
    """The path of the one file of that name. Skips the test in words where it is not there or of another commit."""
    found = [path for path in FOLDER.glob("*") if re.fullmatch(pattern, path.name)]
    if len(found) != 1:
        raise unittest.SkipTest(f"{len(found)} packages {pattern} in {FOLDER}: scripts/package.sh makes them")
    now = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True).stdout.strip()
    if commit() != now:
        raise unittest.SkipTest(f"the packages are of commit {commit()}, and this is {now}: scripts/package.sh makes them anew")
    return found[0]
