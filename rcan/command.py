"""The command that repeats a run, told from the settings, and whether it gave the same again."""

from pathlib import Path

from rcan.dotted import flatten
from rcan.evaluation.results import parse_metrics
from rcan.project import git_output
from rcan.reading import parse_yaml, read_text


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
    settings = [f" -S {key}={_shown(key, value)}" for key, value in changed.items()]
    return f"dvc exp run{''.join(settings)}" if settings else "dvc repro"


def seeds() -> str:
    """What more a cell's command needs where cells.yaml has other seeds than the last commit's."""
    name = "ablations/cells.yaml"
    committed, now = _flat(git_output("show", f"HEAD:./{name}")), _flat(_read(name))
    if not committed or committed.get("seeds") == now.get("seeds"):
        return ""
    return f" -S '{name}:seeds={_shown('seeds', now.get('seeds'))}'"


def other_than_committed(metrics: Path) -> str:
    """A line for who gets other test scores than the last commit holds, though dvc.lock there tells
    of the same settings, code and data; else empty."""
    committed = git_output("show", f"HEAD:./{metrics.as_posix()}")
    made_of = _made_of(_read("dvc.lock"))
    if not committed or not made_of or made_of != _made_of(git_output("show", "HEAD:./dvc.lock")):
        return ""
    remedy = "run `dvc repro evaluate`"
    before = parse_metrics(committed, f"HEAD:{metrics}", remedy)
    now = parse_metrics(read_text(metrics, "scores", remedy), str(metrics), remedy)
    others = [name for name in now if now[name] != before.get(name)]
    if not others:
        return ""
    name = others[-1] if "BLEU-4" not in others else "BLEU-4"
    return (
        f"other scores than the committed ones, by the same settings, code and data: {name} "
        f"{now[name]} in place of {before.get(name)}. Another kind of processor, or another torch, "
        "rounds sums in another order, so this is expected. Keep yours, or `git checkout dvc.lock "
        "reports` to have the committed tables back until the next `dvc repro`"
    )


def _made_of(lock: str) -> object:
    """What a dvc.lock says that the test scores were made of, but for the trained weights; None if
    it does not say."""
    try:
        stages = [parse_yaml(lock)["stages"][stage] for stage in ("train", "evaluate")]
        return [
            [stage.get("params"), [dep for dep in stage["deps"] if dep["path"] != "runs/main"]]
            for stage in stages
        ]
    except (ValueError, LookupError, TypeError):
        return None


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


def _shown(key: str, value: object) -> str:
    text = "null" if value is None else str(value).replace(" ", "")
    # A name that a shell takes for nothing else.
    return f"PATH_OF_{key.rpartition('.')[2].upper()}" if "/" in text else text
