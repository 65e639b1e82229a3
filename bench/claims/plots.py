"""Plots of the tables; none, in words, where matplotlib is missing."""
import sys

try:
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
except ImportError:
    plt = None

MARKS = "osD^vPX*<>"


def draw(path, series, title, x, y, floor=None, log_x=False):
    """Lines of (x, y) by name, y logarithmic. Returns the file's name, or None."""
    if plt is None:
        print(f"reproduce: matplotlib is missing: no {path.name}", file=sys.stderr)
        return None
    figure, axis = plt.subplots(figsize=(8.5, 5.5))
    for mark, (name, points) in zip(MARKS, series.items()):
        points = sorted(points)
        axis.plot([p[0] for p in points], [p[1] for p in points], mark + "-", label=name, markersize=5, linewidth=1.2)
    if floor is not None:
        axis.axhline(floor, color="k", linestyle="--", linewidth=1, label="noise floor")
    axis.set(title=title, xlabel=x, ylabel=y, yscale="log")
    if log_x:
        axis.set_xscale("symlog", base=2, linthresh=1024)
    axis.legend(fontsize=8)
    axis.grid(True, which="both", alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path.name
