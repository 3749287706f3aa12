"""The command that repeats a run, told from the settings, and whether it gave the same again."""

from pathlib import Path

from rcan.dotted import flatten
from rcan.errors import UserError
from rcan.project import git_output, git_state
from rcan.reading import parse_json, parse_yaml, read_json


def command() -> str:
    """What repeats the current settings from the last commit: `dvc repro`, or an experiment.

    Paths are left out: where things lie on this machine is nobody else's affair.
    """
    committed, now = _flat(git_output("show", "HEAD:./params.yaml")), _flat(_read("params.yaml"))
    changed = {
        key: value for key, value in now.items() if committed and committed.get(key) != value
    }
    if "data.root" in changed:
        changed["data.root"] = "/"
    settings = [f" -S {key}={_shown(value)}" for key, value in changed.items()]
    return f"dvc exp run{''.join(settings)}" if settings else "dvc repro"


def seeds() -> str:
    """What more a cell's command needs where cells.yaml has other seeds than the last commit's."""
    name = "ablations/cells.yaml"
    committed, now = _flat(git_output("show", f"HEAD:./{name}")), _flat(_read(name))
    if not committed or committed.get("seeds") == now.get("seeds"):
        return ""
    return f" -S '{name}:seeds={_shown(now.get('seeds'))}'"


def other_than_committed(metrics: Path) -> str:
    """A line for who gets other scores than the last commit holds, by its settings and code; else
    empty."""
    committed = git_output("show", f"HEAD:./{metrics.as_posix()}")
    if not committed or git_state()["dirty"]:
        return ""
    shape = {"test": {"BLEU-4": float}}
    try:
        before = parse_json(committed, shape, f"HEAD:{metrics}", "scores", "")
    except UserError:
        return ""
    now = read_json(metrics, shape, "scores", "run `dvc repro evaluate`")
    if now == before:
        return ""
    scores = " in place of ".join(f"{of['test']['BLEU-4']:.4f}" for of in (now, before))
    return (
        f"other scores than the committed ones, by the same settings and code: BLEU-4 {scores}. "
        "Another kind of processor or another torch rounds sums in another order, so this is "
        "expected. Keep yours, or `git checkout dvc.lock reports` to have the committed ones back"
    )


def _read(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _flat(text: str) -> dict[str, object]:
    try:
        settings = parse_yaml(text)
    except ValueError:  # the commit's file may be any
        return {}
    return flatten(settings) if isinstance(settings, dict) else {}


def _shown(value: object) -> str:
    text = "null" if value is None else str(value).replace(" ", "")
    return "<path>" if "/" in text else text
