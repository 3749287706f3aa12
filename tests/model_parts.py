"""Tiny models and batches, with weights that make every part of an equation count."""

import math

import pytest
import torch
import torch.nn.functional as F
from tiny import changed
from torch import Tensor, nn

from rcan.config import Settings, from_dict, resolve
from rcan.config.families import family_names
from rcan.data.batches import Batch, StudyBatches
from rcan.data.knowledge import learn
from rcan.data.store import Split, Study, View
from rcan.model.build import build_model
from rcan.model.interface import NOTHING, Alone, Knowledge, Output, ReportModel, cross_entropy
from rcan.text.tokenizer import Tokenizer

torch.set_num_threads(1)  # for tensors this small threads only wait for each other

PAD, BOS, EOS = 0, 1, 2
STOP = 4  # ".", the most frequent word of `REPORTS`
VOCABULARY = 14
MAX_LENGTH = 8
TINY = {
    "data.max_length": MAX_LENGTH,
    "visual.backbone": "small",
    "visual.weights": "none",
    "visual.channels": [4, 6],
    "visual.crop": 16,  # a map of 4 x 4
    "visual.feature_window": None,
    "visual.token_grid": 2,
    "model.d_model": 12,
    "model.num_heads": 2,
    "model.num_encoder_layers": 1,
    "model.num_decoder_layers": 2,
    "model.d_ff": 10,
    "cgm.num_slots": 9,
    "cgm.num_heads": 3,
    "wcl.projection_dim": 5,
    "sat.d_hidden": 10,
    "cmas.labels": "words",
    "cmas.max_sentences": 3,
    "coatt.max_sentences": 3,
    "coatt.least_studies": 2,
    "hrgr.max_sentences": 3,
    "hrgr.least_studies": 4,
}
COMBINATIONS = [
    {"model.use_rve": rve, "model.use_cgm": cgm, "model.use_wcl": wcl}
    for rve in (False, True)
    for cgm in (False, True)
    for wcl in (False, True)
]
READINGS = [
    {"cgm.gate": "response"},
    {"cgm.gate": "response", "cgm.top_k": 4},
    {"cgm.top_k": 2},
    {"cgm.fusion": "replace"},
    {"cgm.fusion": "replace", "cgm.gate": "response"},
    {"rve.residual": "inner", "rve.spatial": "single", "rve.bottleneck": 3},
    {"wcl.views": "augment", "wcl.features": "V_hat"},
    {"model.patch_positions": "none", "visual.token_grid": None},
    {"model.patch_positions": "sinusoidal"},
    {"visual.feature_pool": 3, "visual.token_grid": None},
]
EVERY_KIND = COMBINATIONS + READINGS
OTHER_FAMILIES = [{"model.family": name} for name in family_names() if name != "rcan"]
OTHER_READINGS = [
    {"wcl.denominator": "all"},  # test_devices tries it with each of READINGS
    {"model.family": "nic", "nic.cell": "maxout"},
    {"model.family": "sat", "sat.deep_attention": False, "sat.output_tanh": False},
    {"model.family": "adaatt", "adaatt.extra_layers": True},
    {"model.family": "coatt", "coatt.stop": "with"},
    {"model.family": "hrgr", "hrgr.choice": "argmax"},
    {"model.family": "att2in", "att2in.words": "relu"},
    {"model.family": "updown", "updown.words": "relu", "updown.d_attention": 10},
    {"model.family": "asgmd", "asgmd.topics": "predicted"},
    {"model.family": "r2gen", "r2gen.norm": "unbiased", "r2gen.first_memory": "learned"},
    {"model.family": "r2gen", "r2gen.embedding_dropouts": "one"},
    {"model.family": "cmas", "cmas.labels": "exact"},
    {"model.family": "ppked", "ppked.topic_share": 0.0},
    {"model.family": "clinicalbert", "clinicalbert.pretrain_share": 0.0},
]
EVERY_MODEL = EVERY_KIND + OTHER_FAMILIES + OTHER_READINGS


def name_of(changes: object) -> str:
    """Of a parametrised case: `use_rve=False top_k=4`."""
    if not isinstance(changes, dict):
        return str(changes)
    return " ".join(f"{key.split('.')[1]}={value}" for key, value in changes.items())


def settings_with(changes: dict, base: dict = TINY) -> Settings:
    """The project's own settings with `base` and then `changes` ("section.key") in their place.

    What `base` says of sections of another family than `changes` ask for is left out.
    """
    family = {key: value for key, value in changes.items() if key == "model.family"}
    resolved = resolve(changed(family)).of_the_model()
    for key, value in {**base, **changes}.items():
        section, field = key.split(".")
        if section in resolved or key in changes:
            assert field in resolved[section], key
            resolved[section][field] = value
    return from_dict(resolved)


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Weights, biases and running statistics far from where they start (0, 1, small)."""
    generator = torch.Generator().manual_seed(seed)

    def normal(like: Tensor, scale: float) -> Tensor:
        return torch.randn(like.shape, generator=generator, dtype=like.dtype) * scale

    with torch.no_grad():
        for parameter in module.parameters():
            fan_in = parameter[0].numel() if parameter.dim() > 1 else 4
            parameter.copy_(normal(parameter, 1.5 / math.sqrt(fan_in)))
        for part in module.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.running_mean.copy_(normal(part.running_mean, 0.5))
                part.running_var.copy_(normal(part.running_var, 0.2).abs() + 0.5)
    return module


def tiny_model(changes: dict | None = None, seed: int = 0) -> ReportModel:
    """A model in evaluation mode with random weights everywhere."""
    torch.manual_seed(seed)
    settings = settings_with(changes or {})
    model = build_model(settings, VOCABULARY, knowledge_of(settings))
    return randomise(model, seed).eval()


REPORTS = {  # of training studies that are made up, and their labels
    "no effusion . heart normal .": (),
    "large heart .": ("cardiomegaly",),
    "small effusion . normal heart .": ("pleural effusion/small",),
    "large effusion . large heart .": ("pleural effusion/large", "large heart"),
    "small nodule . no effusion .": ("nodule", "opacity/uncertain"),
    "lungs clear . heart normal .": None,
}
NUM_LEARNT = 2 * len(REPORTS)


def knowledge_of(settings: Settings) -> Knowledge:
    """What a family that learns of the training studies learns of `NUM_LEARNT` made-up ones."""
    if not settings.family.learns:
        return NOTHING
    reports = [*REPORTS] * 2
    words = Tokenizer.train(reports, 1)
    assert len(words) == VOCABULARY
    views = [(View(2 * n, "frontal"), View(2 * n + 1, "lateral")) for n in range(NUM_LEARNT)]
    studies = [
        Study(f"made-up-{n}", "train", text, text, views[n], REPORTS[text])
        for n, text in enumerate(reports)
    ]
    images, projections = tiny_images(NUM_LEARNT, seed=7)
    split = Split("train", studies, images.flatten(0, 1).numpy())  # type: ignore[arg-type]
    source = split.images
    if settings.visual.frozen:
        shape = (len(source), settings.visual.channels[-1], 4, 4)
        source = torch.rand(shape, generator=torch.Generator().manual_seed(7)).half().numpy()
    batches = StudyBatches(
        source, split.view_rows(2), projections.numpy(),
        (words.encode(text, MAX_LENGTH) for text in reports),
        window=None, batch_size=5, pad_id=PAD,
    )  # fmt: skip
    learnt = learn(settings.model.family, split, batches, words, settings.family.model_dump())
    return Knowledge(*({k: torch.from_numpy(t) for k, t in part.items()} for part in learnt))


def batch_of(images: Tensor, projections: Tensor, tokens: Tensor) -> Batch:
    """A batch in which a model reads all of `tokens`, and has nothing to tell after the last."""
    return Batch(images, projections, F.pad(tokens, (0, 1), value=PAD), PAD)


def read(model, images: Tensor, projections: Tensor, tokens: Tensor):
    """Logits of the words after `tokens`, and WCL's embeddings, or None."""
    output = model(batch_of(images, projections, tokens))
    return output.logits, output.parts.get("p")


def losses_of(model, images: Tensor, projections: Tensor, tokens: Tensor) -> dict[str, Tensor]:
    """Losses of one process that tells each of `tokens` (B, T + 1) from those before it."""
    numbers = torch.arange(len(tokens), device=tokens.device)
    batch = Batch(images, projections, tokens, PAD, numbers)
    return model.losses(model(batch), batch, Alone())


def batch_told(targets: Tensor, pad_id: int = PAD) -> Batch:
    """A batch of which only the words to be told, `targets` (B, T), count."""
    nothing = targets.new_zeros(len(targets), 1)
    return Batch(nothing, nothing, torch.cat([nothing, targets], 1), pad_id)


def cross_entropy_of(logits: Tensor, targets: Tensor, pad_id: int = PAD) -> Tensor:
    """L_CE of logits (B, T, Y) for one process."""
    return cross_entropy(Output(logits), batch_told(targets, pad_id), Alone())


def tiny_images(num_studies: int, seed: int = 0, side: int = 16) -> tuple[Tensor, Tensor]:
    """Images (B, 2, side, side) uint8 of 4 x 4 squares, so that no two look alike from afar, and
    projections (B, 2), all three kinds of them."""
    generator = torch.Generator().manual_seed(seed)
    squares = torch.randint(0, 256, (num_studies, 2, 4, 4), generator=generator)
    images = squares.repeat_interleave(side // 4, 2).repeat_interleave(side // 4, 3)
    return images.to(torch.uint8), torch.randint(0, 3, (num_studies, 2), generator=generator)


def tiny_reports(lengths: list[int], seed: int = 0, width: int | None = None) -> Tensor:
    """Token ids (B, T): bos, so many words, eos, padding (up to `width`)."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.full((len(lengths), width or max(lengths) + 2), PAD)
    for row, length in zip(tokens, lengths, strict=True):
        row[0], row[length + 1] = BOS, EOS
        row[1 : length + 1] = torch.randint(EOS + 1, VOCABULARY, (length,), generator=generator)
    return tokens


every_kind = pytest.mark.parametrize("changes", EVERY_KIND, ids=name_of)
every_model = pytest.mark.parametrize("changes", EVERY_MODEL, ids=name_of)
every_combination = pytest.mark.parametrize("changes", COMBINATIONS, ids=name_of)


def close(a: Tensor, b: Tensor) -> bool:
    """Equal to the tolerance of float32 sums taken in another order."""
    return torch.allclose(a, b, atol=2e-5, rtol=1e-4)
