"""A small project with a model of random weights, and the image files of its data."""

import shutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image
from tiny import TOP, tiny

from rcan.config import Settings
from rcan.data.batches import Batch, StudyBatches
from rcan.data.images import read_grey
from rcan.data.preprocess import process
from rcan.data.raw import RawDataSet, RawImage, RawStudy
from rcan.data.sets.demo import demo_studies
from rcan.data.store import open_split, read_summary
from rcan.files import sha256_of, write_json
from rcan.model.build import build_model
from rcan.model.interface import NOTHING, Knowledge, ReportModel
from rcan.text.tokenizer import Tokenizer
from rcan.training.checkpoint import write_tensors
from rcan.training.key import Progress
from rcan.training.run_folder import write_run

KEY = "c" * 32
NUM_TEST = 5
FROZEN = {
    "visual.frozen": True, "visual.feature_window": 6, "visual.standardize": True,
    "visual.adapter": True, "model.use_wcl": False,
}  # fmt: skip


def make_project(root: Path, changes: dict[str, object] | None = None) -> Path:
    """Data from image files, tokenizer and runs/main in `root`; the folder of its image files.

    Test study k lies in images/test-k as 0_frontal.png and 1_lateral.png, the last one without the
    second; sides differ, and none is the size that the model reads.
    """
    settings = tiny({"generate.length_penalty": [0.5], **(changes or {})})
    shutil.copy(TOP / "params.yaml", root)
    (root / "dvc.yaml").touch()
    images, processed = root / "images", root / "data" / "processed"
    drawn = demo_studies(num_train=8, num_val=2, num_test=NUM_TEST, seed=1, image_size=48)
    studies = [_on_disk(study, images / study.id) for study in drawn]
    process(
        RawDataSet("demo", "files", studies), image_size=settings.data.image_size,
        fit=settings.data.fit, out=processed, work=root / "data" / "work",
    )  # fmt: skip
    tokenizer = root / "data" / "tokenizer.json"
    Tokenizer.train((s.text for s in open_split(processed, "train").studies), 1).save(tokenizer)
    words = Tokenizer.load(tokenizer)
    knowledge = _knowledge(settings, words, processed, root)
    torch.manual_seed(3)
    model = build_model(settings, len(words), knowledge)
    _sharpen(model, settings.model.family)
    best = root / "best.safetensors"
    write_tensors(best, model.state_dict())
    row = {"epoch": 1, "length_penalty": 0.5, "val_BLEU-4": 0.1}
    facts = {
        "key": KEY, "data_digest": read_summary(processed)["digest"],
        "tokenizer_digest": sha256_of(tokenizer),
    }  # fmt: skip
    write_run(
        root / "runs" / "main", best=best, model=model, progress=Progress(1, [row], row),
        settings=settings, facts=facts,
    )  # fmt: skip
    return images


def _knowledge(settings: Settings, words: Tokenizer, processed: Path, root: Path) -> Knowledge:
    """What a family that learns of the training studies learns, as a training does it."""
    if not settings.family.learns:
        return NOTHING
    from rcan.training.inputs import study_batches
    from rcan.training.train import _learn

    studies = open_split(processed, "train")
    batches = partial(
        study_batches, studies, tokenizer=words, settings=settings, processed=processed,
        root=root, batch_size=settings.train.batch_size,
    )  # fmt: skip
    return _learn(settings, studies, words, batches, SimpleNamespace(device="cpu"))


@torch.no_grad()
def _sharpen(model: ReportModel, family: str) -> None:
    """Or every image would have the same report."""
    model.visual.patches.project[0].weight.mul_(40)
    model.classifier.weight.mul_(12)
    if family == "rcan":
        model.word_embedding.weight.mul_(4)
        for layer in model.decoder.layers:
            layer.cross_attention.output.weight.mul_(10)
    if family == "coatt":
        model.stop[2].bias.fill_(-8)  # it would stop before the first word
        model.context.weight.mul_(4)
        model.topic.weight.mul_(4)
        model.writer.weight_ih_l0.mul_(10)


def places_of_test(images: Path) -> list[Path]:
    """The folders of the test studies, in the split's order."""
    return sorted(images.glob("test-*"))


def pipeline_reports(root: Path) -> list[str]:
    """What the pipeline's own evaluation generates for the test split."""
    return _evaluated(root)[0]


def pipeline_batch(root: Path) -> Batch:
    """What it feeds the model for the first studies of the test split."""
    return next(_evaluated(root)[1].in_order())


def _evaluated(root: Path) -> tuple[list[str], StudyBatches]:
    from rcan.generation.generate import write_reports
    from rcan.training.inputs import study_batches
    from rcan.training.run_folder import load_run

    words = Tokenizer.load(root / "data" / "tokenizer.json")
    model, settings, best = load_run(root / "runs" / "main", len(words))
    processed = root / "data" / "processed"
    batches = study_batches(
        open_split(processed, "test"), words, settings, visual=model.visual,
        processed=processed, root=root, batch_size=settings.generate.batch_size,
    )  # fmt: skip
    penalties = [best["length_penalty"]]
    written = write_reports(model, batches.in_order(), words, settings.generate, penalties)
    return written[0], batches


def write_scores(root: Path, scores: dict) -> None:
    """data/evaluation/main/scores.json, of this very training."""
    write_json(root / "data" / "evaluation" / "main" / "scores.json", scores | {"run": KEY})


def _on_disk(study: RawStudy, folder: Path) -> RawStudy:
    """The same study, its images written to PNG files and read from them."""
    folder.mkdir(parents=True)
    kept = []
    num_views = 1 if study.id.endswith(f"{NUM_TEST - 1:05d}") else 2
    for number, image in enumerate(study.images[:num_views]):
        path = folder / f"{number}_{image.projection}.png"
        pixels = image.read()[: 48 - 3 * number, : 41 + number]
        Image.fromarray(np.ascontiguousarray(pixels)).save(path)
        read = partial(read_grey, path)
        kept.append(RawImage(image.name, read, image.projection, image.version))
    return RawStudy(study.id, study.split, study.report, tuple(kept), study.labels)
