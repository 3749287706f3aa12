"""The preprocess stage: a raw data set to cleaned studies and packed images on disk."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rcan.data.demo import demo_studies
from rcan.data.iu_xray import read_iu_xray
from rcan.data.mimic_cxr import RULES as MIMIC_CXR_RULES
from rcan.data.mimic_cxr import read_mimic_cxr
from rcan.data.overlap import note_equal_images, note_shared_patients
from rcan.data.packing import Packing
from rcan.data.selection import (
    RULES,
    Problems,
    present_images,
    require_every_split,
    require_most_images,
    select,
    with_views,
)
from rcan.data.study import SPLITS, RawDataSet, Study
from rcan.errors import UserError
from rcan.files import digest_of, exclusive, sha256_of, write_json, write_text


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
    if name == "demo":
        studies = demo_studies(
            num_train=num_train,
            num_val=num_val,
            num_test=num_test,
            seed=seed,
            image_size=image_size,
        )
        data = RawDataSet("demo", "drawn", studies)
    elif name == "iu_xray":
        if root is None:
            raise UserError("iu_xray: expected the folder of the data, got none; set data.root")
        data = read_iu_xray(root)
    elif name == "mimic_cxr":
        if root is None:
            raise UserError("mimic_cxr: expected the folder of the data, got none; set data.root")
        data = read_mimic_cxr(root)
    else:
        raise UserError(f"expected data.name to be demo, iu_xray or mimic_cxr, got {name!r}")
    return process(data, image_size=image_size, fit=fit, out=out, work=work)


def process(
    data: RawDataSet, *, image_size: int, fit: str, out: Path, work: Path
) -> dict[str, Any]:
    """`preprocess` for a data set already read. Equal data gives equal files, resumed or not."""
    problems = Problems(data.problems)
    selected = select(data, problems)
    images = {
        split: [image for study in selected[split] for image in present_images(study)]
        for split in SPLITS
    }
    # Other images, sizes or fits are packed elsewhere; of two runs on the same ones, one waits.
    packed = {s: [[image.name, image.version] for image in images[s]] for s in SPLITS}
    work = work / digest_of([data.name, image_size, fit, packed])
    with _disk_trouble(work), exclusive(work / "lock", "packing the same images", wait=True):
        _require_writable(out)
        packings = {
            split: Packing(images[split], size=image_size, fit=fit, array=work / f"{split}.npy")
            for split in SPLITS
        }
        _require_space(work, sum(packing.bytes_to_write for packing in packings.values()))
        unreadable = {split: packing.run() for split, packing in packings.items()}
        require_most_images(
            data, unreadable=[images[split][row] for split in SPLITS for row in unreadable[split]]
        )
        splits = {
            split: with_views(data.name, selected[split], set(unreadable[split]), problems)
            for split in SPLITS
        }
        require_every_split(data, splits)
        arrays = {split: packing.array for split, packing in packings.items()}
        note_equal_images(splits, images, arrays, problems)
        note_shared_patients(splits, selected, problems)
        for split, studies in splits.items():
            _write_studies(work / f"{split}.jsonl", studies)
        files = {name: sha256_of(work / name) for name in _FILES}
        summary = {
            "name": data.name,
            "layout": data.layout,
            "image_size": image_size,
            "fit": fit,
            "splits": {split: _counts(studies) for split, studies in splits.items()},
            "problems": problems.summary(),
            "rules": list(MIMIC_CXR_RULES if data.name == "mimic_cxr" else RULES),
            "files": files,
            "digest": digest_of(files),
        }
        moving = work.parent / "moving"  # of two on other images, one waits here
        with exclusive(moving, "moving data into place", wait=True):
            _move(work, out, summary)
            moving.unlink()
        shutil.rmtree(work)
    return summary


_FILES = tuple(f"{split}{ending}" for split in SPLITS for ending in (".jsonl", ".npy"))


def _write_studies(path: Path, studies: list[Study]) -> None:
    """One study a line; the split is the file's name."""
    lines = []
    for study in studies:
        record = asdict(study)
        del record["split"]
        lines.append(json.dumps(record, ensure_ascii=False) + "\n")
    write_text(path, "".join(lines))


def _counts(studies: list[Study]) -> dict[str, Any]:
    tokens = sum(len(study.text.split()) for study in studies)
    return {
        "studies": len(studies),
        "images": sum(len(study.views) for study in studies),
        "mean_tokens": round(tokens / len(studies), 2),
    }


def _move(work: Path, out: Path, summary: dict[str, Any]) -> None:
    """Move whole files into `out`; the summary goes first and comes last, so it vouches for all."""
    (out / "summary.json").unlink(missing_ok=True)
    for name in _FILES:
        beside = out / f".{name}.tmp"
        shutil.move(work / name, beside)  # a copy if `work` is on another disk, hence not direct
        os.replace(beside, out / name)
    write_json(out / "summary.json", summary)


@contextmanager
def _disk_trouble(work: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "free some space" if full else "make it writable or name another folder"
        raise UserError(
            f"{error.filename or work}: expected to write processed data, got "
            f"{error.strerror!r}; {remedy} and run again: what is packed is kept"
        ) from error


def _require_writable(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=out):
        pass


def _require_space(work: Path, needed: int) -> None:
    free = shutil.disk_usage(work).free
    if needed > free:
        raise UserError(
            f"{work}: expected {needed} bytes of free disk for packed images, found {free}; "
            "free some space or lower data.image_size"
        )


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
