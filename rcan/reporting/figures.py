"""Figures of training and of scores. Equal input gives an equal file, byte for byte.

Colours are Okabe and Ito's, which the colour-blind tell apart; marks differ in shape as well.
"""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rcan.evaluation.protocols import PROTOCOLS
from rcan.files import replacing
from rcan.reporting.published import METRICS, RCAN_SOURCE, rcan_row

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

BLUE, VERMILLION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
INK, FAINT = "#333333", "#8A8A8A"

STYLE: dict[RcKeyType, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it is the same everywhere
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "text.parse_math": False,  # a dollar is a dollar
    "text.hinting": "none",  # words keep the width they are measured by
    "svg.hashsalt": "rcan",
    "svg.fonttype": "path",
}


# history.csv's column -> what its axis is called, colour; another loss goes by its column's name.
_LOSSES = {"loss_ce": ("cross-entropy", BLUE), "loss_wcl": ("contrastive loss", VERMILLION)}


@contextmanager
def style() -> Iterator[None]:
    """The one look of all figures, whatever the user's own matplotlib settings say."""
    look: Any = {**mpl.rcParamsDefault, **STYLE, "backend": mpl.rcParams["backend"]}
    with mpl.rc_context(look), warnings.catch_warnings():
        # A letter that the font lacks becomes a box; reports may be in any language.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def new_figure(width: float, height: float) -> Figure:
    """A figure in inches that belongs to no window and no global list."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path, *, dpi: int = 150) -> None:
    """Write a PNG or SVG whole or not at all, without a date or a version in it."""
    content = drawn(figure, path.suffix.removeprefix("."), dpi=dpi)
    with replacing(path) as beside:
        beside.write_bytes(content)


def drawn(figure: Figure, kind: str, *, dpi: int = 150) -> bytes:
    """The bytes of a figure, `kind` svg or png."""
    metadata = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}[kind]
    content = io.BytesIO()
    figure.savefig(content, format=kind, dpi=dpi, metadata=metadata)
    return content.getvalue()


def as_address(content: bytes, kind: str) -> str:
    """An address that holds the figure itself, for a page that stands alone."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def save_both(figure: Figure, out: Path, *, dpi: int = 150) -> None:
    """Write `out` (PNG) and beside it the same as SVG."""
    save_figure(figure, out, dpi=dpi)
    save_figure(figure, out.with_suffix(".svg"))


def around(value: Mapping[str, float]) -> tuple[float, float]:
    """How far the interval reaches, if there is one; a bootstrap's need not hold the score."""
    score = value["score"]
    return max(0.0, score - value.get("low", score)), max(0.0, value.get("high", score) - score)


def training_curves(
    history: Sequence[Mapping[str, str]],
    *,
    title: str,
    chosen_epoch: int,
    floor: float,
    out: Path,
) -> None:
    """Losses and validation BLEU-4 over epochs, as `out` (PNG) and beside it as SVG.

    Args:
        history: rows of history.csv.
        title: what was trained on what.
        chosen_epoch: the epoch whose weights were kept.
        floor: validation BLEU-4 of the best constant report.
    """
    others = {c: (c, GREEN) for row in history for c in row if c.startswith("loss_")}
    parts = [(c, *told) for c, told in (others | _LOSSES).items() if _curve(history, c)[0]]
    with style():
        figure = new_figure(4 + 3 * len(parts), 3.6)
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        *losses, bleu = figure.subplots(1, len(parts) + 1, width_ratios=[3] * len(parts) + [4])
        for axes, (column, label, colour) in zip(losses, parts, strict=True):
            epochs, values = _curve(history, column)
            axes.plot(epochs, values, color=colour, **_dots(epochs))
            axes.set_ylabel(f"training {label}")
            if min(values) >= 0:  # the contrastive loss, as printed, goes below
                axes.set_ylim(bottom=0)
        _draw_validation(bleu, history, chosen_epoch, floor)
        for axes in (*losses, bleu):
            axes.set_xlabel("epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
        bleu.legend(fontsize=9, loc="best")
        save_both(figure, out)


def _draw_validation(
    axes: Axes, history: Sequence[Mapping[str, str]], chosen_epoch: int, floor: float
) -> None:
    epochs, values = _curve(history, "val_BLEU-4")
    axes.plot(epochs, values, color=BLUE, **_dots(epochs))
    if chosen_epoch in epochs:
        chosen = values[epochs.index(chosen_epoch)]
        label = f"chosen: epoch {chosen_epoch}, {chosen:.3f}"
        axes.plot(chosen_epoch, chosen, "o", color=VERMILLION, ms=8, label=label)
    axes.axhline(floor, color=FAINT, ls="--", label=f"best constant report, {floor:.3f}")
    axes.set_ylabel("validation BLEU-4")
    axes.set_ylim(bottom=0)
    axes.margins(y=0.1)


def _curve(history: Sequence[Mapping[str, str]], column: str) -> tuple[list[int], list[float]]:
    """One column over epochs; a loss that was off has empty cells or no column."""
    known = [
        (int(r["epoch"]), float(r[column])) for r in history if r.get(column) not in (None, "")
    ]
    return [epoch for epoch, _ in known], [value for _, value in known]


def _dots(epochs: Sequence[int]) -> dict[str, Any]:
    """Dots while there are few points: one epoch alone draws no line."""
    return {"marker": "o", "ms": 3} if len(epochs) <= 30 else {}


def scores_figure(scores: Mapping[str, Any], out: Path) -> None:
    """The six test scores under both protocols: the model, its floors, and the paper's row.

    The published row joins under the paper's protocol only.
    """
    with style():
        figure = new_figure(10, 4.6)
        figure.suptitle(
            f"{scores['data']}, {scores['split']} split, {scores['num_studies']} studies; "
            "bars are 95 % intervals over studies",
            x=0.01,
            ha="left",
            weight="bold",
        )
        panels = figure.subplots(1, 2, sharex=True, sharey=True)
        for axes, protocol in zip(panels, PROTOCOLS, strict=True):
            _draw_scores(axes, scores, protocol)
        panels[0].set_xlim(left=0)  # once both have widened the axis they share
        handles, labels = panels[1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        save_figure(figure, out)


def _draw_scores(axes: Axes, scores: Mapping[str, Any], protocol: str) -> None:
    found = scores["protocols"][protocol]
    floors = found["floors"]
    systems = [
        (scores["model"], found["model"], BLUE, "o"),
        ("best constant report", floors["best_constant"], ORANGE, "s"),
        ("most frequent report", floors["most_frequent"], FAINT, "D"),
    ]
    published = rcan_row(scores["data"])
    rows_apart = 0.17
    middle = (len(systems) - (0 if published else 1)) / 2
    if published and protocol == "paper":
        row = {metric: {"score": score} for metric, score in published.items()}
        systems.append((RCAN_SOURCE, row, GREEN, "^"))
    for place, (label, values, colour, mark) in enumerate(systems):
        shown = [(i, values[metric]) for i, metric in enumerate(METRICS)]
        heights = [i + (place - middle) * rows_apart for i, _ in shown]
        at = [value["score"] for _, value in shown]
        reach = list(zip(*(around(value) for _, value in shown), strict=True))
        axes.errorbar(
            at, heights, xerr=reach, fmt=mark, color=colour, ms=6, elinewidth=2, label=label
        )
    axes.set_title(f"{protocol} protocol")
    axes.set_yticks(range(len(METRICS)), METRICS)
    axes.set_ylim(len(METRICS) - 0.5, -0.5)
    axes.margins(x=0.08)
    axes.set_xlabel("score")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    for edge in range(1, len(METRICS)):
        axes.axhline(edge - 0.5, color="#E4E4E4", lw=0.8)
