# Shared by the scripts of this folder: messages on stderr, the cache folder, the checkout's root.
# Sourced, never run. A script's stdout carries only its result, so that $(scripts/x.sh) works.
set -euo pipefail
export LC_ALL=C

kvt_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
kvt_cache=${XDG_CACHE_HOME:-$HOME/.cache}/kvtuner
kvt_name=$(basename "$0")

say() { printf '%s: %s\n' "$kvt_name" "$*" >&2; }
die() {
    say "error: $*"
    exit 1
}

# Makes the cache folder or says why it cannot be used.
need_cache() {
    mkdir -p "$kvt_cache" 2>/dev/null && [ -w "$kvt_cache" ] ||
        die "cannot write to the cache folder $kvt_cache; set XDG_CACHE_HOME to a folder that can be written"
}

# need_tools a b c: every program must be on PATH.
need_tools() {
    local tool missing=()
    for tool in "$@"; do command -v "$tool" >/dev/null || missing+=("$tool"); done
    [ ${#missing[@]} -eq 0 ] || die "not found: ${missing[*]}; run scripts/deps.sh first"
}

# One run at a time for what follows; the lock ends with the process.
#   $1 a name, one lock file each
lock_cache() {
    exec 9>"$kvt_cache/$1.lock"
    if ! flock -n 9; then
        say "another run holds $kvt_cache/$1.lock; waiting for it"
        flock 9
    fi
}

sha256_of() { sha256sum "$1" | cut -d' ' -f1; }

# pip without its upgrade notice and without questions; extra arguments are passed on.
pip_download() { python3 -m pip download --quiet --disable-pip-version-check --no-input --retries 2 --timeout 20 --no-deps "$@" >&2; }

# build_llama_cpp SOURCE BUILD LOG FLAG...: configures and builds the array `targets`, with ccache where it is present. Every fifth step is
# shown, the whole output is in LOG. The caller looks at what was built: a failure is not told by the exit status.
build_llama_cpp() {
    local source=$1 build=$2 log=$3 launcher=()
    shift 3
    if command -v ccache >/dev/null; then launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
    {
        cmake -S "$source" -B "$build" "$@" "${launcher[@]}" &&
            cmake --build "$build" --parallel "$(nproc)" --target "${targets[@]}"
    } 2>&1 | tee "$log" | grep --line-buffered -E '^\[[0-9]*[05]0?/' | sed -u -E 's/^(\[[0-9]+\/[0-9]+\]).*\/([^/]*)$/  \1 \2/' ||
        true
}

# ccache for every compilation started from here; one store for all checkouts of a machine.
use_ccache() {
    export CCACHE_DIR=${CCACHE_DIR:-$kvt_cache/ccache}
}
