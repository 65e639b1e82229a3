"""The plugin inside the libllama of a Python package, llama-cpp-py-sync: many versions of llama.cpp without building one.

    python_host.py MODEL PLUGIN        with the package on PYTHONPATH; docs/guide/llama-versions.md has the outcomes

Prints the mean KL divergence of plans from that libllama's own f16 cache, or why the plugin was not loaded.
"""
import ctypes
import json
import math
import os
import subprocess
import sys

PLANS = (None, "f16", "kivi:KV8", "kivi:KV4", "kivi:KV2")
PROMPT, SCORED = 96, 64


def child(model, plugin):
    from llama_cpp_py_sync import llama
    from llama_cpp_py_sync._cffi_bindings import get_ffi, get_lib
    ffi, lib = get_ffi(), get_lib()
    if plugin:
        ggml = ctypes.CDLL(os.path.join(os.path.dirname(llama.__file__), "libggml.so.0"))
        ggml.ggml_backend_load.restype = ctypes.c_void_p
        if ggml.ggml_backend_load(plugin.encode()) is None:
            sys.exit("the plugin was not loaded")
    host = llama.Llama(model, n_ctx=512, n_batch=512, n_threads=2, n_gpu_layers=99, flash_attn_type=1, verbose=False)
    with open(os.path.join(os.path.dirname(model), "selfgen-corpus.txt"), encoding="utf-8") as f:
        tokens = host.tokenize(f.read()[:1500])[: PROMPT + SCORED]
    rows = []
    host._eval_tokens(tokens[:PROMPT], 0)
    for i in range(PROMPT, PROMPT + SCORED):
        logits = ffi.unpack(lib.llama_get_logits_ith(host._ctx, -1), host.n_vocab)
        top = max(logits)
        log_sum = top + math.log(sum(math.exp(x - top) for x in logits))
        rows.append([x - log_sum for x in logits])
        host._eval_tokens([tokens[i]], i)
    print("ROWS" + json.dumps(rows))


def rows_of(model, plugin, plan):
    env = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    env.pop("KVT_PLAN", None)
    if plan:
        env["KVT_PLAN"] = plan
    result = subprocess.run([sys.executable, __file__, "--child", model, plugin if plan else ""], env=env, capture_output=True, text=True)
    for line in result.stdout.splitlines():
        if line.startswith("ROWS"):
            return json.loads(line[4:])
    sys.exit(f"{plan}: ended with {result.returncode}: {result.stderr[-1500:]}")


def main():
    if sys.argv[1] == "--child":
        return child(*sys.argv[2:])
    model, plugin = sys.argv[1:]
    reference = rows_of(model, plugin, None)
    for plan in PLANS[1:]:
        rows = rows_of(model, plugin, plan)
        total = sum(math.exp(x) * (x - y) for a, b in zip(reference, rows) for x, y in zip(a, b))
        print(f"{plan}: {total / len(rows):.6f} nat", flush=True)


if __name__ == "__main__":
    main()
