"""A model handed on: what the folder holds, what is refused, and MLflow's registry."""

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from http.client import HTTPConnection

import pytest
import yaml
from fabricated import SENTENCES, scores_of
from handed_on import (
    FROZEN,
    make_project,
    pipeline_batch,
    pipeline_reports,
    places_of_test,
    write_scores,
)
from tiny import tiny

from rcan.config.sections import Family
from rcan.errors import UserError
from rcan.files import sha256_of, write_json
from rcan.sharing.card import model_card
from rcan.sharing.export import export, numbers_of
from rcan.sharing.exported_folder import sealed
from rcan.sharing.loading import load_model
from rcan.sharing.predictor import Predictor
from rcan.sharing.study_files import GivenStudy, read_study, studies_of
from rcan.tracking import free_port
from rcan.training.checkpoint import read_tensors, write_tensors

FILES = {"README.md", "config.json", "model.safetensors", "scores.json", "tokenizer.json"}


@pytest.fixture(scope="module", params=[None, FROZEN], ids=["trained CNN", "frozen CNN"])
def either(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    return root, make_project(root, request.param)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    make_project(root)
    write_scores(root, scores_of())
    return root


@pytest.fixture
def folder(project, tmp_path):
    return export(project, "main", tmp_path / "model").folder


def reports_of(folder, places, **options) -> list:
    predictor = Predictor(load_model(folder))
    data = predictor.loaded.settings.data
    given = studies_of(places, predictor.num_views)
    read = (read_study(study, size=data.image_size, fit=data.fit) for study in given)
    return list(predictor.reports(read, **options))


# The pipeline's own reports


def test_the_images_of_the_test_split_get_the_pipelines_reports_word_for_word(either, tmp_path):
    root, images = either
    wanted = pipeline_reports(root)
    places = places_of_test(images)
    assert len(set(wanted)) > 1 and len(wanted) == len(places)
    for model in (root / "runs" / "main", export(root, "main", tmp_path / "model").folder):
        found = reports_of(model, places)
        assert [report.text for report in found] == wanted
        assert all(len(one.tokens) == len(one.text.split()) for one in found)


def test_the_model_is_fed_the_very_numbers_that_the_pipeline_feeds_it(either):
    import torch

    root, images = either
    predictor = Predictor(load_model(root / "runs" / "main"))
    wanted, data = pipeline_batch(root), predictor.loaded.settings.data
    given = studies_of(places_of_test(images)[: len(wanted.images)], predictor.num_views)
    studies = [read_study(one, size=data.image_size, fit=data.fit) for one in given]
    found = predictor.batch_of(studies)
    assert torch.equal(found.images, wanted.images)
    assert torch.equal(found.projections, wanted.projections)


def test_the_length_penalty_is_the_one_that_validation_chose(either, tmp_path, monkeypatch):
    from rcan.sharing import predictor

    root, images = either
    seen = []
    search = predictor.beam_search

    def looked_at(*arguments, **options):
        seen.append(options["length_penalties"])
        return search(*arguments, **options)

    monkeypatch.setattr(predictor, "beam_search", looked_at)
    for model in (root / "runs" / "main", export(root, "main", tmp_path / "model").folder):
        reports_of(model, places_of_test(images)[:1])
    assert seen == [[0.5], [0.5]]


def test_the_log_probability_is_that_of_the_words_and_their_end(either):
    import torch

    root, images = either
    loaded = load_model(root / "runs" / "main")
    predictor, data = Predictor(loaded), loaded.settings.data
    (given,) = studies_of(places_of_test(images)[:1], 2)
    study = read_study(given, size=data.image_size, fit=data.fit)
    (report,) = predictor.reports([study])
    batch = predictor.batch_of([study])
    end = [loaded.words.eos_id] * (len(report.tokens) < data.max_length)
    tokens = torch.tensor([[loaded.words.bos_id, *report.tokens, *end]])
    with torch.inference_mode():
        logits = loaded.model(batch._replace(tokens=tokens)).logits
    each = logits.log_softmax(-1).gather(2, tokens[:, 1:, None])
    assert report.log_probability == pytest.approx(each.sum().item(), abs=1e-2)


def test_a_wider_search_finds_no_less_likely_report_here(either):
    root, images = either
    place = places_of_test(images)
    one, five = (reports_of(root / "runs/main", place, beams=number) for number in (1, 5))
    assert sum(r.log_probability for r in five) > sum(r.log_probability for r in one)


# The folder


def test_the_folder_holds_numbers_weights_and_a_card_and_nothing_else(folder, project):
    assert {path.name for path in folder.iterdir()} == FILES
    kept = project / "runs/main/best.safetensors"
    assert (folder / "model.safetensors").read_bytes() == kept.read_bytes()
    config = json.loads((folder / "config.json").read_text())
    assert config["length_penalty"] == 0.5 and not config["restricted"]
    assert config["sha256"]["tokenizer.json"] == sha256_of(project / "data/tokenizer.json")
    assert not any(str(project).encode() in path.read_bytes() for path in folder.iterdir())


def test_no_report_is_handed_on_with_the_scores(folder):
    scores = scores_of()
    assert scores["floors"]["best_constant"]["text"]
    scores["diagnostics"]["commonest"] = SENTENCES[0]
    scores["findings"]["examples"] = {"text": SENTENCES[3], "texts": [SENTENCES[4]]}
    kept = json.dumps(numbers_of(scores)) + "".join(
        (folder / name).read_text() for name in ("scores.json", "README.md")
    )
    assert not any(sentence in kept for sentence in SENTENCES)
    told = json.loads((folder / "scores.json").read_text())
    assert told["protocols"] == scores["protocols"] and told["controls"] == scores["controls"]


def test_the_card_has_the_hubs_header_and_every_score_beside_its_floors(folder):
    text = (folder / "README.md").read_text()
    _, header, body = text.split("---\n", 2)
    told = yaml.safe_load(header)
    assert told["license"] == "other" and told["pipeline_tag"] == "image-to-text"
    (result,) = told["model-index"][0]["results"]
    assert result["dataset"]["type"] == "demo" and len(result["metrics"]) == 6
    assert {"type": "bleu", "name": "BLEU-4", "value": 0.186} in result["metrics"]
    assert "Not for clinical use" in body and "Recalibrated cross-modal" in body
    row = "| BLEU-4 | 0.186 [0.174, 0.198] | 0.171 [0.159, 0.183] | 0.080"
    assert row in " ".join(body.split())


def test_without_scores_or_with_another_trainings_the_card_says_so(project, tmp_path):
    root = tmp_path / "project"
    shutil.copytree(project, root)
    path = root / "data/evaluation/main/scores.json"
    write_json(path, scores_of() | {"run": "another"})
    stale = export(root, "main", tmp_path / "a")
    path.unlink()
    absent = export(root, "main", tmp_path / "b")
    for exported in (stale, absent):
        assert "no scores go with it" in exported.remarks[0]
        assert not (exported.folder / "scores.json").exists()
        card = (exported.folder / "README.md").read_text()
        assert "nothing is known of how good it is" in card and "model-index" not in card


def test_what_is_there_is_replaced_only_by_force_and_only_if_it_is_a_model(folder, project):
    with pytest.raises(UserError, match="replace it by --force"):
        export(project, "main", folder)
    (folder / "old").touch()
    export(project, "main", folder, force=True)
    assert {path.name for path in folder.iterdir()} == FILES
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match="something else than an exported model"):
        export(project, "main", folder, force=True)
    assert (folder / "model.safetensors").exists()


def test_a_control_has_no_weights_to_load_or_to_export(tmp_path):
    write_json(tmp_path / "runs" / "finding_template-1" / "best.json", {"epoch": 1})
    for use in (
        lambda: load_model(tmp_path / "runs" / "finding_template-1"),
        lambda: export(tmp_path, "finding_template-1", tmp_path / "out"),
    ):
        with pytest.raises(UserError, match="found a control, which has no weights"):
            use()
    with pytest.raises(UserError, match="there is none"):
        export(tmp_path, "other", tmp_path / "out")


def test_a_run_that_is_not_there_is_one_line_with_those_that_are(project, tmp_path):
    for name in ("mian", "", "..", "../runs/main"):
        with pytest.raises(UserError, match=r"expected the name of a run.*there are main"):
            export(project, name, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_export_leaves_nothing_behind(project, tmp_path, monkeypatch):
    from rcan.sharing import export as module

    def fail(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "model_card", fail)
    with pytest.raises(OSError):
        export(project, "main", tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


# Restricted data


@pytest.mark.parametrize("by", ["params", "scores"])
def test_what_is_derived_from_restricted_data_needs_a_statement(by, project, tmp_path):
    root = tmp_path / "project"
    shutil.copytree(project, root)
    if by == "params":
        text = (root / "params.yaml").read_text()
        text = re.sub(r"(privacy:\n  restricted:[^\n]*\n    demo: )false", r"\1true", text)
        (root / "params.yaml").write_text(text)
    else:
        write_scores(root, scores_of() | {"restricted": True})
    with pytest.raises(UserError, match=r"demo is restricted.*--i-may-share"):
        export(root, "main", tmp_path / "model")
    assert not (tmp_path / "model").exists()
    exported = export(root, "main", tmp_path / "model", may_share=True)
    assert exported.restricted
    assert "The data set is restricted" in (exported.folder / "README.md").read_text()


def test_params_in_use_for_other_data_do_not_hide_that_a_model_is_of_restricted_data(project):
    from rcan.sharing.export import _is_restricted

    assert [_is_restricted(project, name, "full") for name in ("demo", "iu_xray", "mimic_cxr")] == [
        False, False, True,
    ]  # fmt: skip


CARD = {
    "name": "RVE", "data": "demo", "restricted": False, "epoch": 3, "length_penalty": 0.5,
    "sha256": {"model.safetensors": "0" * 64},
}  # fmt: skip


@pytest.mark.parametrize("data", ["demo", "iu_xray", "mimic_cxr"])
def test_every_data_set_has_a_card_with_its_terms(data):
    config = CARD | {"data": data, "restricted": data == "mimic_cxr"}
    header, body = model_card(config, tiny(), None).split("---\n", 2)[1:]
    assert yaml.safe_load(header)["license_name"].endswith(data)
    assert {"demo": "no patient", "iu_xray": "CC BY-NC-ND", "mimic_cxr": "PhysioNet"}[data] in body


@pytest.mark.parametrize(
    ("choose", "kept"),
    [
        ("best", "chosen by validation BLEU-4"), ("varied", "chosen by validation BLEU-4"),
        ("last", "the last"),
    ],
)  # fmt: skip
def test_the_card_says_which_epoch_was_kept_and_what_validation_chose(choose, kept):
    card = model_card(CARD, tiny({"train.choose": choose}), None)
    assert f"of epoch 3, {kept}. Validation chose the length penalty, 0.5." in card


def test_the_card_of_another_family_says_its_name_and_nothing_of_the_paper():
    settings, heading, paper = tiny(), "# RCAN on ", "A reproduction of the paper"
    card = model_card(CARD, settings, None)
    assert heading in card and paper in card
    model = settings.model.model_copy(update={"family": "nic"})  # its title, as it has no own
    card = model_card(CARD, settings.model_copy(update={"model": model, "family": Family()}), None)
    assert "# nic on " in card and heading not in card and paper not in card


# Damage


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("damage", ["missing", "cut", "changed", "folder"])
def test_a_damaged_folder_is_one_line(name, damage, folder):
    path = folder / name
    content = bytearray(path.read_bytes())
    path.unlink()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "changed":
        place = content.rindex(b"0") if name == "config.json" else len(content) - 4
        content[place] = ord("1") if content[place] != ord("1") else ord("2")
        path.write_bytes(content)
    elif damage == "folder":
        path.mkdir()
    with pytest.raises(UserError) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)


def test_weights_of_another_model_are_refused_though_the_digests_are_theirs(folder):
    path = folder / "model.safetensors"
    weights, _ = read_tensors(path)
    weights["classifier.bias"] = weights["classifier.bias"][:-1]
    write_tensors(path, weights)
    config = json.loads((folder / "config.json").read_text())
    del config["digest"]
    config["sha256"]["model.safetensors"] = sha256_of(path)
    write_json(folder / "config.json", sealed(config))
    with pytest.raises(UserError, match=r"is of another model: classifier\.bias"):
        load_model(folder)


def test_weights_that_are_a_pickle_are_not_opened(folder, tmp_path):
    path = folder / "model.safetensors"
    path.write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    config = json.loads((folder / "config.json").read_text())
    del config["digest"]
    config["sha256"]["model.safetensors"] = sha256_of(path)
    write_json(folder / "config.json", sealed(config))
    with pytest.raises(UserError, match="cannot be read as weights"):
        load_model(folder)
    assert not (tmp_path / "ran").exists()


def test_another_format_is_told_as_one(folder):
    config = json.loads((folder / "config.json").read_text()) | {"format": 2}
    write_json(folder / "config.json", config)
    with pytest.raises(UserError, match="expected a model exported in format 1"):
        load_model(folder)


# MLflow's registry


@pytest.fixture(scope="module")
def registered(project, tmp_path_factory):
    """The address of the registered model, once registered twice, in a tracker of its own."""
    import mlflow

    from rcan.sharing.registry import register

    place = tmp_path_factory.mktemp("registry")
    exported = export(project, "main", place / "model")
    register(exported, place)
    uri = f"sqlite:///{place / 'mlflow.db'}"
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("rcan-demo").experiment_id
    client.create_run(experiment, tags={"rcan.key": exported.run}, run_name="main")
    address = register(exported, place)
    shutil.rmtree(place / "model")  # the registry keeps its own
    mlflow.set_tracking_uri(uri)
    yield address, uri
    mlflow.set_tracking_uri(None)


def rows_of(project, images) -> list[dict[str, bytes]]:
    return [
        {
            column: path.read_bytes()
            for column, path in zip(("image", "lateral"), sorted(place.iterdir()), strict=False)
        }
        for place in places_of_test(images)
    ]


@pytest.mark.filterwarnings("ignore")  # mlflow's own
def test_the_registered_model_writes_the_pipelines_reports(registered, project):
    import mlflow
    import pandas

    address, _ = registered
    assert address == "models:/rcan-demo@best"
    client = mlflow.MlflowClient()
    assert str(client.get_model_version_by_alias("rcan-demo", "best").version) == "2"
    model = mlflow.pyfunc.load_model(address)
    rows = rows_of(project, project / "images")
    found = model.predict(pandas.DataFrame(rows))
    assert [row["report"] for row in found] == pipeline_reports(project)
    wide = model.predict(pandas.DataFrame(rows[:1]), params={"beams": 1})
    assert wide[0]["log_probability"] <= found[0]["log_probability"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"image": b"no image"}, "row 0, image: expected a whole PNG or JPEG"),
        ({"image": b""}, "row 0, image: expected a whole PNG or JPEG"),
    ],
)
def test_the_registered_model_tells_of_a_bad_image_by_its_row(registered, row, message):
    import mlflow
    import pandas

    model = mlflow.pyfunc.load_model(registered[0])
    with pytest.raises(ValueError, match=message) as caught:
        model.predict(pandas.DataFrame([row]))
    assert "/tmp" not in str(caught.value)
    with pytest.raises(ValueError, match="expected beams from 1 to 100"):
        model.predict(pandas.DataFrame([row]), params={"beams": 10**6})


@pytest.mark.filterwarnings("ignore")
def test_a_version_names_the_run_that_it_comes_from_if_mlflow_has_it(registered):
    import mlflow

    client = mlflow.MlflowClient()
    first, second = (client.get_model_version("rcan-demo", number) for number in ("1", "2"))
    assert not first.run_id and client.get_run(second.run_id).info.run_name == "main"
    assert str(client.get_model_version_by_alias("rcan-demo", "best").version) == "2"
    assert "Not for clinical use" in second.description


@pytest.mark.filterwarnings("ignore")
def test_nothing_in_the_registry_is_a_pickle(registered):
    from pathlib import Path

    from mlflow.artifacts import download_artifacts

    names = [p.name for p in Path(download_artifacts(registered[0])).rglob("*") if p.is_file()]
    assert {"model.safetensors", "mlflow_model.py", "README.md"} <= set(names)
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".pt", ".bin"))]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_served_model_answers_over_http(registered, project, tmp_path):
    address, uri = registered
    port = free_port(None)
    command = [
        sys.executable, "-m", "mlflow", "models", "serve", "-m", address, "--env-manager", "local",
        "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        rows = rows_of(project, project / "images")[:2]
        columns = ["image", "lateral"]
        data = [[base64.b64encode(row[c]).decode() for c in columns] for row in rows]
        body = json.dumps({"dataframe_split": {"columns": columns, "data": data}})
        status, answer = _ask(server, port, body)
        assert status == 200, answer
        found = [row["report"] for row in answer["predictions"]]
        assert found == pipeline_reports(project)[:2]
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def _ask(server, port: int, body: str) -> tuple[int, dict]:
    """The answer, once the server is there."""
    for _ in range(600):
        assert server.poll() is None, "the server ended by itself"
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except ConnectionRefusedError:
            time.sleep(0.2)
        finally:
            connection.close()
    raise AssertionError("the server does not answer")


def test_the_projection_is_what_is_said_then_told_then_usual(tmp_path):
    from PIL import Image

    image = Image.new("L", (40, 40))
    for name in ("lateral.png", "a.png"):
        image.save(tmp_path / name)
    plain, named = (
        GivenStudy("s", (tmp_path / "a.png",)),
        GivenStudy("s", (tmp_path / "lateral.png",)),
    )
    kinds = [
        read_study(given, size=32, fit="squash", projections=said).projections
        for given, said in ((plain, ()), (named, ()), (named, ["frontal"]))
    ]
    assert kinds == [("frontal",), ("lateral",), ("frontal",)]
