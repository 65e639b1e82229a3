#!/usr/bin/env bash
# Builds with gcov, runs the tests and prints line coverage of src/kvt, one row a component and one for all.
# usage: scripts/coverage.sh [ctest arguments, for example -L unit]
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

"$kvt_root/scripts/deps.sh"
need_cache
need_tools python3 gcov
build=$("$kvt_root/scripts/build.sh" coverage)
cd "$kvt_root"
find "$build" -name '*.gcda' -delete
rc=0
ctest --preset coverage "$@" >&2 || rc=$?
python3 tools/coverage_table.py --root . --build "$build"
exit "$rc"
