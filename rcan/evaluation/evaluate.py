"""The model's scores beside those of its floors: what `scores.json` and `predictions.csv` hold."""

from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rcan.data.store import Study
from rcan.errors import UserError
from rcan.evaluation.controls import group_shares, groups_of, swap
from rcan.evaluation.diagnostics import diagnostics, is_collapsed
from rcan.evaluation.finding_scores import compare_findings
from rcan.evaluation.kept_floors import FLOORS
from rcan.evaluation.labelers import Labeler
from rcan.evaluation.paraphrases import KeptParts
from rcan.evaluation.protocols import PROTOCOLS, reference
from rcan.evaluation.schema import SPLITS
from rcan.evaluation.scores import METRICS, Scores, score_systems, scores_of_some
from rcan.evaluation.statistics import beats_floor, difference, intervals
from rcan.table import Table, measured, number, percent

COLUMNS = ("model, 95 %", "most frequent", "best constant", "model - best floor, 95 %")


def evaluate(
    *,
    predictions: Sequence[str],
    test: Sequence[Study],
    train_texts: Sequence[str],
    val: Sequence[Study],
    vocabulary: Container[str],
    max_length: int,
    floors: Mapping[str, Mapping[str, str]],
    clean: Callable[[str], str],
    resamples: int,
    seed: int,
    protocols: Sequence[str] = PROTOCOLS,
    labeler: Labeler | None = None,
    java: str | Path | None = None,
    parts: KeptParts | None = None,
) -> tuple[dict[str, Any], list[dict[str, str | float]], dict[str, Scores]]:
    """Score the predictions for `test`, in its order, and both floors under each protocol.

    Args:
        train_texts, val: cleaned reports of train, the studies of validation.
        vocabulary, max_length: what a model can write (see `protocols.reference`).
        floors: protocol -> floor -> its report (see `floors.choose_floors`).
        clean: the data set's cleaner; by it, strict references are checked to be whole reports.
        resamples, seed: of the bootstrap.
        labeler: names findings in reports and labels; without one, none are compared.
        java, parts: see `meteor.meteor_counts`.

    Returns:
        The keys `protocols`, `floors`, `diagnostics`, `beats_floor`, `controls`, `groups`,
        `group_shares`, `references` and, if studies have labels, `findings` of scores.json. A
        floor's `texts` holds its report under each protocol, `text` that under the first.
        `beats_floor` compares the model with whichever floor scores higher on a metric, and names
        it.
        Rows of predictions.csv, one a study, with scores under the first protocol.
        The model's scores under each protocol, for counts.npz.

    Raises:
        UserError: unequal numbers, no studies, no protocol or an unknown one, a strict reference
            that is not the whole report, no Java.
    """
    if not protocols:
        raise UserError(f"expected at least one protocol of {', '.join(PROTOCOLS)}; got none")
    predictions = list(predictions)
    test_texts = [study.text for study in test]
    found = diagnostics(predictions, test_texts, train_texts)  # first: it checks what came
    references = {}
    for protocol in protocols:
        references[protocol] = [
            reference(text, protocol, vocabulary, max_length) for text in test_texts
        ]
        if protocol == "strict":
            _require_whole(references[protocol], test, clean)

    written = {"model": predictions, "image_swap": swap(predictions)}
    scores = score_all(written, references, floors, java=java, parts=parts)
    options = {"resamples": resamples, "seed": seed}
    result = {
        **with_floors(scores, **options),
        "floors": {
            floor: {
                "text": floors[protocols[0]][floor],
                "texts": {protocol: floors[protocol][floor] for protocol in protocols},
                "chosen_on": split,
            }
            for floor, split in FLOORS.items()
        },
        "diagnostics": found,
        "groups": _groups(scores, groups_of(test, train_texts, labeler), **options),
        "group_shares": {
            split: group_shares(studies, train_texts, labeler)
            for split, studies in zip(SPLITS, (val, test), strict=True)
        },
    }
    texts = {
        **written,
        "best_constant": [floors[protocols[0]]["best_constant"]] * len(test),
        "references": test_texts,
    }
    labels = [study.labels for study in test]
    if labeler and (findings := compare_findings(labeler, texts, labels, **options)):
        result["findings"] = findings
    rows = _rows(test, references[protocols[0]], predictions, scores[protocols[0]]["model"])
    return result, rows, {protocol: systems["model"] for protocol, systems in scores.items()}


def _require_whole(
    references: Sequence[str], test: Sequence[Study], clean: Callable[[str], str]
) -> None:
    """Raise UserError unless each reference is, word for word, the report as its source gives it,
    cleaned: whatever shortens one on the way would raise scores unseen."""
    for study, text in zip(test, references, strict=True):
        words, whole = text.split(), clean(study.report).split()
        if words != whole:
            raise UserError(
                f"study {study.id}: expected its whole report, {len(whole)} words, as strict"
                f" reference; got {len(words)} words, or others; run `dvc repro -f preprocess`"
            )


def score_all(
    written: Mapping[str, Sequence[str]],
    references: Mapping[str, Sequence[str]],
    floors: Mapping[str, Mapping[str, str]],
    *,
    meteor: bool = True,
    java: str | Path | None = None,
    parts: KeptParts | None = None,
) -> dict[str, dict[str, Scores]]:
    """protocol -> system -> scores, with a single start of Java.

    Args:
        written: system -> its reports.
        references: protocol -> the references, in the same order.
        floors: protocol -> floor -> its report, given to every study.
        java, parts: see `meteor.meteor_counts`.

    Raises:
        UserError: unequal numbers, no Java.
    """
    systems = {
        (protocol, system): (texts, wanted)
        for protocol, wanted in references.items()
        for system, texts in {
            **written,
            **{floor: [text] * len(wanted) for floor, text in floors[protocol].items()},
        }.items()
    }
    found: dict[str, dict[str, Scores]] = {protocol: {} for protocol in references}
    scored = score_systems(list(systems.values()), meteor=meteor, java=java, parts=parts)
    for (protocol, system), scores in zip(systems, scored, strict=True):
        found[protocol][system] = scores
    return found


def with_floors(scores: Mapping[str, Mapping[str, Scores]], **options: int) -> dict[str, Any]:
    """The keys `references`, `protocols`, `controls` and, where there are floors, `beats_floor` of
    scores.json, from what `score_all` gave for the systems `model` and `image_swap`."""
    floors = {
        protocol: {floor: systems[floor] for floor in FLOORS if floor in systems}
        for protocol, systems in scores.items()
    }
    result: dict[str, Any] = {
        "references": {
            protocol: systems["model"].references for protocol, systems in scores.items()
        },
        "protocols": {
            protocol: {
                "model": intervals(systems["model"], **options),
                "floors": {
                    floor: intervals(of_floor, **options)
                    for floor, of_floor in floors[protocol].items()
                },
            }
            for protocol, systems in scores.items()
        },
        "controls": {
            "image_swap": {
                protocol: {
                    "model": intervals(systems["image_swap"], **options),
                    "fall": difference(systems["model"], systems["image_swap"], **options),
                }
                for protocol, systems in scores.items()
            }
        },
    }
    if all(floors.values()):
        result["beats_floor"] = {
            protocol: beats_floor(systems["model"], floors[protocol], **options)
            for protocol, systems in scores.items()
        }
    return result


def _groups(
    scores: dict[str, dict[str, Scores]], groups: dict[str, np.ndarray], **options: int
) -> dict[str, dict[str, Any]]:
    """protocol -> group -> the model and the best constant report on its studies alone."""
    return {
        protocol: {
            group: {
                "num_studies": len(rows),
                **{
                    system: intervals(scores_of_some(systems[system], rows), **options)
                    for system in ("model", "best_constant")
                },
            }
            for group, rows in groups.items()
        }
        for protocol, systems in scores.items()
    }


def _rows(
    test: Sequence[Study], references: list[str], predictions: list[str], scores: Scores
) -> list[dict[str, str | float]]:
    return [
        {
            "id": study.id,
            "reference": references[index],
            "prediction": predictions[index],
            **{metric: float(values[index]) for metric, values in scores.studies.items()},
        }
        for index, study in enumerate(test)
    ]


def score_table(scores: dict[str, Any]) -> str:
    """The six metrics under each protocol, then the diagnostics; no report text.

    A line holds the model with its 95 % interval, both floors, and the difference from the stronger
    one with its paired interval. `scores` is what `evaluate` returns, or scores.json.

    Raises:
        UserError: floors or diagnostics are missing.
    """
    try:
        blocks = [
            _table_of(protocol, systems, scores["beats_floor"][protocol])
            for protocol, systems in scores["protocols"].items()
        ]
        return "\n\n".join([*blocks, _variety(scores["diagnostics"])])
    except KeyError as error:
        raise UserError(
            f"expected scores with their floors and diagnostics; {error} is missing;"
            " run the evaluation again"
        ) from error


def _table_of(protocol: str, systems: dict[str, Any], beats_floor: dict[str, Any]) -> str:
    model, floors = systems["model"], systems["floors"]
    rows = [
        [
            metric,
            measured(model[metric]),
            number(floors["most_frequent"][metric]["score"]),
            number(floors["best_constant"][metric]["score"]),
            measured(beats_floor[metric], "+.3f"),
        ]
        for metric in METRICS
        if metric in model
    ]
    return Table([protocol, *COLUMNS], rows).text()


def _variety(found: dict[str, Any]) -> str:
    return (
        f"{'collapsed' if is_collapsed(found) else 'varied'}:"
        f" {found['distinct_reports']} different reports for {found['num_studies']} studies, the"
        f" commonest for {percent(found['top_share'], 0)}\n"
        f"{percent(found['copied_from_train'], 0)} word for word from train;"
        f" {found['mean_length']:.1f} words on average,"
        f" {found['reference_mean_length']:.1f} in the references"
    )
