# Sourced by the benchmarks that need Python packages, after scripts/lib.sh.

# Prints a Python with matplotlib (plots) and gguf and numpy (the second implementation), which nothing else needs: they live in an environment of their
# own in the cache folder. Where they cannot be had: python3.
bench_python() {
    local venv=$kvt_cache/bench-venv
    if ! "$venv/bin/python" -c 'import matplotlib, gguf' 2>/dev/null; then
        python3 -m venv "$venv" >&2 && "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: 'matplotlib>=3.7,<4' 'gguf<1' >&2 ||
            say "matplotlib and gguf cannot be had: no plots, no second implementation"
    fi
    if [ -x "$venv/bin/python" ]; then printf '%s\n' "$venv/bin/python"; else echo python3; fi
}
