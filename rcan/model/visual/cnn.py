"""The visual extractor's CNN (§3.1, Eq. 1): grey images to the last convolutional map V.

ResNets come from torchvision with ImageNet weights, cut after the layer that is asked for; `small`
is a few of the same residual blocks for small images, always trained from scratch. Images stay one
channel of uint8 until they are on the device: the three channels that a ResNet wants are made here.

Shapes: N images, H x W pixels, C channels, h x w map.
"""

import copy
import itertools
import os
from pathlib import Path

import torch
from torch import Tensor, nn

from rcan.errors import UserError, name_shown

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# oneDNN 3.13.3, of torch 2.15.0, writes past its memory on processors with AVX2 but no AVX-512 when
# it computes the weights' gradient of a strided 1x1 convolution of 2 to 7 channels, channels-last;
# the other layout is safe. This can go when tests/test_cnn.py passes without it.
LEAST_CHANNELS_LAST = 8
RESNET_LAYERS = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")


class CNN(nn.Module):
    """`body` after normalisation; frozen, it stays in evaluation mode and gets no gradient."""

    mean: Tensor  # (1, channels, 1, 1)
    std: Tensor

    def __init__(
        self, body: nn.Sequential, *, mean: tuple[float, ...], std: tuple[float, ...], frozen: bool
    ) -> None:
        super().__init__()
        self.layout = _layout(body)
        self.body = body.to(memory_format=self.layout)
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)
        self.frozen = frozen
        if frozen:
            self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "CNN":
        return super().train(mode and not self.frozen)

    def forward(self, images: Tensor) -> Tensor:
        """(N, H, W) uint8 grey -> V (N, C, h, w), Eq. 1."""
        x = images.unsqueeze(1) / 255  # (N, 1, H, W)
        x = (x - self.mean) / self.std  # (N, 3, H, W), one channel for `small`
        V: Tensor = self.body(x.contiguous(memory_format=self.layout))
        return V

    @torch.no_grad()
    def map_shape(self, side: int) -> tuple[int, int]:
        """(channels, side of the map) for square images of `side` pixels, by trying a blank one."""
        was_training = self.training
        self.eval()
        blank = torch.zeros(1, side, side, dtype=torch.uint8, device=self.mean.device)
        _, channels, map_side, _ = self(blank).shape
        self.train(was_training)
        return channels, map_side


def build_cnn(
    *, backbone: str, last_layer: str, channels: list[int], weights: str, frozen: bool
) -> CNN:
    """The CNN with its starting weights.

    `weights`: `imagenet` (torchvision's own loader), `none` (random), or the path of a state dict
    (.pth or .safetensors). Raises `UserError` when they cannot be had or do not fit.
    """
    if backbone == "small":
        return CNN(_small_body(channels), mean=(0.5,), std=(0.25,), frozen=frozen)
    import torchvision

    resnet = getattr(torchvision.models, backbone)(weights=None)
    names = RESNET_LAYERS[: RESNET_LAYERS.index(last_layer) + 1]
    body = nn.Sequential()
    for name in names:
        body.add_module(name, getattr(resnet, name))
    if weights != "none":
        _load(body, _imagenet(backbone) if weights == "imagenet" else _local(weights), weights)
    return CNN(body, mean=IMAGENET_MEAN, std=IMAGENET_STD, frozen=frozen)


def _layout(body: nn.Sequential) -> torch.memory_format:
    """Channels last, in which convolutions are fastest, unless one of them is not safe so."""
    narrow = any(
        isinstance(m, nn.Conv2d)
        and m.kernel_size == (1, 1)
        and m.stride != (1, 1)
        and m.in_channels < LEAST_CHANNELS_LAST
        for m in body.modules()
    )
    return torch.contiguous_format if narrow else torch.channels_last


def _small_body(channels: list[int]) -> nn.Sequential:
    """A stride-2 stem and a residual block a stage, each after the first at half the size."""
    from torchvision.models.resnet import BasicBlock

    first = channels[0]
    body = nn.Sequential(
        nn.Conv2d(1, first, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(first),
        nn.ReLU(inplace=True),
        BasicBlock(first, first),
    )
    for narrow, wide in itertools.pairwise(channels):
        half = nn.Sequential(nn.Conv2d(narrow, wide, 1, 2, bias=False), nn.BatchNorm2d(wide))
        body.append(BasicBlock(narrow, wide, stride=2, downsample=half))
    for module in body.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return body


def _imagenet(backbone: str) -> dict[str, Tensor]:
    import torchvision

    weights = torchvision.models.get_model_weights(backbone).IMAGENET1K_V1
    try:
        state: dict[str, Tensor] = weights.get_state_dict(progress=True, check_hash=True)
        return state
    except Exception as error:  # no network, a bad hash, a damaged file in torch's cache
        raise UserError(
            f"the ImageNet weights of {backbone} cannot be had ({_reason(error)}): connect, or set "
            f"visual.weights to a file of them (torchvision's {Path(weights.url).name}), or to none"
        ) from None


def _local(weights: str) -> dict[str, Tensor]:
    path = Path(os.path.expanduser(weights))  # which leaves an unknown ~name as it is
    if not os.path.isfile(path):
        raise UserError(
            f"visual.weights is {weights!r}, but there is no such file; "
            "expected imagenet, none, or the path of a state dict (.pth or .safetensors)"
        )
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # any damage: a zip, pickle or header error of its own kind
        raise UserError(
            f"visual.weights: {path} cannot be read as a state dict ({_reason(error)}); save one "
            "with torch.save(resnet.state_dict(), path) or as .safetensors"
        ) from None
    if not isinstance(state, dict) or not all(map(_is_weight, state, state.values())):
        raise UserError(
            f"visual.weights: {path} must hold a state dict of tensors; it holds a "
            f"{type(state).__name__} with other things: save the state dict alone"
        )
    return state


def _is_weight(name: object, value: object) -> bool:
    """Whether it is a plain tensor with its values there: neither sparse nor without data."""
    if not isinstance(name, str) or not isinstance(value, Tensor):
        return False
    return value.layout == torch.strided and not value.is_meta


def _reason(error: Exception) -> str:
    """The kind of error and the first sentence that it says, in one line."""
    said = " ".join(str(error).split()).partition(". ")[0]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _load(body: nn.Sequential, state: dict[str, Tensor], weights: str) -> None:
    """Copy `state` into `body`; every value the body has must be there in its shape."""
    wanted = body.state_dict()
    missing = [k for k in wanted if k not in state and not k.endswith("num_batches_tracked")]
    there = [k for k in wanted if k in state]
    wrong = [k for k in there if state[k].shape != wanted[k].shape]
    kind = [
        k
        for k in there
        if state[k].is_complex() or state[k].is_floating_point() != wanted[k].is_floating_point()
    ]
    broken = [k for k in there if k not in kind and not state[k].isfinite().all()]
    later = {*RESNET_LAYERS, "fc"} - set(body._modules)  # cut off, or the classifier
    strange = [k for k in state if k not in wanted and k.split(".")[0] not in later]
    for problem, keys in (
        ("lacks", missing),
        ("has another shape for", wrong),
        ("has another kind of number for", kind),
        ("has no number at a place of", broken),
        ("has", strange),
    ):
        if keys:
            raise UserError(
                f"visual.weights ({weights}) does not fit the backbone: it {problem} "
                f"{name_shown(keys[0])} "
                f"({len(keys)} such); use the state dict of the same torchvision ResNet"
            )
    body.load_state_dict({k: v for k, v in state.items() if k in wanted}, strict=False)


def fold_batch_norm(cnn: CNN) -> CNN:
    """A copy with each batch norm folded into its convolution: the same map, sooner."""
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    folded = copy.deepcopy(cnn).eval()
    for parent in list(folded.modules()):
        names = list(parent._modules)
        for name, following in itertools.pairwise(names):
            conv, norm = parent._modules[name], parent._modules[following]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                parent._modules[name] = fuse_conv_bn_eval(conv, norm)
                parent._modules[following] = nn.Identity()
    return folded
