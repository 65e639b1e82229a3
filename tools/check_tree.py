#!/usr/bin/env python3
"""The tree in ARCHITECTURE.md names the folders that exist, no more and no fewer, two levels deep and three below src."""
import re

import policy_common

ROW = re.compile(r"^( *)([\w.-]+)/\s")


def listed_folders(text):
    """The folders of the first code block after '## Tree'; two spaces of indent are one level."""
    try:
        block = text.split("## Tree", 1)[1].split("```", 2)[1]
    except IndexError:
        raise SystemExit("tree: ARCHITECTURE.md has no code block under '## Tree'")
    stack, result = [], set()
    for line in block.splitlines():
        match = ROW.match(line + " ")
        if match:
            stack[len(match[1]) // 2:] = [match[2]]
            result.add("/".join(stack))
    return result


def real_folders(root):
    result = set()
    for top in ("src", "tests", "bench", "cmake", "scripts", "tools", "data", "docs"):
        if (root / top).is_dir():
            depth = 4 if top == "src" else 2
            folders = [root / top] + [path for path in (root / top).rglob("*") if path.is_dir()]
            for folder in folders:
                parts = folder.relative_to(root).parts
                if len(parts) <= depth and "__pycache__" not in parts and any(path.is_file() for path in folder.rglob("*")):
                    result.add("/".join(parts))
    return result


def main():
    root = policy_common.parser(__doc__).parse_args().root
    listed, real = listed_folders((root / "ARCHITECTURE.md").read_text()), real_folders(root)
    found = [f"{name}/ exists, and ARCHITECTURE.md does not name it" for name in sorted(real - listed)]
    found += [f"ARCHITECTURE.md names {name}/, which does not exist or is empty" for name in sorted(listed - real)]
    policy_common.finish("tree", found, len(listed))


if __name__ == "__main__":
    main()
