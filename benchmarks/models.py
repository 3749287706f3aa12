"""Our model at the paper's sizes for IU X-ray, and R2GenCMN's weights in it and back."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from rcan.config import Settings
from rcan.config.resolve import resolve
from rcan.model.build import build_model
from rcan.model.families.rcan.model import RCAN

VOCABULARY = 757  # of IU X-ray with R2GenCMN's rule, id 0 included
NUM_IMAGES, CHANNELS, MAP_SIDE, PIXELS = 2, 2048, 7, 224
BEAMS, LONGEST = 3, 60
IDS = {"bos_id": 0, "eos_id": 0, "pad_id": 0}  # R2GenCMN has one id for all three

R2GENCMN = {  # R2GenCMN in our settings
    "model.use_rve": False, "model.use_wcl": False, "model.patch_positions": "sinusoidal",
    "cgm.gate": "response", "cgm.top_k": 32,
}  # fmt: skip
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


def our_model(changes: dict | None = None, seed: int = 0) -> RCAN:
    """RCAN with random weights, in evaluation mode."""
    torch.manual_seed(seed)
    return build_model(settings(changes), VOCABULARY).eval()


def take_weights(ours: RCAN, peer: nn.Module) -> None:
    """Copy R2GenCMN's weights into our model of the same modules; its layer norm included.

    Theirs divides by the unbiased deviation plus 1e-6; ours, its weight scaled, by the biased one.
    """
    theirs = peer.state_dict()
    state = {own: theirs[name] * scale(own, theirs[name]) for own, name in names(theirs)}
    ours.load_state_dict(state)
    _without_epsilon(ours)


def give_weights(ours: RCAN, peer: nn.Module) -> None:
    """The other way round."""
    own_state, theirs = ours.state_dict(), peer.state_dict()
    for own, name in names(theirs):
        theirs[name] = own_state[own] / scale(own, own_state[own])
    peer.load_state_dict(theirs)


def names(theirs: dict[str, Tensor]) -> Iterator[tuple[str, str]]:
    """(ours, theirs) for every parameter and buffer."""
    for name in theirs:
        if name.startswith("visual_extractor.model."):
            index, rest = name.removeprefix("visual_extractor.model.").split(".", 1)
            yield f"visual.cnn.body.{OF_RESNET[int(index)]}.{rest}", name
    top = "encoder_decoder."
    pairs = {
        "visual.patches.project.0": f"{top}att_embed.0", "classifier": f"{top}logit",
        **{f"cgm.{w}": f"{top}cmn.linears.{i}" for i, w in enumerate(("W_q", "W_k", "W_v", "W_o"))},
    }  # fmt: skip
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
                    pairs[f"{own}{ours}.{part}"] = f"{their}{name}.linears.{i}"
            pairs[f"{own}feed_forward.0"] = f"{their}feed_forward.w_1"
            pairs[f"{own}feed_forward.3"] = f"{their}feed_forward.w_2"
            for i in range(len(names) + 1):
                norms[f"{own}norms.{i}"] = f"{their}sublayer.{i}.norm"
    for own, name in pairs.items():
        yield f"{own}.weight", f"{name}.weight"
        yield f"{own}.bias", f"{name}.bias"
    for own, name in norms.items():
        yield f"{own}.weight", f"{name}.a_2"
        yield f"{own}.bias", f"{name}.b_2"
    yield "word_embedding.weight", f"{top}model.tgt_embed.0.lut.weight"
    yield "cgm.memory", f"{top}memory_matrix"


def scale(own: str, value: Tensor) -> float:
    is_norm = ".norm" in own and own.endswith(".weight") and not own.startswith("visual.cnn.")
    return ((len(value) - 1) / len(value)) ** 0.5 if is_norm else 1.0


def _without_epsilon(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-12
