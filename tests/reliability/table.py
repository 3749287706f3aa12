"""Gather what `make torture` counted into results.json and the table in docs/reliability.md."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]
START, END = "<!-- written by make torture -->\n", "<!-- end -->\n"

# promise -> (what is promised, how it is tested); a test names its promise.
PROMISES = {
    "killed": (
        "Killed anywhere and started again, every stage ends in the bytes of an undisturbed run; "
        "an epoch that was kept is not trained again",
        "`kill -9` before file operations of each stage, in half a checkpoint and at random "
        "instants; SIGTERM, Ctrl-C, DVC with all it runs, DVC alone",
    ),
    "same bits": (
        "One commit, seed and machine give the same bytes, on a CPU",
        "runs again, loader threads, threads of a training, queue folders, `train.deterministic`",
    ),
    "machine trouble": (
        "A full disk, a read-only or vanished folder, too little memory, a jumping clock, two runs "
        "at once: one line, exit code above 0, no half file, and the next run goes on",
        "real small disks, mounts and limits under each stage",
    ),
    "tracker": (
        "MLflow down, slow or dying never holds or loses a training; afterwards it has every epoch "
        "once",
        "a server that refuses, stalls, breaks off or is killed; locked, damaged and fresh "
        "databases",
    ),
    "bad input": (
        "Right output or one line that names file, record and remedy; no traceback, no hang, no "
        "code run",
        "Hypothesis and a corpus: settings, annotations, XML, tables, images, tokenizers, weights, "
        "results",
    ),
    "scoring": (
        "The six scores are pycocoevalcap's to 1e-9; METEOR's troubles are one line",
        "random sets of reports against upstream; every known failure of METEOR",
    ),
    "privacy": (
        "Of restricted data no word, image or id leaves `data/`",
        "marks in reports, images and ids, sought in every file and database row of a whole run",
    ),
    "honesty": (
        "The test split stays shut until `evaluate`; overlap of splits is told; nothing unlike is "
        "compared",
        "a test split that cannot be opened; splits made to overlap; results of other data",
    ),
}
KEPT = (
    "Types, dead code, directions of import, coverage, mutants",
    "mypy --strict, vulture, `make coverage`, `make mutants`",
)


def main() -> None:
    found: dict[str, Counter[str]] = {promise: Counter() for promise in PROMISES}
    for path in sorted(Path(sys.argv[1]).glob("*.json")):
        for one in json.loads(path.read_text(encoding="utf-8")):
            found[one["promise"]][one["what"]] += one["number"]
    empty = [promise for promise, counts in found.items() if not counts]
    if empty:
        sys.exit(f"nothing was counted for {', '.join(empty)}: run make torture to its end")
    results = {"commit": _commit(), "command": "make torture", "counted": found}
    text = json.dumps(results, indent=2, sort_keys=True, ensure_ascii=False)
    (HERE / "results.json").write_text(text + "\n", encoding="utf-8")
    rows = [(*PROMISES[promise], _told(counts)) for promise, counts in found.items()]
    rows.append((*KEPT, f"{_coverage()}; {_mutants()}"))
    table = "| promised | tested by | last result |\n|---|---|---|\n"
    table += "".join(f"| {' | '.join(row)} |\n" for row in rows)
    page = TOP / "docs" / "reliability.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(START)
    after = rest.partition(END)[2]
    page.write_text(before + START + table + END + after, encoding="utf-8")


def _told(counts: Counter[str]) -> str:
    """What a test calls `train: killed in half a checkpoint` is summed over what precedes `: `."""
    kinds: Counter[str] = Counter()
    for what, number in counts.items():
        kinds[what.rpartition(": ")[2]] += number
    return "; ".join(f"{number:,} {what}" for what, number in kinds.most_common())


def _coverage() -> str:
    total = re.search(r"^TOTAL.*?([\d.]+)%", (HERE / "coverage.txt").read_text(), re.MULTILINE)
    return f"{total[1]} % of lines and branches run" if total else "coverage not measured"


def _mutants() -> str:
    """The columns of mutants.md: mutants, killed, types, timeout, survived, no test, not tried."""
    text = (HERE / "mutants.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?:evaluation|generation|model) \|([ \d|]+)\|$", text, re.MULTILINE)
    numbers = [[int(cell) for cell in row.split("|")] for row in rows]
    total, killed, types, late, alive, untested, untried = map(sum, zip(*numbers, strict=True))
    return (
        f"of {total - untried:,} mutants {killed + late:,} killed by tests, {types:,} by types, "
        f"{alive + untested:,} alive and answered; {untried:,} not tried"
    )


def _commit() -> str:
    return subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=TOP, check=True, capture_output=True, text=True
    ).stdout.strip()


if __name__ == "__main__":
    main()
