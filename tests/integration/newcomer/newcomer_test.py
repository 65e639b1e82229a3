#!/usr/bin/env python3
"""A newcomer's path in a clean root: install, tune, look at the report, serve and ask, export. Each step checks what the next one needs.

With --pictures it writes the pictures of the documentation, from a model worth showing (minutes instead of seconds):
  tests/integration/newcomer/newcomer_test.py --build build/release --model "$(scripts/model.sh)" --pictures docs/images
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "integration"))
import clients  # noqa: E402

TINY = ROOT / "tests/data/stories260K/stories260K-hd64-f32.gguf"
CORPUS = TINY.parent / "selfgen-corpus.txt"
CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
QUICK_TUNE = ["--text", "corpus.txt", "--check-text", "corpus.txt", "--calibration-text", "corpus.txt", "-c", "64", "--chunks", "8", "--check-chunks", "8",
              "--calibration-tokens", "1024", "--positions", "2048", "-t", "2"]
PICTURES = {"frontier.png": ["frontier"], "sensitivity.png": ["plan", "sensitivity"], "speed.png": ["speed"]}  # sections of the page
# Stock llama-server loads an instrumented plugin only behind the sanitizer's run time; leaks of its own are not ours to report.
PRELOAD = {"LD_PRELOAD": os.environ["KVT_TEST_PRELOAD"], "ASAN_OPTIONS": "detect_leaks=0"} if os.environ.get("KVT_TEST_PRELOAD") else {}
MAX_PICTURE = 200 << 10  # bytes
# Leaves only the sections named in the page's fragment, and says how high they are.
ONLY_SECTIONS = """<script>
const wanted = location.hash.slice(1).split("+");
document.getElementById("theme").click();
for (const node of document.querySelectorAll("header, nav, footer, main > *, section details, section .screen-only"))
  if (!wanted.includes(node.id)) node.style.display = "none";
document.body.style.paddingTop = "12px";
document.documentElement.dataset.height = Math.ceil(document.body.getBoundingClientRect().height);
</script></body>"""


def say(text):
    print(f"== {text}", flush=True)


class Newcomer:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.prefix, self.home = folder / "prefix", folder / "home"
        # Nothing of the build's surroundings: only what a login shell has.
        self.environment = {"PATH": f"{self.prefix}/bin:/usr/local/bin:/usr/bin:/bin", "HOME": str(self.home), "LANG": "C.UTF-8",
                            "OMP_WAIT_POLICY": "passive"}

    def command(self, *words):
        """The command line that runs what was installed."""
        return [str(self.prefix / "bin" / words[0]), *map(str, words[1:])]

    def run(self, *words):
        done = subprocess.run(self.command(*words), cwd=self.home, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{words}: {done.stderr[-3000:]}"
        return done.stdout

    def walk(self):
        self.install()
        shutil.copy(self.options.model, self.home / "model.gguf")
        shutil.copy(CORPUS, self.home / "corpus.txt")
        for step in (self.tune, self.report, self.serve, self.export):
            step()
        say("all steps done")

    def install(self):
        say("install into a clean prefix")
        done = subprocess.run([self.options.cmake, "--install", str(self.options.build), "--prefix", str(self.prefix)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert shutil.which("kvtuner", path=self.environment["PATH"]) == str(self.prefix / "bin/kvtuner")
        self.home.mkdir()

    def tune(self):
        say("tune")
        quick = QUICK_TUNE if self.options.model == TINY else []
        said = self.run("kvtuner", "tune", "-m", "model.gguf", "-o", "tuned", *quick)
        assert "effective bits   # chosen  * front" in said, said  # the frontier in the terminal
        listed = json.loads(self.run("kvtuner", "plan", "list", "--json"))["plans"]
        assert len(listed) == 1, listed
        kld = ["--text", "corpus.txt", "-c", "64"] if self.options.model == TINY else ["-c", "512,2048"]
        self.run("kvtuner", "eval", "kld", "-m", "model.gguf", "--plan", "tuned/plan.json", "--plan", "kivi:KV4", "--chunks", "8", *kld,
                 "-o", "tuned/eval_kld.json")
        depths = "0,1024" if self.options.model == TINY else "0,1024,4096"
        plans = ["--plan", "tuned/plan.json"] + ([] if self.options.model == TINY else ["--plan", "per-token:KV8"])
        self.run("kvtuner", "bench", "-m", "model.gguf", *plans, "--depth", depths, "--reps", "1" if self.options.model == TINY else "5",
                 "-o", "tuned/bench.json")

    def report(self):
        say("report")
        self.run("kvtuner", "report", "tuned", "--markdown", "report.md", "--csv", "figures")
        page = self.home / "tuned/report.html"
        assert page.stat().st_size < 2 << 20, page.stat().st_size
        if CHROMIUM is None:
            say("no Chromium on this machine, so the page was not opened: apt-get install chromium")
            return
        dom, console = self.browse("--dump-dom", page.as_uri())
        assert console == [], console
        for part in ("frontier", "plan", "sensitivity", "held-out", "memory", "speed", "positions", "commands"):
            assert f'<section id="{part}"' in dom, part
        self.picture(page.as_uri(), self.folder / "page.png", 1200, 900)
        for name, sections in PICTURES.items():
            self.picture_of(page, sections, self.folder / name)
            if self.options.pictures:
                shutil.copy(self.folder / name, self.options.pictures / name)
                say(f"wrote {self.options.pictures / name}")

    def browse(self, *arguments):
        with tempfile.TemporaryDirectory() as profile:
            done = subprocess.run([CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                                   f"--user-data-dir={profile}", "--enable-logging=stderr", "--virtual-time-budget=5000", *map(str, arguments)],
                                  capture_output=True, text=True, timeout=120)
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    def picture(self, url, path, width, height):
        _, console = self.browse(f"--window-size={width},{height}", f"--screenshot={path}", url)
        assert console == [], console
        data = path.read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", data[16:24]) == (width, height), path
        assert 8 << 10 < len(data) < MAX_PICTURE, f"{path}: {len(data)} bytes; a page without charts is smaller"

    def picture_of(self, page, sections, path):
        """A picture of some sections alone, in the light theme, as high as they are."""
        cut = self.folder / "cut.html"
        cut.write_text(page.read_text().replace("</body>", ONLY_SECTIONS))
        url = f"{cut.as_uri()}#{'+'.join(sections)}"
        dom, _ = self.browse("--window-size=1040,900", "--dump-dom", url)
        height = int(re.search(r'data-height="(\d+)"', dom)[1])
        assert 200 < height < 2000, height
        self.picture(url, path, 1040, height + 12)

    def serve(self):
        say("serve and ask")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        with open(self.folder / "server.log", "w+") as log:
            server = subprocess.Popen(self.command("kvtuner", "serve", "-m", "model.gguf", "--", "--port", port, "-t", 2, "-c", 512, "--no-warmup"),
                                      cwd=self.home, env=self.environment | PRELOAD, stdout=log, stderr=log)
            try:
                self.wait_for(server, port)
                self.ask(port)
                self.interrupt(server)
                assert server.wait(60) == 0
            finally:
                if server.poll() is None:
                    server.kill()
                    server.wait()
            log.seek(0)
            assert "tuned for this model" in log.read()

    def interrupt(self, server):
        server.send_signal(signal.SIGINT)

    def wait_for(self, server, port):
        for _ in range(1200):
            assert server.poll() is None, (self.folder / "server.log").read_text()[-3000:]
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                    if json.load(answer)["status"] == "ok":
                        return
            except (OSError, ValueError):
                time.sleep(0.1)
        raise AssertionError("the server never became ready")

    def ask(self, port):
        """The Python of docs/guide/deploying.md, with this port."""
        page = (ROOT / "docs/guide/deploying.md").read_text()
        code = re.search(r"```python\n(.*?)```", page, re.S)[1]
        assert "127.0.0.1:8080" in code
        try:
            answer = clients.run(code.replace("127.0.0.1:8080", f"127.0.0.1:{port}"))
        except unittest.SkipTest as absent:
            say(f"asked without the official client: {absent}")
            body = json.dumps({"prompt": "Once upon a time", "max_tokens": 8}).encode()
            request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/completions", body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=60) as reply:
                answer = json.load(reply)["choices"][0]["text"]
        assert answer.strip(), "an empty answer"
        say("it answered: " + " ".join(answer.split()))

    def export(self):
        say("export")
        assert self.run("kvtuner", "export", "tuned/plan.json", "--to", "llama-cpp", "-m", "model.gguf").count("export ") == 2
        for target, marker in (("ik", "-ctk "), ("vllm", "--kv-cache-dtype "), ("tensorrt-llm", "dtype: "), ("kvtuner-yaml", "nbits_key: ")):
            assert marker in self.run("kvtuner", "export", "tuned/plan.json", "--to", target, "--approx"), target


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, type=pathlib.Path, help="build folder to install from")
    parser.add_argument("--model", default=TINY, type=pathlib.Path, help="GGUF model; default: the tiny one of the tests")
    parser.add_argument("--pictures", type=pathlib.Path, help="folder for the pictures of the documentation")
    parser.add_argument("--cmake", default="cmake")
    parser.add_argument("--keep", type=pathlib.Path, help="new folder to work in and to leave behind; default: one that is removed")
    options = parser.parse_args()
    options.model = options.model.resolve()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or pathlib.Path(scratch)
        folder.mkdir(exist_ok=True)
        Newcomer(options, folder.resolve()).walk()


if __name__ == "__main__":
    main()
