"""Which training, code and command each number comes from."""

from collections.abc import Sequence

from rcan.reporting.cells.runs import Run
from rcan.reporting.cells.study import Ablations
from rcan.reporting.cells.wording import command_of, ground
from rcan.table import Row, Table


def provenance(ablations: Ablations, cells: Sequence[str]) -> Table:
    """One row a run: its key, commit and command."""
    runs = [run for cell in dict.fromkeys(cells) for run in ablations.model(cell).runs]
    return Table(
        ["run", "trained as", "key", "epoch", "length penalty", "on", "commit", "command"],
        [_row(ablations, run) for run in runs],
        title="Where each number comes from",
        caption=(
            f"{ground(ablations)}. A training's key names its settings, data, tokenizer and code; "
            "its last bits follow from the processor that it ran on; the commit is that of the "
            "code which made the tables."
        ),
        folded=True,
    )


def _row(ablations: Ablations, run: Run) -> Row:
    command = f"`{command_of(ablations, run)}`"
    if not run.result:
        told = f"not run: {run.why_missing}" if run.why_missing else "not run"
        return Row([run.name, told, *["not run"] * 5, command], "missing")
    scores = run.result.scores
    return Row(
        [
            run.name,
            "itself" if run.place == run.name else run.place,
            scores["run"][:12],
            str(scores["epoch"]),
            f"{scores['length_penalty']:g}",
            run.result.best.get("trained_on", "not told"),
            ablations.settings.commit,
            command,
        ]
    )
