#!/usr/bin/env python3
"""One version in all files that state it, and no workflow, hook, image or document names a script of ours that does not exist."""
import os
import re

import policy_common

VERSION = re.compile(r"^project\(kvtuner VERSION ([\d.]+)", re.M)
CITED = re.compile(r"^version: (\S+)$", re.M)
OURS = re.compile(r"(?<![\w/.-])(?:\./)?((?:scripts|tools|\.ci)/[\w./-]*\w)")
CALLERS = (".github/workflows/*.yml", ".pre-commit-config.yaml", "Dockerfile", "CONTRIBUTING.md", "HACKING.md", "README.md", "docs/guide/*.md")


def version_violations(root):
    version = VERSION.search((root / "CMakeLists.txt").read_text())
    if version is None:
        return ["CMakeLists.txt: no project(kvtuner VERSION ...)"]
    found = []
    cited = CITED.search((root / "CITATION.cff").read_text())
    if cited is None or cited[1] != version[1]:
        found.append(f"CITATION.cff: version {cited and cited[1]}, and CMakeLists.txt has {version[1]}")
    if not re.search(rf"^## {re.escape(version[1])}\b", (root / "CHANGELOG.md").read_text(), re.M):
        found.append(f"CHANGELOG.md: no section for {version[1]}, the version of CMakeLists.txt")
    return found


def script_violations(root):
    found, checked = [], 0
    for pattern in CALLERS:
        for path in sorted(root.glob(pattern)):
            name = path.relative_to(root).as_posix()
            checked += 1
            for script in sorted(set(OURS.findall(path.read_text()))):
                target = root / script
                if not target.exists():
                    found.append(f"{name}: names {script}, which does not exist")
                elif target.suffix == ".sh" and target.name != "lib.sh" and not os.access(target, os.X_OK):
                    found.append(f"{name}: names {script}, which cannot be executed")
    return found, checked


def main():
    root = policy_common.parser(__doc__).parse_args().root
    found, checked = script_violations(root)
    policy_common.finish("release", version_violations(root) + found, checked)


if __name__ == "__main__":
    main()
