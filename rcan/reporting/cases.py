"""Case studies (Fig. 6): which studies are shown, and what in their reports is right or wrong.

Studies are chosen by rule: those whose labels or report name a finding, ranked by BLEU-4 of the
last column's predictions, in even steps from the best to the worst.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rcan.ablation.cells import Cells, cell_of
from rcan.data.store import Split
from rcan.errors import UserError
from rcan.evaluation.labelers import Labeler
from rcan.evaluation.results import PREDICTIONS, SCORES, read_predictions, read_scores
from rcan.reporting.case_figure import Case, Marked, Text, Verdict, cases_figure
from rcan.reporting.examples import even_ranks
from rcan.reporting.labelled_split import LabelledSplit
from rcan.reporting.mentions import Mention, label_of, mentions
from rcan.reporting.names import data_name
from rcan.reporting.templates import markdown_page

NUM_CASES = 4
NUM_VIEWS = 2

Rows = Sequence[Mapping[str, str]]  # of predictions.csv


def rows_of(evaluation: Path, split: Split, digest: str) -> Rows:
    """The rows of an evaluation's predictions.csv, one for each study of `split`, in its order.

    Raises `UserError` when they are of other data than that of `digest`.
    """
    remedy = "run its evaluation again"
    told = read_scores(evaluation / SCORES, remedy, ["data_digest"])
    path = evaluation / PREDICTIONS
    rows = read_predictions(path)
    of = {row["id"]: row for row in rows}
    same = of.keys() == {study.id for study in split.studies} and len(of) == len(rows)
    if told["data_digest"] != digest or not same:
        raise UserError(
            f"{path}: expected one prediction for each study of the processed {split.name} split, "
            f"found those of other data; {remedy}"
        )
    return [of[study.id] for study in split.studies]


def clear(out: Path) -> None:
    """Remove what an earlier run drew of Figs. 4 and 6."""
    for stale in (out / f"fig{n}.{kind}" for n in (4, 6) for kind in ("png", "svg")):
        stale.unlink(missing_ok=True)


def cases_page(
    name: str, shown: Mapping[str, Sequence[str]], missing: Sequence[str], *,
    restricted: bool, known: bool,
) -> str:  # fmt: skip
    """cases.md: what Figs. 4 and 6 show, by which rule it was chosen, or why it is not shown.

    `shown`: figure -> the runs that it shows, none where nothing is drawn; `known`: whether there
    is a labeler for the data set.
    """
    page = markdown_page(
        "cases", data_name=data_name(name), shown=shown, missing=missing, restricted=restricted,
        known=known,
    )  # fmt: skip
    return page.rstrip() + "\n"


def draw_cases(
    labelled: LabelledSplit, rows: Mapping[str, Rows], cells: Cells, out: Path
) -> list[str]:
    """Draw Fig. 6, a column a cell that the register gives it, of its first run; `rows` by run. The
    runs that it shows; none if no run or no finding is there, and nothing is drawn."""
    first: dict[str, str] = {}
    for run in rows:
        first.setdefault(cell_of(run), run)
    shown = [first[cell] for cell in cells.of_figure("fig6") if cell in first]
    cases = _cases(labelled, [rows[run] for run in shown])
    if cases:
        title = (
            f"{data_name(labelled.data_name)}, {labelled.split.name} split: references and reports"
        )
        columns = ["Reference", *(cells.show(cell_of(run)).title for run in shown)]
        cases_figure(cases, columns, title, out)
    return shown if cases else []


def _cases(labelled: LabelledSplit, columns: Sequence[Rows]) -> list[Case]:
    with_finding = [index for index, there in enumerate(labelled.truths) if there]
    if not columns or not with_finding:
        return []
    ranked = sorted(with_finding, key=lambda index: -float(columns[-1][index]["BLEU-4"]))
    cases = []
    for rank in even_ranks(NUM_CASES, len(ranked)):
        index = ranked[rank]
        which = f"{rank + 1} of {len(ranked)} studies with a finding"
        predictions = [rows[index]["prediction"] for rows in columns]
        cases.append(_case(labelled, index, predictions, which))
    return cases


def _case(labelled: LabelledSplit, index: int, predictions: Sequence[str], which: str) -> Case:
    study, there, labeler = labelled.split.studies[index], labelled.truths[index], labelled.labeler
    found = {text: mentions(text, labeler) for text in (study.text, *predictions)}
    said = [mention.finding for text in (study.text, *predictions) for mention in found[text]]
    present = [finding for finding in labeler.findings if label_of(finding, there, labeler)]
    numbers = {finding: n for n, finding in enumerate(dict.fromkeys([*said, *present]))}

    def left_out(text: str) -> str:
        named = {mention.finding for mention in found[text]}
        left = [finding for finding in numbers if finding in present and finding not in named]
        return ", ".join(f"{numbers[each] + 1} {each.replace('_', ' ')}" for each in left)

    unsaid = left_out(study.text)
    own = [Marked(m.start, m.end, numbers[m.finding]) for m in found[study.text]]
    texts = [
        Text(study.text.split(), own, f"Labelled, not in the report: {unsaid}" if unsaid else "")
    ]
    for text in predictions:
        marked = [
            Marked(m.start, m.end, numbers[m.finding], verdict(m, there, labeler))
            for m in found[text]
        ]
        missed = left_out(text)
        below = f"Not named: {missed}" if missed else "All findings are named."
        texts.append(Text(text.split(), marked, below))
    views = study.views[:NUM_VIEWS]
    return Case(
        heading=f"{which} · {study.id}",
        images=[np.array(labelled.split.images[view.row]) for view in views],
        captions=[view.projection or "view" for view in views],
        findings=[_name(finding, there, labeler) for finding in numbers],
        texts=texts,
    )


def verdict(mention: Mention, there: frozenset[str], labeler: Labeler) -> Verdict:
    """Whether what a report says is there: all of it, but for an attribute, or not at all."""
    if mention.label in there:
        return "right"
    return "other" if label_of(mention.finding, there, labeler) else "wrong"


def _name(finding: str, there: frozenset[str], labeler: Labeler) -> str:
    """A finding as the figure's legend calls it: `pleural effusion: left, small`."""
    name, *attributes = (label_of(finding, there, labeler) or finding).split("/")
    words = name.replace("_", " ")
    return f"{words}: {', '.join(attributes)}" if attributes else words
