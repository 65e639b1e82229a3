#!/usr/bin/env python3
"""The plugin lives in somebody else's process: it exports two symbols, and imports nothing that prints or ends the process."""
import pathlib
import subprocess

import policy_common

EXPORTS = {"ggml_backend_init", "ggml_backend_score"}
FORBIDDEN = {
    "abort", "exit", "_exit", "quick_exit", "__assert_fail", "printf", "__printf_chk", "fprintf", "__fprintf_chk", "vprintf",
    "vfprintf", "puts", "putchar", "perror", "stdout", "stderr", "_ZSt4cout", "_ZSt4cerr", "_ZSt4clog", "ggml_abort",
}


def symbols(library, which):
    out = subprocess.run(["nm", "-D", which, str(library)], check=True, capture_output=True, text=True).stdout
    return {line.split()[-1].split("@")[0] for line in out.splitlines() if line.strip()}


def violations_of(library):
    exported = symbols(library, "--defined-only")
    found = [f"exports {name}" for name in sorted(exported - EXPORTS)]
    found += [f"does not export {name}" for name in sorted(EXPORTS - exported)]
    found += [f"imports {name}" for name in sorted(symbols(library, "--undefined-only") & FORBIDDEN)]
    return found


def main():
    parser = policy_common.parser(__doc__)
    parser.add_argument("library", type=pathlib.Path)
    found = violations_of(parser.parse_args().library)
    policy_common.finish("exports", found, 1)


if __name__ == "__main__":
    main()
