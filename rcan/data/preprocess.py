"""The preprocess stage: a raw data set to cleaned studies and packed images on disk."""

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rcan.data.demo import demo_studies
from rcan.data.iu_xray import read_iu_xray
from rcan.data.mimic_cxr import RULES as MIMIC_CXR_RULES
from rcan.data.mimic_cxr import read_mimic_cxr
from rcan.data.output import FILES, disk_trouble, move, require_space, require_writable
from rcan.data.overlap import Overlap
from rcan.data.packing import Packing, key_of
from rcan.data.raw import RawDataSet
from rcan.data.scratch import scratch
from rcan.data.selection import RULES, cleaned, require_every_split, select
from rcan.data.study import SPLITS, Study
from rcan.errors import UserError
from rcan.files import digest_of, exclusive, replacing, sha256_of


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
        with scratch(work) as database:  # which holds the studies
            data = read_mimic_cxr(root, database)
            return process(data, image_size=image_size, fit=fit, out=out, work=work)
    else:
        raise UserError(f"expected data.name to be demo, iu_xray or mimic_cxr, got {name!r}")
    return process(data, image_size=image_size, fit=fit, out=out, work=work)


def process(
    data: RawDataSet, *, image_size: int, fit: str, out: Path, work: Path
) -> dict[str, Any]:
    """`preprocess` for a data set already read. Equal data gives equal files, resumed or not.

    Studies and images go through memory one by one; what must be known of all lies on disk.
    """
    with scratch(work) as database:
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
                "rules": list(MIMIC_CXR_RULES if data.name == "mimic_cxr" else RULES),
                "files": files,
                "digest": digest_of(files),
            }
            moving = work / "moving"  # of two on other images, one waits here
            with exclusive(moving, "moving data into place", wait=True):
                move(folder, out, summary)
                moving.unlink()
            shutil.rmtree(folder)
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
