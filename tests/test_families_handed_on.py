"""Models of other families are exported, and write from image files, as RCAN is and does."""

import pytest
from handed_on import make_project, pipeline_reports, places_of_test
from model_parts import name_of

FAMILIES = [
    {"model.family": "nic"},
    {"model.family": "coatt", "coatt.least_studies": 1},
    {"model.family": "ppked"},
]


@pytest.mark.parametrize("changes", FAMILIES, ids=name_of)
def test_a_run_and_its_exported_folder_write_the_pipelines_reports(
    changes, tmp_path, monkeypatch, command
):
    root, out = tmp_path / "project", tmp_path / "model"
    root.mkdir()
    places = places_of_test(make_project(root, changes))
    monkeypatch.chdir(root)
    wanted = pipeline_reports(root)
    assert len(set(wanted)) > 1
    lines = [f"{place}: {text}" for place, text in zip(places, wanted, strict=True)]
    code, written = command("generate", "--quiet", *places)
    assert code == 0 and written.splitlines() == lines
    assert command("export", out)[0] == 0
    monkeypatch.chdir(tmp_path)
    assert command("generate", "--quiet", "--model", out, *places) == (0, written)
