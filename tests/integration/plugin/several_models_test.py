"""Two models in one stock llama-server, a target and its draft model, each with a plan of its own: by map, folder, list, and kvtuner serve."""
import hashlib
import json
import os
import re
import subprocess
import tempfile
import unittest

import tiny_models as tiny
from stock import MODEL, PROGRAM, Server, environment, kvtuner

CONTEXT = "4096"
PROMPT = "Tom had a red car that"


def fingerprint(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


class SeveralModels(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.draft = self.path("draft.gguf")
        tiny.llama(MODEL, kv_heads=1).write(self.draft)
        os.mkdir(self.path("plans"))
        self.plans = {MODEL: self.path("plans", "target.json"), self.draft: self.path("plans", "draft.json")}
        kvtuner("plan", "make", "kivi:K4V2", "-m", MODEL, "-o", self.plans[MODEL])
        kvtuner("plan", "make", "kivi:K8V4", "-m", self.draft, "-o", self.plans[self.draft])

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def map(self, *models, **more):
        path = self.path("plans", "map.json")
        plans = {fingerprint(model): os.path.basename(self.plans[model]) for model in models}
        with open(path, "w", encoding="utf-8") as f:
            json.dump({"schema": "kvtuner.plan_map", "schema_version": 1, "plans": plans, **more}, f)
        return path

    def size(self, model, plan=None):
        """What kvtuner says of the plan's cache, in MiB as llama.cpp prints it."""
        shown = subprocess.run([PROGRAM, "plan", "show", plan or self.plans[model], "-m", model, "-c", CONTEXT, "--json"], check=True,
                               capture_output=True, text=True, env=environment(None))
        return json.loads(shown.stdout)["kv_buffer_size_mib"]

    def refused(self, plan, words):
        with self.assertRaises(RuntimeError) as raised:
            self.serve(plan, verbose=())
        self.assertIn(words, str(raised.exception))

    def serve(self, plan, draft=True, verbose=("-lv", "4")):
        """Log and answer of a server."""
        more = ("-md", self.draft, "--spec-type", "draft-simple") if draft else ()
        with Server(plan, "-c", CONTEXT, "-np", "1", *verbose, *more) as server:
            reply = server.complete(PROMPT, 24)
            words = server.words()
        if draft:
            self.assertGreater(reply["timings"]["draft_n"], 0)
        return words, reply["content"]

    def logged(self, words):
        return re.findall(r"KVT0 KV buffer size = +([0-9.]+) MiB", words)

    def test_each_follows_its_own_plan(self):
        _, alone = self.serve(self.plans[MODEL], draft=False)
        expected = [self.size(MODEL), self.size(self.draft)]
        self.assertNotEqual(*expected)
        for plans in (self.map(MODEL, self.draft), self.path("plans"), ";".join(self.plans.values())):
            with self.subTest(plans):
                words, answer = self.serve(plans)
                self.assertNotIn("KVT: ", words)
                # llama-server tries memory sizes out before it allocates; what it allocates in the end comes last.
                self.assertEqual(self.logged(words)[-2:], expected)
                self.assertEqual(answer[:12], alone[:12])

    def test_a_model_without_an_entry(self):
        only_target = self.map(MODEL)
        self.refused(only_target, "no plan for a model that has a cache of 2 layers, 0 .. 1 with rows of 64 (K) and 64 (V) elements")
        words, _ = self.serve(self.map(MODEL, others="kivi:KV8"))
        self.assertEqual(self.logged(words)[-2:], [self.size(MODEL), self.size(self.draft, "kivi:KV8")])

    def test_models_of_one_shape_are_refused(self):
        twin, plan = self.path("twin.gguf"), self.path("plans", "twin.json")
        model = tiny.llama(MODEL, kv_heads=1)
        model.set(**{"rope.freq_base": 20000.0})
        model.write(twin)
        kvtuner("plan", "make", "kivi:K2V2", "-m", twin, "-o", plan)
        self.refused(self.path("plans"), "are for different models which both have")

    def test_paths_out_of_the_folder(self):
        kvtuner("plan", "make", "f16", "-m", MODEL, "-o", self.path("outside.json"))
        self.plans[MODEL] = self.path("outside.json")
        path = self.map(MODEL)
        with open(path, encoding="utf-8") as f:
            text = f.read().replace("outside.json", "../outside.json")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        self.refused(path, "must be a path below the map's folder")

    def test_kvtuner_serve(self):
        result = subprocess.run([PROGRAM, "serve", "-m", MODEL, "--plan", self.plans[MODEL], "--draft-plan", self.plans[self.draft], "--dry-run",
                                 "--", "-md", self.draft], capture_output=True, text=True, env=environment(None, XDG_DATA_HOME=self.folder), check=True)
        plan = re.search(r"KVT_PLAN='([^']*)'", result.stdout)[1]
        words, _ = self.serve(plan)
        self.assertEqual(self.logged(words)[-2:], [self.size(MODEL), self.size(self.draft)])


if __name__ == "__main__":
    unittest.main(verbosity=2)
