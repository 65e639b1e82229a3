"""What the policy checks share: walking our own files, and ending with a list of violations."""
import argparse
import pathlib
import sys

SOURCE_FOLDERS = ("src", "tests", "bench", "cmake", "scripts", "tools", "docs", ".ci", ".github")
SOURCE_ENDINGS = (".h", ".cc", ".cmake", ".txt", ".in", ".sh", ".py", ".md", ".json", ".inc", ".html", ".css", ".js",
                   ".yml", ".yaml", ".cff")
DATA_FOLDERS = ("tests/data", "tests/golden/data")  # third-party or binary bytes, kept as they came


def parser(description):
    result = argparse.ArgumentParser(description=description)
    result.add_argument("--root", default=".", type=pathlib.Path, help="root of the checkout")
    return result


def own_files(root, endings=SOURCE_ENDINGS, folders=SOURCE_FOLDERS):
    """Our text files below root, sorted, as (path, path relative to root with '/')."""
    top = [path for path in root.iterdir() if path.is_file()] if folders is SOURCE_FOLDERS else []
    deep = [path for folder in folders if (root / folder).is_dir() for path in (root / folder).rglob("*") if path.is_file()]
    found = []
    for path in sorted(top + deep):
        name = path.relative_to(root).as_posix()
        if any(name.startswith(folder + "/") for folder in DATA_FOLDERS) or "__pycache__" in name:
            continue
        if name.endswith(endings) or name == ".ci/run" and folders is SOURCE_FOLDERS:
            found.append((path, name))
    return found


def finish(what, violations, checked):
    """Prints the violations and exits 1; exits 1 too when nothing was checked, as a check of nothing proves nothing."""
    if checked == 0:
        sys.exit(f"{what}: nothing to check was found")
    for violation in violations:
        print(f"{what}: {violation}")
    if violations:
        sys.exit(f"{what}: {len(violations)} violation(s) in {checked} checked")
    print(f"{what}: {checked} checked, no violation")
