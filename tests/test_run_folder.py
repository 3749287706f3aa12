"""The folder a training leaves behind, and the key that names all it depends on."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from handed_on import FROZEN, make_project
from safetensors.torch import load_file
from tiny import TOP, prepare, run_files, tiny, train_tiny

from rcan import code
from rcan.data.store import open_split
from rcan.errors import UserError
from rcan.files import digest_of, sha256_of, write_json
from rcan.generation.generate import write_reports
from rcan.sharing.export import export
from rcan.sharing.exported_folder import sealed
from rcan.sharing.loading import load_model
from rcan.training import key
from rcan.training.checkpoint import read_tensors, write_tensors
from rcan.training.inputs import study_batches
from rcan.training.key import has_run, state_folder, training_code, training_key, training_parts
from rcan.training.run_folder import load_run


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("data"), tiny())


# The run folder


@pytest.fixture(scope="module")
def trained(place, tmp_path_factory):
    root = tmp_path_factory.mktemp("trained")
    train_tiny(place, root)
    return run_files(root)


@pytest.fixture
def run_folder(trained, tmp_path):
    """A copy, to be damaged."""
    for name, content in trained.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def vocabulary_size(folder) -> int:
    return load_file(folder / "best.safetensors")["classifier.weight"].shape[0]


def test_a_run_folder_gives_back_the_best_model_ready_to_generate(run_folder):
    model, settings, best = load_run(run_folder, vocabulary_size(run_folder))
    assert not model.training
    assert settings.of_the_model() == tiny().of_the_model()
    assert best["length_penalty"] == 0.0 and best["epoch"] in (1, 2, 3)
    kept = load_file(run_folder / "best.safetensors")
    assert all(torch.equal(kept[name], value) for name, value in model.state_dict().items())


def test_a_run_folder_names_no_place_on_this_machine(place, tmp_path):
    train_tiny(place, tmp_path, {"data.root": "/home/someone/data", "train.epochs": 1})
    assert not any(b"/home/someone" in content for content in run_files(tmp_path).values())


def test_a_run_of_another_vocabulary_is_refused(run_folder):
    with pytest.raises(UserError, match="is of another model: classifier"):
        load_run(run_folder, vocabulary_size(run_folder) + 1)


@pytest.mark.parametrize("name", ["config.json", "best.json", "best.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_run_folder_that_is_not_whole_is_told_in_one_line(name, damage, run_folder):
    path = run_folder / name
    size = vocabulary_size(run_folder)
    path.unlink() if damage == "missing" else os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(UserError) as caught:
        load_run(run_folder, size)
    message = str(caught.value)
    assert str(run_folder) in message and "\n" not in message
    assert "is not a whole run" in message or name in message


# The key

MODULES = ("rcan.training.train", "rcan.model.families.rcan", "rcan.config.families.rcan")
OFF = {"model.use_wcl": False, "model.use_cgm": False, "model.use_rve": False}


def key_of(place, changes=None) -> str:
    parts = training_parts(tiny(changes), place["processed"], place["tokenizer"])
    return training_key(parts["cpu"])


@pytest.mark.parametrize(
    "changes",
    [
        {"wcl.tau": 0.2}, {"cgm.top_k": 3}, {"rve.residual": "inner"}, {"model.dropout": 0.2},
        {"train.seed": 2}, {"train.epochs": 4}, {"train.lr": 0.5}, {"visual.crop": 30},
        {"generate.beam_size": 2}, {"generate.length_penalty": [0.0, 1.0]}, OFF,
    ],
)  # fmt: skip
def test_a_setting_that_training_uses_gives_another_key(changes, place):
    assert key_of(place, changes) != key_of(place)


@pytest.mark.parametrize(
    "changes", [{"eval.resamples": 200}, {"eval.seed": 9}, {"data.root": "/elsewhere"}]
)
def test_a_setting_that_training_does_not_use_keeps_the_key(changes, place):
    assert key_of(place, changes) == key_of(place)


@pytest.mark.parametrize(
    ("given", "change"),
    [
        ({"visual.backbone": "resnet18"}, {"visual.channels": [4, 4]}),
        ({}, {"visual.last_layer": "layer3"}),
        ({"model.use_rve": False}, {"wcl.features": "V_hat"}),
        ({}, {"wcl.augment_dropout": 0.4}), ({}, {"wcl.augment_noise": 0.4}),
        ({}, {"train.lr_decay": 0.5}), ({}, {"train.lr_step": 7}),
        ({"train.schedule": "exponential"}, {"train.lr_step": 7}),
    ],
)  # fmt: skip
def test_a_setting_without_effect_keeps_the_key(given, change, place):
    assert key_of(place, given | change) == key_of(place, given)


@pytest.mark.parametrize(
    "change",
    [
        {"visual.last_layer": "layer3", "train.lr_decay": 0.5, "train.lr_step": 7},
        {"wcl.augment_dropout": 0.4, "wcl.augment_noise": 0.4},
        {"model.use_rve": False, "wcl.features": "V_hat"},
    ],
)
def test_a_setting_without_effect_trains_the_same_weights(change, place, tmp_path):
    weights = []
    for name, more in (("one", change), ("two", {k: change[k] for k in change if "use_" in k})):
        train_tiny(place, tmp_path / name, {"train.epochs": 1, **more})
        weights.append(run_files(tmp_path / name)["last.safetensors"])
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("given", "change"),
    [
        ({"visual.backbone": "resnet18"}, {"visual.last_layer": "layer3"}),
        ({}, {"visual.channels": [4, 4]}), ({}, {"wcl.features": "V_hat"}),
        ({"wcl.views": "augment"}, {"wcl.augment_dropout": 0.4}),
        ({"wcl.views": "augment"}, {"wcl.augment_noise": 0.4}),
        ({"train.schedule": "exponential"}, {"train.lr_decay": 0.5}),
        ({"train.schedule": "step"}, {"train.lr_step": 7}),
    ],
)  # fmt: skip
def test_the_same_settings_give_another_key_where_they_have_an_effect(given, change, place):
    assert key_of(place, given | change) != key_of(place, given)


@pytest.mark.parametrize("change", [{"wcl.tau": 0.2}, {"cgm.top_k": 3}, {"rve.residual": "inner"}])
def test_a_setting_of_a_module_that_is_off_keeps_the_key(change, place):
    assert key_of(place, OFF | change) == key_of(place, OFF)


def test_other_data_or_another_tokenizer_give_another_key(place, tmp_path):
    summary = json.loads((place["processed"] / "summary.json").read_text())
    files = summary["files"] | {"val.npy": "0" * 64}
    write_json(tmp_path / "summary.json", summary | {"files": files, "digest": digest_of(files)})
    assert key_of(place | {"processed": tmp_path}) != key_of(place)
    words = tmp_path / "tokenizer.json"
    words.write_bytes(place["tokenizer"].read_bytes() + b"\n")
    assert key_of(place | {"tokenizer": words}) != key_of(place)


def test_other_code_or_another_torch_give_another_key(place, monkeypatch):
    before = key_of(place)
    with monkeypatch.context() as patch:
        patch.setattr(key, "code_digest", lambda *modules: "of other code")
        assert key_of(place) != before
    monkeypatch.setattr(key, "version", lambda package: "9.9")
    assert key_of(place) != before


@pytest.fixture
def copied(tmp_path, monkeypatch) -> Path:
    """A copy of the project's code, which is what digests are now of, by its content as it is."""
    for name in code.PACKAGES:
        shutil.copytree(TOP / name, tmp_path / name, ignore=shutil.ignore_patterns("*.pyc"))
    of_path, known = code._running_code, {}

    def of_content(path: Path) -> bytes:
        content = path.read_bytes()
        if content not in known:
            code._tree.cache_clear()
            of_path.cache_clear()
            known[content] = of_path(path)
        return known[content]

    monkeypatch.setattr(code, "TOP", tmp_path)
    monkeypatch.setattr(code, "_running_code", of_content)
    return tmp_path


def test_every_file_of_training_code_gives_another_key_when_edited(copied):
    before = training_code("rcan")
    (documented := copied / "rcan/training/loop.py").write_text(
        documented.read_text().replace('"""The training loop', '"""This is the training loop')
    )
    assert "This is the" in documented.read_text() and training_code("rcan") == before
    modules = [file for name in MODULES if (file := code.file_of(name))]
    files = code.closure(modules, without=code.shaping_nothing())
    assert len(files) > 40 and {file.name for file in files} >= {
        "loop.py", "optimization.py", "beam_search.py", "interface.py", "extractor.py", "memory.py",
        "cnn.py", "transformer.py", "sections.py", "batches.py", "tokenizer.py", "bleu.py",
    }  # fmt: skip
    for file in files:
        content = file.read_bytes()
        file.write_bytes(content + b"# edited\n")
        assert training_code("rcan") == before, file
        file.write_bytes(content + b"edited = 1\n")
        assert training_code("rcan") != before, file
        file.write_bytes(content)
    assert training_code("rcan") == before


def test_code_that_shapes_no_training_of_a_family_keeps_its_key(copied):
    before = training_code("rcan")
    (copied / "rcan/config/families/other.py").write_text("from rcan.config.sections import Family")
    other = copied / "rcan/model/families/other.py"
    other.write_text("from rcan.model.interface import ReportModel\n")
    of_other = training_code("other")
    assert training_code("rcan") == before != of_other
    other.write_text("from rcan.model.interface import ReportModel\nedited = 1\n")
    assert training_code("other") != of_other
    around = ("rcan/reporting/cells/page.py", "rcan/tracking/tracker.py", "pipeline/stage.py")
    for name in around:
        assert (copied / name).is_file()
        (copied / name).write_text("edited = 1")
    assert training_code("rcan") == before


# What was written before there were families of models


def as_before(weights: Path, config: dict) -> dict:
    """The same file of weights and the same settings as they were written then."""
    tensors, facts = read_tensors(weights)
    assert any(name.startswith("visual.") for name in tensors)
    old = {name.removeprefix("visual."): tensor for name, tensor in tensors.items()}
    write_tensors(weights, old, facts)
    model = {k: v for k, v in config["model"].items() if k != "family"}
    return {**config, "model": model}


@pytest.mark.parametrize("changes", [None, FROZEN], ids=["images", "features"])
def test_an_earlier_run_and_its_exported_folder_write_the_same_reports(changes, tmp_path):
    make_project(tmp_path, changes)
    run, out = tmp_path / "runs" / "main", tmp_path / "exported"
    export(tmp_path, "main", out)

    def reports(folder: Path) -> list[str]:
        loaded = load_model(folder)
        visual, words = loaded.model.visual, loaded.words
        place = {"processed": tmp_path / "data/processed"}
        batches = study_batches(
            open_split(place["processed"], "test"), words, loaded.settings, visual=visual,
            root=tmp_path, batch_size=4, **place,
        )  # fmt: skip
        penalties = [loaded.length_penalty]
        settings = loaded.settings.generate
        return write_reports(loaded.model, batches.in_order(), words, settings, penalties)[0]

    before = reports(run)
    assert before == reports(out) and len(set(before)) > 1
    config = json.loads((run / "config.json").read_bytes())
    write_json(run / "config.json", as_before(run / "best.safetensors", config))
    exported = json.loads((out / "config.json").read_bytes())
    exported["settings"] = as_before(out / "model.safetensors", exported["settings"])
    exported["sha256"]["model.safetensors"] = sha256_of(out / "model.safetensors")
    del exported["digest"]
    write_json(out / "config.json", sealed(exported))
    assert "visual.cnn.mean" not in read_tensors(out / "model.safetensors")[0]
    assert reports(run) == before and reports(out) == before


# Another kind of device

AUTO = {"train.accelerator": "auto", "train.epochs": 1}


def as_of_a_gpu(place, root, changes) -> str:
    """A training in `root`, whose state is then named as a GPU's; its key."""
    train_tiny(place, root, changes)
    parts = training_parts(tiny(changes), place["processed"], place["tokenizer"])
    cpu, gpu = (training_key(parts[kind]) for kind in ("cpu", "cuda"))
    state_folder(root, cpu).rename(state_folder(root, gpu))
    shutil.rmtree(root / "run")
    return gpu


def test_what_a_gpu_trained_is_only_written_out_without_one(place, tmp_path):
    key = as_of_a_gpu(place, tmp_path, AUTO)
    assert train_tiny(place, tmp_path, AUTO) == []
    best = json.loads(run_files(tmp_path)["best.json"])
    assert best["key"] == key
    inputs = (place["processed"], place["tokenizer"])
    assert has_run(tmp_path / "run", tiny(AUTO), *inputs)
    assert not has_run(tmp_path / "run", tiny({"train.epochs": 1}), *inputs)  # asks for a CPU


def test_what_a_gpu_trained_until_it_was_out_of_patience_is_done(place, tmp_path):
    impatient = {"train.accelerator": "auto", "train.epochs": 9, "train.patience": 1}
    as_of_a_gpu(place, tmp_path, impatient)
    assert train_tiny(place, tmp_path, impatient) == []
    assert len(run_files(tmp_path)["history.csv"].splitlines()) < 10


def test_a_gpu_s_state_that_is_gone_meanwhile_is_one_line(place, tmp_path, monkeypatch):
    parts = training_parts(tiny(AUTO), place["processed"], place["tokenizer"])
    monkeypatch.setattr("rcan.training.train.kept_parts", lambda *_, **__: parts["cuda"])
    with pytest.raises(UserError, match="is empty: another process had the training on cuda"):
        train_tiny(place, tmp_path, AUTO)


def test_what_a_gpu_trained_is_not_taken_where_a_cpu_is_asked_for(place, tmp_path):
    as_of_a_gpu(place, tmp_path, AUTO)
    key = key_of(place, {"train.epochs": 1})
    train_tiny(place, tmp_path, {"train.epochs": 1})
    assert json.loads(run_files(tmp_path)["best.json"])["key"] == key


def test_a_gpu_s_unfinished_training_is_not_gone_on_with_on_a_cpu(place, tmp_path, capsys):
    changes = {"train.accelerator": "auto"}

    def stop(epoch: int) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_tiny(place, tmp_path, changes, stop)
    (state,) = (tmp_path / ".rcan/checkpoints").iterdir()
    parts = training_parts(tiny(changes), place["processed"], place["tokenizer"])
    state.rename(state_folder(tmp_path, training_key(parts["cuda"])))
    assert train_tiny(place, tmp_path, changes) == [1, 2, 3]
