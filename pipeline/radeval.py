"""Scores of an evaluated run by RadEval, which is no part of the pipeline: it needs large weights.

`python -m pipeline.radeval main radgraph f1chexbert` prints them and keeps them in
reports/radeval/main.json.

Its scorers are neural labelers whose weights RadEval fetches from a hub. Here they are used from
the disk alone unless HF_HUB_OFFLINE=0 says otherwise: nothing waits for a connection, and no
gigabyte comes unasked.
"""

import importlib
import os
import sys
from collections.abc import Sequence

from pipeline.stage import EVALUATIONS, REPORTS, run
from rcan.config import PipelineSettings
from rcan.errors import UserError
from rcan.evaluation.results import PREDICTIONS, read_predictions
from rcan.files import write_json

WEIGHTS = {  # scorer -> what it needs besides the package
    "radgraph": "radgraph-xl.tar.gz of StanfordAIMI/RRG_scorers",
    "f1chexbert": "chexbert.pth of StanfordAIMI/RRG_scorers (1.3 GB) and bert-base-uncased",
    "ratescore": "Angelakeke/RaTE-NER-Deberta (0.7 GB) and FremyCompany/BioLORD-2023-C",
    "green": "StanfordAIMI/GREEN-radllama2-7b (a 7B model: a GPU)",
}


def main(settings: PipelineSettings) -> None:
    """Score an evaluated run by the scorers that are named, into reports/radeval/<run>.json.

    Raises:
        UserError: no run or no scorer is named, or one cannot be run.
    """
    name, *scorers = sys.argv[1:] or [""]
    if not scorers:
        raise UserError(
            "expected the name of an evaluated run and scorers of RadEval"
            f" ({', '.join(WEIGHTS)}); got too few: `python -m pipeline.radeval main radgraph`"
        )
    rows = read_predictions(EVALUATIONS / name / PREDICTIONS)
    predictions, references = ([row[of] for row in rows] for of in ("prediction", "reference"))
    found: dict[str, float] = {}
    for scorer in scorers:
        found |= radeval_scores(scorer, predictions, references)
    write_json(REPORTS / "radeval" / f"{name}.json", found)
    for metric, score in found.items():
        print(f"{metric:<28}{score:.4f}")


def radeval_scores(
    scorer: str, predictions: Sequence[str], references: Sequence[str]
) -> dict[str, float]:
    """The scores of one of RadEval's scorers, by RadEval's names for them.

    Raises:
        UserError: the package is not installed, or the scorer cannot be run for want of its
            weights or for another reason, which is told.
    """
    if scorer not in WEIGHTS:
        raise UserError(f"expected a scorer of {', '.join(WEIGHTS)}; got {scorer!r}; name one")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        package = importlib.import_module("radeval")
    except ImportError as error:
        raise UserError(
            f"RadEval's {scorer} needs the package radeval, which cannot be imported ({error}):"
            f" `pip install 'rcan[radeval]'`; and then the weights {WEIGHTS[scorer]}"
        ) from error
    sys.modules.setdefault("RadEval", package)  # by this name its RadGraph asks for it (2.2.1)
    try:
        scored = package.RadEval(metrics=[scorer], show_progress=False)(
            refs=list(references), hyps=list(predictions)
        )
        return {name: float(score) for name, score in scored.items()}
    except Exception as error:  # of many kinds, by its many packages
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(
            f"RadEval's {scorer} cannot be run ({reason}); it needs the weights"
            f" {WEIGHTS[scorer]}: HF_HUB_OFFLINE=0 lets it fetch them"
        ) from error


if __name__ == "__main__":
    run(main)
