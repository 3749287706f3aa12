"""Settings of a model that trains in a second, and drawn studies for it."""

import copy
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
    "cgm.num_slots": 8, "cgm.num_heads": 2, "wcl.projection_dim": 8,
    "train.epochs": 3, "train.batch_size": 4, "train.warmup_steps": 0, "train.length_buckets": 2,
    "train.accelerator": "cpu", "generate.batch_size": 4, "eval.resamples": 100,
}  # fmt: skip

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
    """Processed demo data and tokenizer in `folder`: the arguments that `train` takes them by."""
    from rcan.data.preprocess import preprocess
    from rcan.data.store import open_split
    from rcan.text.tokenizer import Tokenizer

    place = {"processed": folder / "processed", "tokenizer": folder / "tokenizer.json"}
    preprocess(
        name="demo", root=None, image_size=settings.data.image_size, fit="squash",
        **settings.demo.model_dump(), out=place["processed"], work=folder / "work",
    )  # fmt: skip
    studies = open_split(place["processed"], "train").studies
    Tokenizer.train((s.text for s in studies), settings.data.min_freq).save(place["tokenizer"])
    return place
