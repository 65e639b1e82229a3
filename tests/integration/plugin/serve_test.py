"""kvtuner serve and run with the stock programs: a request through HTTP, Ctrl-C, exit codes, the plan that tune left in the library."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

import stock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import clients  # noqa: E402

# What an application does with the official client: list models, complete, chat, and chat in pieces.
OFFICIAL_CLIENT = """
import json, sys
from openai import OpenAI

client = OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0)
model = client.models.list().data[0].id
text = client.completions.create(model=model, prompt="Once upon a time", max_tokens=8, temperature=0)
turns = [{"role": "user", "content": "Tell me a story"}]
chat = client.chat.completions.create(model=model, messages=turns, max_tokens=8, temperature=0)
pieces = client.chat.completions.create(model=model, messages=turns, max_tokens=8, temperature=0, stream=True)
streamed = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
print(json.dumps({"text": text.choices[0].text, "tokens": text.usage.completion_tokens, "chat": chat.choices[0].message.content, "streamed": streamed}))
"""

def environment(home):
    return stock.environment(None, KVT_PLUGIN=stock.PLUGIN, XDG_DATA_HOME=home)


def kvtuner(*args, home, **more):
    return subprocess.run([stock.PROGRAM, *args], env=environment(home), capture_output=True, text=True, timeout=300, **more)


def get(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


class Serve(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.home = folder.name

    def start(self, *args):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.log = tempfile.TemporaryFile("w+")
        self.addCleanup(self.log.close)
        command = [stock.PROGRAM, "serve", "-m", stock.MODEL, *args, "--", "--port", str(self.port), "-t", "2", "-c", "512", "--no-warmup", "-lv", "4"]
        server = subprocess.Popen(command, env=environment(self.home), stdout=self.log, stderr=self.log, start_new_session=True)
        self.addCleanup(lambda: server.poll() is None and (server.kill(), server.wait()))
        for _ in range(600):
            if server.poll() is not None:
                break
            try:
                if get(f"http://127.0.0.1:{self.port}/health")["status"] == "ok":
                    return server
            except (OSError, ValueError):
                time.sleep(0.1)
        self.fail("the server did not start:\n" + self.text())

    def text(self):
        self.log.seek(0)
        return self.log.read()

    def complete(self):
        body = {"prompt": "Once upon a time", "max_tokens": 8, "temperature": 0}
        return get(f"http://127.0.0.1:{self.port}/v1/completions", body)["choices"][0]["text"]

    def test_answers_with_the_default_plan_and_ends_at_ctrl_c(self):
        server = self.start()
        self.assertTrue(self.complete())
        server.send_signal(signal.SIGINT)
        self.assertEqual(server.wait(30), 0, self.text())  # llama-server's own clean end
        self.assertIn("plan: per-token:KV8, the default without calibration", self.text())
        self.assertIn("KVT0 KV buffer size", self.text())

    def test_serves_the_plan_that_tune_left_in_the_library(self):
        out = os.path.join(self.home, "out")
        tuned = kvtuner("tune", "-m", stock.MODEL, "-o", out, "--text", stock.CORPUS, "--check-text", stock.CORPUS, "--calibration-text",
                        stock.CORPUS, "-c", "128", "--chunks", "8", "--check-chunks", "8", "--calibration-tokens", "1024", "--json", home=self.home)
        self.assertEqual(tuned.returncode, 0, tuned.stderr)
        kept = json.loads(tuned.stdout)["library"]
        listed = json.loads(kvtuner("plan", "list", "--json", home=self.home).stdout)["plans"]
        self.assertEqual([plan["path"] for plan in listed], [kept])
        fit = json.loads(kvtuner("plan", "fit", "-m", stock.MODEL, "--memory", "100KiB", "--ctx", "256", "--json", home=self.home).stdout)
        self.assertIn(kept, [row.get("path") for row in fit["rows"]])

        server = self.start()
        self.assertTrue(self.complete())
        self.assertIn(f"plan: {kept}, tuned for this model", self.text())
        server.send_signal(signal.SIGTERM)
        self.assertEqual(server.wait(30), 0)

    def test_official_openai_client(self):
        clients.python()
        server = self.start("--plan", "kivi:KV8")
        said = json.loads(clients.run(OFFICIAL_CLIENT, f"http://127.0.0.1:{self.port}/v1"))
        self.assertEqual(said["text"], self.complete())
        self.assertEqual(said["tokens"], 8)
        self.assertTrue(said["chat"])
        self.assertEqual(said["streamed"], said["chat"])
        server.send_signal(signal.SIGINT)
        self.assertEqual(server.wait(30), 0, self.text())

    def test_exit_code_and_chat(self):
        bad = kvtuner("serve", "-m", stock.MODEL, "--", "--no-such-flag", home=self.home)
        self.assertEqual(bad.returncode, 1)
        self.assertIn("--no-such-flag", bad.stderr)
        chat = kvtuner("run", "-m", stock.MODEL, "--plan", "kivi:KV8", "--", "-no-cnv", "-p", "Once upon a time", "-n", "8", "-c", "256", "-t", "2",
                       home=self.home, stdin=subprocess.DEVNULL)
        self.assertEqual(chat.returncode, 0, chat.stderr)
        self.assertIn("Once upon a time", chat.stdout)


if __name__ == "__main__":
    unittest.main()
