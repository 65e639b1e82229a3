#!/usr/bin/env python3
"""Rules on the text of our own files: ASCII only, at most 600 lines, no absolute path of a machine, nothing left to do."""
import re

import policy_common

MAX_LINES = 600
# Built from pieces, so that this file does not violate its own rules.
LEFT_OPEN = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X"]) + r")\b")
HOME_PATH = re.compile(r"(?<![\w.$}>])/(?:ho" + r"me/\w|ro" + r"ot/|wo" + r"rk/|Us" + r"ers/\w)")


def violations_of(root):
    found, checked = [], 0
    here = str(root.resolve().parent)
    for path, name in policy_common.own_files(root):
        checked += 1
        raw = path.read_bytes()
        lines = raw.split(b"\n")
        if len(lines) > MAX_LINES + 1:
            found.append(f"{name}: {len(lines) - 1} lines, more than {MAX_LINES}")
        for number, line in enumerate(lines, 1):
            bad = next((byte for byte in line if byte > 126 or (byte < 32 and byte != 9)), None)
            if bad is not None:
                found.append(f"{name}:{number}: byte 0x{bad:02x} is not printable ASCII")
            text = line.decode("ascii", "replace")
            if LEFT_OPEN.search(text):
                found.append(f"{name}:{number}: something is left to do: {text.strip()}")
            if HOME_PATH.search(text) or (len(here) > 4 and here + "/" in text):
                found.append(f"{name}:{number}: absolute path of a machine: {text.strip()}")
    return found, checked


def main():
    found, checked = violations_of(policy_common.parser(__doc__).parse_args().root)
    policy_common.finish("text", found, checked)


if __name__ == "__main__":
    main()
