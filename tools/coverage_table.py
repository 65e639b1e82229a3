#!/usr/bin/env python3
"""Line coverage of src/kvt out of a gcov build, one row a component; needs gcov and nothing else."""
import collections
import json
import pathlib
import subprocess
import sys

import policy_common


def line_counts(root, build):
    """file relative to root -> {line: executions}, summed over all objects."""
    sources = str((root / "src" / "kvt").resolve()) + "/"
    counts = collections.defaultdict(collections.Counter)
    for note in sorted(build.rglob("*.gcno")):  # also objects that no test ran: their lines count as not covered
        data = note.with_suffix(".gcda")
        out = subprocess.run(["gcov", "--json-format", "--stdout", str(data if data.exists() else note)], capture_output=True, text=True).stdout
        for text in out.splitlines():
            report = json.loads(text)
            for entry in report["files"]:
                path = str((pathlib.Path(report["current_working_directory"]) / entry["file"]).resolve())
                if path.startswith(sources):
                    lines = counts[path[len(sources):]]
                    for line in entry["lines"]:
                        lines[line["line_number"]] += line["count"]
    return counts


def main():
    parser = policy_common.parser(__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    options = parser.parse_args()
    counts = line_counts(options.root, options.build)
    if not counts:
        sys.exit(f"coverage: no gcov data below {options.build}")
    table = collections.defaultdict(lambda: [0, 0])
    for path, lines in counts.items():
        hit = sum(1 for count in lines.values() if count > 0)
        for row in (str(pathlib.PurePosixPath(path).parent), "all"):
            table[row][0] += hit
            table[row][1] += len(lines)
    print(f"{'folder':<20} {'lines':>7} {'covered':>8} {'percent':>8}")
    for row in sorted(set(table) - {"all"}) + ["all"]:
        hit, lines = table[row]
        print(f"{row:<20} {lines:>7} {hit:>8} {100.0 * hit / max(lines, 1):>7.1f}%")


if __name__ == "__main__":
    main()
