"""Same plan, same input: the same bits, whatever the number of threads.

The numbers are those that a stock llama-perplexity writes (log-probabilities in 16-bit steps over the range of a row), in one batch for each
chunk and token by token. Paths come from the environment, as in stock.py.
"""
import os
import tempfile
import unittest

from stock import CORPUS, Plans, read_logits, run

FORMS = ("f16", "per-token:KV8:hd64", "kivi:KV4", "rotated:KV8", "rotated:KV4")
# More threads than cores take minutes for single tokens, which wait for each other.
BATCHES = {("-ub", "128"): ("1", "2", "3"), ("-ub", "1"): ("1", "2")}
PLANS = Plans()


class Determinism(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "logits")

    def logits(self, form, batch, threads):
        """The file of logits of 2 chunks of 128 tokens."""
        if os.path.exists(self.path):
            os.remove(self.path)
        result = run("llama-perplexity", "-f", CORPUS, "-c", "128", "-b", "128", "--chunks", "2", "--kl-divergence-base", self.path, *batch,
                     "-t", threads, plan=PLANS[form])
        self.assertEqual(result.returncode, 0, result.stderr[-1500:])
        self.assertGreater(len(read_logits(self.path)), 100)
        with open(self.path, "rb") as f:
            return f.read()

    def test_same_bits(self):
        for form in FORMS:
            for batch, all_threads in BATCHES.items():
                reference = self.logits(form, batch, "2")
                for threads in all_threads:
                    with self.subTest(form=form, batch=batch, threads=threads):
                        self.assertTrue(self.logits(form, batch, threads) == reference, "the logits differ")

    def test_another_plan_gives_other_bits(self):
        self.assertFalse(self.logits("kivi:KV4", ("-ub", "128"), "2") == self.logits("kivi:K4V2", ("-ub", "128"), "2"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
