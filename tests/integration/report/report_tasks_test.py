"""kvtuner report on records of kvtuner eval TASK: scores, changed answers and needles in the page are those of the records.

Records come from the tiny model, which is right by chance at most, and from this file, where verdicts change.
"""
import csv
import json
import pathlib
import tempfile
import unittest

from report_page import METHODS, MODEL, TUNE, ReportCase, kvtuner, marks_of, opened, rows_of

GPQA = pathlib.Path(MODEL).parent.parent / "tasks" / "gpqa_diamond_synthetic.csv"
MARKUP = "</script><script>console.error('out')</script><b>\"'& {{data}} | *c*"
STOCK = "f16 (stock)"
LENGTHS = (4096, 8192)


def evaluate(task, out, *options):
    done = kvtuner("eval", task, "-m", MODEL, "--plan", "kivi:KV2", "-t", "2", "-o", out, *options)
    assert done.returncode == 0, done.stderr


def write_record(path, model, task, plan, answers):
    """A finished record.   answers: (score, what was extracted, gold, groups) of every item"""
    header = {"schema": "kvtuner.eval.task", "schema_version": 1, "task": task, "variant": "text", "n_items": len(answers), "samples": 1, "mode": "generate",
              "max_new_tokens": 8, "seed": 0, "private_text": False, "warnings": [], "model": model,
              "plan": {"name": plan, "effective_bits": 5.25, "stock": plan == STOCK}, "started": "2026-01-01T00:00:00Z"}
    lines = [{"item": f"item-{i}", "sample": 0, "seed": 0, "prompt_tokens": 3, "new_tokens": 2, "finish": "eog", "prompt_sha256": f"p{i}", "response": said,
              "extracted": said, "rule": "r", "gold": gold, "scores": {"exact": score}, "groups": groups, "flags": [], "error": "", "prefill_seconds": 0.5,
              "decode_seconds": 0.5} for i, (score, said, gold, groups) in enumerate(answers)]
    path.write_text("".join(json.dumps(line) + "\n" for line in [header, *lines, {"summary": {"n_items": len(answers), "scores": {}}}]))


def answers_of(scores, said=""):
    return [(score, "18" if score else said or f"answer {i}", "18", {}) for i, score in enumerate(scores)]


def needles_of(shares):
    """One item for every length and percent of depth in steps of 5; shares: of those found, by length."""
    places = [(length, depth) for length in LENGTHS for depth in range(0, 101, 5)]
    return [(1.0 if depth // 5 * 7 % 10 < 10 * shares[length] else 0.0, "x", "x", {"length": str(length), "depth": str(depth)}) for length, depth in places]


class Tasks(ReportCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.scratch.cleanup)
        cls.folder = pathlib.Path(cls.scratch.name) / "tuned"
        done = kvtuner("tune", "-o", cls.folder, *TUNE, *METHODS["knapsack"])
        assert done.returncode == 0, done.stderr
        model = json.loads((cls.folder / "plan.json").read_text())["model"]
        cls.model = {name: model[name] for name in ("name", "arch", "file_sha256")}
        evaluate("gsm8k", cls.folder, "--limit", "8", "--shots", "0", "--max-new-tokens", "4", "--plan", cls.folder / "plan.json")
        evaluate("niah_single_1", cls.folder, "--variant", "text", "--limit", "4", "--length", "400", "--max-new-tokens", "4")
        evaluate("niah_single_1", cls.folder / "longer", "--variant", "text", "--limit", "4", "--length", "500", "--max-new-tokens", "4")
        evaluate("gpqa", cls.folder, "--data", GPQA, "--variant", "loglikelihood", "--likelihood", "--max-new-tokens", "8")
        right = [1.0] * 30 + [0.0] * 10
        cls.write("made", STOCK, answers_of(right))
        cls.write("made", MARKUP, answers_of([0.0] * 3 + right[3:39] + [1.0], MARKUP + " and more words than a table has room for"))
        cls.write("made", "KV8", answers_of(right))
        cls.write("needles", STOCK, needles_of({4096: 1.0, 8192: 0.4}))
        cls.write("needles", "KV4", needles_of({4096: 0.6, 8192: 0.3}))

    @classmethod
    def path_of(cls, task, plan):
        return cls.folder / f"{task}-text-{'markup' if plan == MARKUP else plan[:3]}.jsonl"

    @classmethod
    def write(cls, task, plan, answers):
        write_record(cls.path_of(task, plan), cls.model, task, plan, answers)

    def comparison(self, first, second, margin=1):
        done = kvtuner("eval", "compare", first, second, "--margin", margin, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def records(self):
        """{(task, plan): path} of all records; tasks of two lengths have a plan twice and are left out."""
        found = {}
        for path in sorted(self.folder.glob("*.jsonl")):
            header = json.loads(path.read_text().splitlines()[0])
            found[f"{header['task']} {header['variant']}", header["plan"]["name"]] = path
        return found

    def test_scores_are_those_of_eval_compare(self):
        rows, records, checked = rows_of(self.open_page(self.folder).id("tasks-table").tags("table")[0]), self.records(), 0
        for row in rows:
            task, plan, score = (row[i].attributes["data-value"] for i in (0, 1, 4))
            if task.startswith("niah"):
                continue
            found = self.comparison(records[task, STOCK], records[task, plan])["scores"][score]
            shown, scale = found["candidate"], 1 if score == "log_likelihood_per_token" else 100
            self.assertEqual(int(row[3].attributes["data-value"]), shown["n"])
            for cell, name in zip(row[5:8], ("mean", "ci_low", "ci_high")):
                self.assert_shown(cell, shown[name], scale)
            reference = plan == STOCK
            for cell, name in zip(row[8:11], ("difference", "ci_low", "ci_high")):
                self.assert_shown(cell, None if reference else found[name], scale)
            self.assert_shown(row[11], None if reference else found["mcnemar_p"])
            self.assert_shown(row[12], None if reference else found.get("smallest_margin"), scale)
            verdict = None if reference else found.get("equivalent")
            self.assertEqual(row[13].text(), {None: "-", True: "yes", False: "not shown"}[verdict])
            checked += 1
        self.assertEqual(len(rows) - checked, 4)  # needles of two lengths under two plans
        self.assertEqual({row[0].text() for row in rows}, {"gpqa loglikelihood", "gsm8k text", "made text", "needles text", "niah_single_1 text"})

    def test_the_margin_is_a_choice(self):
        found = json.loads(self.report(self.folder, "--json", "--margin", "30"))["tasks"]
        made = next(run for run in found["runs"] if run["task"] == "made")["plans"]
        self.assertEqual([plan["name"] for plan in made], [STOCK, "KV8", MARKUP])
        for plan in made[1:]:
            self.assertEqual(plan["differences"], self.comparison(self.path_of("made", STOCK), self.path_of("made", plan["name"]), 30)["scores"])
            self.assertTrue(plan["differences"]["exact"]["equivalent"])

    def test_changed_answers_are_those_of_eval_compare(self):
        dom, records, flips = self.open_page(self.folder), self.records(), {}
        for (task, plan), path in records.items():
            if plan != STOCK:
                flips.update({(task, plan, flip["item"]): flip for flip in self.comparison(records[task, STOCK], path)["flips"]})
        rows = rows_of(dom.id("changed-table").tags("table")[0])
        rows = [row for row in rows if not row[0].text().startswith("niah")]
        self.assertEqual({tuple(cell.text() for cell in row[:3]) for row in rows}, set(flips))
        for row in rows:
            task, plan, item = (cell.text() for cell in row[:3])
            flip = flips[task, plan, item]
            self.assertEqual(row[7].text(), "lost" if flip["candidate"]["score"] < flip["reference"]["score"] else "won")
            for cell, whole in zip(row[4:7], (flip["gold"], flip["reference"]["extracted"], flip["candidate"]["extracted"])):
                if task.startswith("gpqa"):
                    self.assertEqual(cell.text(), "not shown")
                else:
                    self.assertEqual(cell.text(), whole if len(whole) <= 60 else whole[:57] + "...")
        self.assertEqual(sum(plan == MARKUP for _, plan, _ in flips), 4)
        self.assertIn(f"made text, {MARKUP} against {STOCK}: 3 lost, 1 won, of 40 answers", dom.id("changed").text())
        self.assertEqual(len(dom.tags("script")), 3)

    def test_needles_are_those_of_the_records(self):
        dom = self.open_page(self.folder)
        wanted = {}
        for plan in (STOCK, "KV4"):
            for line in self.path_of("needles", plan).read_text().splitlines()[1:-1]:
                answer = json.loads(line)
                length, depth = int(answer["groups"]["length"]), int(answer["groups"]["depth"])
                wanted.setdefault((plan, length, min(depth // 10, 9) * 10), []).append(answer["scores"]["exact"])
        rows = rows_of(dom.id("needles-table").tags("table")[0])
        shown = [row for row in rows if row[0].text() == "needles text"]
        self.assertEqual(len(shown), len(wanted))
        for row in shown:
            place = (row[1].text(), int(row[2].attributes["data-value"]), int(row[3].attributes["data-value"]))
            scores, reference = wanted[place], wanted[STOCK, *place[1:]]
            self.assertEqual(int(row[4].text()), len(scores))
            self.assert_shown(row[5], sum(scores) / len(scores), 100)
            self.assert_shown(row[6], None if place[0] == STOCK else sum(scores) / len(scores) - sum(reference) / len(reference), 100)
        self.assertEqual({row[2].text() for row in rows if row[0].text() == "niah_single_1 text"}, {"400", "500"})  # the second lies one folder below
        maps = dom.id("needles").tags("figure")
        self.assertEqual([figure.tags("figcaption")[0].text() for figure in maps],
                         ["needles text: " + STOCK, "needles text: KV4", "niah_single_1 text: " + STOCK, "niah_single_1 text: kivi:KV2"])
        marks = marks_of(maps[1])
        self.assertEqual(len(marks), 2 * 10)
        self.assertEqual([mark.attributes["tabindex"] for mark in marks], ["0"] + ["-1"] * 19)
        for mark, ((_, length, depth), scores) in zip(marks, sorted((place, scores) for place, scores in wanted.items() if place[0] == "KV4"), strict=True):
            last = 100 if depth == 90 else depth + 9
            self.assertIn(f"KV4; {length:,} tokens, depth {depth}-{last} %; found {100 * sum(scores) / len(scores):.1f} %".replace(",", " ", 1), mark.attributes["aria-label"])
            heat = next(mark.all(lambda node: node.attributes.get("class") == "cell-heat"))
            self.assertEqual(float(heat.attributes["fill-opacity"]), sum(scores) / len(scores))
            informative = sum(wanted[STOCK, length, depth]) / len(scores) >= 0.5
            self.assertEqual("says nothing about a plan" in mark.attributes["aria-label"], not informative)

    def test_keys_move_in_the_needle_map(self):
        self.open_page(self.folder)
        acts = """
          const first = document.querySelector("#needles svg.chart .mark[tabindex='0']");
          first.focus();
          first.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowDown"}));
          document.querySelector("#tasks-table th:nth-child(6) button").click();"""
        page = self.folder / "acted.html"
        page.write_text((self.folder / "report.html").read_text().replace("</body>", f"<script>{acts}</script></body>"))
        dom, console = opened(page)
        self.assertEqual(console, [])
        focused = [mark for mark in marks_of(dom.id("needles").tags("figure")[0]) if mark.attributes["tabindex"] == "0"]
        self.assertIn("8 192 tokens, depth 0-9 %", focused[0].attributes["aria-label"])
        self.assertEqual(dom.id("tooltip").text(), focused[0].attributes["aria-label"].replace("; ", ""))
        means = [float(row[5].attributes["data-value"]) for row in rows_of(dom.id("tasks-table").tags("table")[0])]
        self.assertEqual(means, sorted(means))

    def test_nothing_of_gpqa_is_shown(self):
        out = self.folder / "out"
        texts = [self.report(self.folder, "--json"), self.report(self.folder, "--markdown", out.with_suffix(".md"), "--csv", out)]
        texts += [path.read_text() for path in [self.folder / "report.html", out.with_suffix(".md"), *out.iterdir()]]
        with open(GPQA, newline="") as file:
            rows = list(csv.DictReader(file))
        private = {row[name].strip() for row in rows for name in row if name == "Question" or "Answer" in name}
        private = {text for text in private if len(text) > 5}
        self.assertGreater(len(private), 5)
        for text in private:
            for shown in texts:
                self.assertNotIn(text, shown)
                self.assertNotIn(json.dumps(text)[1:-1], shown)
        self.assertEqual({path.name for path in out.iterdir()} & {"tasks.csv", "changed_answers.csv", "needles.csv"},
                         {"tasks.csv", "changed_answers.csv", "needles.csv"})

    def test_bad_records_are_one_clear_message(self):
        path = self.folder / "bad.jsonl"
        good = self.path_of("made", STOCK).read_text().splitlines(keepends=True)
        other = {**json.loads(good[0]), "model": {**self.model, "file_sha256": "f" * 64}}
        version = {**json.loads(good[0]), "schema_version": 2}
        for text, said in ((json.dumps(other) + "\n", "bad.jsonl is of the model"), (json.dumps(version) + "\n", "bad.jsonl line 1: a schema_version"),
                           ("".join([*good[:2], good[2][:40] + "\n", *good[3:]]), "bad.jsonl line 3: ")):
            with self.subTest(said):
                path.write_text(text)
                done = kvtuner("report", self.folder, "--json")
                path.unlink()
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertEqual(len(done.stderr.strip().splitlines()), 1)
                self.assertIn(said, done.stderr)


if __name__ == "__main__":
    unittest.main()
