#!/usr/bin/env bash
# Configures and builds one CMake preset into build/<preset>; prints that folder on stdout, all else on stderr.
# usage: scripts/build.sh [--configure-only] [preset, default release] [target ...]
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

configure_only=no
if [ "${1:-}" = --configure-only ]; then
    configure_only=yes
    shift
fi
preset=${1:-release}
[ $# -eq 0 ] || shift
need_cache
need_tools cmake ninja
KVT_LLAMA_ROOT=$("$kvt_root/scripts/llama_cpp.sh")
export KVT_LLAMA_ROOT
use_ccache
export CCACHE_BASEDIR=$kvt_root CCACHE_NOHASHDIR=1 # another checkout on this machine hits the same store
cd "$kvt_root"
start=$SECONDS
# The configure output is 60 lines of found packages; it is wanted only when something is missing.
if ! configure=$(cmake --preset "$preset" 2>&1); then
    printf '%s\n' "$configure" >&2
    die "configuring preset $preset failed (its output stands above); is a package missing? scripts/deps.sh installs all"
fi
if [ $configure_only = no ]; then
    cmake --build --preset "$preset" --parallel "$(nproc)" ${1:+--target "$@"} >&2 || die "building preset $preset failed (its output stands above)"
    say "preset $preset is built, $((SECONDS - start)) s"
fi
printf '%s\n' "$kvt_root/build/$preset"
