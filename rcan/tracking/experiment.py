"""How an experiment presents itself in MLflow's interface: a description and saved views."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rcan.ablation.cells import FULL
from rcan.evaluation.scores import METRICS

PUBLISHED = "published"  # the tag of runs that were trained elsewhere: the folder they lie in
VIEW_TIME = 1_767_225_600_000  # some time in ms that never changes: an equal view is an equal tag
_PRESENT = "tags.`outdated` IS NULL"
_NAME, _WHEN = "attributes.`Run Name`", {"runDateAndNestInfo": 48}  # when, by hovering
_SCORE_WIDTH, _WIDTH = 78, 100
_LAST = "duration"
_SECTION = "Test scores"


@dataclass(frozen=True)
class View:
    """A saved view: which runs, in which order, with which columns besides the six scores."""

    key: str
    name: str
    shows: str  # as the description says it
    tag: str | None = None  # runs that have it
    order_by: str = "metrics.`BLEU-4`"
    ascending: bool = False
    columns: tuple[str, ...] = ()
    group_by: str | None = None  # a tag: one line for all runs that have it alike
    over: str | None = None  # a parameter: the charts show the scores over it
    name_width: int = 390  # whole names

    def state(self) -> dict[str, Any]:
        """What the interface keeps of a view."""
        grouped = {"mode": "tag", "groupByData": self.group_by}
        columns = [*(f"metrics.`{metric}`" for metric in METRICS), *self.columns]
        scores = dict.fromkeys(columns[: len(METRICS)], _SCORE_WIDTH)
        wide = {key: max(_WIDTH, 8 * len(key.split("`")[1])) for key in columns}  # whole heads
        widths = {
            _NAME: self.name_width,
            **_WHEN,
            **wide,
            **scores,
            _LAST: _WIDTH,
        }
        filters = [f"tags.`{self.tag}` IS NOT NULL", _PRESENT] if self.tag else [_PRESENT]
        return {
            "searchFilter": " AND ".join(filters),
            "orderByKey": self.order_by,
            "orderByAsc": self.ascending,
            "startTime": "ALL",
            "lifecycleFilter": "Active",
            "datasetsFilter": [],
            "modelVersionFilter": "All Runs",
            "selectedColumns": columns,
            "columnOrder": list(widths),
            "columnWidths": widths,
            "groupBy": {"aggregateFunction": "average", "groupByKeys": [grouped]}
            if self.group_by
            else None,
            "compareRunCharts": [self._chart(metric) for metric in METRICS],
            "compareRunSections": [
                {"uuid": _SECTION, "name": _SECTION, "display": True, "isReordered": True}
            ],
            "isAccordionReordered": True,  # or the section would not come first
            "runsHiddenMode": "SHOW_ALL",
            "runsExpanded": {},
            "runsPinned": [],
            "runsHidden": [],
        }

    def _chart(self, metric: str) -> dict[str, Any]:
        chart = {"uuid": metric, "metricSectionId": _SECTION}
        if self.over is None:
            return {**chart, "type": "BAR", "metricKey": metric, "dataAccessKey": metric}
        axes = {
            "xaxis": {"key": self.over, "type": "PARAM"},
            "yaxis": {"key": metric, "type": "METRIC"},
        }
        return {**chart, "type": "SCATTER", **axes, "runsCountToCompare": 100}


_PAPER, _SEED, _EXPERIMENT = "tags.`paper.BLEU-4`", "tags.`seed`", "tags.`dvc.exp`"
VIEWS = (
    View("scores", "Scores", "all runs, best on top", columns=(_SEED, _EXPERIMENT)),
    View(
        "table3", "Table 3 · systems", "every system and control, a line each with its mean",
        tag="paper.table3", columns=(_PAPER, _SEED), group_by="cell",
    ),
    View(
        "table4", "Table 4 · modules", "RVE, CGM and WCL, alone and together",
        tag="paper.table4", columns=(_PAPER, _SEED),
    ),
    View(
        "table5", "Table 5 · tau", "the whole model under five temperatures of WCL",
        tag="paper.table5", order_by="params.`wcl.tau`", ascending=True,
        columns=("params.`wcl.tau`", _PAPER, _SEED), over="wcl.tau",
    ),
    View(
        "fig5", "Fig. 5 · lambda", "the whole model under ten weights of cross-entropy",
        tag="paper.fig5", order_by="params.`wcl.lambda_ce`", ascending=True,
        columns=("params.`wcl.lambda_ce`", _SEED), over="wcl.lambda_ce",
    ),
    View(
        "seeds", "Seeds", "a line a cell, with the mean over its seeds; open it to see each",
        tag="cell", columns=(_SEED,), group_by="cell",
    ),
    View(
        "readings", "Readings", "other readings of what the paper leaves open, and the default",
        tag="paper.readings", columns=("tags.`cell`", _SEED),
    ),
)  # fmt: skip


_OF_PUBLISHED = (
    "metrics.`floor/BLEU-4`", "metrics.`control/fall_BLEU-4`", "metrics.`findings/macro_F1`",
    "metrics.`predictions/distinct_reports`",
)  # fmt: skip


def published_views(runs: Sequence[Mapping[str, str]]) -> tuple[View, ...]:
    """The views in which published runs, given by their tags, can be compared.

    The whole model is part of each table: one that has nothing else is left out.
    """
    shown = []
    for view in VIEWS:
        cells = {run["cell"] for run in runs if view.tag is None or view.tag in run}
        if view.tag is None or cells - {FULL}:
            columns = [name for name in view.columns if name != _EXPERIMENT]
            columns = [*_OF_PUBLISHED, *columns, f"tags.`{PUBLISHED}`"]
            shown.append(replace(view, columns=tuple(columns), name_width=200))
    return tuple(shown)


def experiment_tags(
    experiment_id: str, data_name: str, views: Sequence[View] = VIEWS
) -> dict[str, str]:
    """Tags that make the interface open on something readable.

    `views`: all, or `published_views` of published runs.

    A saved view is MLflow's internal format (checked up to 3.17). Where it is not understood, the
    link shows the plain list of runs.
    """
    return {
        "mlflow.note.content": _description(experiment_id, data_name, views),
    } | {f"mlflow.sharedViewState.{view.key}": json.dumps(_saved(view)) for view in views}


def view_link(experiment_id: str, key: str) -> str:
    """The address of a saved view, from the server's on."""
    return (
        f"#/experiments/{experiment_id}/runs?viewStateShareKey={key}&workflowType=machine_learning"
    )


_OF_OWN_RUNS = """\
- Tags: `cell` is all that the run goes by in `ablations/cells.yaml`; `paper.BLEU-4` is the paper's
  number in the row that the run repeats, where it prints one; `seed`; `git.commit`, and `git.dirty`
  with the edits in the artifact `git.diff`; `dvc.exp` names the DVC experiment.
- A run tagged `outdated` has the settings of a newer one, by other code or data; the views leave
  it out.
- A run that `rcan sync` rebuilt from files has no commit, and its duration means nothing.
"""
_OF_PUBLISHED_RUNS = f"""\
- Tags: `{PUBLISHED}` is the folder that the run's numbers lie in, `cell` the setting that it is,
  with its `seed`; `paper.BLEU-4` is the paper's number in the row that the run repeats, where it
  prints one.
- When a run was created, and its duration, are those of its way into MLflow.
"""


def _description(experiment_id: str, data_name: str, views: Sequence[View]) -> str:
    # Only the first line shows until the description is opened.
    links = [f"[{view.name}]({view_link(experiment_id, view.key)})" for view in views]
    told = "\n".join(f"- {link}: {view.shows}." for link, view in zip(links, views, strict=True))
    first, *rest = links
    to_open = f"{', '.join([f'{first}, best on top', *rest[:-1]])}{' or ' if rest else ''}"
    to_open += "".join(rest[-1:])
    trained, last = f"One run is one model trained on {data_name}", _OF_OWN_RUNS
    if views is not VIEWS:
        trained = f"Published numbers of models trained on {data_name} elsewhere, none here"
        last = _OF_PUBLISHED_RUNS
    return f"""{trained}: open {to_open}.

{told}

How to compare: tick the runs and press Compare, or press the sign of a chart above the list.

- `BLEU-4` and the like, bare, are scores on the test split under the strict protocol;
  `paper_protocol/BLEU-4` is the same prediction scored as the paper's field does it.
- `floor/BLEU-4` is what one constant report scores on the same studies. A model that does not
  clear its floor does no better than one report for everybody.
- `control/fall_BLEU-4` is what BLEU-4 falls by when every study is given another's images: near 0,
  the model does not look at them. `findings/macro_F1` is whether the findings are right.
- The parameter `train.choose` says which epoch was kept: the last, or one by `val/BLEU-4`. Of
  RCAN's runs `train/loss` = lambda · `train/loss_ce` + (1 - lambda) · `train/loss_wcl`. In a run's
  page, under Model metrics, they are curves over epochs: search `train/|val/`. An epoch is a
  second on an axis of time.
{last}"""


def _saved(view: View) -> dict[str, Any]:
    times = dict.fromkeys(("createdAt", "updatedAt"), VIEW_TIME)
    return {"name": view.name, **times, "state": json.dumps(view.state())}
