"""docs/guide/troubleshooting.md and the messages of the program agree, in both directions.

Every message that the page quotes is one that the source holds, and every message of the plugin and every advice of kvtuner doctor has its row.
"""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "guide" / "troubleshooting.md"
SOURCE = ROOT / "src" / "kvt"
SPOKEN = ("Error{", "fail(", "fail_once(", "pending_refusal =", "why_unusable =", "kTransposed =", "kLatent =")  # of the plugin
SHORT = 15  # characters; shorter pieces between placeholders prove nothing


def literals(path):
    """(what stands before it, the text) of every C++ string literal; neighbours are one literal."""
    text = re.sub(r"//[^\n]*", "", path.read_text())
    found = []
    for match in re.finditer(r'(?:"(?:[^"\\\n]|\\.)*"\s*)+', text):
        pieces = re.findall(r'"((?:[^"\\\n]|\\.)*)"', match[0])
        value = "".join(pieces).replace('\\"', '"').replace("\\n", "\n").replace("{{", "{").replace("}}", "}")
        found.append((text[max(0, match.start() - 120):match.start()], value))
    return found


def quoted():
    """The messages in the first column of the page's tables, as lists of their constant parts."""
    messages = []
    for row in re.findall(r"(?m)^\| (.*?) \| .* \|$", PAGE.read_text()):
        for message in re.findall(r"`([^`]+)`", row):
            messages.append([part.strip() for part in message.split("...") if part.strip()])
    return messages


def parts_of(literal):
    return [part for part in re.split(r"\{[^{}]*\}", literal) if len(part.strip()) >= SHORT]


class Messages(unittest.TestCase):
    def test_quoted_messages_are_in_the_source(self):
        texts = [value for path in sorted(SOURCE.rglob("*")) if path.suffix in (".cc", ".h") for _, value in literals(path)]
        found = quoted()
        self.assertGreater(len(found), 40)
        for parts in found:
            with self.subTest(parts):
                self.assertTrue(any(all(part in text for part in parts) for text in texts), f"no message of the source holds all of {parts}")

    def assert_covered(self, paths, before):
        known = [part for parts in quoted() for part in parts]
        checked = 0
        for path in paths:
            for context, value in literals(path):
                if not any(start in context.rsplit(";", 1)[-1] for start in before) or not parts_of(value):
                    continue
                checked += 1
                with self.subTest(file=path.name, message=value):
                    self.assertTrue(any(part in value for part in known if len(part) >= SHORT), "docs/guide/troubleshooting.md does not have it")
        return checked

    def test_every_message_of_the_plugin_has_a_row(self):
        self.assertGreater(self.assert_covered(sorted((SOURCE / "ggml_plugin").glob("*.*")), SPOKEN), 20)

    def test_every_advice_of_doctor_has_a_row(self):
        """A problem has a finding and an advice; one of the two is enough to find the row by."""
        text = (SOURCE / "cli" / "doctor_checks.cc").read_text()
        known = [part for parts in quoted() for part in parts]
        problems = re.findall(r"problem\((.*?)\);", re.sub(r"//[^\n]*", "", text), re.S)
        self.assertGreater(len(problems), 10)
        for problem in problems:
            said = "".join(re.findall(r'"((?:[^"\\\n]|\\.)*)"', problem))
            if len(said) >= SHORT:
                with self.subTest(said):
                    self.assertTrue(any(part in said for part in known if len(part) >= 8), "docs/guide/troubleshooting.md does not have it")


if __name__ == "__main__":
    unittest.main()
