"""fig4.csv: whether attention points at the findings that it is said to show, as numbers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rcan.attention.pointing import Look, by_finding, look, spread_over, summary
from rcan.files import write_csv, write_text
from rcan.reporting.scene import FIRST, NAME, Looker, Scene, chosen_words

ALL, COMMON = "all", "all that every model names"


def looks_of(scene: Scene, looker: Looker) -> dict[str, list[Look]]:
    """Kind of word -> a look for each finding that a report rightly names and that has a place."""
    looks: dict[str, list[Look]] = {FIRST: [], NAME: []}
    for study, found in enumerate(scene.named(looker.texts)) if scene.regions else ():
        for finding, mention in found.items():
            region = scene.region(study, finding)
            if region is None:
                continue
            words = chosen_words(mention, looker.texts[study])
            for kind, kept in looks.items():
                word = words.get(kind, words[NAME])  # where one word is both
                kept.append(
                    look(study, finding, looker.attention[study], word, region, looker.places)
                )
    return looks


def pointing_rows(
    scene: Scene, lookers: Sequence[Looker], *, resamples: int, seed: int
) -> list[dict[str, Any]]:
    """For each run, kind of word and finding what its attention points at."""
    every = [looks_of(scene, looker) for looker in lookers]
    rows = []
    for looker, looks in zip(lookers, every, strict=True):
        wide = spread_over(np.concatenate(looker.attention))
        for kind, of_kind in looks.items():
            shared = set.intersection(
                *({(one.study, one.finding) for one in of_model[kind]} for of_model in every)
            )
            common = [one for one in of_kind if (one.study, one.finding) in shared]
            for finding, some in {ALL: of_kind, COMMON: common, **by_finding(of_kind)}.items():
                told = summary(some, num_studies=len(scene.truths), resamples=resamples, seed=seed)
                first = {"data": scene.data_name, "run": looker.run, "word": kind}
                sizes = {"patches": looker.places.num_patches, "spread_over": wide}
                rows.append({**first, "finding": finding, **told, **sizes})
    return [
        {key: round(cell, 6) if isinstance(cell, float) else cell for key, cell in row.items()}
        for row in rows
    ]


def write_pointing(
    scene: Scene, lookers: Sequence[Looker], *, out: Path, resamples: int, seed: int
) -> None:
    """Write the rows as CSV."""
    rows = pointing_rows(scene, lookers, resamples=resamples, seed=seed)
    if rows:
        write_csv(out, rows)
    else:
        write_no_pointing(out)


def write_no_pointing(out: Path) -> None:
    """Where no model is run, or nothing reads its findings: a header without rows."""
    write_text(out, "data,run,word,finding\n")
