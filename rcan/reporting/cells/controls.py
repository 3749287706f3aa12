"""What overlap scores cannot see, a row a cell: do reports depend on the images, do they vary, are
they copied, do they name what is there, and how do they fare where training holds no copy?
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any

from rcan.ablation.cells import FULL, cell_of
from rcan.evaluation.schema import FLOOR_NAMES, GROUPS
from rcan.reporting.cells.runs import Model, Run
from rcan.reporting.cells.study import CONSTANT, Ablations
from rcan.scoring.rexrank import NAME
from rcan.table import (
    NONE,
    Row,
    Section,
    Table,
    Value,
    interval,
    mean_of,
    measured,
    number,
    percent,
)

PROTOCOL = "strict"
_SEVERAL = (
    "One seed: with its 95 % interval over studies; several: their mean ± standard deviation, and "
    "the mean of the seeds' own intervals."
)
_OF_REXRANK = (
    f" {NAME}: the mean of each study's BLEU-2 on texts as they are given, which its table of "
    "findings on IU X-ray ranks by; docs/scoring.md has systems of it."
)
_GROUP_NAMES = {
    "in_train": "report in train",
    "not_in_train": "not in train",
    "normal": "normal",
    "abnormal": "abnormal",
}


def _f1(scores: Mapping[str, Any], writer: str, kind: str) -> Any:
    return scores["findings"][writer][kind]["f1"] if "findings" in scores else None


# Head of the column -> its name for programs, and what stands in it.
_COLUMNS: dict[str, tuple[str, Callable[[Mapping[str, Any]], Any]]] = {
    "BLEU-4": ("BLEU-4", lambda s: s["protocols"][PROTOCOL]["model"]["BLEU-4"]),
    "BLEU-4, other images": (
        "BLEU-4, other images",
        lambda s: s["controls"]["image_swap"][PROTOCOL]["model"]["BLEU-4"],
    ),
    "fall": ("fall", lambda s: s["controls"]["image_swap"][PROTOCOL]["fall"]["BLEU-4"]),
    "different reports": ("distinct reports", lambda s: s["diagnostics"]["distinct_reports"]),
    "commonest": ("top share", lambda s: s["diagnostics"]["top_share"]),
    "copied from train": ("copied from train", lambda s: s["diagnostics"]["copied_from_train"]),
    "finding F1, macro": ("F1 macro", lambda s: _f1(s, "model", "macro")),
    "finding F1, micro": ("F1 micro", lambda s: _f1(s, "model", "micro")),
    "F1 micro, other images": (
        "F1 micro, other images",
        lambda s: _f1(s, "image_swap", "micro"),
    ),
}


def controls_table(ablations: Ablations) -> Section:
    """Every planned cell; what points to another is told in its row."""
    cells = [cell for cell in ablations.cells.shown if cell in ablations.models]
    cells += [cell for cell in ablations.models if cell not in cells]
    runs = [run for cell in cells for run in ablations.model(cell).runs]
    notes = []
    for result in ablations.results[:1]:
        notes = ["No study of these data has labels, so no finding can be counted."]
        if found := result.scores.get("findings"):
            notes = [f"Findings are read from reports by: {found['labeler']}."]
    records = [
        {
            **ablations.about(PROTOCOL),
            "cell": run.cell,
            "seed": run.seed,
            "trained as": run.place,
            "status": "run" if run.result else "not run",
            **_numbers(run.result.scores if run.result else None),
            **_rexrank(ablations, run),
            "command": ablations.command_of(run),
        }
        for run in runs
    ]
    title = f"What overlap scores cannot see: {ablations.scope()}"
    tables = [controls_part(ablations, cells), *_groups(ablations, cells)]
    return Section("controls", title, tables, notes, records)


def _numbers(scores: Mapping[str, Any] | None) -> dict[str, object]:
    """A run's numbers under their names for programs; None where there is none."""
    found: dict[str, object] = {}
    for name, read in _COLUMNS.values():
        value = read(scores) if scores else None
        found[name] = _middle(value)
        if name == "fall":
            found |= {f"fall, {end}": value and value[end] for end in ("low", "high")}
    groups = scores["groups"][PROTOCOL] if scores else {}
    for name in GROUPS:
        found[f"BLEU-4, {name}"] = _middle(
            groups[name]["model"]["BLEU-4"] if name in groups else None
        )
    return found


def _rexrank(ablations: Ablations, run: Run) -> dict[str, object]:
    """A run's own for programs; nothing where no row has one."""
    score = ablations.rexrank.get(run.place, {}) if run.result else {}
    return {NAME: score.get("score")} if ablations.rexrank else {}


def _middle(value: Any) -> Any:
    return value.get("score", value.get("difference")) if isinstance(value, Mapping) else value


def controls_part(ablations: Ablations, cells: Sequence[str]) -> Table:
    """Whether the scores of these cells are owed to the images, and how varied the reports are."""
    models = [ablations.model(cell) for cell in cells]
    rows = []
    for model in models:
        values = {
            name: _mean([read(r.scores) for r in model.results], name)
            for name, (_, read) in _COLUMNS.items()
        }
        if model.results:  # whose studies are resampled for all seeds at once
            values["BLEU-4"] = measured(ablations.scores[model.cell, PROTOCOL]["BLEU-4"])
        if ablations.rexrank:
            values[NAME] = _mean([ablations.rexrank.get(r.place) for r in model.results], NAME)
        rows.append(_row(ablations, model, list(values.values())))
    for result in ablations.results[:1]:
        rows += [_floor(ablations, result.scores, floor) for floor in FLOOR_NAMES]
    return Table(
        ["cell", "seeds", *_COLUMNS, *([NAME] if ablations.rexrank else [])],
        rows,
        title="What overlap scores cannot see",
        caption=f"{ablations.scope(PROTOCOL)}. {_SEVERAL} Other images: the model is given "
        "another study's; `fall` is what that costs in BLEU-4. The blind cell is a Transformer "
        f"that is given no image, not even in training.{_OF_REXRANK if ablations.rexrank else ''}",
        notes=ablations.commands(
            run for model in models if not model.results for run in model.runs
        ),
    )


def _floor(ablations: Ablations, scores: Mapping[str, Any], floor: str) -> Row:
    """One report for every study, whatever the images."""
    bleu = measured(scores["protocols"][PROTOCOL]["floors"][floor]["BLEU-4"])
    copied, rates = Value(percent(1)), [Value(NONE)] * 2  # whose findings nobody read
    if floor == CONSTANT:
        copied = Value(NONE)
        rates = [_mean([_f1(scores, floor, kind)], "") for kind in ("macro", "micro")]
    told = [Value(bleu.main), Value("0.000"), Value(f"1 of {ablations.num_studies}")]
    last = [_mean([ablations.rexrank.get(floor)], NAME)] if ablations.rexrank else []
    cells = [bleu, *told, Value(percent(1)), copied, *rates, rates[1], *last]
    return Row([FLOOR_NAMES[floor], "floor, no model", *cells], "floor")


def _row(ablations: Ablations, model: Model, values: Sequence[object]) -> Row:
    """The cell, and whose training it is if not its own."""
    name = ablations.title(model.cell)
    name = name if name == model.cell else f"{name} ({model.cell})"
    others = {cell_of(run.place) or FULL for run in model.runs if run.settings is None}
    others -= {model.cell, FULL} if model.cell == FULL else {model.cell}
    name = f"{name}, same as {' and '.join(sorted(others))}" if others else name
    if not model.results:
        return Row([name, model.not_run, *[model.missing] * len(values)], "missing")
    kind = "control" if ablations.cells.show(model.cell).control else "ours"
    return Row([name, model.seeds, *values], kind)


def _mean(values: Sequence[Any], column: str) -> Value:
    """Of all seeds; a share in percent, a score or difference with what is known of its noise."""
    known = [value for value in values if _middle(value) is not None]
    numbers = [_middle(value) for value in known]
    ends = [value for value in known if isinstance(value, Mapping)]
    if ends:
        form = "+.3f" if "difference" in ends[0] else ".3f"
        middle = mean_of(numbers, partial(number, form=form, minus="−")).main
        mean_ends = {end: fmean(value[end] for value in ends) for end in ("low", "high")}
        return Value(middle, interval(mean_ends, form, minus="−"))
    if column in ("commonest", "copied from train"):
        return mean_of(numbers, percent)
    return mean_of(numbers, partial(number, form=".0f" if len(known) == 1 else ".1f"))


def _groups(ablations: Ablations, cells: Sequence[str]) -> list[Table]:
    """BLEU-4 on the studies of each group alone, beside the best constant report's there."""
    if not ablations.results:
        return []
    told = ablations.results[0].scores["groups"][PROTOCOL]
    names = [name for name in GROUPS if name in told]
    rows = []
    for model in map(ablations.model, cells):
        of_groups = [result.scores["groups"][PROTOCOL] for result in model.results]
        if of_groups:
            values = [
                _mean([of[name]["model"]["BLEU-4"] for of in of_groups], "") for name in names
            ]
            rows.append(_row(ablations, model, values))
    floor = [measured(told[name]["best_constant"]["BLEU-4"]) for name in names]
    rows.append(Row([FLOOR_NAMES["best_constant"], "floor, no model", *floor], "floor"))
    heads = [f"{_GROUP_NAMES[name]}, {told[name]['num_studies']} studies" for name in names]
    return [
        Table(
            ["cell", "seeds", *heads],
            rows,
            title="BLEU-4 by group of studies",
            caption=f"{ablations.scope(PROTOCOL)}. {_SEVERAL} In train: the study's reference "
            "occurs there word for word, so that it can be had by copying. "
            f"{_shares(ablations.results[0].scores['group_shares'])}",
        )
    ]


def _shares(shares: Mapping[str, Mapping[str, float]]) -> str:
    """How unlike validation and test are."""
    told = []
    for name, words in (("in_train", "found in train"), ("normal", "normal")):
        if all(name in shares[split] for split in ("val", "test")):
            of_test, of_val = percent(shares["test"][name]), percent(shares["val"][name])
            of = " of the labelled" if name == "normal" else ""
            told.append(f"{of_test}{of} of test are {words}, of validation {of_val}")
    return "; ".join(told) + "." if told else ""
