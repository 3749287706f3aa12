"""What overlap scores cannot see, a row a cell: do reports depend on the images, do they vary, are
they copied, do they name what is there, and how do they fare where training holds no copy?
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from rcan.ablation.cells import FULL, cell_of
from rcan.evaluation.schema import GROUPS
from rcan.reporting.cells.runs import Model
from rcan.reporting.cells.study import Ablations
from rcan.reporting.names import FLOORS
from rcan.table import NONE, Row, Section, Table, Value, mean_of, measured, number, percent

PROTOCOL = "strict"
_GROUP_NAMES = {
    "in_train": "report in train",
    "not_in_train": "not in train",
    "normal": "normal",
    "abnormal": "abnormal",
}
_SEVERAL = (
    "One seed: with its 95 % interval over studies; several: their mean ± standard deviation."
)


def controls_table(ablations: Ablations) -> Section:
    """Every planned cell; what points to another is told in its row."""
    cells = [cell for cell in ablations.cells.shown if cell in ablations.models]
    cells += [cell for cell in ablations.models if cell not in cells]
    return Section(
        "controls",
        f"What overlap scores cannot see: {ablations.ground()}",
        [controls_part(ablations, cells), *_groups(ablations, cells)],
        _notes(ablations),
        _records(ablations, cells),
    )


def controls_part(ablations: Ablations, cells: Sequence[str]) -> Table:
    """Whether the scores of these cells are owed to the images, and how varied the reports are."""
    columns: dict[str, Callable[[Mapping[str, Any]], Any]] = {
        "BLEU-4": lambda s: s["protocols"][PROTOCOL]["model"]["BLEU-4"],
        "BLEU-4, other images": lambda s: s["controls"]["image_swap"][PROTOCOL]["model"]["BLEU-4"],
        "fall": lambda s: s["controls"]["image_swap"][PROTOCOL]["fall"]["BLEU-4"],
        "different reports": lambda s: s["diagnostics"]["distinct_reports"],
        "commonest": lambda s: s["diagnostics"]["top_share"],
        "copied from train": lambda s: s["diagnostics"]["copied_from_train"],
        "finding F1, macro": lambda s: _f1(s, "model", "macro"),
        "finding F1, micro": lambda s: _f1(s, "model", "micro"),
        "F1 micro, other images": lambda s: _f1(s, "image_swap", "micro"),
    }
    rows = []
    for cell in cells:
        model = ablations.model(cell)
        values = [_mean([read(r.scores) for r in model.results], name)
                  for name, read in columns.items()]  # fmt: skip
        rows.append(_row(ablations, model, values))
    rows += _constant(ablations)
    missing = [
        run for c in cells if not ablations.model(c).results for run in ablations.model(c).runs
    ]
    return Table(
        ["cell", "seeds", *columns],
        rows,
        notes=ablations.commands(missing),
        title="What overlap scores cannot see",
        caption=(
            f"{ablations.ground(PROTOCOL)}. {_SEVERAL} Other images: the model is given another "
            "study's; `fall` is what that costs in BLEU-4. The blind cell is a Transformer that is "
            "given no image, not even in training."
        ),
    )


def _row(ablations: Ablations, model: Model, values: Sequence[object]) -> Row:
    if not model.results:
        return Row([_named(ablations, model), model.not_run, *["not run"] * len(values)], "missing")
    kind = "control" if ablations.cells.show(model.cell).control else "ours"
    return Row([_named(ablations, model), model.seeds, *values], kind)


def _named(ablations: Ablations, model: Model) -> str:
    """The cell, and whose training it is if not its own."""
    name = ablations.title(model.cell)
    name = name if name == model.cell else f"{name} ({model.cell})"
    others = {cell_of(run.place) or FULL for run in model.runs if run.settings is None}
    others -= {model.cell, FULL} if model.cell == FULL else {model.cell}
    return f"{name}, same as {' and '.join(sorted(others))}" if others else name


def _constant(ablations: Ablations) -> list[Row]:
    """The best constant report, as the floor of every column that it has a value in."""
    for result in ablations.results:
        scores, num = result.scores, ablations.num_studies
        bleu = measured(scores["protocols"][PROTOCOL]["floors"]["best_constant"]["BLEU-4"])
        rates = [_mean([_f1(scores, "best_constant", kind)], "") for kind in ("macro", "micro")]
        same = Value(bleu.main)
        rest = [Value(f"1 of {num}"), Value(percent(1)), Value(NONE), *rates, rates[1]]
        name = FLOORS["best_constant"]
        return [Row([name, "floor, no model", bleu, same, Value("0.000"), *rest], "floor")]
    return []


def _f1(scores: Mapping[str, Any], writer: str, kind: str) -> Any:
    return scores["findings"][writer][kind]["f1"] if "findings" in scores else None


def _mean(values: Sequence[Any], column: str) -> Value:
    """Of all seeds; a share in percent, a score or difference with what is known of its noise."""
    known = [v for v in values if v is not None]
    if known and isinstance(known[0], Mapping):
        known = [v for v in known if v.get("score", v.get("difference")) is not None]
        if len(known) == 1:
            return measured(known[0], "+.3f" if "difference" in known[0] else ".3f", minus="−")
        known = [v.get("score", v.get("difference")) for v in known]
    if column in ("commonest", "copied from train"):
        return mean_of(known, percent)
    form = ".0f" if len(known) == 1 else ".1f"
    if column != "different reports":
        form = "+.3f" if column == "fall" else ".3f"
    return mean_of(known, partial(number, form=form, minus="−"))


def _groups(ablations: Ablations, cells: Sequence[str]) -> list[Table]:
    """BLEU-4 on the studies of each group alone, beside the best constant report's there."""
    results = ablations.results
    if not results:
        return []
    told = results[0].scores["groups"][PROTOCOL]
    names = [name for name in GROUPS if name in told]
    rows = []
    for cell in cells:
        model = ablations.model(cell)
        if model.results:
            values = [
                _mean([r.scores["groups"][PROTOCOL][name]["model"]["BLEU-4"]
                       for r in model.results], "")
                for name in names
            ]  # fmt: skip
            rows.append(_row(ablations, model, values))
    floor = [measured(told[name]["best_constant"]["BLEU-4"]) for name in names]
    rows.append(Row([FLOORS["best_constant"], "floor, no model", *floor], "floor"))
    heads = [f"{_GROUP_NAMES[name]}, {told[name]['num_studies']} studies" for name in names]
    return [
        Table(
            ["cell", "seeds", *heads],
            rows,
            title="BLEU-4 by group of studies",
            caption=(
                f"{ablations.ground(PROTOCOL)}. {_SEVERAL} In train: the study's reference occurs "
                f"there word for word, so that it can be had by copying. {_shares(ablations)}"
            ),
        )
    ]


def _shares(ablations: Ablations) -> str:
    """How unlike validation and test are."""
    shares = ablations.results[0].scores["group_shares"]
    told = []
    for name, words in (("in_train", "found in train"), ("normal", "normal")):
        if all(name in shares[split] for split in ("val", "test")):
            of_test, of_val = percent(shares["test"][name]), percent(shares["val"][name])
            of = " of the labelled" if name == "normal" else ""
            told.append(f"{of_test}{of} of test are {words}, of validation {of_val}")
    return "; ".join(told) + "." if told else ""


def _notes(ablations: Ablations) -> list[str]:
    for result in ablations.results:
        if "findings" in result.scores:
            return [f"Findings are read from reports by: {result.scores['findings']['labeler']}."]
        return ["No study of these data has labels, so no finding can be counted."]
    return []


def _records(ablations: Ablations, cells: Sequence[str]) -> list[dict[str, object]]:
    """One row a run and statistic would lose nothing; one a run is enough for what is shown."""
    rows: list[dict[str, object]] = []
    for cell in cells:
        for run in ablations.model(cell).runs:
            scores = run.result.scores if run.result else None
            rows.append(
                {
                    "data": ablations.data,
                    "scale": ablations.settings.scale,
                    "split": "test",
                    "studies": ablations.num_studies,
                    "protocol": PROTOCOL,
                    "cell": cell,
                    "seed": run.seed,
                    "trained as": run.place,
                    "status": "run" if scores else "not run",
                    **_numbers(scores),
                    "command": ablations.command_of(run),
                }
            )
    return rows


def _numbers(scores: Mapping[str, Any] | None) -> dict[str, object]:
    groups = [f"BLEU-4, {name}" for name in GROUPS]
    if scores is None:
        names = ["BLEU-4", "BLEU-4, other images", "fall", "fall, low", "fall, high",
                 "distinct reports", "top share", "copied from train", "F1 macro", "F1 micro",
                 "F1 micro, other images", *groups]  # fmt: skip
        return dict.fromkeys(names)
    swap, told = scores["controls"]["image_swap"][PROTOCOL], scores["diagnostics"]
    fall, of_groups = swap["fall"]["BLEU-4"], scores["groups"][PROTOCOL]
    rates = {
        "F1 macro": _f1(scores, "model", "macro"),
        "F1 micro": _f1(scores, "model", "micro"),
        "F1 micro, other images": _f1(scores, "image_swap", "micro"),
    }
    return {
        "BLEU-4": scores["protocols"][PROTOCOL]["model"]["BLEU-4"]["score"],
        "BLEU-4, other images": swap["model"]["BLEU-4"]["score"],
        "fall": fall["difference"],
        "fall, low": fall["low"],
        "fall, high": fall["high"],
        "distinct reports": told["distinct_reports"],
        "top share": told["top_share"],
        "copied from train": told["copied_from_train"],
        **{name: rate and rate["score"] for name, rate in rates.items()},
        **{
            f"BLEU-4, {name}": of_groups[name]["model"]["BLEU-4"]["score"]
            if name in of_groups
            else None
            for name in GROUPS
        },
    }
