"""How near two greedy answers were where they part: the difference in log-probability of the two next tokens, asked of a stock llama-server."""
import hashlib
import http.server
import json
import threading


class Listener(http.server.ThreadingHTTPServer):
    """An OpenAI-compatible server that answers nothing and keeps the prompts it was sent, by their SHA-256 as records have it."""

    def __init__(self):
        prompts = self.prompts = {}

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def reply(self, value):
                text = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def do_GET(self):
                self.reply({"object": "list", "data": [{"id": "listener", "object": "model"}]})

            def do_POST(self):
                prompt = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["prompt"]
                prompts[hashlib.sha256(prompt.encode()).hexdigest()] = prompt
                self.reply({"choices": [{"index": 0, "text": "", "finish_reason": "stop"}], "usage": {"prompt_tokens": 1, "completion_tokens": 0}})

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


def answers(record):
    """(item, sample) -> line of a record."""
    with open(record) as file:
        lines = [json.loads(line) for line in file]
    return {(line["item"], line["sample"]): line for line in lines if "response" in line}


def parting(server, prompt, first, second):
    """Nats between the tokens that two answers go on with behind what they share; None if the server does not name both among its likeliest 200.
    Where an answer ended, its token is taken to be the likeliest other one."""
    tokens = [server.post("/tokenize", content=prompt + text, add_special=True, parse_special=True)["tokens"] for text in (first, second)]
    shared = next((i for i, (a, b) in enumerate(zip(*tokens)) if a != b), min(map(len, tokens)))
    reply = server.post("/completion", prompt=tokens[0][:shared], n_predict=1, temperature=0, n_probs=200, ignore_eos=False)
    likely = {each["id"]: each["logprob"] for each in reply["completion_probabilities"][0]["top_logprobs"]}
    named = [t[shared] for t in tokens if len(t) > shared]
    if not named or any(token not in likely for token in named):
        return None
    values = [likely[token] for token in named]
    if len(values) == 1:
        values.append(max(value for token, value in likely.items() if token != named[0]))
    return abs(values[0] - values[1])


def gaps(server, prompts, first, second):
    """Of all answers that differ between two records: gaps in ascending order, and how many could not be told."""
    others, found, unknown = answers(second), [], 0
    for key, line in answers(first).items():
        if line["response"] == others[key]["response"]:
            continue
        gap = parting(server, prompts[line["prompt_sha256"]], line["response"], others[key]["response"])
        if gap is None:
            unknown += 1
        else:
            found.append(gap)
    return sorted(found), unknown
