#!/usr/bin/env bash
# Prints the path of a Python that has what others read our output with: the official OpenAI client, the GGUF package, PyYAML.
# usage: scripts/python_clients.sh [--if-present]     made once in the cache folder; --if-present never downloads
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

packages=(openai==3.57.0 gguf==0.19.0 PyYAML==6.0.4)
only_present=no
case ${1:-} in
"") ;;
--if-present) only_present=yes ;;
*) die "unknown option $1 (known: --if-present)" ;;
esac

need_cache
name=python-clients-$(printf '%s ' "${packages[@]}" | sha256sum | cut -c 1-12)
python=$kvt_cache/$name/bin/python3
if [ ! -e "$kvt_cache/$name/complete" ]; then
    [ $only_present = no ] || die "the official Python clients are not here: run scripts/python_clients.sh"
    need_tools python3 flock
    lock_cache python-clients
    if [ ! -e "$kvt_cache/$name/complete" ]; then
        say "installing ${packages[*]}"
        rm -rf "${kvt_cache:?}/$name"
        trap 'rm -rf "${kvt_cache:?}/$name"' EXIT
        python3 -m venv "$kvt_cache/$name" >&2 || die "cannot make a virtual environment; run scripts/deps.sh first"
        "$python" -m pip install --quiet --disable-pip-version-check --no-input --retries 2 --timeout 20 "${packages[@]}" \
            >&2 2>"$kvt_cache/$name/pip.log" ||
            die "cannot install ${packages[*]}: $(grep -E '^ERROR' "$kvt_cache/$name/pip.log" | tail -n 1). Go online; tests that need them are skipped until then"
        touch "$kvt_cache/$name/complete"
        trap - EXIT
    fi
fi
printf '%s\n' "$python"
