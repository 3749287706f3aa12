"""Stage floors: one report for every study, which each model must beat, from train and validation.

The search takes half a minute on IU X-ray and is the same for every cell.
"""

from pipeline.stage import FLOORS, PROCESSED, TOKENIZER, run
from rcan.config import Settings
from rcan.data.store import open_split
from rcan.evaluation.floors import choose_floors
from rcan.evaluation.kept_floors import write_floors
from rcan.text.tokenizer import Tokenizer


def main(settings: Settings) -> None:
    train, val = (
        [s.text for s in open_split(PROCESSED, name).studies] for name in ("train", "val")
    )
    floors = choose_floors(
        train, val,
        vocabulary=Tokenizer.load(TOKENIZER).vocabulary, max_length=settings.data.max_length,
    )  # fmt: skip
    write_floors(FLOORS, floors, processed=PROCESSED, tokenizer=TOKENIZER)
    for protocol, reports in floors.reports.items():
        lengths = (f"{name}: {len(text.split())} words" for name, text in reports.items())
        print(f"{protocol}  {', '.join(lengths)}")


if __name__ == "__main__":
    run(main)
