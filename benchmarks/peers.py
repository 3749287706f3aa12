"""Peers' own code, run as it is: R2GenCMN and R2Gen from checkouts that the user names.

Nothing of theirs is here. What they need to run today is put right from outside: OpenCV is imported
but not used, torchvision has renamed `pretrained`, and the beam search sends words to a GPU.
"""

import contextlib
import importlib
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor, nn

# The modules of a peer that builds a model, and the name of its class.
KINDS = {
    "main_train": ("models.models", "BaseCMNModel"),  # R2GenCMN
    "main": ("models.r2gen", "R2GenModel"),  # R2Gen
}
NAMES = ("R2GenCMN", "R2Gen")
DROPOUT_OF_PATCHES = 0.1  # theirs is 0.5 by default: the same work for both


class _Words:
    """A tokenizer as far as a model looks at it: how many words there are."""

    def __init__(self, number: int) -> None:
        self.idx2token = {index: str(index) for index in range(1, number + 1)}


def peers_of(options) -> dict[str, Path]:
    """Name -> checkout, of the peers that the command names."""
    found = {name: getattr(options, name.lower()) for name in NAMES}
    return {name: checkout for name, checkout in found.items() if checkout}


def load_peer(checkout: Path, vocabulary_size: int, **options: object) -> nn.Module:
    """The peer's model with its own default options, `options` in their place, random weights.

    `vocabulary_size` counts id 0, which is padding, begin and end in one.
    """
    main = next((name for name in KINDS if (checkout / f"{name}.py").exists()), None)
    if main is None:
        raise SystemExit(
            f"{checkout} is no checkout of R2GenCMN or R2Gen: expected main_train.py or main.py"
        )
    module, name = KINDS[main]
    with _importable(checkout):
        arguments = importlib.import_module(main).parse_agrs()
        for option, value in {"drop_prob_lm": DROPOUT_OF_PATCHES, **options}.items():
            setattr(arguments, option, value)
        return getattr(importlib.import_module(module), name)(
            arguments, _Words(vocabulary_size - 1)
        )


def encode(peer: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Normalised images (B, 2, 3, H, W) -> pooled (B, 2·C) and patches (B, S, C), as its model."""
    patches, pooled = zip(*(peer.visual_extractor(images[:, i]) for i in range(2)), strict=True)
    return torch.cat(pooled, 1), torch.cat(patches, 1)


@torch.no_grad()
def write(peer: nn.Module, pooled: Tensor, patches: Tensor, *, stable_sort: bool = False) -> Tensor:
    """Word ids (B, max_length) by its own beam search, from what `encode` gave.

    It orders candidates by a sort that leaves open which of equal ones comes first; `stable_sort`:
    the first.
    """
    with contextlib.ExitStack() as mended:
        if not patches.is_cuda:
            mended.enter_context(patch.object(Tensor, "cuda", _stay))
        if stable_sort:
            mended.enter_context(patch.object(torch, "sort", _sort_by_place))
        written = peer.encoder_decoder(pooled, patches, mode="sample")
    return written[0] if isinstance(written, tuple) else written


def loss(peer: nn.Module, pooled: Tensor, patches: Tensor, reports: Tensor) -> Tensor:
    """Its cross-entropy of `reports` (B, T), all full."""
    logprobs = peer.encoder_decoder(pooled, patches, reports, mode="forward")
    return -logprobs.gather(2, reports[:, 1:].unsqueeze(2)).mean()


def optimizer(peer: nn.Module) -> torch.optim.Optimizer:
    """Its own, with its own options."""
    args = peer.args
    extractor = {id(p) for p in peer.visual_extractor.parameters()}
    rest = [p for p in peer.parameters() if id(p) not in extractor]
    options = {"weight_decay": args.weight_decay, "amsgrad": args.amsgrad}
    if hasattr(args, "adam_betas"):
        options |= {"betas": args.adam_betas, "eps": args.adam_eps}
    groups = [
        {"params": peer.visual_extractor.parameters(), "lr": args.lr_ve},
        {"params": rest, "lr": args.lr_ed},
    ]
    return torch.optim.Adam(groups, **options)


def _sort_by_place(x: Tensor, dim: int = -1, descending: bool = False, sort=torch.sort):
    return sort(x, stable=True, dim=dim, descending=descending)


def _stay(tensor: Tensor, *_: object, **__: object) -> Tensor:
    return tensor


@contextlib.contextmanager
def _importable(checkout: Path) -> Iterator[None]:
    """The checkout's top-level modules can be imported, and are forgotten afterwards."""
    import torchvision

    def renamed(make):
        return lambda pretrained=False: make(weights=None)

    own = {path.stem for path in checkout.iterdir() if path.suffix == ".py" or path.is_dir()}
    kept = {name: module for name, module in sys.modules.items() if name.split(".")[0] in own}
    for name in kept:
        del sys.modules[name]
    sys.path.insert(0, str(checkout))
    try:
        with (
            patch.dict(sys.modules, {"cv2": types.ModuleType("cv2")}),
            patch.object(sys, "argv", ["peer"]),
            patch.object(torchvision.models, "resnet101", renamed(torchvision.models.resnet101)),
        ):
            yield
    finally:
        sys.path.remove(str(checkout))
        for name in [name for name in sys.modules if name.split(".")[0] in own]:
            del sys.modules[name]
        sys.modules.update(kept)
