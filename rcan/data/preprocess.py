"""The preprocess stage: a raw data set to cleaned studies and packed images on disk."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rcan.data.packing import Packing, key_of
from rcan.data.raw import RawDataSet
from rcan.data.selection import RULES, Overlap, cleaned, require_every_split, select
from rcan.data.sets import DEMO, TITLES, Source, data_set
from rcan.data.store import SPLITS, Study
from rcan.data.temporary_database import temporary_database
from rcan.errors import UserError
from rcan.files import digest_of, exclusive, place_beside, replacing, sha256_of, write_json

FILES = tuple(f"{split}{ending}" for split in SPLITS for ending in (".jsonl", ".npy"))


def preprocess(
    *,
    name: str,
    root: Path | None,
    image_size: int,
    fit: str,
    seed: int,
    num_train: int,
    num_val: int,
    num_test: int,
    out: Path,
    work: Path,
) -> dict[str, Any]:
    """Read the data set `name`, clean its reports, pack its images into `out`; return a summary.

    `root` is the folder of a real data set; `seed` and the counts are the demo's alone. `work`
    keeps what is packed so far, so that a stopped run goes on where it was; it is a folder of its
    own, outside what DVC clears before a stage. Raises UserError for bad input, a full or
    read-only disk, or data of which too much is missing.
    """
    if name not in TITLES:
        known = " or ".join(", ".join(TITLES).rsplit(", ", 1))
        raise UserError(f"expected data.name to be {known}, got {name!r}")
    if root is None and name != DEMO:
        raise UserError(f"{name}: expected the folder of the data, got none; set data.root")
    with temporary_database(work) as database:  # which may hold the studies
        drawn = {"num_train": num_train, "num_val": num_val, "num_test": num_test, "seed": seed}
        source = Source(root or work, database, drawn=drawn | {"image_size": image_size})
        data = data_set(name).read(source)
        return process(data, image_size=image_size, fit=fit, out=out, work=work)


def process(
    data: RawDataSet, *, image_size: int, fit: str, out: Path, work: Path
) -> dict[str, Any]:
    """`preprocess` for a data set already read. Equal data gives equal files, resumed or not.

    Studies and images go through memory one by one; what must be known of all lies on disk.
    """
    with temporary_database(work) as database:
        problems = data.problems.copy()
        kept, tally = select(data, problems, database)
        keys = {s: key_of(kept[s].images, size=image_size, fit=fit) for s in SPLITS}
        # Other images, sizes or fits are packed elsewhere; of two runs on the same ones, one waits.
        folder = work / digest_of([data.name, keys])
        with disk_trouble(folder), exclusive(folder / "lock", "packing the same images", wait=True):
            require_writable(out)
            packings = {
                split: Packing(
                    kept[split].images, key=keys[split], size=image_size, fit=fit,
                    array=folder / f"{split}.npy",
                )
                for split in SPLITS
            }  # fmt: skip
            require_space(folder, sum(packing.bytes_to_write for packing in packings.values()))
            unreadable = {split: packing.run() for split, packing in packings.items()}
            lost = (kept[split].images.at(rows[0]) for split, rows in unreadable.items() if rows)
            tally.require_most_images(sum(map(len, unreadable.values())), next(lost, None))
            overlap = Overlap(database, problems)
            counts = {}
            for split, packing in packings.items():
                with packing.packed() as pixels_of:
                    studies = cleaned(data.name, kept[split], set(unreadable[split]), problems)
                    noted = overlap.noting(studies, pixels_of)
                    counts[split] = _write_studies(folder / f"{split}.jsonl", noted)
            require_every_split(data.name, {split: counts[split]["studies"] for split in counts})
            overlap.note_patients()
            files = {name: sha256_of(folder / name) for name in FILES}
            summary = {
                "name": data.name,
                "layout": data.layout,
                "image_size": image_size,
                "fit": fit,
                "splits": counts,
                "problems": problems.summary(),
                "rules": list(data_set(data.name).rules or RULES),
                "files": files,
                "digest": digest_of(files),
            }
            moving = work / "moving"  # of two on other images, one waits here
            with exclusive(moving, "moving data into place", wait=True):
                move(folder, out, summary)
                moving.unlink()
            done = place_beside(folder)
            folder.replace(done)  # at once: one that waits begins in a new one
            shutil.rmtree(done)
    return summary


def _write_studies(path: Path, studies: Iterable[Study]) -> dict[str, Any]:
    """Write one study a line, since the split is the file's name; return what they count."""
    number, images, tokens = 0, 0, 0
    with replacing(path) as beside, beside.open("w", encoding="utf-8", newline="\n") as file:
        for study in studies:
            record = asdict(study)
            del record["split"]
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            number += 1
            images += len(study.views)
            tokens += len(study.text.split())
    return {
        "studies": number,
        "images": images,
        "mean_tokens": round(tokens / max(number, 1), 2),
    }


def described(summary: dict[str, Any], *, with_ids: bool) -> str:
    """The summary in a few lines; `with_ids` names studies that something is wrong with."""
    name = summary["name"]
    lines = [
        f"{name} {split}: {counts['studies']} studies, {counts['images']} images, "
        f"{counts['mean_tokens']} tokens a report"
        for split, counts in summary["splits"].items()
    ]
    for kind, problem in summary["problems"].items():
        first = f", first {', '.join(problem['ids'][:3])}" if with_ids else ""
        lines.append(f"{name} {kind}: {problem['count']}{first}")
    return "\n".join(lines)


def move(work: Path, out: Path, summary: dict[str, Any]) -> None:
    """Move whole files into `out`; the summary goes first and comes last, so it vouches for all."""
    (out / "summary.json").unlink(missing_ok=True)
    for name in FILES:
        beside = out / f".{name}.tmp"
        shutil.move(work / name, beside)  # a copy if `work` is on another disk, hence not direct
        os.replace(beside, out / name)
    write_json(out / "summary.json", summary)


@contextmanager
def disk_trouble(work: Path) -> Iterator[None]:
    """Make one `UserError` of a failure to write."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "free some space" if full else "make it writable or name another folder"
        raise UserError(
            f"{error.filename or work}: expected to write processed data, got "
            f"{error.strerror!r}; {remedy} and run again: what is packed is kept"
        ) from error


def require_writable(out: Path) -> None:
    """Raise `OSError` unless files can be made in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=out):
        pass


def require_space(work: Path, needed: int) -> None:
    """Raise `UserError` unless so many bytes are free."""
    free = shutil.disk_usage(work).free
    if needed > free:
        raise UserError(
            f"{work}: expected {needed} bytes of free disk for packed images, found {free}; "
            "free some space or lower data.image_size"
        )
