"""Mixed load on a llama-server: many clients with short and long answers, long prompts, cancels and saved slots. Every answer is held against
the one that the same request got alone.

Greedy answers are not bit-equal beside others, with any cache: llama.cpp's matrix products round differently for batches of other sizes, and a
cache that rounds can carry such a difference over the border between two of its codes. So tokens must be equal as long as the answer alone was
no close call, and their log-probabilities within a tolerance; from the first other token on, which only a close call explains, an answer goes
its own way.
"""
import collections
import random
import threading
import time

from stock import CORPUS, Refused

PROMPTS = ("Once upon a time", "Tom had a red car that", "Max and Ben were friends.", "Ben liked to play with", "Tom and Sue were in the",
           "Once there was a cat who", "Her mom said")
SHORT, LONG, SHIFTING = 16, 96, 300  # tokens; the last passes a context of 256
WEIGHTS = {"short": 6, "long": 2, "prompt": 2, "shift": 1, "cancel": 2, "save": 2}

Token = collections.namedtuple("Token", "id log_probability margin")  # margin: to the second choice, in log-probability


class Clock(threading.Thread):
    """Seconds in which this process could run: a time for which all was stopped (SIGSTOP, a closed lid) does not count."""

    def __init__(self):
        super().__init__(daemon=True)
        self.stopped, self.seen = 0.0, time.monotonic()
        self.start()

    def run(self):
        while True:
            time.sleep(0.05)
            now = time.monotonic()
            if now - self.seen > 3:
                self.stopped += now - self.seen
            self.seen = now

    def now(self):
        return time.monotonic() - self.stopped


CLOCK = Clock()


def memory_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def long_prompts(n, characters=400):
    """Beginnings of stories of about 190 tokens."""
    with open(CORPUS, encoding="utf-8") as f:
        text = f.read()
    return [text[i * 3000:i * 3000 + characters] for i in range(n)]


REQUESTS = {"short": [(prompt, SHORT) for prompt in PROMPTS], "long": [(prompt, LONG) for prompt in PROMPTS[:4]],
            "prompt": [(prompt, SHORT) for prompt in long_prompts(4)], "shift": [(prompt, SHIFTING) for prompt in PROMPTS[:2]]}


def answer(server, request, **more):
    prompt, n = request
    reply = server.complete(prompt, n, n_probs=2, timeout=600, **more)
    tokens = []
    for token in reply["completion_probabilities"]:
        first, second = (choice["logprob"] for choice in token["top_logprobs"][:2])
        tokens.append(Token(token["id"], token["logprob"], first - second))
    return tokens


def answers_alone(server):
    return {request: answer(server, request) for requests in REQUESTS.values() for request in requests}


class Comparison:
    """What answers beside others have in common with those alone."""

    def __init__(self, tolerance):
        self.tolerance = tolerance
        self.answers = self.same_tokens = self.same_bits = self.tokens = 0
        self.furthest = 0.0  # difference of log-probabilities
        self.wrong = []

    def add(self, request, alone, beside):
        self.answers += 1
        self.same_tokens += [t.id for t in alone] == [t.id for t in beside]
        self.same_bits += alone == beside
        if len(alone) != len(beside):
            self.wrong.append(f"{request}: {len(beside)} tokens, alone {len(alone)}")
        for place, (a, b) in enumerate(zip(alone, beside)):
            if a.id != b.id:
                # Both choices may have moved by the tolerance.
                if a.margin > 2 * self.tolerance:
                    self.wrong.append(f"{request}: token {place} is {b.id}, alone {a.id}, {a.margin:.3f} before the second choice")
                return
            self.tokens += 1
            far = abs(a.log_probability - b.log_probability)
            self.furthest = max(self.furthest, far)
            if not far <= self.tolerance:
                self.wrong.append(f"{request}: log-probability of token {place} is off by {far:.4f}")
                return


class Load:
    """Clients that ask until `more()` says no. Afterwards: numbers of requests by kind, seconds by kind, and `problems`."""

    def __init__(self, server, alone, tolerance, n_slots, seed=0):
        self.server, self.alone, self.n_slots, self.seed = server, alone, n_slots, seed
        self.compared = Comparison(tolerance)
        self.done, self.seconds, self.failed, self.lock = collections.Counter(), collections.defaultdict(list), [], threading.Lock()

    @property
    def problems(self):
        return self.failed + self.compared.wrong

    def cancel(self, rng):
        """The connection is closed in the middle of a long answer."""
        try:
            self.server.complete(rng.choice(PROMPTS), 2000, n_keep=4, timeout=rng.uniform(0.02, 0.3))
        except OSError:
            pass

    def save(self, rng):
        name, slot = f"{rng.randrange(4)}", rng.randrange(self.n_slots)
        try:
            self.server.post(f"/slots/{slot}?action=save", timeout=5, filename=name)
            self.server.post(f"/slots/{slot}?action=restore", timeout=5, filename=name)
            if rng.random() < 0.2:
                self.server.post(f"/slots/{slot}?action=erase", timeout=5)
        except TimeoutError:
            pass  # llama-server puts off what concerns a busy slot, and may forget about it until the next request (stock does, too)
        except Refused as refused:  # another client wrote a state of more cells meanwhile, or the slot was empty
            if refused.status not in (400, 500, 501):
                raise

    def ask(self, kind, rng):
        request, begun = rng.choice(REQUESTS[kind]), CLOCK.now()
        got = answer(self.server, request, cache_prompt=rng.random() < 0.5)
        took = CLOCK.now() - begun
        with self.lock:
            self.seconds[kind].append(took)
            self.compared.add((kind, *request), self.alone[request], got)

    def client(self, number, more):
        rng = random.Random(f"{self.seed} {number}")
        while more():
            kind = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            try:
                {"cancel": self.cancel, "save": self.save}.get(kind, lambda rng, kind=kind: self.ask(kind, rng))(rng)
            except Exception as error:  # noqa: BLE001 - reported at the end
                with self.lock:
                    self.failed.append(f"{kind}: {error!r}")
                return
            with self.lock:
                self.done[kind] += 1

    def run(self, n_clients, more):
        clients = [threading.Thread(target=self.client, args=(number, more)) for number in range(n_clients)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()


def for_requests(n):
    """Says yes n times."""
    left, lock = [n], threading.Lock()

    def more():
        with lock:
            left[0] -= 1
            return left[0] >= 0
    return more


def for_seconds(seconds):
    end = CLOCK.now() + seconds
    return lambda: CLOCK.now() < end
