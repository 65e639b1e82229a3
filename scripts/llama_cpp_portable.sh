#!/usr/bin/env bash
# Prints the folder with the programs and libraries of the pinned llama.cpp that run on any processor of this architecture:
# what the packages carry (scripts/package.sh). Built once, beside the build for this machine, from the same source.
#   stdout   one line, the path; everything else goes to stderr
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

targets=(llama-server llama-completion)

exec 3>&1 1>&2
need_cache
need_tools cmake ninja c++ cc flock
root=$("$kvt_root/scripts/llama_cpp.sh")
bin=$root/portable/bin

# complete FOLDER: the programs, and a kernel library for every processor.
complete() {
    local target
    for target in "${targets[@]}"; do [ -x "$1/$target" ] || return 1; done
    [ -f "$1/libllama.so" ] && compgen -G "$1/libggml-cpu-*.so" >/dev/null
}
finish() {
    printf '%s\n' "$bin" >&3
    exit 0
}
if complete "$bin"; then finish; fi
lock_cache llama.cpp
if complete "$bin"; then finish; fi # another run may have built it while we waited

part=$root/portable.part
rm -rf "$part" "$root/portable"
trap 'rm -rf "$part"' EXIT
trap 'exit 130' INT TERM
use_ccache
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1
say "building the llama.cpp of the packages once (about 10 minutes on 2 cores) into $root/portable"
log=$kvt_cache/llama.cpp-portable.log
start=$SECONDS
# One library of kernels for every processor generation, chosen when the program starts, as llama.cpp's own releases do.
build_llama_cpp "$root/src" "$part" "$log" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON \
    -DGGML_NATIVE=OFF -DGGML_BACKEND_DL=ON -DGGML_CPU_ALL_VARIANTS=ON \
    -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_UI=OFF \
    -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON '-DCMAKE_INSTALL_RPATH=$ORIGIN'
if ! complete "$part/bin"; then
    tail -n 25 "$log"
    die "building llama.cpp for the packages failed; the whole output is in $log"
fi
find "$part" -mindepth 1 -maxdepth 1 ! -name bin -exec rm -rf {} +
mv "$part" "$root/portable"
say "built in $((SECONDS - start)) s"
finish
