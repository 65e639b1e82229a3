"""kvtuner report: tune a tiny model both ways, write the report, open it in a browser, compare its figures with the records.

Paths come from the environment (set by CMake): KVT_TEST_PROGRAM, KVT_TEST_MODEL.
"""
import csv
import json
import pathlib
import tempfile
import unittest

from report_page import CHROMIUM, CORPUS, METHODS, MODEL, NO_CHROMIUM, TUNE, ReportCase, kvtuner, marks_of, opened, rows_of


class Report(ReportCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.scratch.cleanup)
        cls.root = pathlib.Path(cls.scratch.name)
        for method, options in METHODS.items():
            done = kvtuner("tune", "-o", cls.root / method, *TUNE, *options)
            assert done.returncode == 0, done.stderr
        plan = cls.root / "knapsack" / "plan.json"
        done = kvtuner("bench", "-m", MODEL, "--plan", plan, "--plan", "kivi:KV4", "--depth", "0,256", "--reps", "2", "-t", "2", "-o", plan.parent / "bench.json")
        assert done.returncode == 0, done.stderr

        done = kvtuner("eval", "kld", "-m", MODEL, "--text", CORPUS, "--plan", plan, "--plan", "kivi:KV4", "-c", "64,128", "--chunks", "8", "-o",
                       plan.parent / "eval_kld.json")
        assert done.returncode == 0, done.stderr

    def record(self, method, name):
        if name == "study":
            return json.loads(self.report(self.root / method, "--json"))["study"]
        return json.loads((self.root / method / name).read_text())

    def page(self, method):
        return self.open_page(self.root / method)

    def assert_held_out(self, method):
        plans, rows = self.record(method, "held_out.json")["plans"], rows_of(self.page(method).id("held-out-table").tags("table")[0])
        self.assertGreater(len(plans), 2)
        self.assertEqual(len(rows), len(plans))
        self.assertIsNotNone(plans[0]["kld_ci_low"])  # 8 chunks: there are intervals to compare
        for number, (plan, row) in enumerate(zip(plans, rows)):
            self.assertEqual(row[0].text(), plan["label"] + ("chosen" if number == 0 else ""))
            names = ["payload_bits", "effective_bits", "kld", "kld_ci_low", "kld_ci_high", None, "p999", "same_top", "vs_tuned", "vs_tuned_low",
                     "vs_tuned_high"]
            self.assertEqual(len(row), 1 + len(names))
            for cell, name in zip(row[1:], names):
                if name is not None:
                    value = None if name == "vs_tuned" and number == 0 else plan[name]
                    self.assert_shown(cell, value, 100 if name == "same_top" else 1)

    def test_held_out_table_is_the_record_knapsack(self):
        self.assert_held_out("knapsack")

    def test_held_out_table_is_the_record_paper(self):
        self.assert_held_out("paper")

    def test_every_plan_is_a_mark_and_a_row(self):
        for method in METHODS:
            with self.subTest(method):
                study, frontier = self.record(method, "study"), self.page(method).id("frontier")
                plans = [plan for plan in study["evaluations"] if plan["label"] != "KV16"]
                marks = marks_of(frontier)
                self.assertEqual(len(marks), len(plans))
                self.assertEqual([mark.attributes["tabindex"] for mark in marks].count("0"), 1)
                self.assertTrue(all(mark.attributes["aria-label"] for mark in marks))
                rows = rows_of(frontier.tags("table")[0])
                self.assertEqual([float(row[3].attributes["data-value"]) for row in rows], [plan["kld"] for plan in plans])
                self.assertEqual(sum("chosen" in row[5].text() for row in rows), 1)

    def test_sensitivity_is_the_record(self):
        found = self.record("knapsack", "study")["increments"]
        rows = rows_of(self.page("knapsack").id("sensitivity").tags("table")[0])
        self.assertEqual([[float(cell.attributes["data-value"]) for cell in row[1:]] for row in rows], [list(pair) for pair in zip(found["k"], found["v"])])
        layers = self.record("paper", "sensitivity.json")["layers"]
        section = self.page("paper").id("sensitivity")
        rows = rows_of(section.tags("table")[0])
        self.assertEqual([[float(cell.attributes["data-value"]) for cell in row[1:]] for row in rows], [layer["e_o"] for layer in layers])
        self.assertEqual(len(rows_of(section.tags("table")[1])), len(self.record("paper", "study")["groups"]))

    def test_plan_and_memory_are_those_of_plan_show(self):
        for method in METHODS:
            with self.subTest(method):
                dom, plan = self.page(method), self.record(method, "plan.json")
                rows = rows_of(dom.id("plan").tags("table")[0])
                self.assertEqual([[row[3].text(), row[4].text()] for row in rows], [[layer["k"], layer["v"]] for layer in plan["layers"]])
                for row in rows_of(dom.id("memory").tags("table")[0]):
                    cells, f16, q8_0, q4_0, own = (int(cell.attributes["data-value"]) for cell in row)
                    shown = json.loads(kvtuner("plan", "show", self.root / method / "plan.json", "-c", cells, "--json").stdout)
                    self.assertEqual((own, f16), (shown["bytes"], shown["bytes_f16"]))
                    self.assertEqual((q8_0 / f16, q4_0 / f16), (8.5 / 16, 4.5 / 16))

    def test_speeds_are_the_record(self):
        dom, bench = self.page("knapsack"), self.record("knapsack", "bench.json")
        rows = rows_of(dom.id("speed-table").tags("table")[0])
        self.assertEqual(len(rows), 6)
        for row, measured in zip(rows, bench["rows"], strict=True):
            self.assertEqual((row[0].attributes["data-value"], row[1].text()), (str(measured["depth"]), measured["plan"]))
            self.assertEqual(int(row[2].attributes["data-value"]), measured["kv_bytes"])
            speeds = [measured[kind][name] for kind in ("generation", "prefill") for name in ("median", "min", "max", "ratio_to_f16")]
            for cell, value in zip(row[3:], speeds, strict=True):
                self.assert_shown(cell, value)
        marks = marks_of(dom.id("speed"))
        self.assertEqual(len(marks), len(rows))
        self.assertIn(f"--plan {self.root / 'knapsack' / 'plan.json'} --plan kivi:KV4 --depth 0,256 --reps 2", dom.id("commands").text())
        with self.assertRaises(StopIteration):
            self.page("paper").id("speed")  # no bench was run there

    def test_errors_by_position_are_the_record(self):
        dom, lengths = self.page("knapsack"), self.record("knapsack", "eval_kld.json")
        rows = rows_of(dom.id("positions-table").tags("table")[0])
        wanted = [(length["settings"]["n_ctx"], plan["name"], part) for length in lengths for plan in length["plans"] for part in plan["by_position"]]
        self.assertEqual(len(rows), len(wanted))
        for row, (n_ctx, name, part) in zip(rows, wanted, strict=True):
            self.assertEqual((row[0].attributes["data-value"], row[1].text()), (str(n_ctx), name))
            self.assertEqual((row[2].attributes["data-value"], row[3].attributes["data-value"]), (str(part["first"]), str(part["last"])))
            self.assert_shown(row[4], part["kld"])
            self.assert_shown(row[5], part["same_top_1"], 100)
        marks = marks_of(dom.id("positions"))
        self.assertEqual(len(marks), 2 * len(lengths[0]["plans"][0]["by_position"]))

    def test_switches_sorting_and_keys(self):
        """What a reader does, done by a script at the end of the page: payload bits, held-out text, sort by KLD, End, theme."""
        self.page("knapsack")
        acts = """
          document.querySelector("input[value=payload_bits]").click();
          document.querySelector("input[value=held_out]").click();
          document.querySelector("#held-out-table th:nth-child(4) button").click();
          const first = document.querySelector("#frontier svg.chart .mark[tabindex='0']");
          first.focus();
          first.dispatchEvent(new KeyboardEvent("keydown", {key: "End"}));
          document.getElementById("theme").click();
          document.getElementById("theme").click();"""
        page = self.root / "knapsack" / "acted.html"
        page.write_text((self.root / "knapsack" / "report.html").read_text().replace("</body>", f"<script>{acts}</script></body>"))
        dom, console = opened(page)
        self.assertEqual(console, [])
        plans = self.record("knapsack", "held_out.json")["plans"]
        chart = next(dom.id("frontier").all(lambda node: node.attributes.get("class") == "chart"))
        self.assertIn("payload bits per element", chart.text())
        marks = marks_of(chart)
        self.assertEqual(len(marks), len(plans))
        focused = [mark for mark in marks if mark.attributes["tabindex"] == "0"]
        self.assertEqual(len(focused), 1)
        self.assertIn(f"{max(plan['payload_bits'] for plan in plans):.3f} payload bits", focused[0].attributes["aria-label"])
        self.assertEqual(dom.id("tooltip").text(), focused[0].attributes["aria-label"].replace("; ", ""))
        rows = rows_of(dom.id("held-out-table").tags("table")[0])
        self.assertEqual([float(row[3].attributes["data-value"]) for row in rows], sorted(plan["kld"] for plan in plans))
        self.assertEqual(dom.tags("html")[0].attributes["data-theme"], "dark")

    def test_nothing_is_fetched(self):
        dom = self.page("knapsack")
        links = [value for node in dom.all(lambda node: True) for name, value in node.attributes.items() if name in ("src", "href", "xlink:href", "action")]
        self.assertGreater(len(links), 5)
        self.assertEqual([link for link in links if not link.startswith(("#", "data:"))], [])
        self.assertLess((self.root / "knapsack" / "report.html").stat().st_size, 2 << 20)

    def test_name_of_markup_stays_text(self):
        if CHROMIUM is None:
            self.skipTest(NO_CHROMIUM)
        name = "</script><script>console.error('out')</script><b>\"'& {{data}}"
        folder = self.root / "markup"
        folder.mkdir()
        for file in ("study.json", "held_out.json", "plan.json"):  # a folder of an earlier kvtuner: the study is JSON
            record = self.record("knapsack", "study" if file == "study.json" else file)
            record["model"]["name"] = name
            (folder / file).write_text(json.dumps(record))
        self.report(folder)
        dom, console = opened(folder / "report.html")
        self.assertEqual(console, [])
        self.assertEqual(dom.tags("h1")[0].text(), name)
        self.assertEqual(len(dom.tags("script")), 3)

    def test_unfinished_study_alone(self):
        folder = self.root / "unfinished"
        folder.mkdir()
        study = self.record("paper", "study")
        study["complete"] = False
        (folder / "study.json").write_text(json.dumps(study))
        self.report(folder)
        if CHROMIUM is None:
            self.skipTest(NO_CHROMIUM)
        dom, console = opened(folder / "report.html")
        self.assertEqual(console, [])
        self.assertIn("not finished", dom.id("main").text())
        self.assertEqual(len(list(dom.all(lambda node: node.attributes.get("id") == "held-out"))), 0)

    def test_markdown_and_csv(self):
        out = self.root / "out"
        said = self.report(self.root / "knapsack", "-o", self.root / "other.html", "--markdown", self.root / "r.md", "--csv", out)
        self.assertEqual(sorted(path.name for path in out.iterdir()), ["bench.csv", "evaluations.csv", "held_out.csv", "increments.csv", "memory.csv", "plan.csv", "positions.csv"])
        self.assertIn(f"wrote {out / 'plan.csv'}", said)
        self.assertTrue((self.root / "other.html").is_file())
        self.assertIn("## Frontier", (self.root / "r.md").read_text())
        with open(out / "held_out.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        plans = self.record("knapsack", "held_out.json")["plans"]
        for row, plan in zip(rows, plans, strict=True):
            self.assertEqual(row["pairs"].split(), plan["pairs"])
            for name in ("payload_bits", "effective_bits", "kld", "kld_ci_low", "kld_ci_high", "p999", "same_top", "vs_tuned", "vs_tuned_low", "vs_tuned_high"):
                self.assertEqual(float(row[name]) if row[name] else None, plan[name], name)

    def test_folder_without_results(self):
        done = kvtuner("report", self.root)
        self.assertEqual(done.returncode, 1)
        self.assertIn("study.sqlite does not exist: give the folder that kvtuner tune -o wrote", done.stderr)


if __name__ == "__main__":
    unittest.main()
