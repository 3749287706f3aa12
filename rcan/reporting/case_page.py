"""cases.md: what Figs. 4 and 6 show, by which rule it was chosen, or why it is not shown."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rcan.reporting.names import data_name

RULES = {
    "fig4": "Cross-attention of the decoder's last layer, mean over the heads, for words of the "
    "model's own report, which it is given to read once. Of the findings that have a place (on "
    "X-rays, where places are not known: of all), the four that most reports rightly name are "
    "shown, each in the first test study in which as many models as possible name it. How much "
    "attention falls on findings over the whole test split is in fig4.csv.",
    "fig6": "Test studies with a finding, ranked by BLEU-4 of the last column's report (strict "
    "protocol), in even steps from the best to the worst.",
}


def clear(out: Path) -> None:
    """Remove what an earlier run drew."""
    for name in RULES:
        for kind in (".png", ".svg"):
            (out / name).with_suffix(kind).unlink(missing_ok=True)


def case_page(
    name: str, shown: Mapping[str, Sequence[str]], missing: Sequence[str], *,
    restricted: bool, known: bool,
) -> str:  # fmt: skip
    """`shown`: figure -> the runs that it shows, none where nothing is drawn; `known`: whether
    there is a labeler for the data set."""
    parts = [f"# Attention and case studies: {data_name(name)}"]
    if restricted:
        parts.append(
            "The data set is restricted: no report and no image of it is shown here; "
            "`privacy.restricted` in params.yaml decides."
        )
    elif not known:
        parts.append("No labeler reads findings in reports of this data set: nothing is drawn.")
    for figure, runs in shown.items():
        title = figure.replace("fig", "Figure ")
        parts.append(f"## {title}")
        if runs:
            parts += [f"![{title}]({figure}.png)", f"Runs: {', '.join(runs)}. {RULES[figure]}"]
        else:
            parts.append("Nothing to show: no run yet, or none that rightly names a finding.")
    if missing:
        commands = "\n".join(
            f"RCAN_CELLS={run} dvc repro ablations/dvc.yaml:evaluate@{run}" for run in missing
        )
        parts += ["## Not run", f"```\n{commands}\n```"]
    return "\n\n".join(parts) + "\n"
