"""Scores of an evaluated run by RadEval, which is no part of the pipeline: it needs large weights.

`python -m pipeline.radeval main radgraph f1chexbert` prints them and keeps them in
reports/radeval/main.json.
"""

import sys

from pipeline.stage import EVALUATIONS, REPORTS, run
from rcan.config import PipelineSettings
from rcan.errors import UserError
from rcan.evaluation.radeval import WEIGHTS, radeval_scores
from rcan.evaluation.results import read_predictions
from rcan.files import write_json


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
    rows = read_predictions(EVALUATIONS / name / "predictions.csv")
    predictions, references = ([row[of] for row in rows] for of in ("prediction", "reference"))
    found: dict[str, float] = {}
    for scorer in scorers:
        found |= radeval_scores(scorer, predictions, references)
    write_json(REPORTS / "radeval" / f"{name}.json", found)
    for metric, score in found.items():
        print(f"{metric:<28}{score:.4f}")


if __name__ == "__main__":
    run(main)
