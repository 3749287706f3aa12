"""Scores of anybody's reports with intervals, floors and signs of collapse.

The keys are those of our own scores.json, and so are the numbers: all of them come from
rcan.evaluation.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rcan.errors import UserError
from rcan.evaluation.controls import swap
from rcan.evaluation.diagnostics import diagnostics
from rcan.evaluation.floors import best_constant, most_frequent
from rcan.evaluation.kept_floors import FLOORS
from rcan.evaluation.protocols import PROTOCOLS, reference
from rcan.evaluation.scores import Scores, score_systems, signature
from rcan.evaluation.statistics import beats_floor, difference, holm, intervals
from rcan.scoring.sets import Ground
from rcan.text.tokenizer import Tokenizer

# R2Gen's settings of each data set, those of params.yaml: rarest word and longest report, in words.
MIN_FREQ = {"demo": 2, "iu_xray": 3, "mimic_cxr": 10}
MAX_LENGTH = {"demo": 72, "iu_xray": 60, "mimic_cxr": 100}
RESAMPLES_A_TEST = 20  # as many a corrected p-value at least, else none could be below 0.05


@dataclass(frozen=True)
class Options:
    """What is a choice in scoring. `java`: see `score_systems`."""

    protocols: Sequence[str]
    min_freq: int
    max_length: int
    resamples: int
    seed: int
    meteor: bool = True
    java: str | Path | None = None


def protocols_of(asked: str, ground: Ground) -> list[str]:
    """The protocols to score under: `asked`, or for "all" those that can be had.

    Raises:
        UserError: `paper` was asked for and there are no train reports to take its words from.
    """
    if asked == "all":
        return list(PROTOCOLS) if ground.train else ["strict"]
    if asked == "paper" and not ground.train:
        raise UserError(
            "expected train reports for the protocol paper, whose vocabulary they make; got none;"
            " give them by --train"
        )
    return [asked]


def score_reports(
    predictions: Sequence[str],
    ground: Ground,
    others: Mapping[str, Sequence[str]],
    options: Options,
) -> tuple[dict[str, Any], dict[str, Scores]]:
    """Score cleaned predictions, one a reference of `ground`, and each of `others` beside them.

    Returns:
        What scores.json holds: `num_studies`, `signature`, `protocols`, `diagnostics`,
        `references`, `controls`; with train reports also `floors` and `beats_floor`, with `others`
        also `against`: name -> protocol -> metric -> the model minus the other, `p` as it is and
        `p_holm`, corrected for all others and metrics of the protocol.
        The scores of the model under each protocol.

    Raises:
        UserError: unequal numbers, no Java.
    """
    words: Container[str] = ()
    if "paper" in options.protocols:
        words = _vocabulary(ground.train, options.min_freq)
    found = diagnostics(predictions, ground.references, ground.train)
    if not ground.train:
        del found["copied_from_train"]
    systems: dict[tuple[str, str], tuple[Sequence[str], list[str]]] = {}
    floor_texts: dict[str, dict[str, str]] = {}
    for protocol in options.protocols:
        wanted = [
            reference(text, protocol, words, options.max_length) for text in ground.references
        ]
        floor_texts[protocol] = _floors(ground, protocol, words, options.max_length)
        systems[protocol, "model"] = (predictions, wanted)
        systems[protocol, "image_swap"] = (swap(predictions), wanted)
        for floor, text in floor_texts[protocol].items():
            systems[protocol, floor] = ([text] * len(wanted), wanted)
        for name, texts in others.items():
            systems[protocol, f"against {name}"] = (texts, wanted)
    scored = dict(
        zip(
            systems,
            score_systems(list(systems.values()), meteor=options.meteor, java=options.java),
            strict=True,
        )
    )
    models = {protocol: scored[protocol, "model"] for protocol in options.protocols}
    shared = {"resamples": options.resamples, "seed": options.seed}
    result: dict[str, Any] = {
        "num_studies": len(predictions),
        "signature": signature(),
        **shared,
        "diagnostics": found,
        "references": {protocol: model.references for protocol, model in models.items()},
        "protocols": {
            protocol: {
                "model": intervals(model, **shared),
                "floors": {
                    floor: intervals(scored[protocol, floor], **shared)
                    for floor in floor_texts[protocol]
                },
            }
            for protocol, model in models.items()
        },
        "controls": {
            "image_swap": {
                protocol: {
                    "model": intervals(scored[protocol, "image_swap"], **shared),
                    "fall": difference(model, scored[protocol, "image_swap"], **shared),
                }
                for protocol, model in models.items()
            }
        },
    }
    if ground.train:
        result["floors"] = {
            floor: {
                "texts": {protocol: texts[floor] for protocol, texts in floor_texts.items()},
                "chosen_on": "val" if floor == "best_constant" and ground.val else "train",
            }
            for floor in FLOORS
        }
        result["beats_floor"] = {
            protocol: beats_floor(
                model,
                {floor: scored[protocol, floor] for floor in floor_texts[protocol]},
                **shared,
            )
            for protocol, model in models.items()
        }
    if others:
        result["against"] = {name: {} for name in others}
        for protocol, model in models.items():
            rivals = {name: scored[protocol, f"against {name}"] for name in others}
            for name, values in compared(model, rivals, **shared).items():
                result["against"][name][protocol] = values
    return result, models


def _vocabulary(train: Sequence[str], min_freq: int) -> Container[str]:
    try:
        return Tokenizer.train(train, min_freq).vocabulary
    except UserError as error:  # it names the pipeline's setting
        raise UserError(
            f"expected words that occur at least {min_freq} times in the train reports, found none;"
            " lower --min-freq, give more by --train, or ask for --protocol strict"
        ) from error


def compared(
    model: Scores, rivals: Mapping[str, Scores], *, resamples: int, seed: int
) -> dict[str, dict[str, dict[str, float]]]:
    """Rival -> metric -> the model minus the rival, with `p_holm` over all rivals and metrics.

    There are enough resamples for the smallest corrected p-value to be small.
    """
    tests = [(name, metric) for name in rivals for metric in model.corpus]
    enough = max(resamples, RESAMPLES_A_TEST * len(tests))
    found = {
        name: difference(model, rival, resamples=enough, seed=seed)
        for name, rival in rivals.items()
    }
    for (name, metric), p in zip(
        tests, holm([found[name][metric]["p"] for name, metric in tests]), strict=True
    ):
        found[name][metric]["p_holm"] = p
    return found


def _floors(
    ground: Ground, protocol: str, words: Container[str], max_length: int
) -> dict[str, str]:
    """Both floors. The constant is fitted to validation or, where there is none, to train: never
    to the references that are scored."""
    if not ground.train:
        return {}
    fitted = ground.val or ground.train
    targets = [reference(text, protocol, words, max_length) for text in fitted]
    return {
        "most_frequent": most_frequent(ground.train),
        "best_constant": best_constant(ground.train, targets),
    }
