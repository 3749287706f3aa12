"""All cells of one study of the model: on what they were scored, how they compare, what runs them.

Intervals and tests come from the counts of each study (see `rcan.evaluation.statistics`), under one
resampling for all.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rcan.ablation.cells import CONTROLS, FULL, Cells, cell_of
from rcan.data.store import read_summary
from rcan.evaluation.protocols import PROTOCOLS
from rcan.evaluation.scores import METRICS
from rcan.evaluation.statistics import holm, seed_difference, seed_intervals
from rcan.reporting.cells.runs import MAIN, Model, Result, Run, read_models
from rcan.reporting.consistency import require_agreement
from rcan.reporting.names import data_name
from rcan.reporting.published import published_row

SIGNIFICANT = 0.05
RESAMPLES_A_TEST = 40  # so many for each test of a table: else Holm's least p would be above 0.05

Values = dict[str, dict[str, float]]  # metric -> what is known of it


@dataclass(frozen=True)
class Settings:
    """What the tables need to know besides the results."""

    scale: str
    resamples: int
    seed: int  # of the bootstrap
    commit: str
    command: str  # what runs the main run with the settings at hand: `dvc repro`
    seeds: str = ""  # and what a cell's needs besides, if its seeds are not the committed ones


@dataclass(frozen=True)
class Ablations:
    """Everything that tables, figures and the page are made of."""

    models: Mapping[str, Model]
    cells: Cells
    summary: Mapping[str, Any]
    settings: Settings
    scores: Mapping[tuple[str, str], Values]  # (cell, protocol) -> score, low, high, sd

    @property
    def data(self) -> str:
        return str(self.summary["name"])

    @property
    def num_studies(self) -> int:
        return int(self.summary["splits"]["test"]["studies"])

    @property
    def results(self) -> list[Result]:
        """Each result once, however many cells point to it."""
        found = {result.place: result for m in self.models.values() for result in m.results}
        return list(found.values())

    def model(self, cell: str) -> Model:
        """A cell; one that is not planned has no runs."""
        return self.models.get(cell, Model(cell, ()))

    def title(self, cell: str) -> str:
        """A cell as a reader is told of it."""
        return self.cells.show(cell).title

    def printed(self, cell: str, table: str = "") -> Mapping[str, float | None] | None:
        """The paper's scores of the row of `table`, of any if none is named, that a cell repeats;
        None where it prints none."""
        rows = self.cells.show(cell).paper
        found = (published_row(self.data, name, rows[name]) for name in rows if table in ("", name))
        return next(filter(None, found), None)

    def scope(self, protocol: str = "") -> str:
        """What all numbers of a table stand on: `demo (…), scale full, test split, 240 studies`."""
        told = f"{data_name(self.data)}, scale {self.settings.scale}, test split, "
        return f"{told}{self.num_studies} studies{f', {protocol} protocol' if protocol else ''}"

    def about(self, protocol: str = "", studies: int | None = None) -> dict[str, object]:
        """What a record for programs says of its numbers first."""
        told: dict[str, object] = {"data": self.data, "scale": self.settings.scale, "split": "test"}
        told["studies"] = self.num_studies if studies is None else studies
        return {**told, "protocol": protocol} if protocol else told

    def command_of(self, run: Run) -> str:
        """What trains and scores one run, with the settings that the main run was given."""
        if run.place == MAIN:
            return self.settings.command
        start, settings = self._start_and_settings()
        if run.cell in CONTROLS:
            return f"{start} ablations/dvc.yaml:controls{settings}"
        reading = cell_of(run.place) in self.cells.of_readings
        stage = "evaluate_reading" if reading else "evaluate"
        return f"RCAN_CELLS={run.place} {start} ablations/dvc.yaml:{stage}@{run.place}{settings}"

    def commands(self, runs: Iterable[Run]) -> list[str]:
        """A line for each command that trains and scores some of these runs."""
        names: dict[str, list[str]] = {}
        for run in runs:
            names.setdefault(self.command_of(run), []).append(run.name)
        return [f"{', '.join(of)}: `{command}`" for command, of in names.items()]

    def command_of_all(self) -> str:
        """What trains and scores all runs, under the same settings."""
        start, settings = self._start_and_settings()
        return f"{start} ablations/dvc.yaml{settings}"

    def _start_and_settings(self) -> tuple[str, str]:
        command = self.settings.command
        start = "dvc exp run" if command.startswith("dvc exp run") else "dvc repro"
        settings = command.removeprefix(start) + self.settings.seeds
        return ("dvc exp run" if self.settings.seeds else start), settings

    def floors(self, protocol: str) -> Mapping[str, Values]:
        """The constant reports' scores; empty while nothing is run."""
        for result in self.results:
            found: Mapping[str, Values] = result.scores["protocols"][protocol]["floors"]
            return found
        return {}

    def compared(self, cells: Iterable[str], protocol: str, base: str = FULL) -> dict[str, Values]:
        """Cell -> metric -> the cell minus the cell `base`, with `p` as Holm corrects it for all
        cells and metrics here; cells that share no seed with `base` are absent."""
        of_base = {run.seed: run for run in self.model(base).done}
        pairs = {}
        for cell in cells:
            both = [(r, of_base[r.seed]) for r in self.model(cell).done if r.seed in of_base]
            if both and any(ours.place != theirs.place for ours, theirs in both):
                pairs[cell] = both
        num_tests = len(pairs) * len(METRICS)
        resamples = max(self.settings.resamples, RESAMPLES_A_TEST * num_tests)
        found: dict[str, Values] = {}
        for cell, both in pairs.items():
            found[cell] = seed_difference(
                [ours.result.counts[protocol] for ours, _ in both if ours.result],
                [theirs.result.counts[protocol] for _, theirs in both if theirs.result],
                resamples=resamples,
                seed=self.settings.seed,
            )
        corrected = holm([found[cell][metric]["p"] for cell in found for metric in METRICS])
        places = [(cell, metric) for cell in found for metric in METRICS]
        for (cell, metric), p in zip(places, corrected, strict=True):
            found[cell][metric]["p"] = p
        return found


def read_ablations(
    *, plan: Path, runs: Path, evaluations: Path, processed: Path, main: Mapping[str, Any],
    cells: Cells, settings: Settings,
) -> Ablations:  # fmt: skip
    """Read the results of all cells that have some.

    Args:
        main: the settings that the main run is trained with now.
        cells: their register.

    Raises:
        UserError: something is damaged, or results are of other data, another split or other
            references than the rest.
    """
    models = read_models(plan, runs, evaluations, main)
    summary = read_summary(processed)
    results = {r.place: r for model in models.values() for r in model.results}
    require_agreement(
        {
            "the processed data": {
                "data set": summary["name"],
                "digest of the data": summary["digest"],
                "number of studies": summary["splits"]["test"]["studies"],
                "split": "test",
            },
            "params.yaml": {"scale": settings.scale},
            **{place: _scope(result) for place, result in results.items()},
        }
    )
    for place, result in results.items():
        require_agreement(
            {
                f"{place}, scores.json": {"run": result.scores["run"]},
                f"{place}, best.json": {"run": result.best["key"]},
            }
        )
    return Ablations(models, cells, summary, settings, _all_scores(models, settings))


def _scope(result: Result) -> dict[str, object]:
    scores, config = result.scores, result.config
    constant = scores["protocols"]["strict"]["floors"]["best_constant"]["BLEU-4"]["score"]
    return {
        "data set": scores["data"],
        "digest of the data": scores["data_digest"],
        "number of studies": scores["num_studies"],
        "split": scores["split"],
        "scale": config["scale"],
        "way of scoring": scores["signature"],
        "score of the best constant report": round(constant, 9),
        **{f"set of {p} references": scores["references"][p] for p in PROTOCOLS},
    }


def _all_scores(models: Mapping[str, Model], settings: Settings) -> dict[tuple[str, str], Values]:
    known: dict[tuple[str, ...], Values] = {}
    found = {}
    for cell, model in models.items():
        for protocol in PROTOCOLS if model.results else ():
            places = (protocol, *(result.place for result in model.results))
            if places not in known:
                known[places] = seed_intervals(
                    [result.counts[protocol] for result in model.results],
                    resamples=settings.resamples,
                    seed=settings.seed,
                )
            found[cell, protocol] = known[places]
    return found
