"""The command that repeats a run, told from the settings."""

from pathlib import Path

from rcan.dotted import flatten
from rcan.project import git_output
from rcan.reading import parse_yaml


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
