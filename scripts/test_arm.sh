#!/usr/bin/env bash
# Cross-compiles formats and kernels for 64-bit ARM and runs their tests under qemu-user: NEON without ARM hardware.
# usage: scripts/test_arm.sh [gtest arguments]     installs the cross compiler and qemu when they are missing
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

"$kvt_root/scripts/deps.sh" --arm
need_cache
need_tools aarch64-linux-gnu-g++ qemu-aarch64
out=$kvt_root/build/arm
mkdir -p "$out/include"
ln -sfn /usr/include/fmt "$out/include/fmt" # headers only: the library beside them is for another processor
use_ccache
launcher=()
if command -v ccache >/dev/null; then launcher=(ccache); fi
# The flags of neoni8.cc are those of cmake/IsaFlags.cmake.
i8=$(sed -n -E 's/^set\(KVT_ISA_FLAGS_neoni8 (.*)\)$/\1/p' "$kvt_root/cmake/IsaFlags.cmake")
[ -n "$i8" ] || die "cmake/IsaFlags.cmake names no flags for neoni8"

cd "$kvt_root"
sources=(src/kvt/quant/*.cc tests/unit/quant/*.cc tests/unit/kernels/*.cc /usr/src/googletest/googletest/src/gtest-all.cc
    /usr/src/googletest/googletest/src/gtest_main.cc)
for file in src/kvt/kernels/*.cc; do
    case $file in */avx*) ;; *) sources+=("$file") ;; esac
done
objects=()
jobs_left=$(nproc)
for file in "${sources[@]}"; do
    object=$out/$(basename "$file").o
    objects+=("$object")
    flags=()
    case $file in */neoni8.cc) flags=("$i8") ;; esac
    # shellcheck disable=SC2086 # the flags of one file are words
    "${launcher[@]}" aarch64-linux-gnu-g++ -std=c++20 -O2 -Wall -Wextra -ffp-contract=off -DFMT_HEADER_ONLY ${flags[*]} -Isrc -Itests "-I$out/include" \
        -I/usr/src/googletest/googletest/include -I/usr/src/googletest/googletest -c "$file" -o "$object" &
    jobs_left=$((jobs_left - 1))
    if [ $jobs_left -le 0 ]; then
        wait -n || die "compiling for ARM failed (its output stands above)"
        jobs_left=$((jobs_left + 1))
    fi
done
while [ "$(jobs -rp | wc -l)" -gt 0 ]; do wait -n || die "compiling for ARM failed (its output stands above)"; done
aarch64-linux-gnu-g++ -static "${objects[@]}" -o "$out/kernels_test"
exec qemu-aarch64 -cpu max "$out/kernels_test" --gtest_brief=1 "$@"
