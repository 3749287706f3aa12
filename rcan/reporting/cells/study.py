"""All cells of one study of the model: on what they were scored, how they compare, what runs them.

Intervals and tests come from the counts of each study (see `rcan.evaluation.statistics`), under one
resampling for all.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rcan.ablation.cells import CONTROLS, FULL, Cells, cell_of
from rcan.data.store import read_summary
from rcan.evaluation.protocols import PROTOCOLS
from rcan.evaluation.scores import METRICS, Scores
from rcan.evaluation.statistics import holm, seed_difference, seed_intervals
from rcan.reporting.cells.runs import MAIN, Model, Result, Run, read_models
from rcan.reporting.consistency import require_agreement
from rcan.reporting.names import data_name
from rcan.reporting.published import published_row
from rcan.reporting.ranks import first_shares

CONSTANT = "best_constant"  # the floor that cells are compared with
SIGNIFICANT = 0.05
RESAMPLES_A_TEST = 40  # so many for each test of a table: else Holm's least p would be above 0.05

Values = dict[str, dict[str, float]]  # metric -> what is known of it
Floors = Mapping[str, Mapping[str, Scores]]  # protocol -> floor -> its counts of each study


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
    floor_counts: Floors = field(default_factory=dict)
    rexrank: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # run or floor ->

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

    def minutes_of(self, result: Result) -> float | None:
        """What its training took, validation not counted; None where nobody knows."""
        if result.seconds_an_image is None:
            return None
        studies = int(self.summary["splits"]["train"]["studies"])
        images = studies * int(result.config["data"]["num_views"])
        return result.seconds_an_image * images / 60

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

    def counts(self, cell: str, protocol: str) -> dict[int, Scores]:
        """What each study of a cell counts, by seed; only what is run."""
        return {
            run.seed: run.result.counts[protocol] for run in self.model(cell).done if run.result
        }

    def compared(self, cells: Iterable[str], protocol: str, base: str = FULL) -> dict[str, Values]:
        """Cell -> metric -> the cell minus `base`, with `p` as Holm corrects it for all cells and
        metrics here; cells that share no seed with `base` are absent.

        `base`: a cell, or a floor of `floor_counts`, the same beside every seed.
        """
        floor = self.floor_counts.get(protocol, {}).get(base)
        pairs = {}
        for cell in cells:
            ours = self.counts(cell, protocol)
            theirs = dict.fromkeys(ours, floor) if floor else self.counts(base, protocol)
            both = [(ours[seed], theirs[seed]) for seed in ours if seed in theirs]
            if any(one is not other for one, other in both):
                pairs[cell] = both
        num_tests = len(pairs) * len(METRICS)
        resamples = max(self.settings.resamples, RESAMPLES_A_TEST * num_tests)
        found: dict[str, Values] = {
            cell: seed_difference(
                [ours for ours, _ in both], [theirs for _, theirs in both],
                resamples=resamples, seed=self.settings.seed,
            )
            for cell, both in pairs.items()
        }  # fmt: skip
        corrected = holm([found[cell][metric]["p"] for cell in found for metric in METRICS])
        places = [(cell, metric) for cell in found for metric in METRICS]
        for (cell, metric), p in zip(places, corrected, strict=True):
            found[cell][metric]["p"] = p
        return found

    def firsts(self, cells: Iterable[str], protocol: str) -> list[dict[str, float]]:
        """Cell or floor -> how often it ranks first in BLEU-4 (see `rcan.reporting.ranks`): among
        the systems alone, then among all rows, controls and floors with them."""
        places = {cell: " ".join(r.place for r in self.model(cell).results) for cell in cells}
        places = {cell: place for cell, place in places.items() if place}
        rows = {place: list(self.counts(cell, protocol).values()) for cell, place in places.items()}
        systems = {
            place: rows[place]
            for cell, place in places.items()
            if not self.cells.show(cell).control
        }
        floors = self.floor_counts.get(protocol, {})
        every = {**rows, **{name: [scores] for name, scores in floors.items()}}
        options = {"resamples": self.settings.resamples, "seed": self.settings.seed}
        shares = [first_shares(some, **options) for some in (systems, every)]
        keys = {**places, **{name: name for name in floors}}  # equal cells are one row
        return [{name: of[key] for name, key in keys.items() if key in of} for of in shares]


def read_ablations(
    *, plan: Path, runs: Path, evaluations: Path, processed: Path, main: Mapping[str, Any],
    cells: Cells, settings: Settings, floors: Floors | None = None,
    rexrank: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
) -> Ablations:  # fmt: skip
    """Read the results of all cells that have some.

    Args:
        main: the settings that the main run is trained with now.
        cells: their register.
        floors: the floors' counts of each study; without them no cell is tested against one.
        rexrank: run or floor -> ReXrank's BLEU-2 with its ends, as far as it is known.

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
            "the floors": {
                f"set of {protocol} references": of_protocol[CONSTANT].references
                for protocol, of_protocol in (floors or {}).items()
            },
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
    scores = _all_scores(models, settings)
    return Ablations(models, cells, summary, settings, scores, floors or {}, rexrank)


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
