"""Load on a stock llama-server with the plugin: four slots, mixed requests with cancels, for some seconds.

    load_test.py [SECONDS] [FORM]        default: 20 rotated:KV8; "stock" runs without the plugin, for comparison

Held afterwards: every answer begins as it did when its request ran alone, nothing was said on stderr, memory did not grow, the server
ends cleanly. Paths come from the environment, as in stock.py.
"""
import collections
import os
import random
import sys
import tempfile
import threading
import time

from stock import Plans, Refused, Server

# The first tokens of their answers are no close calls: the second choice is 0.4 or more behind in log-probability.
PROMPTS = ("Once upon a time", "Tom had a red car that", "Max and Ben were friends.", "Ben liked to play with", "Tom and Sue were in the",
           "Once there was a cat who", "Her mom said")
LENGTHS = (8, 24, 64)
# Batches round differently, and from the first close call on an answer goes its own way; that is late in formats of 8 bits.
EQUAL_CHARACTERS = 12


def memory_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


class Load:
    def __init__(self, server, alone, seconds):
        self.server, self.alone, self.end = server, alone, time.monotonic() + seconds
        self.done, self.wrong, self.lock = collections.Counter(), [], threading.Lock()

    def one(self, kind, rng):
        prompt = rng.choice(PROMPTS)
        if kind == "cancel":  # the connection is closed in the middle of a long answer
            try:
                self.server.complete(prompt, 2000, n_keep=4, timeout=rng.uniform(0.02, 0.3))
            except OSError:
                pass
            return
        if kind == "shift":  # past the context of a slot
            self.server.complete(prompt, 300, timeout=300)
            return
        if kind == "save":
            name = f"{rng.randrange(4)}"
            slot = rng.randrange(4)
            try:
                self.server.post(f"/slots/{slot}?action=save", timeout=5, filename=name)
                self.server.post(f"/slots/{slot}?action=restore", timeout=5, filename=name)
            except TimeoutError:
                pass  # llama-server puts off what concerns a busy slot, and may forget about it until the next request (stock does, too)
            except Refused as refused:  # another client wrote a state of more cells meanwhile, or the slot was empty
                if refused.status not in (400, 500, 501):
                    raise
            return
        answer = self.server.ask(prompt, rng.choice(LENGTHS), cache_prompt=rng.random() < 0.5)
        n = min(len(answer), EQUAL_CHARACTERS)
        if n == 0 or answer[:n] != self.alone[prompt][:n]:
            with self.lock:
                self.wrong.append((prompt, answer, self.alone[prompt]))

    def client(self, seed):
        rng = random.Random(seed)
        while time.monotonic() < self.end:
            kind = rng.choice(("whole", "whole", "whole", "shift", "cancel", "save"))
            try:
                self.one(kind, rng)
            except Exception as error:  # noqa: BLE001 - reported at the end
                with self.lock:
                    self.wrong.append((kind, repr(error), ""))
                return
            with self.lock:
                self.done[kind] += 1

    def run(self, n_clients):
        clients = [threading.Thread(target=self.client, args=(seed,)) for seed in range(n_clients)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    form = sys.argv[2] if len(sys.argv) > 2 else "rotated:KV8"
    plans = Plans()
    problems = []
    with tempfile.TemporaryDirectory() as folder, \
            Server(None if form == "stock" else plans[form], "-c", "1024", "-np", "4", "--context-shift", "--slot-save-path", folder, "--cache-ram", "16") as server:
        alone = {prompt: server.ask(prompt, max(LENGTHS)) for prompt in PROMPTS}
        warm = Load(server, alone, seconds / 2)
        warm.run(6)  # more clients than slots
        before = memory_kib(server.process.pid)
        load = Load(server, alone, seconds / 2)
        load.run(6)
        growth = memory_kib(server.process.pid) - before
        problems += [f"{a}: {b!r}, alone {c!r}" for a, b, c in warm.wrong + load.wrong]
        if {prompt: server.ask(prompt, max(LENGTHS))[:EQUAL_CHARACTERS] for prompt in PROMPTS} != \
                {prompt: answer[:EQUAL_CHARACTERS] for prompt, answer in alone.items()}:
            problems.append("an answer after the load differs from before")
        problems += [line for line in server.words().splitlines() if "KVT: " in line]
        # The first half filled the RAM cache and the allocator's pools.
        if growth > 8 * 1024:
            problems.append(f"memory grew by {growth} KiB in the second half")
        status = server.stop()
        if status != 0:
            problems.append(f"exit status {status}")
    print(f"{form}: {dict(warm.done + load.done)}, memory {growth:+d} KiB in the second half")
    for problem in problems[:20]:
        print("FAILED:", problem)
    return 1 if problems or not load.done["whole"] else 0


if __name__ == "__main__":
    sys.exit(main())
