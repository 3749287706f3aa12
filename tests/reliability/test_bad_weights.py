"""Files for visual.weights: the values of a state dict of that ResNet, or one line; no code."""

import ast
import collections
import io
import json
import pickle
import struct
import zipfile
from collections import Counter

import pytest
import torch
import torchvision
from cases import GARBAGE, INSTEAD, Code, attempt, damaged, put, seeded
from hypothesis import given
from hypothesis import strategies as st
from imports import TOP, modules_named, sources
from safetensors.torch import load_file, save_file

from rcan.model.cnn import build_cnn

KIND = "weights"


@pytest.fixture(scope="module")
def state():
    """A state dict up to layer1, which stands for the rest: the files are a hundredth as large."""
    torch.manual_seed(1)
    whole = torchvision.models.resnet18(weights=None).state_dict()
    return {k: v for k, v in whole.items() if k.split(".")[0] in ("conv1", "bn1", "layer1")}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """ResNets cut after layer1, and not initialised: these are filled, or refused, at once."""
    monkeypatch.setattr("rcan.model.cnn.RESNET_LAYERS", LAYERS)
    for name in ("kaiming_normal_", "kaiming_uniform_", "uniform_"):
        monkeypatch.setattr(torch.nn.init, name, lambda tensor, *_, **__: tensor)


LAYERS = ("conv1", "bn1", "relu", "maxpool", "layer1")
NUMBERED = "num_batches_tracked"


def read(path, *names) -> dict | None:
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


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_damaged_bytes(name, state, tmp_path, amount, figure):
    counted = Counter()
    path = tmp_path / name
    (save_file if path.suffix == ".safetensors" else torch.save)(state, path)
    content = path.read_bytes()
    head, tail = 4_000, 20_000  # where the names, shapes and the pickle are

    @seeded(amount(6, 300))
    @given(
        damaged(content[:head]).map(lambda part: part + content[head:])
        | damaged(content[-tail:]).map(lambda part: content[:-tail] + part)
        | st.integers(0, len(content)).map(lambda length: content[:length])
    )
    def of_bytes(content):
        path.write_bytes(content)
        values = read(path)
        counted[values is not None] += 1
        if values is not None and path.suffix == ".safetensors":
            assert same(values, load_file(path))

    of_bytes()
    assert counted[False]
    figure("bad input", KIND, counted.total())


def test_edited_state_dicts(state, tmp_path, amount, figure):
    counted = Counter()
    path = tmp_path / "weights.pth"
    names = sorted(state)
    changes = {
        "drop": None, "double": lambda v: v.double(), "half": lambda v: v.half(),
        "whole": lambda v: v.long(), "complex": lambda v: v.to(torch.complex64),
        "sparse": lambda v: v.to_sparse(), "no data": lambda v: v.to("meta"),
        "no number": lambda v: v / 0 - v / 0, "infinite": lambda v: v * 0 + float("inf"),
        "wider": lambda v: torch.stack([v, v]), "flat": lambda v: v.reshape(-1),
        "expanded": lambda v: v.reshape(-1)[0].expand(v.shape), "nothing": lambda v: None,
        "turned": lambda v: v.flip(0) if v.dim() else v, "text": lambda v: "",
        "parameter": lambda v: torch.nn.Parameter(v, requires_grad=False),
        "list": lambda v: v.reshape(-1)[:3].tolist(), "truth": lambda v: v > 0,
    }  # fmt: skip
    extras = [(), ("", 1.0), (5, None), ("layer4.0.x", None), ("head.weight", None), (("a",), None)]

    @seeded(amount(25, 400))
    @given(st.sampled_from(names), st.sampled_from(sorted(changes)), st.sampled_from(extras))
    def of_values(name, change, extra):
        edited = dict(state)
        if changes[change] is None:
            del edited[name]
        else:
            edited[name] = changes[change](state[name])
        if extra:
            edited[extra[0]] = torch.zeros(1) if extra[1] is None else extra[1]
        torch.save(edited, path)
        values = read(path)
        counted[values is not None] += 1
        if values is not None:
            assert edited.keys() >= {k for k in values if not k.endswith(NUMBERED)}
            left_out = values.keys() - edited.keys()
            assert same({k: v for k, v in values.items() if k not in left_out}, edited)

    of_values()
    assert counted[True] and counted[False]
    figure("bad input", KIND, counted.total())


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


def test_a_pickle_that_runs_code_is_one_line_and_does_not_run(state, tmp_path, amount, figure):
    files = pickles(state, tmp_path)
    suffixes = (".pth", ".safetensors", "", ".pt", ".bin")[: amount(1, 5)]
    for name, content in files.items():
        for suffix in suffixes:
            path = tmp_path / f"weights{suffix}"
            path.write_bytes(content)
            assert read(path) is None, name
            path.unlink()
    figure("bad input", KIND, len(suffixes) * len(files))


def test_other_files_and_garbage(tmp_path, figure):
    header = json.dumps({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}})
    contents = [*GARBAGE, struct.pack("<Q", len(header)) + header.encode(), b"\0" * 8, b"\xff" * 8]
    for values in ({}, [], None, 1.0, "text", {"a": {}}, torch.zeros(2), {1: torch.zeros(1)}):
        content = io.BytesIO()
        torch.save(values, content)
        contents.append(content.getvalue())
    for content in contents:
        for suffix in (".pth", ".safetensors"):
            path = tmp_path / f"weights{suffix}"
            path.write_bytes(content)
            assert read(path) is None, content[:80]
    figure("bad input", KIND, 2 * len(contents))


@pytest.mark.parametrize("instead", INSTEAD)
def test_something_else_in_its_place(instead, tmp_path, figure):
    for suffix in (".pth", ".safetensors"):
        path = tmp_path / f"weights{suffix}"
        put(path, instead)
        assert read(path) is None
    figure("bad input", KIND, 2)


@pytest.mark.parametrize(
    "name", ["~nobody-here/w.pth", "x" * 5_000, "a\0b", "\ud800", " ", "..", "w\nx"]
)
def test_a_name_that_no_file_has(name, figure):
    found = attempt(
        lambda: build_cnn(
            backbone="resnet18", last_layer="layer1", channels=[], weights=name, frozen=True
        ),
        "visual.weights", "no such file",
    )  # fmt: skip
    assert found is None
    figure("bad input", KIND, 1)


RUN_CODE = {"pickle", "dill", "marshal", "shelve", "joblib", "cloudpickle", "code", "runpy"}


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(TOP).as_posix())
def test_no_file_is_read_in_a_way_that_can_run_code(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not RUN_CODE & {name.split(".")[0] for name in modules_named(path)}
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        named = ast.unparse(call.func)
        assert named not in ("eval", "exec", "compile", "__import__", "yaml.load"), named
        safely = {"torch.load": "weights_only=True", "np.load": "allow_pickle=False"}.get(named, "")
        assert safely in ast.unparse(call)
