"""The numbers of every evaluated run without a word of a report, to be shared or committed.

`python -m pipeline.publish FOLDER` writes FOLDER/<run> with scores.json, counts.npz (what
paired tests need of each study), best.json, config.json and history.csv, for `rcan compare`.
`... --back FOLDER` puts them where `python -m pipeline.tables` reads, beside what is there, for
tables of published and of own cells without training the published ones again.
"""

import json
import shutil
import sys
from pathlib import Path

from pipeline.stage import EVALUATIONS, RUNS, run
from rcan.config import PipelineSettings
from rcan.errors import UserError
from rcan.evaluation.results import COUNTS
from rcan.files import place_beside, write_text
from rcan.reading import read_json
from rcan.sharing.export import numbers_of

BACK = "--back"
OF_THE_RUN = ("best.json", "config.json", "history.csv")
_REMEDY = "run its evaluation again"


def main(_: PipelineSettings) -> None:
    """Write the runs to a folder, or with --back put them beside one's own.

    Raises:
        UserError: not one folder is named, it is there already, no run is evaluated, or (--back)
            the folder holds no published runs.
    """
    arguments = [argument for argument in sys.argv[1:] if argument != BACK]
    if len(arguments) != 1 or arguments[0].startswith("-"):
        raise UserError("expected one folder: `python -m pipeline.publish [--back] FOLDER`")
    out = Path(arguments[0])
    if BACK in sys.argv:
        _put_back(out)
        return
    if out.exists():
        raise UserError(f"{out} is there already: remove it, or name another folder")
    names = sorted(path.parent.name for path in EVALUATIONS.glob("*/scores.json"))
    if not names:
        raise UserError(f"no run is evaluated in {EVALUATIONS}: `dvc repro` does that")
    beside = place_beside(out)
    shutil.rmtree(beside, ignore_errors=True)
    for name in names:
        scores = read_json(EVALUATIONS / name / "scores.json", dict, "scores", _REMEDY)
        short = json.dumps(numbers_of(scores), ensure_ascii=False, separators=(",", ":"))
        write_text(beside / name / "scores.json", short + "\n")
        shutil.copy(EVALUATIONS / name / COUNTS, beside / name)
        for file in OF_THE_RUN:
            shutil.copy(RUNS / name / file, beside / name)
    beside.replace(out)
    print(f"{len(names)} runs in {out}")


def _put_back(published: Path) -> None:
    places = {
        **dict.fromkeys(OF_THE_RUN, RUNS),
        **dict.fromkeys(("scores.json", COUNTS), EVALUATIONS),
    }
    names = sorted(path.parent.name for path in published.glob("*/scores.json"))
    if not names:
        raise UserError(f"{published}: expected published runs, found none; name their folder")
    done = [name for name in names if not (RUNS / name).exists()]
    for name in done:
        for file, place in places.items():
            (place / name).mkdir(parents=True, exist_ok=True)
            shutil.copy(published / name / file, place / name)
    print(f"{len(done)} runs put back, {len(names) - len(done)} left as they are")


if __name__ == "__main__":
    run(main)
