#!/usr/bin/env python3
"""Every .cc below src, tests and bench, and every policy test, is named in a CMakeLists.txt of its folder or of one above."""
import re

import policy_common


def named_in_cmake(path, root):
    folder = path.parent
    while True:
        listing = folder / "CMakeLists.txt"
        if listing.is_file():
            relative = path.relative_to(folder).as_posix()
            if re.search(r"(?<![\w./-])" + re.escape(relative) + r"(?![\w.-])", listing.read_text()):
                return True
        if folder == root:
            return False
        folder = folder.parent


def violations_of(root):
    root = root.resolve()
    files = policy_common.own_files(root, (".cc",), ("src", "tests", "bench"))
    files += policy_common.own_files(root, ("_test.py",), ("tests",))
    found = [f"{name}: no CMakeLists.txt names it, so it is never built or run" for path, name in files if not named_in_cmake(path, root)]
    return found, len(files)


def main():
    found, checked = violations_of(policy_common.parser(__doc__).parse_args().root)
    policy_common.finish("registration", found, checked)


if __name__ == "__main__":
    main()
