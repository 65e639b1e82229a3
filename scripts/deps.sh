#!/usr/bin/env bash
# Installs the Debian packages that kvtuner needs (apt-get, as root or through sudo); does nothing when all are present.
# usage: scripts/deps.sh [--list] [--arm] [--shells] [--packages]
#   --arm      what scripts/test_arm.sh needs on top
#   --shells   what the tests of man page and completions need on top
#   --packages what scripts/package.sh and its tests need on top
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

packages=(
    g++ cmake ninja-build ccache git binutils                              # build
    libpagmo-dev nlohmann-json3-dev libcli11-dev libfmt-dev libssl-dev libeigen3-dev libyaml-cpp-dev libsqlite3-dev libcpp-httplib-dev zlib1g-dev # libraries of the program
    libopenmpi-dev openmpi-bin                                             # kvtuner tune under mpirun
    libseccomp-dev pkg-config                                              # system calls of programs that models wrote
    libgtest-dev libgmock-dev libbenchmark-dev clang-format clang-tidy     # tests, benchmarks, lint
    node-d3-axis node-d3-scale node-d3-selection                           # charts of kvtuner report
    bubblewrap                                                             # walls around programs that models wrote
    python3 python3-pip python3-venv curl ca-certificates unzip util-linux # what the scripts use
)

list=no
for argument in "$@"; do
    case $argument in
    --list) list=yes ;;
    --arm) packages+=(g++-aarch64-linux-gnu qemu-user googletest) ;;
    --shells) packages+=(zsh fish mandoc groff-base) ;;
    --packages) packages+=(dpkg-dev file debootstrap) ;;
    *) die "unknown option $argument (known: --list --arm --shells --packages)" ;;
    esac
done
if [ $list = yes ]; then
    printf '%s\n' "${packages[@]}"
    exit 0
fi

command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
    die "this is not a Debian-like system (no dpkg-query or apt-get); install by hand what stands for: ${packages[*]}"

missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
    say "all ${#packages[@]} packages are present"
    exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "not root and no sudo; have root run: apt-get install -y ${missing[*]}"
    as_root=(sudo)
fi
say "installing: ${missing[*]}"
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=2 -o Acquire::http::Timeout=20)
# The package lists may be new enough already: update only when the first try fails.
install() { "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >&2; }
install 2>/dev/null || { "${apt[@]}" update >&2 && install; } ||
    die "apt-get could not install: ${missing[*]} (its message stands above; is this machine offline?)"
