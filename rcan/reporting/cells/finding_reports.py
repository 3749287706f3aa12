"""Reports that follow from findings alone, on validation and test: does being right pay?"""

from collections.abc import Iterator, Mapping
from typing import Any

from rcan.ablation.cells import CONTROLS
from rcan.evaluation.protocols import PROTOCOLS
from rcan.evaluation.schema import FLOOR_NAMES
from rcan.reporting.cells.runs import Run
from rcan.reporting.cells.study import Ablations
from rcan.table import NONE, Row, Section, Table, Value, measured

_METRICS = ("BLEU-4", "ROUGE-L", "METEOR")
_SPLITS = {"val": "validation", "test": "test"}
_LEAD = "paper"
_NOTES = [
    "The text is the best constant report without its sentences that contradict the findings, and "
    "with one sentence of train for each finding that it does not name; fitted: for each set of "
    "findings the constant that scores best on the train reports with the most similar ones.",
    "The findings are those that a linear head sees, fitted on train (each row other folds), or "
    "the study's true labels. Validation chose the constant, and how sure the head must be.",
]


def finding_reports_table(ablations: Ablations) -> Section | None:
    """A row a control, seed and split, the constant report first; None where none is there."""
    runs = [run for name in CONTROLS for run in ablations.model(name).done]
    if not runs:
        return None
    tables = [_table(ablations, runs, protocol) for protocol in sorted(PROTOCOLS)]
    title = f"Reports from findings alone: {ablations.scope()}"
    return Section("finding_reports", title, tables, _NOTES, list(_records(ablations, runs)))


def _of_split(scores: Mapping[str, Any], split: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = scores["validation"] if split == "val" else scores
    return found


def _table(ablations: Ablations, runs: list[Run], protocol: str) -> Table:
    rows = []
    for split, words in _SPLITS.items():
        for run in runs:
            found = _of_split(run.result.scores if run.result else {}, split)
            systems, control = found["protocols"][protocol], found["controls"]["image_swap"]
            if run is runs[0]:
                floor = systems["floors"]["best_constant"]
                f1 = measured(found["findings"]["best_constant"]["macro"]["f1"])
                told = [f1, Value("0.000"), f1, Value("1")]
                numbers = [*(measured(floor[metric]) for metric in _METRICS), Value(NONE)]
                name = FLOOR_NAMES["best_constant"]
                rows.append(Row([name, words, *numbers, *told], "floor"))
            lead = found["beats_floor"][protocol]["BLEU-4"]
            rows.append(Row([
                _name(ablations, run),
                words,
                *(measured(systems["model"][metric]) for metric in _METRICS),
                measured(lead, "+.4f", minus="−"),
                measured(found["findings"]["model"]["macro"]["f1"]),
                measured(control[protocol]["fall"]["BLEU-4"], "+.3f", minus="−"),
                measured(found["findings"]["image_swap"]["macro"]["f1"]),
                Value(str(found["diagnostics"]["distinct_reports"])),
            ], "control"))  # fmt: skip
    return Table(
        ["reports of", "split", *_METRICS, "BLEU-4 − constant", "finding F1, macro",
         "fall, other images", "F1, other images", "different reports"],
        rows,
        title=f"Reports from findings alone, {protocol} protocol",
        caption=f"{ablations.scope(protocol)}; validation beside. 95 % intervals over studies, of "
        "differences paired. Other images: another study's findings.",
        folded=protocol != _LEAD,
    )  # fmt: skip


def _name(ablations: Ablations, run: Run) -> str:
    several = len(CONTROLS[run.cell]) > 1
    return f"{ablations.title(run.cell)}{f', folds {run.seed}' if several else ''}"


def _records(ablations: Ablations, runs: list[Run]) -> Iterator[dict[str, object]]:
    ends = {"score": "", "low": ", low", "high": ", high"}
    for run in runs:
        for split in _SPLITS:
            found = _of_split(run.result.scores if run.result else {}, split)
            studies = found["diagnostics"]["num_studies"]
            for protocol in PROTOCOLS:
                scores = found["protocols"][protocol]["model"]
                values = {metric: scores[metric] for metric in _METRICS}
                for writer in ("model", "image_swap"):
                    values[f"F1 macro, {writer}"] = found["findings"][writer]["macro"]["f1"]
                for name, lead in (
                    ("BLEU-4 minus constant", found["beats_floor"][protocol]["BLEU-4"]),
                    ("fall", found["controls"]["image_swap"][protocol]["fall"]["BLEU-4"]),
                ):
                    values[name] = {**lead, "score": lead["difference"]}
                yield {
                    **ablations.about(protocol, studies),
                    "split": split,
                    "reports of": run.cell,
                    "folds": run.seed,
                    **{f"{name}{end}": value[key]
                       for name, value in values.items() for key, end in ends.items()},
                    "distinct reports": found["diagnostics"]["distinct_reports"],
                    "command": ablations.command_of(run),
                }  # fmt: skip
