"""How an experiment presents itself in MLflow's interface: a description and a view of scores."""

import json
from typing import Any

from rcan.reporting.published import METRICS

SCORES_VIEW = "scores"
VIEW_TIME = 1_767_225_600_000  # some time in ms that never changes: an equal view is an equal tag


def experiment_tags(experiment_id: str, data_name: str) -> dict[str, str]:
    """Tags that make the interface open on something readable.

    A saved view is MLflow's internal format (checked up to 3.17). Where it is not understood, the
    link shows the plain list of runs.
    """
    return {
        "mlflow.note.content": _description(experiment_id, data_name),
        f"mlflow.sharedViewState.{SCORES_VIEW}": json.dumps(_scores_view()),
    }


def _description(experiment_id: str, data_name: str) -> str:
    # Only the first line shows until the description is opened.
    link = f"#/experiments/{experiment_id}/runs?viewStateShareKey={SCORES_VIEW}"
    return f"""One run is one model trained on {data_name}: open [Scores]({link}), best on top.

- `BLEU-4` and the like, bare, are scores on the test split under the strict protocol;
  `paper_protocol/BLEU-4` is the same prediction scored as the paper's field does it.
- `floor/BLEU-4` is what one constant report scores on the same studies. A model that does not
  clear its floor does no better than one report for everybody.
- `val/BLEU-4` chose the epoch; `train/loss` = lambda · `train/loss_ce` + (1 - lambda) ·
  `train/loss_wcl`. In a run's page they are curves over epochs; an epoch is a second on an axis
  of time.
- Tags: `paper.BLEU-4` is the published number, where there is one; `seed`; `git.commit`, and
  `git.dirty` with the edits in the artifact `git.diff`; `dvc.exp` names the DVC experiment.
- A run that `rcan sync` rebuilt from files has no commit, and its duration means nothing.
"""


def _scores_view() -> dict[str, Any]:
    state = {
        "searchFilter": "",
        "orderByKey": "metrics.`BLEU-4`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [*(f"metrics.`{metric}`" for metric in METRICS), "tags.`seed`"],
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
    }
    times = dict.fromkeys(("createdAt", "updatedAt"), VIEW_TIME)
    return {"name": "Scores", **times, "state": json.dumps(state)}
