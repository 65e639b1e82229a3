"""The short form of the load that bench/soak.py puts on a stock llama-server for half an hour: some hundred requests, more clients than slots.

    load_test.py [REQUESTS] [FORM]        default: 160 rotated:KV8; "stock" runs without the plugin, for comparison

Held afterwards: every answer is the one that its request got alone (load.py says how far), nothing was said on stderr, memory did not grow, the
server ends cleanly. Everything is counted in requests, so that a slow machine does the same work. Paths come from the environment, as in stock.py.
"""
import sys
import tempfile

import load
from stock import PRELOAD, Plans, Server

# Slots and their cache. Positions of one slot do not pass 512, the model's context.
SETUPS = {"4 slots, unified": (4, "-np", "4", "--kv-unified", "-c", "2048"),
          "8 slots, a stream each": (8, "-np", "8", "-c", "2048", "--context-shift")}
# Of log-probabilities: 2 to 4 times what was seen in an hour.
TOLERANCE = 0.06


def check(form, plans, n_requests, n_slots, *arguments):
    """Problems, and what was done in words."""
    plan = None if form == "stock" else plans[form]
    with tempfile.TemporaryDirectory() as folder, Server(plan, *arguments, "--slot-save-path", folder, "--cache-ram", "4") as server:
        alone, problems, loads = load.answers_alone(server), [], []
        for part in range(2):  # the first half fills the prompt cache in RAM and the allocator's pools
            before = load.memory_kib(server.process.pid)
            loads.append(load.Load(server, alone, TOLERANCE, n_slots, seed=part))
            loads[-1].run(n_slots + 2, load.for_requests(n_requests // 2))
            problems += loads[-1].problems
        growth = load.memory_kib(server.process.pid) - before
        after = load.Comparison(TOLERANCE)
        for request, tokens in load.answers_alone(server).items():
            after.add(("after the load", *request), alone[request], tokens)
        problems += after.wrong + [line for line in server.words().splitlines() if "KVT: " in line]
        if growth > 8 * 1024 and not PRELOAD:  # a sanitizer holds back what is freed
            problems.append(f"memory grew by {growth} KiB in the second half")
        status = server.stop()
        if status != 0:
            problems.append(f"exit status {status}")
    compared = [one.compared for one in loads]
    if not all(one.tokens for one in compared):
        problems.append("nothing was compared")
    return problems, (f"{dict(loads[0].done + loads[1].done)}, {sum(c.tokens for c in compared)} tokens compared, log-probabilities "
                      f"differ by at most {max(c.furthest for c in compared):.4f}, memory {growth:+d} KiB in the second half")


def main():
    n_requests = int(sys.argv[1]) if len(sys.argv) > 1 else 160
    form = sys.argv[2] if len(sys.argv) > 2 else "rotated:KV8"
    plans, failed = Plans(positions=2048), False
    for name, (n_slots, *arguments) in SETUPS.items():
        problems, done = check(form, plans, n_requests, n_slots, *arguments)
        print(f"{form}, {name}: {done}")
        for problem in problems[:20]:
            print("FAILED:", problem)
        failed = failed or bool(problems)
    return failed


if __name__ == "__main__":
    sys.exit(main())
