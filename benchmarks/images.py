"""Images to the model: a packed store against PIL on image files, and memory against data set size.

Ours reads uint8 windows from the mapped store, which the model standardises where it computes;
theirs opens, resizes, crops and standardises each file, as the usual loader of R2Gen's kind does.
Files, stores and reports are drawn here: no data set is needed.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import count, cycle
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import Result, exponent, paired, rss_anon_mb, timed

if TYPE_CHECKING:
    import numpy as np

    from rcan.data.batches import StudyBatches
    from rcan.data.store import Split

PARAMS = Path(__file__).resolve().parents[1] / "params.yaml"
SIDE = 256  # pixels of a packed image, as the paper's data sets are stored
# name -> Pillow's format, width and height, deviation of the noise (files of about 2 MB), options
FORMATS = {
    "JPEG as MIMIC-CXR-JPG": ("JPEG", (2544, 3056), 2.0, {"quality": 95}),
    "PNG as Open-i": ("PNG", (2048, 2496), 1.0, {}),
}
SPARE_DISK = 2e9  # bytes left free when a store has been written
GROWTH = 0.05  # exponent: ids of reports and places of images grow, pixels and texts stay on disk


def run(options) -> list[Result]:
    """Speed beside PIL; the memory of a process that has read an epoch, by size of the store."""
    return [*_speed(options), *_memory(options)]


def _speed(options) -> list[Result]:
    num_files, num_images, shrink = (2, 512, 4) if options.quick else (8, 8192, 1)
    results, speeds = [], []
    with _temporary_folder() as folder, _one_thread():
        for name, (form, size, noise, save) in FORMATS.items():
            size = tuple(length // shrink for length in size)
            files = _draw_files(folder / form, num_files, form, size, noise, save)
            packed, seconds = _pack(files, folder / f"{form}.npy")
            _write_store(folder / f"{form} packed", num_images, packed)
            _, batches = _open(folder / f"{form} packed")
            ours, theirs = paired(
                partial(_read_epoch, batches, count(1)),
                partial(_load_by_pil, files),
                rounds=options.rounds,
            )
            what = f"{name}, {size[0]} x {size[1]}"
            megabytes = sum(path.stat().st_size for path in files) / num_files / 1e6
            results += [
                Result(
                    f"images to the model: {what}",
                    [num_images / s for s in ours],
                    "images/s",
                    [num_files / s for s in theirs],
                    against="PIL and torchvision, one thread",
                    higher_is_better=True,
                    note=f"files of {megabytes:.1f} MB; ours leaves standardising to the model",
                ),
                Result(
                    f"packing, once: {what}",
                    [num_files / seconds],
                    "images/s",
                    higher_is_better=True,
                    note="as many threads as the machine has cores, 8 at most",
                ),
            ]
            speeds += results[-2].ours
    speed = Result(
        "images to the model, packed store, one thread, warm",
        speeds,
        "images/s",
        higher_is_better=True,
        target=20_000,
        note=f"{num_images:,} images of {SIDE} x {SIDE} in random windows of 224 x 224",
    )
    return [speed, *results]


def _memory(options) -> list[Result]:
    what, unit = "anonymous memory after an epoch", "MB"
    results, measured = [], []
    for num_images in (1_000, 2_000, 4_000) if options.quick else (10_000, 50_000, 200_000):
        line, size = f"{what}: {num_images:,} images", num_images * SIDE**2
        with _temporary_folder() as folder:
            free = shutil.disk_usage(folder).free
            if free < size + SPARE_DISK:
                print(
                    f"{line}: skipped, {(size + SPARE_DISK) / 1e9:.0f} GB are not free", flush=True
                )
                continue
            _write_store(folder, num_images, _noise(256))
            # A fresh process, so that nothing of the ones before it counts.
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                started, opened, read = process.submit(_memory_of_an_epoch, folder).result()
        measured.append((num_images, opened, read))
        note = f"{size / 1e9:.1f} GB of pixels; {started:.0f} MB with all libraries loaded"
        results.append(Result(line, [read], unit, note=note))
    if len(measured) > 1:
        (fewest, _, least), *_, (most, _, highest) = measured
        results += [
            Result(
                f"{what}: growth exponent",
                [exponent([n for n, _, _ in measured], [read for _, _, read in measured])],
                "",
                at_most=GROWTH,
                note="0: constant in the size of the data set; 1: proportional to it",
            ),
            Result(
                f"{what}: of 100,000 images more",
                [(highest - least) / (most - fewest) * 1e5],
                unit,
                note="the token ids of 50,000 reports, and where reports and images lie; no pixels",
            ),
            Result(
                f"{what}: from reading the images themselves",
                [max(read - opened for _, opened, read in measured)],
                unit,
                note="at the size where it is most",
            ),
        ]
    return results


def _memory_of_an_epoch(folder: Path) -> tuple[float, float, float]:
    """MB of this process: libraries loaded, a split opened, and at most while it is read once."""
    import torch

    import rcan.training.inputs  # noqa: F401

    torch.set_num_threads(1)
    started = rss_anon_mb()
    _split, batches = _open(folder)
    before = rss_anon_mb()
    steps = enumerate(batches.shuffled(seed=1, epoch=1, length_buckets=1))
    highest = max(rss_anon_mb() for step, _ in steps if step % 100 == 0)
    return started, before, max(highest, rss_anon_mb())


def _open(folder: Path) -> tuple["Split", "StudyBatches"]:
    """A split of `_write_store` and its batches, as training makes and keeps them."""
    from types import SimpleNamespace

    from ruamel.yaml import YAML

    from rcan.config import resolve
    from rcan.data.store import open_split
    from rcan.text.tokenizer import Tokenizer
    from rcan.training.inputs import study_batches

    raw = YAML(typ="safe", pure=True).load(PARAMS.read_text(encoding="utf-8"))
    raw["scale"], raw["data"]["name"] = "full", "iu_xray"  # windows of 224, two views a study
    settings = resolve(raw)
    of_images = SimpleNamespace(takes_features=False, window=settings.visual.crop)
    split = open_split(folder, "train")
    batches = study_batches(
        split, Tokenizer.load(folder / "tokenizer.json"), settings,
        visual=of_images, processed=folder, root=folder,
        batch_size=settings.train.batch_size,
    )  # fmt: skip
    return split, batches


def _write_store(folder: Path, num_images: int, pixels: "np.ndarray") -> None:
    """A split of studies with two images each, and its tokenizer; the pixels repeat `pixels`."""
    import numpy as np

    from rcan.text.tokenizer import Tokenizer

    folder.mkdir(exist_ok=True)
    with (folder / "train.npy").open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (num_images, SIDE, SIDE)}
        np.lib.format.write_array_header_1_0(file, header)
        for first in range(0, num_images, len(pixels)):
            file.write(pixels[: num_images - first].data)
    texts = _reports(500)
    Tokenizer.train((text for _, text in texts), 1).save(folder / "tokenizer.json")
    with (folder / "train.jsonl").open("w", encoding="utf-8") as file:
        for study, (report, text) in zip(range(num_images // 2), cycle(texts)):
            views = [
                {"row": 2 * study, "projection": "frontal"},
                {"row": 2 * study + 1, "projection": "lateral"},
            ]
            record = {"id": f"study-{study:06d}", "report": report, "text": text}
            file.write(json.dumps(record | {"views": views, "labels": None}) + "\n")
    _write_summary(folder, num_images)


def _write_summary(folder: Path, num_images: int) -> None:
    """What opening the split checks it by; of the splits that are not there, only names."""
    from rcan.data.store import SPLITS
    from rcan.files import digest_of, sha256_of, write_json

    files = {f"{split}{end}": "0" * 64 for split in SPLITS for end in (".jsonl", ".npy")}
    files["train.jsonl"] = sha256_of(folder / "train.jsonl")
    counts = {"studies": num_images // 2, "images": num_images // 2 * 2}
    summary = {"image_size": SIDE, "splits": dict.fromkeys(SPLITS, counts), "files": files}
    write_json(folder / "summary.json", summary | {"problems": {}, "digest": digest_of(files)})


def _reports(num: int) -> list[tuple[str, str]]:
    """Reports of the demo's kind, as written and cleaned."""
    from rcan.data.sets.demo import demo_studies
    from rcan.text.cleaning import clean_iu_xray

    studies = demo_studies(num_train=num, num_val=0, num_test=0, seed=1, image_size=SIDE)
    return [(study.report, clean_iu_xray(study.report)) for study in studies]


def _noise(num: int) -> "np.ndarray":
    import numpy as np

    return np.random.default_rng(1).integers(0, 256, (num, SIDE, SIDE), dtype=np.uint8)


def _draw_files(
    folder: Path, num: int, form: str, size: tuple[int, int], noise: float, save: dict
) -> list[Path]:
    """Drawn chest X-rays of (width, height) pixels with noise, as a detector adds it."""
    import numpy as np
    from PIL import Image

    from rcan.data.sets.demo import demo_studies

    folder.mkdir()
    rng = np.random.default_rng(1)
    studies = demo_studies(num_train=num, num_val=0, num_test=0, seed=1, image_size=512)
    paths = []
    for number, study in enumerate(studies):
        drawn = Image.fromarray(study.images[0].read()).resize(size, Image.Resampling.BICUBIC)
        pixels = np.asarray(drawn, dtype=np.float32)
        pixels = pixels + noise * rng.standard_normal(pixels.shape, dtype=np.float32)
        paths.append(folder / f"{number}.{form.lower()}")
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(paths[-1], form, **save)
    return paths


def _pack(files: Sequence[Path], array: Path) -> tuple["np.ndarray", float]:
    """The files packed as the first stage packs them, and the seconds that it took."""
    import numpy as np

    from rcan.data.images import read_grey
    from rcan.data.packing import Packing
    from rcan.data.raw import RawImage

    images = [RawImage(path.name, partial(read_grey, path), None, "1") for path in files]
    seconds = timed(Packing(images, key="", size=SIDE, fit="squash", array=array).run)
    return np.load(array), seconds


def _read_epoch(batches: "StudyBatches", epochs: Iterator[int]) -> None:
    for _ in batches.shuffled(seed=1, epoch=next(epochs), length_buckets=1):
        pass


def _load_by_pil(files: Sequence[Path]) -> list:
    from PIL import Image
    from torchvision import transforms

    transform = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.RandomCrop(224),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    return [transform(Image.open(path).convert("RGB")) for path in files]


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rcan-images-") as folder:
        yield Path(folder)
