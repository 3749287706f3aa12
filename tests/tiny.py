"""A model that trains in a second, drawn studies for it, and its training."""

import copy
from collections.abc import Callable
from pathlib import Path

import yaml

from rcan.config import Settings, resolve

TOP = Path(__file__).resolve().parents[1]
PARAMS = yaml.safe_load((TOP / "params.yaml").read_text(encoding="utf-8"))

TINY = {
    "data.image_size": 32, "data.max_length": 24, "data.min_freq": 1,
    "demo.num_train": 12, "demo.num_val": 4, "demo.num_test": 4,
    "visual.channels": [4, 8], "visual.crop": 28,
    "model.d_model": 16, "model.num_heads": 2, "model.num_decoder_layers": 1, "model.d_ff": 16,
    "cgm.num_slots": 8, "cgm.num_heads": 2,
    "wcl.tau": 0.1, "wcl.lambda_ce": 0.7, "wcl.projection_dim": 8,
    "ppked.topic_share": 0.34, "clinicalbert.pretrain_share": 0.67,
    "train.epochs": 3, "train.batch_size": 4, "train.warmup_steps": 0, "train.length_buckets": 2,
    "train.lr": 0.001, "train.lr_visual": 0.001, "train.schedule": "cosine",
    "train.accelerator": "cpu", "generate.batch_size": 4, "eval.resamples": 100,
}  # fmt: skip

SPLITS = ("train", "val")  # that floors are chosen on
TRANSFORMER = {"model.use_rve": False, "model.use_cgm": False, "model.use_wcl": False}
R2GENCMN = TRANSFORMER | {"model.use_cgm": True, "cgm.gate": "response", "cgm.top_k": 4}


def changed(values: dict[str, object]) -> dict:
    """What params.yaml holds, with some dotted keys given one value each."""
    raw = copy.deepcopy(PARAMS)
    for key, value in values.items():
        *sections, field = key.split(".")
        place = raw
        for section in sections:
            place = place[section]
        place[field] = value
    return raw


def tiny(changes: dict[str, object] | None = None) -> Settings:
    """The demo's settings at their smallest, with `changes` to dotted keys."""
    return resolve(changed(TINY | (changes or {})))


def prepare(folder: Path, settings: Settings) -> dict[str, Path]:
    """Processed data, of data.root or drawn, tokenizer and floors in `folder`: arguments of
    `train`."""
    from rcan.data.preprocess import preprocess
    from rcan.data.store import open_split
    from rcan.evaluation.floors import choose_floors
    from rcan.evaluation.kept_floors import write_floors
    from rcan.text.tokenizer import Tokenizer

    place = {"processed": folder / "processed", "tokenizer": folder / "tokenizer.json"}
    floors = folder / "floors.json"
    data = settings.data
    preprocess(
        name=data.name, root=Path(data.root) if data.root else None,
        image_size=data.image_size, fit="squash", **settings.demo.model_dump(),
        out=place["processed"], work=folder / "work",
    )  # fmt: skip
    train, val = ([s.text for s in open_split(place["processed"], n).studies] for n in SPLITS)
    words = Tokenizer.train(train, data.min_freq)
    words.save(place["tokenizer"])
    found = choose_floors(train, val, vocabulary=words.vocabulary, max_length=data.max_length)
    write_floors(floors, found, **place)
    return place | {"floors": floors}


def batches_of(place: dict[str, Path], root: Path, settings: Settings, split: str, visual):
    """The batches of a split, as training and evaluation make them."""
    from rcan.data.store import open_split
    from rcan.text.tokenizer import Tokenizer
    from rcan.training.inputs import study_batches

    return study_batches(
        open_split(place["processed"], split), Tokenizer.load(place["tokenizer"]), settings,
        visual=visual, processed=place["processed"], root=root,
        batch_size=settings.train.batch_size,
    )  # fmt: skip


def train_tiny(
    place: dict[str, Path], root: Path, changes: dict[str, object] | None = None,
    on_epoch: Callable[[int], None] = lambda epoch: None,
) -> list[int]:  # fmt: skip
    """Train into `root`/run, with the state under `root`; the epochs that were trained now.

    The base of a curriculum is trained beside it, and counted with none.
    """
    import torch

    from rcan.training.train import train

    torch.set_num_threads(1)  # the child processes of the tests use one too
    trained = []

    def log(epoch: int, numbers: dict[str, float]) -> None:
        trained.append(epoch)
        on_epoch(epoch)

    settings, base = tiny(changes), None
    if settings.curriculum.name != "none":
        base = root.parent / f"{root.name}-base" / "run" / "best.safetensors"
        if not base.exists():
            train_tiny(place, base.parents[1], {**(changes or {}), "curriculum.name": "none"})
    train(settings, **place, out=root / "run", root=root, log_to=lambda key: log, base=base)
    return trained


def run_files(root: Path) -> dict[str, bytes]:
    """The contents of `root`/run."""
    return {path.name: path.read_bytes() for path in (root / "run").iterdir()}
