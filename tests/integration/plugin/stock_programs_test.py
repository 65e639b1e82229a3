"""Unmodified llama.cpp programs with the plugin, on a tiny trained model: results, sizes, context shift, slots, refusals."""
import json
import os
import re
import subprocess
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor

from stock import CORPUS, MODEL, PRELOAD, PROGRAM, Server as StockServer, environment, kl_divergence, read_logits, run


def complete(n, plan=None, *args, **more):
    result = run("llama-completion", "-p", "Once upon a time", "-n", str(n), "--temp", "0", "-no-cnv", "-c", "256", *args, plan=plan, **more)
    return result, result.stdout.strip()


class Generation(unittest.TestCase):
    def assert_same_text(self, a, b, at_least):
        """llama.cpp's logger may lose the last words before exit, so one text may be a prefix of the other."""
        n = min(len(a), len(b))
        self.assertGreater(n, at_least)
        self.assertEqual(a[:n], b[:n])

    def test_f16_plan_writes_what_stock_writes(self):
        _, stock = complete(120)
        result, ours = complete(120, "f16")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assert_same_text(ours, stock, 100)

    def test_context_shift_equals_stock(self):
        _, stock = complete(300, None, "--context-shift")
        result, ours = complete(300, "f16", "--context-shift")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assert_same_text(ours, stock, 600)  # the shift comes after about 550 characters

    def test_every_isa_generates_the_same_text(self):
        info = json.loads(subprocess.run([PROGRAM, "doctor", "--json"], capture_output=True, text=True, env=environment(None)).stdout)
        text = json.dumps(info)
        isas = [isa for isa in ("scalar", "avx2", "avx512") if isa in text]
        self.assertIn("scalar", isas)
        texts = {isa: complete(60, "kivi:K8V8", KVT_FORCE_ISA=isa)[1] for isa in isas}
        for isa in isas:
            self.assert_same_text(texts[isa], texts["scalar"], 100)

    def test_llama_bench_runs_every_kind_of_plan(self):
        for plan in ("kivi:K4V2", "per-token:K8V4:hd64"):
            result = run("llama-bench", "-fa", "1", "-p", "64", "-n", "8", "-r", "1", "-o", "json", plan=plan)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual([row["avg_ts"] > 0 for row in json.loads(result.stdout)], [True, True])


class Sizes(unittest.TestCase):
    def test_logged_buffer_size_is_what_plan_show_says(self):
        for form in ("kivi:K4V2", "per-token:K8V4", "f16"):
            with tempfile.TemporaryDirectory() as folder:
                plan = os.path.join(folder, "plan.json")
                subprocess.run([PROGRAM, "plan", "make", form, "-m", MODEL, "-o", plan], check=True, capture_output=True, env=environment(None))
                shown = subprocess.run([PROGRAM, "plan", "show", plan, "-c", "256", "--json"], check=True, capture_output=True, text=True, env=environment(None))
                result, _ = complete(2, plan, "-lv", "4")
                logged = re.findall(r"KVT0 KV buffer size = +([0-9.]+) MiB", result.stdout + result.stderr)
                self.assertTrue(logged, result.stderr[-2000:])
                self.assertEqual(json.loads(shown.stdout)["kv_buffer_size_mib"], logged[-1], form)


class Quality(unittest.TestCase):
    def logits(self, path, plan=None):
        result = run("llama-perplexity", "-f", CORPUS, "-c", "128", "--chunks", "8", "--kl-divergence-base", path, plan=plan)
        self.assertEqual(result.returncode, 0, result.stderr)
        return read_logits(path)

    def test_kld_falls_with_bits_and_f16_is_exact(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "logits")
            base = self.logits(path)
            self.assertTrue(base)
            kld = {plan: kl_divergence(base, self.logits(path, plan)) for plan in ("f16", "kivi:K8V8", "kivi:K4V4", "kivi:K2V2")}
        self.assertLess(abs(kld["f16"]), 1e-5)
        self.assertLess(kld["kivi:K8V8"], kld["kivi:K4V4"])
        self.assertLess(kld["kivi:K4V4"], kld["kivi:K2V2"])


class Refusals(unittest.TestCase):
    def refused(self, words, plan, *args, **more):
        result, _ = complete(2, plan, *args, **more)
        self.assertNotEqual(result.returncode, 0)
        self.assertGreaterEqual(result.returncode, 0, "ended by a signal")
        for word in words:
            self.assertIn(word, result.stderr)

    def test_no_plan(self):
        self.refused(["KVT_PLAN is not set"], "")

    def test_garbage_plan(self):
        self.refused(["KVT_PLAN=nonsense"], "nonsense")

    def test_garbage_short_form(self):
        self.refused(["kivi:K3V9"], "kivi:K3V9")

    def test_garbage_isa(self):
        self.refused(["KVT_FORCE_ISA=mmx"], "kivi:K4V4", KVT_FORCE_ISA="mmx")

    def test_per_token_short_form_without_head_dim(self):
        self.refused(["hd64"], "per-token:K4V4")

    def test_other_cache_types(self):
        self.refused(["-ctk"], "kivi:K4V4", "-ctk", "q8_0")

    def test_flash_attention_off(self):
        result, text = complete(2, "kivi:K4V4", "-fa", "off")
        self.assertIn("-fa on", result.stderr)
        self.assertNotEqual(result.returncode, 0)

    def test_another_llama_cpp(self):
        self.refused(["this llama.cpp has ggml 0.99.1; the plugin serves llama.cpp ", "invalid device: KVT0"], "kivi:K4V4",
                     LD_PRELOAD=":".join(filter(None, [PRELOAD, os.environ["KVT_TEST_OTHER_GGML"]])))

    def test_plan_of_another_model(self):
        other = MODEL.replace("hd64", "hd32")
        with tempfile.TemporaryDirectory() as folder:
            plan = os.path.join(folder, "plan.json")
            subprocess.run([PROGRAM, "plan", "make", "kivi:K4V4", "-m", other, "-o", plan], check=True, capture_output=True, env=environment(None))
            self.refused(["another model"], plan)


class Server(unittest.TestCase):
    def test_slots_side_by_side_answer_as_alone(self):
        prompts = ["Once upon a time", "Lily went to the park", "The dog was happy because", "Tom had a red car"]
        with StockServer("kivi:KV4", "-c", "1024", "-np", "4") as server, ThreadPoolExecutor(4) as pool:
            alone = [server.ask(p) for p in prompts]
            together = list(pool.map(server.ask, prompts))
        # Batched matrix products round differently, and 4-bit blocks of a shared cache mix sequences: text may diverge late,
        # but the first words must be the same and every answer must be whole.
        for a, b in zip(alone, together):
            self.assertGreater(len(b), 60)
            self.assertEqual(a[:12], b[:12])


if __name__ == "__main__":
    unittest.main(verbosity=2)
