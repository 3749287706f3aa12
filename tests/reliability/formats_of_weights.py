"""Samples of files for visual.weights: a state dict of a ResNet, and pickles that run code."""

import collections
import io
import json
import pickle
import struct
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
from cases import Code, Fuzz, Sample, attempt, damaged
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from rcan.model.visual.cnn import build_cnn

SUFFIXES = (".pth", ".safetensors", "", ".pt", ".bin")
LAYERS = ("conv1", "bn1", "relu", "maxpool", "layer1")
NUMBERED = "num_batches_tracked"


def first_layers() -> dict[str, torch.Tensor]:
    """A state dict up to layer1, which stands for the rest: the files are a hundredth as large."""
    torch.manual_seed(1)
    whole = torchvision.models.resnet18(weights=None).state_dict()
    return {k: v for k, v in whole.items() if k.split(".")[0] in ("conv1", "bn1", "layer1")}


def read_weights(path: Path, *names: str) -> dict | None:
    """The values of the CNN, if the file was taken: all there and numbers."""
    found = attempt(
        lambda: build_cnn(
            backbone="resnet18", last_layer="layer1", channels=[], weights=str(path), frozen=True
        ),
        "visual.weights", str(path), *names,
    )  # fmt: skip
    assert not path.with_name("ran").exists()
    if found is None:
        return None
    values = found.body.state_dict()
    assert all(value.isfinite().all() for value in values.values())
    return values


def same(values: dict, state: dict) -> bool:
    return all(torch.equal(value, state[k].to(value.dtype)) for k, value in values.items())


CHANGES: dict[str, Callable[[torch.Tensor], Any]] = {
    "double": lambda v: v.double(), "half": lambda v: v.half(),
    "whole": lambda v: v.long(), "complex": lambda v: v.to(torch.complex64),
    "sparse": lambda v: v.to_sparse(), "no data": lambda v: v.to("meta"),
    "no number": lambda v: v / 0 - v / 0, "infinite": lambda v: v * 0 + float("inf"),
    "wider": lambda v: torch.stack([v, v]), "flat": lambda v: v.reshape(-1),
    "expanded": lambda v: v.reshape(-1)[0].expand(v.shape), "nothing": lambda v: None,
    "turned": lambda v: v.flip(0) if v.dim() else v, "text": lambda v: "",
    "parameter": lambda v: torch.nn.Parameter(v, requires_grad=False),
    "list": lambda v: v.reshape(-1)[:3].tolist(), "truth": lambda v: v > 0,
}  # fmt: skip
EXTRAS = [(), ("", 1.0), (5, None), ("layer4.0.x", None), ("head.weight", None), (("a",), None)]


class Stateful:
    """Unpickled, it would run code by way of its state."""

    def __init__(self, mark) -> None:
        self.mark = mark

    def __reduce__(self):
        return exec, (f"import os; os.mkdir({str(self.mark)!r})",)


def pickles(state: dict, folder) -> dict[str, bytes]:
    """Files that would run code in every way that a pickle can."""
    mark = folder / "ran"
    raw = {
        "a function": pickle.dumps(Code(mark)), "a statement": pickle.dumps(Stateful(mark)),
        "an old pickle": f"cos\nmkdir\n(S'{mark}'\ntR.".encode(),
        "a global": b"cposix\nsystem\n.", "a built-in": b"cbuiltins\neval\n(S'1'\ntR.",
        "a persistent id": b"Phello\n.", "a class": pickle.dumps(collections.Counter),
        "an instance": pickle.dumps(Counter({"a": 1})), "itself": b"]q\0h\0a.",
        "a huge number": b"\x8b" + struct.pack("<I", 2**31 - 1), "deep": b"(" * 20_000 + b".",
        "a huge text": b"\x8d" + b"\xff" * 8, "deep lists": b"]" * 20_000 + b"a" * 19_999 + b".",
    }  # fmt: skip
    files = dict(raw)
    for name, payload in raw.items():  # the same inside torch's own archive
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("archive/data.pkl", payload)
            archive.writestr("archive/version", "3\n")
            archive.writestr("archive/byteorder", "little")
        files[f"{name}, in an archive"] = content.getvalue()
    for name, value in {
        "among weights": state | {"x": Code(mark)}, "as a key": {**state, Code(mark): 1},
        "in a list": [Code(mark)], "around it": {"state_dict": state, "hook": Stateful(mark)},
        "a whole model": torch.nn.Linear(1, 1),
    }.items():  # fmt: skip
        for old in (False, True):
            content = io.BytesIO()
            torch.save(value, content, _use_new_zipfile_serialization=not old)
            files[f"{name}{', old' * old}"] = content.getvalue()
    return files


def others() -> list[bytes]:
    """Headers that promise more than there is, and what is no state dict."""
    header = json.dumps({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}})
    contents = [struct.pack("<Q", len(header)) + header.encode(), b"\0" * 8, b"\xff" * 8]
    for values in ({}, [], None, 1.0, "text", {"a": {}}, torch.zeros(2), {1: torch.zeros(1)}):
        content = io.BytesIO()
        torch.save(values, content)
        contents.append(content.getvalue())
    return contents


def weights(suffix: str, folder: Path, patch) -> Sample:
    """ResNets cut after layer1, and not initialised: these are filled, or refused, at once."""
    path, state = folder / f"weights{suffix}", first_layers()
    patch.setattr("rcan.model.visual.cnn.RESNET_LAYERS", LAYERS)
    for name in ("kaiming_normal_", "kaiming_uniform_", "uniform_"):
        patch.setattr(torch.nn.init, name, lambda tensor, *_, **__: tensor)
    (save_file if suffix == ".safetensors" else torch.save)(state, path)
    content = path.read_bytes()
    head, tail = 4_000, 20_000  # where the names, shapes and the pickle are
    cases = (
        damaged(content[:head]).map(lambda part: part + content[head:])
        | damaged(content[-tail:]).map(lambda part: content[:-tail] + part)
        | st.integers(0, len(content)).map(lambda length: content[:length])
    )

    def of_bytes(content: bytes) -> bool:
        path.write_bytes(content)
        values = read_weights(path)
        assert values is None or suffix != ".safetensors" or same(values, load_file(path))
        return values is not None

    def of_values(case: tuple[str, str, tuple]) -> bool:
        name, change, extra = case
        edited = dict(state)
        if change == "drop":
            del edited[name]
        else:
            edited[name] = CHANGES[change](state[name])
        if extra:
            edited[extra[0]] = torch.zeros(1) if extra[1] is None else extra[1]
        torch.save(edited, path)
        values = read_weights(path)
        if values is not None:
            assert edited.keys() >= {k for k in values if not k.endswith(NUMBERED)}
            assert same({k: v for k, v in values.items() if k in edited}, edited)
        return values is not None

    changed = st.tuples(
        st.sampled_from(sorted(state)),
        st.sampled_from(["drop", *CHANGES]),
        st.sampled_from(EXTRAS),
    )
    fuzz = [Fuzz(cases, (6, 300), of_bytes, good=False)]
    return Sample(
        "weights",
        path,
        lambda: read_weights(path) is not None,
        fuzz={".safetensors": fuzz, ".pth": [*fuzz, Fuzz(changed, (25, 400), of_values)]}.get(
            suffix, ()
        ),
        wrong=[*others(), *pickles(state, folder).values()],
    )
