"""Somebody's predictions among published runs: scores, paired tests, signs of collapse, places.

`python -m pipeline.publish` writes such a folder: a folder a run with scores.json, counts.npz and
config.json, and one a floor with counts.npz. A row is a cell: the mean over its seeds. In a project
the rows are those of Table 3, by the names that they have there. No text of a published report is
needed, for the counts of each study are there, and they tell whether the references are the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from rcan.ablation.cells import CELLS, FULL, Cells, Shown, load_cells
from rcan.data.sets import TITLES
from rcan.data.sets.iu_xray_layouts import ListedStudy, problems_beside
from rcan.errors import UserError
from rcan.evaluation.finding_scores import compare_findings
from rcan.evaluation.kept_floors import FLOORS
from rcan.evaluation.labelers import LABELERS
from rcan.evaluation.protocols import PROTOCOLS
from rcan.evaluation.results import COUNTS, SCORES, is_rcan, read_counts, read_scores
from rcan.evaluation.schema import FLOOR_NAMES
from rcan.evaluation.scores import METRICS, Scores, scores_from_counts
from rcan.evaluation.statistics import holm, seed_difference
from rcan.reading import read_json
from rcan.reporting.panels import f1_of, fall_of
from rcan.reporting.ranks import first_shares
from rcan.scoring.rexrank import FILE, read_rexrank
from rcan.scoring.score_reports import RESAMPLES_A_TEST

_MAIN = "main"  # the run of a cell that others repeat with other seeds
_TABLE = "table3"
_REMEDY = "get the published folder again, e.g. by `git checkout`"
_NEEDS = (
    "data", "split", "num_studies", "references", "diagnostics.num_studies",
    "diagnostics.distinct_reports", "diagnostics.top_share", "diagnostics.copied_from_train",
)  # fmt: skip
_IF_THERE = ("protocols", "controls", "findings")


@dataclass(frozen=True)
class PublishedRow:
    """A cell, or a floor: run -> what is known of it. A floor has one, and no scores.json."""

    name: str
    shown: Shown
    counts: Mapping[str, Mapping[str, Scores]]  # by run, by protocol
    scores: Sequence[Mapping[str, Any]] = ()
    rexrank: Sequence[float] = ()
    f1: Sequence[float] = ()  # of findings, macro

    @property
    def title(self) -> str:
        return self.shown.title

    @property
    def is_floor(self) -> bool:
        return self.name in FLOOR_NAMES.values()


@dataclass(frozen=True)
class Published:
    """Rows that were scored on the same studies."""

    folder: Path
    data: str
    split: str
    num_studies: int
    references: Mapping[str, str]  # protocol -> digest
    rows: list[PublishedRow]


def read_published(folder: Path) -> Published:
    """The runs in `folder`, or in `folder`/runs. Of a project's own those of Table 3 alone: RCAN
    with another λ or τ is no other system.

    Raises:
        UserError: there is none, one is damaged, or they are not of the same studies.
    """
    inside = folder / "runs" if (folder / "runs").is_dir() else folder
    places = sorted(path.parent for path in inside.glob(f"*/{SCORES}"))
    if not places:
        raise UserError(
            f"{inside}: expected folders of published runs with {SCORES}, found none; name another,"
            " e.g. reports/iu_xray-small/runs"
        )
    scores = {
        place.name: read_scores(place / SCORES, _REMEDY, _NEEDS, _IF_THERE) for place in places
    }
    first = scores[places[0].name]
    for name, found in scores.items():
        for fact in ("data", "split", "num_studies", "references"):
            if found[fact] != first[fact]:
                raise UserError(
                    f"{inside}: expected runs on the same studies, found another {fact} of {name}"
                    f" than of {places[0].name}; name a folder of one data set and split"
                )
    rows, register, cells = [], _register(inside), _cells(places)
    listed = [cell for cell in cells if cell in register.of_table(_TABLE)]
    for cell, runs in [(cell, cells[cell]) for cell in listed or cells]:
        told = [read for run in runs if (read := _rexrank(run)) is not None]
        counts = {run.name: read_counts(run, scores[run.name]) for run in runs}
        own = [scores[run.name] for run in runs]
        shown = register.show(cell)
        rows.append(PublishedRow(cell, shown, counts, own, told, _f1(own, "model")))
    for floor in FLOORS:
        if (place := inside / floor).joinpath(COUNTS).is_file():
            told = [read] if (read := _rexrank(place)) is not None else []
            name = FLOOR_NAMES[floor]
            f1 = _f1([first], floor)
            counts = {name: read_counts(place, first)}
            rows.append(PublishedRow(name, Shown(name), counts, (), told, f1))
    facts = {key: first[key] for key in ("data", "split", "num_studies", "references")}
    return Published(inside, **facts, rows=rows)


def _register(folder: Path) -> Cells:
    """That of the project which the folder lies in; outside one, an empty one."""
    places = [parent / CELLS for parent in folder.resolve().parents]
    return next((load_cells(path) for path in places if path.is_file()), Cells((), (), ()))


def _cells(places: Sequence[Path]) -> dict[str, list[Path]]:
    """Cell -> its runs, by their names; the run `main` joins the cell of its settings.

    Where no cell has them and none is called RCAN, a `main` with all three modules is RCAN's.
    """
    found: dict[str, list[Path]] = {}
    for place in places:
        cell, _, seed = place.name.rpartition("-")
        found.setdefault(cell if cell and seed.isdecimal() else place.name, []).append(place)
    if _MAIN in found:
        own = _settings(found[_MAIN][0])
        same = [cell for cell in found if cell != _MAIN and _settings(found[cell][0]) == own]
        model = own.get("model", {"family": None})
        modules = [model.get(f"use_{name}") for name in ("rve", "cgm", "wcl")]
        if not same and FULL not in found and is_rcan(model) and all(modules):
            same = [FULL]
        if own and same:
            found[same[0]] = [*found.pop(_MAIN), *found.get(same[0], [])]
    return found


def _settings(place: Path) -> dict[str, Any]:
    """All but the seed."""
    path = place / "config.json"
    held = read_json(path, dict, "settings", _REMEDY) if path.is_file() else {}
    train = held.get("train")
    return {**held, "train": {**train, "seed": 0}} if isinstance(train, dict) else held


def _f1(scores: Sequence[Mapping[str, Any]], writer: str) -> list[float]:
    """As far as findings were compared, and it is not 0 / 0."""
    values = [f1_of(of, writer).get("score") for of in scores]
    return [value for value in values if value is not None]


def _rexrank(place: Path) -> float | None:
    path = place / FILE
    return read_rexrank(path, _REMEDY)["score"] if path.is_file() else None


def shared_protocols(mine: Mapping[str, Scores], published: Published, source: Path) -> list[str]:
    """The protocols under which the references are the same ones, in the same order.

    Raises:
        UserError: there is none.
    """
    same = [
        protocol
        for protocol in PROTOCOLS
        if protocol in mine and mine[protocol].references == published.references.get(protocol)
    ]
    if not same:
        num = len(next(iter(mine.values())))
        raise UserError(
            f"{source}: expected the references of {published.folder},"
            f" {published.num_studies} studies of split {published.split} of"
            f" {TITLES.get(published.data, published.data)} in R2Gen's order, found {num} studies"
            " with other references or in another order; give that split of R2Gen's"
            " annotation.json"
        )
    return same


def place_among(
    mine: Mapping[str, Scores], published: Published, *, resamples: int, seed: int
) -> dict[str, Any]:
    """Where scores, protocol -> of one model, stand among the published rows.

    Returns:
        `rows`: row -> `title`, `runs`, `scores` (protocol -> metric -> of each run), `floor`, and
        what scores.json tells of collapse and findings, each a list over runs; `minus`: protocol ->
        row -> metric -> mine minus the row, with `low`, `high`, `p` and `p_holm`, corrected for all
        rows and metrics of the protocol; `places`: protocol -> metric -> `place` of each row, best
        first, and of mine under "" (equals share it), and `first`, the share of draws in which each
        is first; `same_counts`: run -> in how many studies its counts are mine.
    """
    rows = {row.name: row for row in published.rows}
    result: dict[str, Any] = {
        "folder": str(published.folder),
        "data": published.data,
        "split": published.split,
        "rows": {name: _told(row, list(mine)) for name, row in rows.items()},
        "minus": {},
        "places": {},
    }
    alike: dict[str, list[int]] = {}
    for protocol, own in mine.items():
        rivals = {
            name: [_as_known(of[protocol], own) for of in row.counts.values()]
            for name, row in rows.items()
        }
        tests = [(name, metric) for name in rivals for metric in own.corpus]
        enough = max(resamples, RESAMPLES_A_TEST * len(tests))
        minus = {
            name: seed_difference([own] * len(runs), runs, resamples=enough, seed=seed)
            for name, runs in rivals.items()
        }
        ps = holm([minus[name][metric]["p"] for name, metric in tests])
        for (name, metric), p in zip(tests, ps, strict=True):
            minus[name][metric]["p_holm"] = p
        result["minus"][protocol] = minus
        result["places"][protocol] = _places({"": [own], **rivals}, resamples=resamples, seed=seed)
        for name, row in rows.items():
            for run, scores in zip(row.counts, rivals[name], strict=True):
                alike.setdefault(run, []).append(_same(own, scores))
    result["same_counts"] = {run: min(found) for run, found in alike.items()}
    return result


def _told(row: PublishedRow, protocols: Sequence[str]) -> dict[str, Any]:
    found = [of["diagnostics"] for of in row.scores]
    return {
        "floor": row.is_floor,
        "title": row.title,
        "runs": list(row.counts),
        "scores": {
            protocol: {
                metric: [of[protocol].corpus[metric] for of in row.counts.values()]
                for metric in METRICS
            }
            for protocol in protocols
        },
        "rexrank": list(row.rexrank),
        **{
            key: [of[key] for of in found]
            for key in ("distinct_reports", "top_share", "copied_from_train")
        },
        "finding_f1": list(row.f1),
        "fall": {
            protocol: [fall["score"] for of in row.scores if (fall := fall_of(of, protocol))]
            for protocol in protocols
        },
    }


def _as_known(scores: Scores, mine: Scores) -> Scores:
    """Without METEOR, where mine has none."""
    if mine.meteor_counts is not None:
        return scores
    rouge = scores.studies["ROUGE-L"]
    return scores_from_counts(scores.bleu_counts, rouge, None, scores.references)


def _same(mine: Scores, other: Scores) -> int:
    alike = (mine.bleu_counts == other.bleu_counts).all(axis=1)
    return int((alike & (mine.studies["ROUGE-L"] == other.studies["ROUGE-L"])).sum())


def _places(systems: Mapping[str, Sequence[Scores]], **options: int) -> dict[str, dict[str, Any]]:
    found = {}
    for metric in systems[""][0].corpus:
        means = {n: fmean(run.corpus[metric] for run in runs) for n, runs in systems.items()}
        order = sorted(means, key=lambda name: (-round(means[name], 9), name))
        found[metric] = {
            "place": {n: 1 + sum(m > means[n] + 1e-12 for m in means.values()) for n in order},
            "first": first_shares(systems, metric, **options),
        }
    return found


def finding_scores(
    predictions: Sequence[str], ids: Sequence[str], folder: Path, data: str, *,
    resamples: int, seed: int,
) -> dict[str, Any] | None:  # fmt: skip
    """Findings that cleaned predictions tell of against the labels in Kaggle's indiana_reports.csv
    in `folder` (see `compare_findings`); None where there is no such file or no labeled study."""
    labeler = LABELERS.get(data)
    if data != "iu_xray" or labeler is None:
        return None
    problems = problems_beside(folder)
    labels = [problems.get(ListedStudy(name, "", (), ()).number) for name in ids]
    return compare_findings(labeler, {"model": predictions}, labels, resamples=resamples, seed=seed)
