"""The fenced blocks of our Markdown pages, and the commands in them."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[3]
PAGES = [ROOT / "README.md", ROOT / "docs" / "formats" / "exports.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]
LANGUAGES = {"sh", "console", "text", "json", "yaml", "python"}  # sh and console hold commands


class Block:
    def __init__(self, page, line, language, text):
        self.page, self.line, self.language, self.text = page.relative_to(ROOT).as_posix(), line, language, text

    @property
    def where(self):
        return f"{self.page}:{self.line}"


def blocks(page):
    """All fenced blocks of a page. An untagged fence has the language ""."""
    found, start, language, lines = [], None, "", []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = re.match(r"```(\S*)$", line.strip())
        if fence and start is None:
            start, language, lines = number, fence[1], []
        elif fence:
            found.append(Block(page, start, language, "\n".join(lines)))
            start = None
        elif start is not None:
            lines.append(line)
    assert start is None, f"{page}:{start}: the block never ends"
    return found


def commands(block):
    """The commands of a sh block: continued lines joined, comments and empty lines left out."""
    joined = re.sub(r"\\\n\s*", "", block.text)
    return [line.rstrip() for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def sessions(block):
    """(command, output) of every "$ command" in a console block."""
    found = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found:
            found[-1][1].append(line)
    return [(command, "\n".join(lines)) for command, lines in found]
