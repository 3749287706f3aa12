"""Our models at the paper's sizes for IU X-ray, and a peer's weights in them and back."""

from collections.abc import Iterator
from pathlib import Path
from types import EllipsisType
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rcan.config import Settings
from rcan.config.resolve import resolve
from rcan.model.build import build_model
from rcan.model.families.r2gen import UnbiasedNorm
from rcan.model.interface import ReportModel

VOCABULARY = 757  # of IU X-ray with R2GenCMN's rule, id 0 included
NUM_IMAGES, CHANNELS, MAP_SIDE, PIXELS = 2, 2048, 7, 224
BEAMS, LONGEST = 3, 60
IDS = {"bos_id": 0, "eos_id": 0, "pad_id": 0}  # R2GenCMN has one id for all three

R2GENCMN = {  # R2GenCMN in our settings
    "model.use_rve": False, "model.use_wcl": False, "model.patch_positions": "sinusoidal",
    "cgm.gate": "response", "cgm.top_k": 32,
}  # fmt: skip
R2GEN = {"model.family": "r2gen", "r2gen.patch_dropout": 0.1}  # R2Gen in our settings
PEERS = {"R2GenCMN": R2GENCMN, "R2Gen": R2GEN}
TO_THE_LETTER = {"R2Gen": {"r2gen.norm": "unbiased"}}  # slower, and its very numbers
# Its optimiser, whose weights and moments are part of the work and of the memory.
ITS_OPTIMIZER = {
    "train.optimizer": "adam", "train.amsgrad": True, "train.weight_decay": 5e-5,
    "train.beta2": 0.98, "train.clip_norm": None,
}  # fmt: skip
OF_RESNET = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")


def settings(changes: dict | None = None) -> Settings:
    """params.yaml for IU X-ray at the paper's sizes, with `changes` ("section.key") to it."""
    from ruamel.yaml import YAML

    path = Path(__file__).parents[1] / "params.yaml"
    raw = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    paper = {"data.name": "iu_xray", "visual.weights": "none"}
    for key, value in {**paper, **(changes or {})}.items():
        section, field = key.split(".")
        raw[section][field] = value
    return resolve(raw)


def our_model(changes: dict | None = None, seed: int = 0) -> ReportModel:
    """RCAN, or another family, with random weights, in evaluation mode."""
    torch.manual_seed(seed)
    return build_model(settings(changes), VOCABULARY).eval()


class Same(NamedTuple):
    """One of a peer's tensors and where it is in ours: rows of a tensor of that name."""

    own: str
    name: str
    rows: slice | EllipsisType = ...
    scaled: bool = False  # of a layer norm: theirs divides by the unbiased deviation, plus 1e-6


@torch.no_grad()
def take_weights(ours: ReportModel, peer: nn.Module) -> None:
    """Copy a peer's weights into our model of the same modules; its layer norms included."""
    theirs, state = peer.state_dict(), ours.state_dict()
    for same in pairs(theirs):
        state[same.own][same.rows] = theirs[same.name] * scale(ours, same, theirs[same.name])
    _without_epsilon(ours)


@torch.no_grad()
def give_weights(ours: ReportModel, peer: nn.Module) -> None:
    """The other way round."""
    state, theirs = ours.state_dict(), peer.state_dict()
    for same in pairs(theirs):
        value = state[same.own][same.rows]
        theirs[same.name].copy_(value / scale(ours, same, value))


def scale(ours: ReportModel, same: Same, value: Tensor) -> float:
    """What turns a weight of theirs into ours: the layer norm's factor, unless ours has it too."""
    has_it = any(isinstance(module, UnbiasedNorm) for module in ours.modules())
    return ((len(value) - 1) / len(value)) ** 0.5 if same.scaled and not has_it else 1.0


def pairs(theirs: dict[str, Tensor]) -> Iterator[Same]:
    """For every parameter and buffer that both sides have."""
    top = "encoder_decoder."
    is_r2gen = f"{top}model.rm.U.weight" in theirs
    gain, offset = ("gamma", "beta") if is_r2gen else ("a_2", "b_2")
    for name in theirs:
        if name.startswith("visual_extractor.model."):
            index, rest = name.removeprefix("visual_extractor.model.").split(".", 1)
            yield Same(f"visual.cnn.body.{OF_RESNET[int(index)]}.{rest}", name)
    layers = {"visual.patches.project.0": f"{top}att_embed.0", "classifier": f"{top}logit"}
    attentions = {
        "encoder": {"attention": "self_attn"},
        "decoder": {"self_attention": "self_attn", "cross_attention": "src_attn"},
    }
    norms = {}
    for side, names in attentions.items():
        norms[f"{side}.norm"] = f"{top}model.{side}.norm"
        for layer in range(3):
            own, their = f"{side}.layers.{layer}.", f"{top}model.{side}.layers.{layer}."
            for ours, name in names.items():
                for i, part in enumerate(("query", "key", "value", "output")):
                    layers[f"{own}{ours}.{part}"] = f"{their}{name}.linears.{i}"
            layers[f"{own}feed_forward.0"] = f"{their}feed_forward.w_1"
            layers[f"{own}feed_forward.3"] = f"{their}feed_forward.w_2"
            if side == "encoder" or not is_r2gen:
                for i in range(len(names) + 1):
                    norms[f"{own}norms.{i}"] = f"{their}sublayer.{i}.norm"
    for own, name in norms.items():
        yield Same(f"{own}.weight", f"{name}.{gain}", scaled=True)
        yield Same(f"{own}.bias", f"{name}.{offset}")
    yield Same("word_embedding.weight", f"{top}model.tgt_embed.0.lut.weight")
    if is_r2gen:
        layers |= _of_relational_memory(f"{top}model.rm.")
        d = len(theirs[f"{top}model.rm.mlp.0.bias"])
        for i, part in enumerate(("weight", "bias") * 3):
            name = f"{top}model.rm.attn.linears.{i // 2}.{part}"
            yield Same(f"memory.qkv.{part}", name, _rows(i // 2, d))
        yield from _of_conditional_norms(f"{top}model.decoder.layers.", d)
    else:
        layers |= {
            f"cgm.{w}": f"{top}cmn.linears.{i}" for i, w in enumerate(("W_q", "W_k", "W_v", "W_o"))
        }
        yield Same("cgm.memory", f"{top}memory_matrix")
    for own, name in layers.items():
        yield Same(f"{own}.weight", f"{name}.weight")
        yield Same(f"{own}.bias", f"{name}.bias")


def _of_relational_memory(top: str) -> dict[str, str]:
    return {
        "memory.output": f"{top}attn.linears.3", "memory.inner": f"{top}mlp.0",
        "memory.outer": f"{top}mlp.2", "memory.word_gates": f"{top}W",
        "memory.memory_gates": f"{top}U",
    }  # fmt: skip


def _of_conditional_norms(top: str, d: int) -> Iterator[Same]:
    for place in range(3 * 3 * 2):
        layer, norm, is_shift = place // 6, place // 2 % 3, place % 2
        kind, rows = ("gamma", "beta")[is_shift], _rows(place, d)
        name = f"{top}{layer}.sublayer.{norm}.norm."
        yield Same("norms.own", f"{name}{kind}", rows, scaled=not is_shift)
        yield Same("norms.first.weight", f"{name}mlp_{kind}.0.weight", rows)
        yield Same("norms.first.bias", f"{name}mlp_{kind}.0.bias", rows)
        yield Same("norms.second", f"{name}mlp_{kind}.2.weight", rows, scaled=not is_shift)
        yield Same("norms.second_bias", f"{name}mlp_{kind}.2.bias", rows, scaled=not is_shift)


def _rows(place: int, d: int) -> slice:
    return slice(place * d, (place + 1) * d)


def _without_epsilon(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-12
