"""Results to files and Markdown: `<name>.json` for every measurement, `results.md` for all."""

import json
import statistics
import subprocess
from datetime import date
from pathlib import Path

from benchmarks.measure import Result, machine

TITLES = {
    "tokens": "The same reports as the peers' own code",
    "decoding": "Writing reports",
    "training": "A training step",
    "captioners": "Captioning models and self-critical.pytorch's own code",
    "modules": "What each module costs",
    "images": "Images to the model",
    "scoring": "Scoring",
    "startup": "Before anything happens",
    "growth": "Growth",
    "threads": "Threads, on quiet cores and beside other work",
    "paper": "The paper's training on IU X-ray",
}


def keep(results: list[Result], name: str, out: Path, *, command: str) -> None:
    """Write `<name>.json`: the results, the machine, the commit and the command."""
    out.mkdir(parents=True, exist_ok=True)
    content = {
        "command": f"python -m benchmarks {command}".strip(),
        "commit": _commit(),
        "date": date.today().isoformat(),
        "machine": machine(),
        "results": [result.as_dict() for result in results],
    }
    path = out / f"{name}.json"
    beside = path.with_suffix(".tmp")
    beside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    beside.replace(path)


def read(out: Path) -> dict[str, dict]:
    """What `keep` wrote, by name, in the order of the titles."""
    return {
        name: json.loads((out / f"{name}.json").read_text(encoding="utf-8"))
        for name in TITLES
        if (out / f"{name}.json").exists()
    }


def render(results: list[Result]) -> str:
    """A Markdown table of results."""
    return table([result.as_dict() for result in results])


def table(rows: list[dict]) -> str:
    """A Markdown table: medians over rounds, ratios with their range."""
    if not rows:
        return "nothing measured\n"
    lines = [
        "| What | ours | other side | times better (range over rounds) | target | |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        ours = f"{_number(statistics.median(row['ours']))} {row['unit']}"
        theirs = ratio = ""
        if row["theirs"]:
            theirs = f"{_number(statistics.median(row['theirs']))} ({row['against']})"
            ratio = f"**{_number(statistics.median(row['ratios']))}**"
            if len(row["ratios"]) > 1:
                low, high = min(row["ratios"]), max(row["ratios"])
                ratio += f" ({_number(low)}–{_number(high)}, {len(row['ratios'])} rounds)"
        elif len(row["ours"]) > 1:
            low, high = min(row["ours"]), max(row["ours"])
            ours += f" ({_number(low)}–{_number(high)}, {len(row['ours'])} rounds)"
        what = row["what"] + (f"; {row['note']}" if row["note"] else "")
        lines.append(f"| {what} | {ours} | {theirs} | {ratio} | {_target(row)} | {_verdict(row)} |")
    return "\n".join(lines) + "\n"


def write_all(out: Path) -> None:
    """Write `results.md` from every file of results in `out`."""
    parts = ["# Benchmarks\n", "Written by `make bench`; the method is in ../README.md.\n"]
    for name, content in read(out).items():
        facts = content["machine"]
        libraries = ", ".join(f"{k} {v}" for k, v in facts.items() if k in ("torch", "torchvision"))
        place = facts["gpu"] or f"{facts['cpu']}, {facts['threads']} threads"
        parts.append(
            f"## {TITLES[name]}\n\n`{content['command']}`  \n"
            f"{content['date']}, commit {content['commit']}, {place}, {libraries}\n\n"
            + table(content["results"])
        )
    (out / "results.md").write_text("\n".join(parts), encoding="utf-8")


def _target(row: dict) -> str:
    if row["target"] is not None:
        return f"≥ {_number(row['target'])}"
    return f"≤ {_number(row['at_most'])}" if row["at_most"] is not None else ""


def _verdict(row: dict) -> str:
    return {True: "reached", False: "**missed**", None: ""}[row["met"]]


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _commit() -> str:
    """The commit measured, `+` if the code was changed since; `unknown` outside git."""
    here = Path(__file__).parent
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True,
            check=True,
        ).stdout.strip()  # fmt: skip
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no", "--", "*.py", "../*.py"],
            cwd=here, capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+" if changed else "")
