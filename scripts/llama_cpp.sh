#!/usr/bin/env bash
# Prints the folder that holds the pinned llama.cpp: src/ (its source) and build/bin (programs and libraries).
# Builds it once per machine, version, compiler and flags into the cache folder; a later run only prints the path.
#   stdout   one line, the path; everything else goes to stderr
#   source   KVT_LLAMA_CPP_SOURCE (folder or tarball), else the GitHub release, else the copy of the same tree inside the
#            source distribution of llama-cpp-python on PyPI. All are held against one checksum over the source files.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

version=v0.5.0
release=https://github.com/ggml-org/llama.cpp/archive/refs/tags/$version.tar.gz
sdist=llama-cpp-python==0.3.36
sdist_sha256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
tree_sha256=55a14a396eb307f0c51f7c20380882a3c34ba360beb5426e00a2d61b662b4bc7
targets=(llama-bench llama-perplexity llama-server llama-completion)

exec 3>&1 1>&2
need_cache
need_tools cmake ninja c++ cc sha256sum flock tar

# --- Flags and key ---
# CPUID may show AMX where a hypervisor masks it: GGML_NATIVE=ON would then die in ggml's own matmul.
no_amx=
case $(uname -m) in
x86_64 | i?86)
    no_amx="-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
    c++ $no_amx -E -x c++ /dev/null -o /dev/null 2>/dev/null || no_amx= # a compiler without AMX cannot emit it
    ;;
esac
flags=(-G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON -DGGML_NATIVE=ON "-DCMAKE_C_FLAGS=$no_amx" "-DCMAKE_CXX_FLAGS=$no_amx"
    -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_UI=OFF
    # The folder is renamed after the build, so programs find their libraries relative to themselves.
    # (CMAKE_BUILD_RPATH_USE_ORIGIN would do too, but leaves an empty entry, which stands for the current folder.)
    -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON '-DCMAKE_INSTALL_RPATH=$ORIGIN')
cpu_flags=$(sed -n -E '/^(flags|Features)[[:space:]]*:/{p;q}' /proc/cpuinfo 2>/dev/null | tr -s ' \t' '\n' | sort -u)
key=$(printf '%s\n' "${flags[@]}" "${targets[@]}" "$(c++ --version | head -n 1)" "$(uname -m)" "$cpu_flags" | sha256sum | cut -c 1-12)
root=$kvt_cache/llama.cpp-$version-$key

# complete FOLDER: it holds all that this script promises.
complete() {
    local target
    [ -f "$1/src/include/llama.h" ] && [ -f "$1/build/bin/libllama.so" ] || return 1
    for target in "${targets[@]}"; do [ -x "$1/build/bin/$target" ] || return 1; done
}
finish() {
    printf '%s\n' "$root" >&3
    exit 0
}
if complete "$root"; then finish; fi
lock_cache llama.cpp
if complete "$root"; then finish; fi # another run may have built it while we waited

# --- Source ---
part=$root.part
rm -rf "$part" "$root"
mkdir -p "$part"
trap 'rm -rf "$part"' EXIT
trap 'exit 130' INT TERM
why=() # what was tried and how it failed, for the one message at the end

# One sha256 over path and sha256 of every file that this build could compile or configure from; both sources have the same set.
tree_checksum() {
    (cd "$1" && find CMakeLists.txt app cmake common ggml include src tools vendor -type f \
        \( -name '*.c' -o -name '*.cpp' -o -name '*.h' -o -name '*.hpp' -o -name '*.cmake' -o -name '*.in' -o -name CMakeLists.txt \) \
        -print0 2>/dev/null | sort -z | xargs -0 -r sha256sum | sha256sum | cut -d' ' -f1)
}

# Moves the llama.cpp tree found in folder $1 (named $2 in messages) to $part/src if its checksum is right.
accept() {
    local tree got
    tree=$(find "$1" -maxdepth 5 -path '*/include/llama.h' | head -n 1)
    tree=${tree%/include/llama.h}
    if [ -z "$tree" ]; then
        why+=("$2 holds no llama.cpp source tree")
        return 1
    fi
    got=$(tree_checksum "$tree")
    if [ "$got" != "$tree_sha256" ]; then
        why+=("$2 is not llama.cpp $version: source checksum $got, expected $tree_sha256")
        return 1
    fi
    rm -rf "$part/src"
    if [ "$tree" = "${tree#"$part"/}" ]; then cp -R "$tree" "$part/src"; else mv "$tree" "$part/src"; fi
    rm -rf "$part/src/.git" "$part/src/build" # a dangling .git confuses the version script of llama.cpp
    say "source: $2, checksum verified"
}
unpack() { mkdir -p "$part/unpack" && tar -xf "$1" -C "$part/unpack"; }

from_override() {
    if [ -d "$KVT_LLAMA_CPP_SOURCE" ]; then
        accept "$KVT_LLAMA_CPP_SOURCE" "$KVT_LLAMA_CPP_SOURCE"
    elif [ ! -f "$KVT_LLAMA_CPP_SOURCE" ]; then
        why+=("KVT_LLAMA_CPP_SOURCE=$KVT_LLAMA_CPP_SOURCE does not exist")
        return 1
    elif ! unpack "$KVT_LLAMA_CPP_SOURCE" 2>/dev/null; then
        why+=("KVT_LLAMA_CPP_SOURCE=$KVT_LLAMA_CPP_SOURCE is not a tarball")
        return 1
    else
        accept "$part/unpack" "$KVT_LLAMA_CPP_SOURCE"
    fi
}
from_github() {
    say "trying $release"
    if ! command -v curl >/dev/null; then
        why+=("GitHub: no curl")
        return 1
    fi
    if ! curl -fsSL --connect-timeout 10 --max-time 900 -o "$part/release.tar.gz" "$release" 2>"$part/curl.log"; then
        why+=("GitHub: $(tail -n 1 "$part/curl.log")")
        return 1
    fi
    if ! unpack "$part/release.tar.gz" 2>/dev/null; then
        why+=("GitHub: the download is not a tarball")
        return 1
    fi
    accept "$part/unpack" "the GitHub release"
}
from_pypi() {
    local file got
    say "trying the source distribution of $sdist through pip (77 MB)"
    if ! command -v python3 >/dev/null; then
        why+=("PyPI: no python3")
        return 1
    fi
    # --no-binary names this one package: its build tools, which pip wants for the metadata, then come as wheels (7 s instead of minutes).
    if ! pip_download --no-binary llama-cpp-python -d "$part/sdist" "$sdist" 2>"$part/pip.log"; then
        why+=("PyPI: $(grep -E '^ERROR' "$part/pip.log" | tail -n 1)")
        return 1
    fi
    file=$(find "$part/sdist" -name '*.tar.gz' | head -n 1)
    got=$(sha256_of "$file")
    if [ "$got" != "$sdist_sha256" ]; then
        why+=("PyPI: checksum of $(basename "$file") is $got, expected $sdist_sha256")
        return 1
    fi
    rm -rf "$part/unpack"
    unpack "$file" && accept "$part/unpack" "the source distribution of $sdist"
}
if [ -n "${KVT_LLAMA_CPP_SOURCE:-}" ]; then
    from_override || die "${why[*]}; unset KVT_LLAMA_CPP_SOURCE to download llama.cpp $version, or point it to that version"
elif ! from_github && ! from_pypi; then
    reasons=$(printf '; %s' "${why[@]}")
    die "cannot get the source of llama.cpp $version${reasons}. Go online, or set KVT_LLAMA_CPP_SOURCE to a folder or tarball of it"
fi
rm -rf "$part/unpack" "$part/sdist" "$part/release.tar.gz"

# --- Build ---
use_ccache
export CCACHE_BASEDIR=$part CCACHE_NOHASHDIR=1 # paths relative to the build, so another cache folder hits the same store
say "building llama.cpp $version once (about 4 minutes on 2 cores) into $root"
log=$kvt_cache/llama.cpp-build.log
start=$SECONDS
build_llama_cpp "$part/src" "$part/build" "$log" "${flags[@]}"
if ! complete "$part"; then
    tail -n 25 "$log"
    die "building llama.cpp $version failed; the whole output is in $log"
fi
# Objects take ten times the room of the results and nobody builds here again.
find "$part/build" -mindepth 1 -maxdepth 1 ! -name bin ! -name CMakeCache.txt -exec rm -rf {} +
rm -f "$part"/*.log
mv "$part" "$root"
say "built in $((SECONDS - start)) s"
finish
