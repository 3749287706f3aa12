"""Scores of anybody's reports with intervals, floors and signs of collapse, and their tables.

The keys are those of our own scores.json, and so are the numbers: all of them come from
rcan.evaluation. The tables are Markdown that lines up in a terminal.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rcan.errors import UserError
from rcan.evaluation.controls import swap
from rcan.evaluation.diagnostics import diagnostics, verdict
from rcan.evaluation.evaluate import score_all, with_floors
from rcan.evaluation.floors import best_constant, most_frequent
from rcan.evaluation.kept_floors import FLOORS
from rcan.evaluation.protocols import PROTOCOLS, reference
from rcan.evaluation.schema import FLOOR_NAMES
from rcan.evaluation.scores import METRICS, Scores, signature
from rcan.evaluation.statistics import difference, holm
from rcan.scoring.references import Ground
from rcan.table import Table, measured, percent
from rcan.text.tokenizer import Tokenizer

# R2Gen's settings of each data set, those of params.yaml: rarest word and longest report, in words.
RESAMPLES_A_TEST = 20  # as many a corrected p-value at least, else none could be below 0.05
FEW = 30  # studies
NO_FLOOR = (
    "No floor: without train reports nobody can say what one report for every study would score;"
    " give them by --train (R2Gen's annotation.json, or a file of reports)"
)


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
    floors: bool = True  # to search a constant report takes longer than all else


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
        `references`, `controls`; with train reports also `floors` and `beats_floor` (unless
        `options.floors` is False), with `others`
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
    references = {
        protocol: [
            reference(text, protocol, words, options.max_length) for text in ground.references
        ]
        for protocol in options.protocols
    }
    floors = {
        protocol: _floors(ground, protocol, words, options.max_length) if options.floors else {}
        for protocol in references
    }
    written = {
        "model": predictions,
        "image_swap": swap(predictions),
        **{f"against {name}": texts for name, texts in others.items()},
    }
    scores = score_all(written, references, floors, meteor=options.meteor, java=options.java)
    shared = {"resamples": options.resamples, "seed": options.seed}
    result: dict[str, Any] = {
        "num_studies": len(predictions),
        "signature": signature(),
        **shared,
        "diagnostics": found,
        **with_floors(scores, **shared),
    }
    if ground.train and options.floors:
        result["floors"] = {
            floor: {
                "texts": {protocol: texts[floor] for protocol, texts in floors.items()},
                "chosen_on": "val" if floor == "best_constant" and ground.val else "train",
            }
            for floor in FLOORS
        }
    if others:
        result["against"] = {name: {} for name in others}
        for protocol, systems in scores.items():
            rivals = {name: systems[f"against {name}"] for name in others}
            for name, values in compared(systems["model"], rivals, **shared).items():
                result["against"][name][protocol] = values
    return result, {protocol: systems["model"] for protocol, systems in scores.items()}


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


def score_tables(result: Mapping[str, Any]) -> str:
    """What `score_reports` found: a table a protocol, comparisons, diagnostics, signature. No
    report text."""
    blocks = [
        _table_of(result, protocol, systems) for protocol, systems in result["protocols"].items()
    ]
    for name, by_protocol in result.get("against", {}).items():
        blocks += [_differences(name, protocol, found) for protocol, found in by_protocol.items()]
    blocks.append(variety(result["diagnostics"], result.get("floors")))
    if result["num_studies"] < FEW:
        blocks.append(f"Few studies: an interval over fewer than {FEW} is not to be trusted")
    if "floors" not in result:
        blocks.append(NO_FLOOR)
    if told := result.get("rexrank"):
        blocks.append(f"ReXrank BLEU-2, of texts as they are given: {measured(told)}")
    blocks.append(
        f"{result['signature']}; {result['resamples']} resamples, seed {result['seed']}; text:"
        f" {result['text']}" + _words_told(result)
    )
    return "\n\n".join(blocks)


def noise(found: Mapping[str, float]) -> str:
    """Whether a paired difference is more than the choice of studies would make."""
    p = found.get("p_holm", found["p"])
    beyond = (found["low"] > 0 or found["high"] < 0) and p <= 0.05
    return "beyond noise" if beyond else "within noise"


def _table_of(result: Mapping[str, Any], protocol: str, systems: Mapping[str, Any]) -> str:
    floors = {floor: FLOOR_NAMES[floor] for floor in FLOORS if floor in systems["floors"]}
    fall = result["controls"]["image_swap"][protocol]["fall"]
    head = [protocol, "score [95 % interval]", *floors.values()]
    head += ["beats the floor"] if floors else []
    head.append("with another study's report")
    rows = []
    for metric in (metric for metric in METRICS if metric in systems["model"]):
        cells: list[object] = [metric, measured(systems["model"][metric])]
        cells += [measured(systems["floors"][floor][metric]) for floor in floors]
        if floors:
            lead = result["beats_floor"][protocol][metric]
            word = "yes" if lead["low"] > 0 else "no" if lead["high"] < 0 else "within noise"
            cells.append(f"{word} ({lead['difference']:+.3f})")
        cells.append(f"{0 - fall[metric]['difference']:+.3f}")
        rows.append(cells)
    return Table(head, rows).markdown()


def _differences(name: str, protocol: str, found: Mapping[str, Mapping[str, float]]) -> str:
    rows = [
        [
            metric,
            measured(found[metric], "+.3f"),
            f"{found[metric]['p']:.4f}",
            f"{found[metric]['p_holm']:.4f}",
            noise(found[metric]),
        ]
        for metric in METRICS
        if metric in found
    ]
    return Table(
        [f"{protocol}, minus {name}", "difference [95 % interval]", "p", "p, Holm", ""], rows
    ).markdown()


def variety(found: Mapping[str, float], floors: object) -> str:
    copied = ""
    if "copied_from_train" in found:
        copied = f"{percent(found['copied_from_train'], 0)} word for word from train; "
    fitted = ""
    if isinstance(floors, Mapping) and floors["best_constant"]["chosen_on"] == "train":
        fitted = "\nbest constant report: chosen on train, for no validation reports were given"
    return (
        f"{verdict(dict(found))}\n{found['distinct_reports']} different reports, the commonest"
        f" for {percent(found['top_share'])} of the studies; {copied}{found['mean_length']:.1f}"
        f" words on average, {found['reference_mean_length']:.1f} in the references{fitted}"
    )


def _words_told(result: Mapping[str, Any]) -> str:
    if "paper" not in result["protocols"]:
        return ""
    return (
        f"; paper: references cut to {result['max_length'] - 1} words, words seen fewer than"
        f" {result['min_freq']} times in train are <unk>"
    )
