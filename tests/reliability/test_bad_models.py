"""Other models' states and weights, names that no file has, and readers that could run code."""

import ast

import pytest
import yaml
from cases import attempt
from formats_of_models import WORDS, Kept, trained
from imports import TOP, modules_named, sources

from rcan.model.visual.cnn import build_cnn
from rcan.reading import _Yaml
from rcan.training.checkpoint import TrainingState, write_tensors
from rcan.training.run_folder import load_run

pytestmark = pytest.mark.computes


@pytest.fixture
def kept(tmp_path):
    return Kept(tmp_path / "kept")


OTHERS = {
    "another size": {"model.d_ff": 8}, "another depth": {"model.num_decoder_layers": 2},
    "another module": {"model.use_cgm": False}, "another CNN": {"visual.channels": [4, 4]},
    "one loss more": {"model.use_wcl": True}, "another optimiser": {"train.amsgrad": True},
}  # fmt: skip


@pytest.mark.parametrize("other", OTHERS)
def test_the_state_or_weights_of_another_model(other, kept, tmp_path, figure):
    _, model, optimizer = trained(OTHERS[other])
    state = TrainingState(tmp_path)
    state.save(model, optimizer, kept.progress, is_best=True)
    whole = kept.state.last.read_bytes()
    kept.state.last.write_bytes(state.last.read_bytes())
    assert not kept.load_state(str(kept.state.last))
    if other != "another optimiser":
        kept.state.last.write_bytes(whole)
        kept.state.best.write_bytes(state.best.read_bytes())
        assert not kept.load_state(str(kept.state.best))
        (kept.run / "best.safetensors").write_bytes(state.best.read_bytes())
        assert not kept.load_run("best.safetensors")
    figure("bad input", "checkpoints", 3)


def test_the_weights_of_another_vocabulary(kept, figure):
    for words in (WORDS - 1, WORDS + 1, 4, 100_000):
        assert attempt(lambda words=words: load_run(kept.run, words), str(kept.run)) is None
    _, model, _ = trained(words=WORDS + 1)
    write_tensors(kept.run / "best.safetensors", model.state_dict())
    assert not kept.load_run("best.safetensors")
    figure("bad input", "checkpoints", 5)


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
    figure("bad input", "weights", 1)


RUN_CODE = {"pickle", "dill", "marshal", "shelve", "joblib", "cloudpickle", "code", "runpy"}
SAFELY = {
    "torch.load": "weights_only=True", "np.load": "allow_pickle=False", "yaml.load": ", _Yaml)",
}  # fmt: skip


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(TOP).as_posix())
def test_no_file_is_read_in_a_way_that_can_run_code(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not RUN_CODE & {name.split(".")[0] for name in modules_named(path)}
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        named = ast.unparse(call.func)
        assert named not in ("eval", "exec", "compile", "__import__"), named
        assert SAFELY.get(named, "") in ast.unparse(call)
    assert issubclass(_Yaml, yaml.SafeLoader)
