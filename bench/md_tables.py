"""Tables in Markdown."""


def table(rows, left=None):
    """Lines of a table of rows (dicts of equal keys, values as text); columns in `left` begin at the left, the first one where it is not given."""
    head = list(rows[0])
    left = head[:1] if left is None else left
    rules = ("---" if h in left else "---:" for h in head)
    return ["| " + " | ".join(cells) + " |" for cells in (head, rules, *([row[h] for h in head] for row in rows))]


def section(title, rows, note):
    """A heading, a sentence and a table."""
    return "\n".join([f"## {title}", "", note, "", *table(rows)]) + "\n"
