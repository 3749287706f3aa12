"""One picture of what matters: how many times faster, or smaller, with the range over rounds."""

import statistics
from pathlib import Path

from benchmarks.tables import read

SHOWN = {  # measurement -> the starts of what is drawn, and how it is called
    "decoding": {
        "features to reports": "features → reports",
        "images to reports": "images → reports",
    },
    "training": {
        "training step, kept features": "training step, frozen CNN",
        "training step, ResNet-101": "training step, whole",
        "peak memory of that step": "peak memory of a step",
    },
    "captioners": {
        "updown, width 512: features to reports": "Up-Down: features → reports",
        "updown, width 1,000: a training step": "Up-Down: training step, frozen CNN",
    },
    "images": {
        "images to the model: JPEG": "JPEG images → model",
        "images to the model: PNG": "PNG images → model",
    },
    "scoring": {"six scores": "six scores + bootstrap"},
}
INK, BAR, GOAL = "#222222", "#0072B2", "#D55E00"  # told apart by the colour-blind, too


def draw(out: Path) -> None:
    """Write `benchmarks.png` from the results in `out`, if there are any to draw."""
    rows = []
    for name, content in read(out).items():
        for start, label in SHOWN.get(name, {}).items():
            rows += [
                (label, row)
                for row in content["results"]
                if row["what"].startswith(start) and row["ratios"]
            ]
    if not rows:
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 0.9 + 0.52 * len(rows)), dpi=150, layout="constrained")
    axes = figure.subplots()
    for place, (_, row) in enumerate(rows):
        ratios = row["ratios"]
        middle = statistics.median(ratios)
        axes.barh(place, middle - 1, left=1, color=BAR, height=0.6)
        if len(ratios) > 1:
            axes.plot([min(ratios), max(ratios)], [place, place], color=INK, linewidth=1.2)
        said = f"{middle:,.0f}×" if middle >= 10 else f"{middle:.1f}×"
        axes.annotate(
            said, (max(*ratios, row["target"] or 0, middle), place),
            xytext=(6, 0), textcoords="offset points", va="center", color=INK,
        )  # fmt: skip
        if row["target"]:
            axes.plot([row["target"]] * 2, [place - 0.38, place + 0.38], color=GOAL, linewidth=2)
    axes.plot([], [], color=GOAL, linewidth=2, label="target")
    axes.plot([], [], color=INK, linewidth=1.2, label="range over rounds")
    labels = [f"{label}\nagainst {_short(row['against'])}" for label, row in rows]
    axes.set_yticks(range(len(rows)), labels)
    axes.invert_yaxis()
    axes.set_xscale("log")
    worst = min(ratio for _, row in rows for ratio in row["ratios"])
    axes.set_xlim(min(1, worst * 0.9), axes.get_xlim()[1] * 4)
    axes.axvline(1, color=INK, linewidth=0.8)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}×")
    axes.set_xlabel("times better than the other side, same work in the same run (log scale)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="center right", frameon=False)
    figure.savefig(out / "benchmarks.png", metadata={"Software": None})


def _short(against: str) -> str:
    return against.split(",")[0]
