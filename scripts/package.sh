#!/usr/bin/env bash
# Builds packages that run on any Linux machine of this architecture with this machine's glibc or a newer one; prints their paths.
# usage: scripts/package.sh [deb] [tarball] [wheel]      default: all three
#   deb       kvtuner, kvtuner-mpi and kvtuner-dev for this Debian; apt brings the libraries
#   tarball   one folder, wherever it is unpacked, with all libraries inside
#   wheel     the same for pip, with the Python module; the build system comes from PyPI
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

kinds=("$@")
[ $# -gt 0 ] || kinds=(deb tarball wheel)
for kind in "${kinds[@]}"; do
    case $kind in
    deb | tarball | wheel) ;;
    *) die "unknown package $kind (known: deb tarball wheel)" ;;
    esac
done

need_cache
need_tools cmake ninja cpack dpkg-query
case " ${kinds[*]} " in
*" deb "*) command -v dpkg-shlibdeps >/dev/null || die "not found: dpkg-shlibdeps, which a .deb needs; run scripts/deps.sh --packages first" ;;
esac
KVT_LLAMA_ROOT=$("$kvt_root/scripts/llama_cpp.sh")
KVT_LLAMA_BIN=$("$kvt_root/scripts/llama_cpp_portable.sh")
export KVT_LLAMA_ROOT KVT_LLAMA_BIN
use_ccache
export CCACHE_BASEDIR=$kvt_root CCACHE_NOHASHDIR=1
# CMake's own choice, by name: scikit-build-core would take Python's (g++), and ccache counts that as another compiler than c++.
export CC=${CC:-cc} CXX=${CXX:-c++}
build=$kvt_root/build/package
packages=$build/packages
cd "$kvt_root"

log=$build/package.log
mkdir -p "$packages"
logged() { "$@" >>"$log" 2>&1 || { tail -n 25 "$log" >&2 && die "$1 failed; its whole output is in $log"; }; }
: >"$log"

made=()
program_built=no
# The program once for both of CPack's packages.
build_program() {
    if [ $program_built = yes ]; then return; fi
    say "building the program of the packages"
    logged cmake --preset package -DKVT_LLAMA_BIN="$KVT_LLAMA_BIN"
    logged cmake --build "$build" --parallel "$(nproc)" --target all
    program_built=yes
}
# cpack_one GENERATOR PATTERN: the files of that kind are the result.
cpack_one() {
    build_program
    rm -f "$packages"/$2
    logged cpack --config "$build/CPackConfig.cmake" -G "$1"
    made+=("$packages"/$2)
}
wheel() {
    local venv=$build/venv
    if [ ! -x "$venv/bin/pip" ]; then logged python3 -m venv "$venv"; fi
    logged "$venv/bin/pip" install --quiet --disable-pip-version-check --no-input build wheel scikit-build-core
    rm -f "$packages"/*.whl
    say "building the wheel"
    logged "$venv/bin/python" -m build --wheel --no-isolation --outdir "$packages" -Cbuild-dir="$kvt_root/build/wheel" "$kvt_root"
    # What the wheel asks for is this machine's glibc; everything else it carries.
    logged "$venv/bin/wheel" tags --remove --platform-tag "manylinux_$(getconf GNU_LIBC_VERSION | sed 's/^glibc //; s/[.]/_/')_$(uname -m)" "$packages"/*.whl
    made+=("$packages"/*.whl)
}

for kind in "${kinds[@]}"; do
    case $kind in
    deb) cpack_one DEB '*.deb' ;;
    tarball) cpack_one TGZ '*.tar.gz' ;;
    wheel) wheel ;;
    esac
done
printf '%s\n' "${made[@]}"
