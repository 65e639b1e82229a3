"""What the tests of the report share: runs of kvtuner on the tiny model, and the page as nodes after a browser ran its scripts.

Paths come from the environment (set by CMake): KVT_TEST_PROGRAM, KVT_TEST_MODEL.
"""
import html.parser
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

PROGRAM = os.environ["KVT_TEST_PROGRAM"]
MODEL = os.environ["KVT_TEST_MODEL"]
CORPUS = str(pathlib.Path(MODEL).parent / "selfgen-corpus.txt")
CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
NO_CHROMIUM = "no Chromium on this machine, so no page was opened: apt-get install chromium"
TUNE = ["-m", MODEL, "--text", CORPUS, "--check-text", CORPUS, "-c", "64", "--chunks", "1", "--check-chunks", "8", "-t", "2"]
METHODS = {
    "knapsack": ["--calibration-text", CORPUS, "--calibration-tokens", "256", "--positions", "2048"],
    "paper": ["--method", "paper", "--prompts", "1", "--generate", "4", "--population", "8", "--generations", "1"],
}
VOID = {"meta", "link", "br", "img", "input", "hr"}


def kvtuner(*arguments):
    env = {key: value for key, value in os.environ.items() if not key.startswith(("KVT_", "GGML_"))}
    return subprocess.run([PROGRAM, *map(str, arguments)], env=env, capture_output=True, text=True, timeout=300)


class Node:
    def __init__(self, tag, attributes, parent):
        self.tag, self.attributes, self.parent, self.children = tag, dict(attributes), parent, []

    def all(self, wanted):
        for child in self.children:
            if isinstance(child, Node):
                if wanted(child):
                    yield child
                yield from child.all(wanted)

    def tags(self, tag):
        return list(self.all(lambda node: node.tag == tag))

    def id(self, name):
        return next(self.all(lambda node: node.attributes.get("id") == name))

    def text(self):
        return "".join(child if isinstance(child, str) else child.text() for child in self.children)


class Tree(html.parser.HTMLParser):
    """The page as nodes; Chromium prints every end tag."""

    def __init__(self, text):
        super().__init__()
        self.root = self.now = Node("", {}, None)
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        node = Node(tag, attributes, self.now)
        self.now.children.append(node)
        if tag not in VOID:
            self.now = node

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.now.tag == tag, f"<{self.now.tag}> ends as </{tag}>"
            self.now = self.now.parent

    def handle_data(self, data):
        self.now.children.append(data)


def opened(page):
    """The page after its scripts ran, and what they said on the console."""
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={profile}", "--enable-logging=stderr",
             "--virtual-time-budget=5000", "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120)
    return Tree(done.stdout).root, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def rows_of(table):
    return [[cell for cell in row.children if isinstance(cell, Node)] for row in table.tags("tbody")[0].tags("tr")]


def marks_of(node):
    """The marks of charts that the keyboard reaches."""
    return list(node.all(lambda part: "mark" in part.attributes.get("class", "").split()))


class ReportCase(unittest.TestCase):
    def report(self, folder, *options):
        done = kvtuner("report", folder, *options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def open_page(self, folder):
        """The page of the folder, written anew."""
        if CHROMIUM is None:
            self.skipTest(NO_CHROMIUM)
        self.report(folder)
        dom, console = opened(folder / "report.html")
        self.assertEqual(console, [])
        return dom

    def assert_shown(self, cell, value, scale=1):
        """The cell carries the record's value in full, and its text is that value rounded."""
        if value is None:
            self.assertEqual((cell.attributes.get("data-value"), cell.text()), (None, "-"))
            return
        self.assertEqual(float(cell.attributes["data-value"]), value)
        text = cell.text()
        if "e" in text:
            self.assertAlmostEqual(float(text) / value, 1, delta=0.051)
        else:
            digits = len(text.partition(".")[2])
            self.assertGreaterEqual(digits, 1, text)
            self.assertAlmostEqual(float(text), value * scale, delta=0.501 * 10 ** -digits)
