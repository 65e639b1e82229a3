"""The machine that a benchmark ran on, in words and in bytes per second."""
import json
import os
import pathlib
import re
import subprocess


def described(program):
    """Processor, threads, and what `program` (kvtuner) says of its version."""
    cpu = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    version = subprocess.run([str(program), "--version"], capture_output=True, text=True).stdout.strip().replace("\n", "; ")
    return f"{cpu[1] if cpu else 'unknown processor'}, {os.cpu_count()} hardware threads; {version}"


def bandwidth(program):
    """Bytes per second that this machine reads from memory, as `kvtuner doctor` measures it."""
    out = subprocess.run([str(program), "doctor", "--json"], capture_output=True, text=True).stdout
    found = next(c["found"] for c in json.loads(out)["checks"] if c["name"] == "memory bandwidth")
    return float(found.split()[0]) * 1e9
