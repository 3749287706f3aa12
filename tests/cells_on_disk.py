"""Made-up results of all cells on disk, as plan, training and evaluation write them: the plan is
the real one, the reports are made of a few sentences, and every score comes from real counts."""

import random
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from fabricated import SENTENCES, write_processed
from imports import TOP

from rcan.ablation.cells import Cells, load_cells
from rcan.ablation.plan import plan, write_plan
from rcan.config import load_settings
from rcan.evaluation.bleu import bleu_counts
from rcan.evaluation.diagnostics import diagnostics
from rcan.evaluation.protocols import PROTOCOLS
from rcan.evaluation.results import write_counts
from rcan.evaluation.scores import Scores, rouge_l, scores_from_counts, scores_of_some
from rcan.evaluation.statistics import difference, intervals
from rcan.files import write_json
from rcan.reading import parse_yaml
from rcan.reporting.cells.study import Ablations, Floors, Settings, read_ablations

NUM_STUDIES = 40
OPTIONS = {"resamples": 50, "seed": 1}
COMMAND = "dvc repro"
FLOORS = {"best_constant": " ".join(SENTENCES[:3]), "most_frequent": SENTENCES[1]}


@dataclass(frozen=True)
class Project:
    """A folder with the results of some cells."""

    top: Path
    params: dict
    cells: Cells

    @property
    def main(self) -> dict:
        return load_settings(self.top / "params.yaml").of_the_model()

    def evaluation(self, name: str) -> Path:
        return self.top / "evaluation" / name

    def read(self, command: str = COMMAND, floors: Floors | None = None) -> Ablations:
        settings = load_settings(self.top / "params.yaml")
        told = Settings(settings.scale, commit="0123456789", command=command, **OPTIONS)
        return read_ablations(
            plan=self.top / "plan",
            runs=self.top / "runs",
            evaluations=self.top / "evaluation",
            processed=self.top / "processed",
            main=self.main,
            cells=self.cells,
            settings=told,
            floors=floors,
        )


def project(top: Path, *, data: str = "demo", seeds: tuple[int, ...] = (1,), only=None) -> Project:
    """Plan and results of the cells of ablations/cells.yaml, or of `only` some of their runs."""
    text = (TOP / "params.yaml").read_text(encoding="utf-8")
    text = text.replace("  name: demo #", f"  name: {data} #")
    top.mkdir(parents=True, exist_ok=True)
    (top / "params.yaml").write_text(text, encoding="utf-8")
    cells = replace(load_cells(TOP / "ablations" / "cells.yaml"), seeds=seeds)
    planned = plan(parse_yaml(text), cells)
    write_plan(planned, top / "plan")
    digest = write_processed(top / "processed", name=data, num_studies=NUM_STUDIES)
    made = Project(top, parse_yaml(text), cells)
    main = made.main
    for place, (name, settings) in enumerate({"main": {}, **planned}.items()):
        if "same_as" not in settings and (only is None or name in only):
            key = f"{place:032x}"
            config = {**main}
            for section, values in settings.items():
                known = config.get(section, {})  # another family has sections of its own
                config[section] = {**known, **values} if isinstance(values, dict) else values
            write_json(top / "runs" / name / "config.json", config)
            best = {"epoch": 9, "key": key, "data_digest": digest}
            write_json(top / "runs" / name / "best.json", best)
            write_evaluation(made.evaluation(name), place, data=data, digest=digest, key=key)
    return made


def write_evaluation(folder: Path, number: int, *, data: str, digest: str, key: str) -> None:
    """scores.json and counts.npz of a made-up model; equal numbers are equal models."""
    scores, counts = _evaluation(number)
    folder.mkdir(parents=True)
    told = {"data": data, "data_digest": digest, "run": key, "seed": 1}
    write_json(folder / "scores.json", {**scores, **told})
    write_counts(folder, counts)


def floors() -> Floors:
    """The counts of the floors in every scores.json here."""
    references = [_report(random.Random(i)) for i in range(NUM_STUDIES)]
    found = {name: _scored([text] * NUM_STUDIES, references) for name, text in FLOORS.items()}
    return dict.fromkeys(PROTOCOLS, found)


@lru_cache
def _evaluation(number: int) -> tuple[dict, dict[str, Scores]]:
    chance = random.Random(number)
    references = [_report(random.Random(i)) for i in range(NUM_STUDIES)]
    predictions = [text if chance.random() < 0.3 else _report(chance) for text in references]
    swapped = [*predictions[1:], predictions[0]]
    model, other = (_scored(texts, references) for texts in (predictions, swapped))
    of_floors = floors()["strict"]
    floor = of_floors["best_constant"]
    halves = {"in_train": np.arange(10), "not_in_train": np.arange(10, NUM_STUDIES)}
    scores = {
        "split": "test", "restricted": False, "num_studies": NUM_STUDIES, "model": "made up",
        "epoch": 9, "beam_size": 3, "length_penalty": 0.0, "signature": "made up",
        "protocols": {
            protocol: {
                "model": intervals(model, **OPTIONS),
                "floors": {name: intervals(each, **OPTIONS) for name, each in of_floors.items()},
            }
            for protocol in PROTOCOLS
        },
        "floors": {name: {"text": "words", "chosen_on": "val"} for name in FLOORS},
        "beats_floor": {protocol: difference(model, floor, **OPTIONS) for protocol in PROTOCOLS},
        "diagnostics": diagnostics(predictions, references, references[:10]),
        "references": dict.fromkeys(PROTOCOLS, model.references),
        "controls": {"image_swap": {protocol: {
            "model": intervals(other, **OPTIONS), "fall": difference(model, other, **OPTIONS),
        } for protocol in PROTOCOLS}},
        "groups": {protocol: {name: {
            "num_studies": len(rows),
            "model": intervals(scores_of_some(model, rows), **OPTIONS),
            "best_constant": intervals(scores_of_some(floor, rows), **OPTIONS),
        } for name, rows in halves.items()} for protocol in PROTOCOLS},
        "group_shares": {
            "val": {"num_studies": 12, "in_train": 0.5},
            "test": {"num_studies": 40, "in_train": 0.25},
        },
        "findings": {
            "labeler": "made up",
            "num_studies": NUM_STUDIES,
            "with_attributes": {"model": _findings(0.15)["micro"]},
            **{w: _findings(0.1 * k) for k, w in enumerate(
                ("best_constant", "image_swap", "model", "references"))},
        },
    }  # fmt: skip
    return scores, dict.fromkeys(PROTOCOLS, model)


def _report(chance: random.Random) -> str:
    return " ".join(chance.sample(SENTENCES, 4))


def _scored(predictions: list[str], references: list[str]) -> Scores:
    """METEOR's counts without Java: words alike match exactly, in chunks of three."""
    meteor = np.zeros((len(predictions), 23))
    for row, (one, other) in zip(meteor, zip(predictions, references, strict=True), strict=True):
        both = len(set(one.split()) & set(other.split()))
        row[:2] = len(one.split()), len(other.split())
        row[4:6] = both
        row[20:] = max(1, both // 3), both, both
    return scores_from_counts(
        bleu_counts(predictions, references), rouge_l(predictions, references), meteor, "made up"
    )


def _findings(f1: float) -> dict:
    value = {"score": f1 or None, "low": f1 / 2 or None, "high": f1 * 1.5 or None}
    rates = {"precision": value, "recall": value, "f1": value}
    counted = {"positives": 7, "predicted": 5, "hits": 3}
    return {"macro": rates, "micro": rates, "per_finding": {"nodule": {**counted, **rates}}}
