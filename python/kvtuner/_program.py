"""Where the program and the plugin lie, and how they are run."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
from typing import Any, Dict, NoReturn, Union

Argument = Union[str, int, float, "os.PathLike[str]"]

_PACKAGE = pathlib.Path(__file__).resolve().parent


class KvtunerError(RuntimeError):
    """The program refused; the text is its message."""

    def __init__(self, message: str, exit_code: int):
        super().__init__(message)
        self.exit_code = exit_code


def program_path() -> pathlib.Path:
    """The program of this package, else the one on PATH. Raises FileNotFoundError."""
    own = _PACKAGE / "bin" / "kvtuner"
    if own.is_file():
        return own
    found = shutil.which("kvtuner")
    if found is None:
        raise FileNotFoundError(f"no kvtuner at {own} and none on PATH")
    return pathlib.Path(found)


def plugin_path() -> pathlib.Path:
    """libggml-kvtuner.so, for GGML_BACKEND_PATH. Raises FileNotFoundError."""
    folder = program_path().resolve().parent
    for place in (folder.parent / "lib" / "kvtuner", folder):
        if (place / "libggml-kvtuner.so").is_file():
            return place / "libggml-kvtuner.so"
    raise FileNotFoundError(f"no libggml-kvtuner.so beside {folder}")


def environment(plan: Argument) -> Dict[str, str]:
    """What a stock llama.cpp program needs besides `--device KVT0` to follow a plan (a file or a short form)."""
    text = os.fspath(plan) if isinstance(plan, os.PathLike) else str(plan)
    return {"GGML_BACKEND_PATH": str(plugin_path()), "KVT_PLAN": os.path.abspath(text) if os.path.exists(text) else text}


def run(*arguments: Argument) -> str:
    """Runs `kvtuner ARGUMENTS` and gives its stdout. Raises KvtunerError with the program's message."""
    command = [str(program_path()), *(os.fspath(a) if isinstance(a, os.PathLike) else str(a) for a in arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, check=False)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise KvtunerError(lines[-1] if lines else f"kvtuner ended with exit code {done.returncode}", done.returncode)
    return done.stdout


def run_json(*arguments: Argument) -> Any:
    """Runs `kvtuner ARGUMENTS --json` and gives what it printed."""
    return json.loads(run(*arguments, "--json"))


def main() -> NoReturn:
    """The command `kvtuner` of the wheel: becomes the program, so signals and exit code are its own."""
    program = str(program_path())
    os.execv(program, [program, *sys.argv[1:]])
