#!/usr/bin/env bash
# Sets up everything that is missing, builds the release preset and runs the whole test suite.
# usage: scripts/test.sh [ctest arguments, for example -L unit]
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

"$kvt_root/scripts/deps.sh"
"$kvt_root/scripts/build.sh" release >/dev/null
cd "$kvt_root"
need_cache
log=$kvt_cache/last-test.log
rc=0
ctest --preset release "$@" 2>&1 | tee "$log" || rc=$?
# ctest prints label times after its verdict; the verdict is what one looks for on the last line.
closing=$(grep -E '^[0-9]+% tests passed' "$log" | tail -n 1 || true)
printf '%s\n' "${closing:-no test ran}"
[ -n "$closing" ] || exit 1
exit "$rc"
