"""Running unmodified llama.cpp programs with the plugin: environment, plans, and a llama-server on a free port of loopback.

Paths come from the environment (set by CMake): KVT_TEST_LLAMA_BIN, KVT_TEST_PLUGIN, KVT_TEST_PROGRAM, KVT_TEST_MODEL, and KVT_TEST_PRELOAD, the
run time of a sanitizer that the plugin was built with, which a program without it must load first (empty: none).
"""
import json
import math
import os
import re
import signal
import struct
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

LLAMA = os.environ["KVT_TEST_LLAMA_BIN"]
PLUGIN = os.environ["KVT_TEST_PLUGIN"]
PROGRAM = os.environ["KVT_TEST_PROGRAM"]
MODEL = os.environ["KVT_TEST_MODEL"]
PRELOAD = os.environ.get("KVT_TEST_PRELOAD", "")
CORPUS = os.path.join(os.path.dirname(MODEL), "selfgen-corpus.txt")


def environment(plan, **more):
    """Environment of a program that runs with `plan`; None: without the plugin."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("KVT_") and k != "GGML_BACKEND_PATH"}
    env["OMP_WAIT_POLICY"] = "passive"  # tests share the machine; spinning threads starve each other
    if PRELOAD:  # leaks of llama.cpp itself are not ours to report
        env.update(LD_PRELOAD=PRELOAD, ASAN_OPTIONS="detect_leaks=0")
    if plan is not None:
        env.update(GGML_BACKEND_PATH=PLUGIN, KVT_PLAN=plan)
    env.update(more)
    return env


def run(program, *args, plan=None, device=True, model=MODEL, **more):
    command = [os.path.join(LLAMA, program), "-m", model, "-t", "2", *args]
    if plan is not None and device:
        command += ["--device", "KVT0"]
    return subprocess.run(command, env=environment(plan, **more), capture_output=True, text=True, timeout=300)


def kvtuner(*args, check=True):
    """What it said on stderr if it failed and that is no error of the test, else an empty text."""
    result = subprocess.run([PROGRAM, *args], check=check, capture_output=True, text=True, env=environment(None))
    return result.stderr if result.returncode != 0 else ""


def read_logits(path):
    """The rows of a file of llama-perplexity: "_logits_", n_ctx, n_vocab, n_chunk, tokens; rows of scale, offset, 16-bit steps.

    The divergence that llama-perplexity prints can get lost: its logger drops the last lines before exit.
    """
    with open(path, "rb") as f:
        data = f.read()
    if len(data) < 20:
        return []
    n_ctx, n_vocab, n_chunk = struct.unpack_from("<iii", data, 8)
    row_bytes, rows = 2 * (2 * ((n_vocab + 1) // 2) + 4), []
    for at in range(20 + 4 * n_ctx * n_chunk, len(data) - row_bytes + 1, row_bytes):
        scale, offset = struct.unpack_from("<ff", data, at)
        rows.append([scale * step + offset for step in struct.unpack_from(f"<{n_vocab}H", data, at + 8)])
    return rows


def kl_divergence(reference, logits):
    """Mean over the tokens, in nats."""
    total = 0.0
    for a, b in zip(reference, logits):
        total += sum(math.exp(x) * (x - y) for x, y in zip(a, b))
    assert not math.isnan(total), "not a number"
    return total / len(reference)


class Plans:
    """Plans by short form. Those of rotated formats are made once, with their calibration, in a folder of this object."""

    def __init__(self, model=MODEL, positions=1024):
        self.model, self.positions = model, positions
        self.folder = tempfile.TemporaryDirectory()
        self.calibration = os.path.join(self.folder.name, "calibration.safetensors")

    def __getitem__(self, form):
        if not form.startswith("rotated"):
            return form
        path = os.path.join(self.folder.name, form.replace(":", "-") + ".json")
        if not os.path.exists(self.calibration):
            kvtuner("calibrate", "-m", self.model, "--positions", str(self.positions), "-o", self.calibration)
        if not os.path.exists(path):
            kvtuner("plan", "make", form, "-m", self.model, "--calibration", self.calibration, "-o", path)
        return path


class Refused(Exception):
    """The server answered a request with an error."""

    def __init__(self, status, text):
        super().__init__(f"{status}: {text}")
        self.status, self.text = status, text


class Server:
    """llama-server with `plan` (None: stock, without the plugin), ready to answer. Use as a context manager."""

    def __init__(self, plan, *args, model=MODEL, device="KVT0", **more):
        # Port 0: the server takes a free one and says which. One that was found free here could be another's by the time it is wanted.
        command = [os.path.join(LLAMA, "llama-server"), "-m", model, "-t", "2", "--host", "127.0.0.1", "--port", "0", "--no-warmup", *args]
        if plan is not None:
            command += ["--device", device]
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(command, env=environment(plan, **more), stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and self.process.poll() is None:
            said = re.search(r"listening on http://127\.0\.0\.1:(\d+)", self.words())
            try:
                if said:
                    self.port = int(said[1])
                    if self.get("/health")["status"] == "ok":
                        return
            except (OSError, Refused):
                pass
            time.sleep(0.05)
        self.stop()
        words = self.words()
        self.log.close()
        raise RuntimeError(words[-3000:])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        self.log.close()

    def stop(self):
        """Ends the server as a user does. Returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(120)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def words(self):
        """All that the server has said so far."""
        self.log.seek(0)
        text = self.log.read()
        self.log.seek(0, os.SEEK_END)
        return text

    def _send(self, request, timeout):
        try:
            with urllib.request.urlopen(request, timeout=timeout) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            raise Refused(error.code, error.read().decode(errors="replace")) from error

    def get(self, path):
        return self._send(f"http://127.0.0.1:{self.port}{path}", 10)

    def post(self, path, timeout=120, **body):
        headers = {"Content-Type": "application/json"}
        return self._send(urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode(), headers), timeout)

    def complete(self, prompt, n=48, **more):
        """The whole reply to a greedy request."""
        body = {"prompt": prompt, "n_predict": n, "temperature": 0, "cache_prompt": False, "ignore_eos": True, **more}
        return self.post("/completion", **body)

    def ask(self, prompt, n=48, **more):
        return self.complete(prompt, n, **more)["content"]
