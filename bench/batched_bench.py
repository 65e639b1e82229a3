"""llama-batched-bench of the pinned llama.cpp: speed with several sequences, by stock code."""
import json
import os
import subprocess


def program(llama, folder):
    """Its path in `folder`, compiled there from the source if it is absent: the build of llama.cpp here has other programs."""
    path = folder / "llama-batched-bench"
    if not path.exists():
        source, libraries = llama / "src", llama / "build" / "bin"
        tool = source / "tools" / "batched-bench"
        subprocess.run(["c++", "-std=c++17", "-O2", *(f"-I{source / part}" for part in ("common", "include", "ggml/include")), tool / "batched-bench.cpp",
                        tool / "main.cpp", f"-L{libraries}", f"-Wl,-rpath,{libraries}", "-lllama-common", "-lllama", "-lggml", "-lggml-base", "-o", path],
                       check=True)
    return path


def run(command, environment=None):
    """One row (a dict of llama-batched-bench's own names) for every combination that the options ask for. RuntimeError: its last words."""
    done = subprocess.run([str(part) for part in (*command, "--output-format", "jsonl")], capture_output=True, text=True, errors="replace",
                          env=environment or os.environ)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not rows:
        raise RuntimeError(f"llama-batched-bench ended with code {done.returncode}: {(done.stdout + done.stderr)[-500:]}")
    return rows
