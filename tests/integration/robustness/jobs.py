"""Runs of kvtuner that write files, on a tiny model, and what can be said about the files: whole or not, equal or not.

Paths come from the environment (set by CMake): KVT_TEST_PROGRAM, KVT_TEST_MODEL.
"""
import contextlib
import json
import os
import pathlib
import shutil
import sqlite3
import struct
import subprocess
import tempfile

PROGRAM = os.environ["KVT_TEST_PROGRAM"]
MODEL = os.environ["KVT_TEST_MODEL"]
CORPUS = str(pathlib.Path(MODEL).parent / "selfgen-corpus.txt")
SEARCH = ["--text", CORPUS, "--check-text", CORPUS, "-c", "64", "--chunks", "3", "--check-chunks", "4", "-t", "1"]
CALIBRATION = ["--calibration-text", CORPUS, "--calibration-tokens", "512"]
PAPER = ["--method", "paper", "--prompts", "2", "--generate", "4", "--population", "8", "--algorithm", "moead", "--first-plans", "chance",
         "--soft-limits", "4,6", "--trials", "24"]
# What times and memory were is not the result.
MEASURED = {"started", "seconds", "prefill_seconds", "decode_seconds", "wall_seconds", "peak_rss_bytes"}

# name: arguments for a folder that the run may write into
JOBS = {
    "tune": lambda folder: ["tune", "-m", MODEL, "-o", f"{folder}/tuned", "--bits", "5", *SEARCH, *CALIBRATION],
    "tune --method paper": lambda folder: ["tune", "-m", MODEL, "-o", f"{folder}/tuned", *SEARCH, *PAPER],
    "eval gsm8k": lambda folder: ["eval", "gsm8k", "-m", MODEL, "--plan", "kivi:KV4", "--limit", "6", "--shots", "0", "--max-new-tokens", "24",
                                  "--parallel", "1", "-t", "1", "-o", f"{folder}/records"],
    "calibrate": lambda folder: ["calibrate", "-m", MODEL, "-t", "1", *CALIBRATION, "-o", f"{folder}/calibration.safetensors"],
}


def environment(folder):
    """Without settings of the user; the plan library lies in `folder` too."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("KVT_", "GGML_"))}
    env.update(XDG_DATA_HOME=str(pathlib.Path(folder) / "library"), OMP_WAIT_POLICY="passive")
    return env


def start(job, folder, **how):
    return subprocess.Popen([PROGRAM, *JOBS[job](folder)], env=environment(folder), stdin=subprocess.DEVNULL, **how)


def finish(job, folder):
    """Runs to the end; what it said if it fails."""
    process = start(job, folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    words = process.communicate(timeout=600)[1]
    return "" if process.returncode == 0 else f"exit status {process.returncode}: {words}"


def is_temporary(path):
    return path.name.endswith((".tmp", ".lock", "-journal", "-wal", "-shm")) or any(part.endswith(".parts") for part in path.parts)


def without(value, names):
    if isinstance(value, dict):
        return {key: without(item, names) for key, item in value.items() if key not in names}
    return [without(item, names) for item in value] if isinstance(value, list) else value


def lines_of(data):
    """Objects of the complete lines of a record."""
    return [json.loads(line) for line in data.split(b"\n")[:-1]]


def study_of(path):
    """Rows of a study without what was measured. Read from a copy with its log, because reading a study writes beside it."""
    with tempfile.TemporaryDirectory() as place:
        for part in path.parent.glob(path.name + "*"):
            if not part.name.endswith((".lock", "-shm")):
                shutil.copy(part, place)
        with contextlib.closing(sqlite3.connect(pathlib.Path(place) / path.name)) as database:
            if database.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                raise ValueError("damaged")
            heads = [record for (record,) in database.execute("SELECT record FROM study")]
            plans = list(database.execute("SELECT position, plan_sha256, n_chunks, record FROM evaluation ORDER BY position, plan_sha256"))
    return [without(json.loads(head), MEASURED) for head in heads], [(*key, without(json.loads(record), MEASURED)) for *key, record in plans]


def content(path):
    """What a file says, in a form that can be compared. Errors if it is damaged."""
    if path.suffix == ".sqlite":
        return study_of(path)
    data = path.read_bytes()
    if path.suffix == ".jsonl":
        return without(lines_of(data), MEASURED)
    if path.suffix == ".json":
        json.loads(data)
    if path.suffix == ".safetensors":
        size = struct.unpack_from("<Q", data)[0]
        header = json.loads(data[8:8 + size])
        ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
        if len(data) != 8 + size + max(ends, default=0):
            raise ValueError("not as long as its header says")
    return data


def files(folder):
    return sorted(path for path in pathlib.Path(folder).rglob("*") if path.is_file())


def results(folder):
    """name -> content of all files that are there to stay; and the names of those that are not."""
    whole, temporary = {}, []
    for path in files(folder):
        name = str(path.relative_to(folder))
        if is_temporary(path):
            temporary.append(name)
            continue
        try:
            whole[name] = content(path)
        except (ValueError, struct.error, sqlite3.Error) as error:
            raise AssertionError(f"{name} is damaged: {error}") from error
    return whole, temporary


def differences(expected, got):
    """Names of files that are missing, additional or not equal."""
    return sorted(name for name in expected.keys() | got.keys() if expected.get(name) != got.get(name))
