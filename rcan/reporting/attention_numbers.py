"""fig4.csv: whether attention points at the findings that it is said to show, as numbers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rcan.attention.pointing import Look, by_finding, look, spread_over, summary
from rcan.files import write_csv, write_text
from rcan.reporting.labelled_split import FIRST, NAME, LabelledSplit, ModelAttention, chosen_words

ALL, COMMON = "all", "all that every model names"


def looks_of(labelled: LabelledSplit, model: ModelAttention) -> dict[str, list[Look]]:
    """Kind of word -> a look for each finding that a report rightly names and that has a place."""
    looks: dict[str, list[Look]] = {FIRST: [], NAME: []}
    for study, found in enumerate(labelled.named(model.texts)) if labelled.regions else ():
        for finding, mention in found.items():
            region = labelled.region(study, finding)
            if region is None:
                continue
            words = chosen_words(mention, model.texts[study])
            for kind, kept in looks.items():
                word = words.get(kind, words[NAME])  # where one word is both
                kept.append(
                    look(study, finding, model.attention[study], word, region, model.places)
                )
    return looks


def attention_rows(
    labelled: LabelledSplit, models: Sequence[ModelAttention], *, resamples: int, seed: int
) -> list[dict[str, Any]]:
    """For each run, kind of word and finding what its attention points at."""
    every = [looks_of(labelled, model) for model in models]
    rows = []
    for model, looks in zip(models, every, strict=True):
        wide = spread_over(np.concatenate(model.attention))
        for kind, of_kind in looks.items():
            shared = set.intersection(
                *({(one.study, one.finding) for one in of_model[kind]} for of_model in every)
            )
            common = [one for one in of_kind if (one.study, one.finding) in shared]
            for finding, some in {ALL: of_kind, COMMON: common, **by_finding(of_kind)}.items():
                told = summary(
                    some, num_studies=len(labelled.truths), resamples=resamples, seed=seed
                )
                first = {"data": labelled.data_name, "run": model.run, "word": kind}
                sizes = {"patches": model.places.num_patches, "spread_over": wide}
                rows.append({**first, "finding": finding, **told, **sizes})
    return [
        {key: round(cell, 6) if isinstance(cell, float) else cell for key, cell in row.items()}
        for row in rows
    ]


def write_numbers(
    labelled: LabelledSplit, models: Sequence[ModelAttention], *, out: Path, **bootstrap: int
) -> None:
    """Write the rows as CSV; `bootstrap`: its resamples and seed."""
    if rows := attention_rows(labelled, models, **bootstrap):
        write_csv(out, rows)
    else:
        write_no_numbers(out)


def write_no_numbers(out: Path) -> None:
    """Where no model is run, or nothing reads its findings: a header without rows."""
    write_text(out, "data,run,word,finding\n")
