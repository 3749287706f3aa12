"""`rcan params`: settings resolved, the paper's beside."""

import json
import re
import shutil
from pathlib import Path

import pytest

from rcan.config import load_settings
from rcan.config.families.rcan import RVE, Config
from rcan.config.sections import Family
from rcan.dotted import flatten
from rcan.settings_table import settings_table

PARAMS = Path(__file__).parents[1] / "params.yaml"


@pytest.fixture
def params(empty_project, command):
    """Runs the command in a project with the real params.yaml."""
    shutil.copy(PARAMS, empty_project)
    return lambda *arguments: command("params", *arguments)


def test_every_setting_stands_there_once_as_it_is_resolved(params):
    code, printed = params("--json")
    assert code == 0
    rows = json.loads(printed)
    assert {row["key"]: row["value"] for row in rows} == flatten(load_settings(PARAMS).model_dump())
    assert len({row["key"] for row in rows}) == len(rows)


def test_the_papers_own_value_and_section_stand_beside(params):
    rows = {row["key"]: row for row in json.loads(params("train", "--json")[1])}
    assert set(rows) == {key for key in rows if key.startswith("train.")}
    assert rows["train.lr"]["paper"] == 0.0001 and "§4.1.2" in rows["train.lr"]["note"]
    assert rows["train.epochs"]["value"] == 12 and rows["train.epochs"]["paper"] == 100
    mimic = {row["key"]: row for row in settings_table(PARAMS, [], data="mimic_cxr")}
    assert mimic["train.epochs"]["value"] == mimic["train.epochs"]["paper"] == 30


def test_every_line_of_the_file_that_has_a_remark_passes_it_on():
    told = {row["key"]: row["note"] for row in settings_table(PARAMS, [])}
    shown = {"scale", *(key.partition(".")[0] for key in told)}  # the family in use, no other
    parts = re.findall(r"^(\w+):(.*?)(?=^\w|\Z)", PARAMS.read_text(), re.MULTILINE | re.DOTALL)
    text = "".join(f"{name}:{rest}" for name, rest in parts if name in shown)
    remarked = re.findall(r"^ {0,2}(\w+):[^#\n]*# ", text, re.MULTILINE)
    assert len(remarked) == sum(bool(note) for note in told.values()) + 5  # the sections' own
    assert told["wcl.tau"] == "Table 5"


def test_what_differs_from_the_paper_alone(params):
    code, printed = params("--differing", "--data", "iu_xray", "--scale", "full")
    assert code == 0 and len(printed.splitlines()) == 1  # the header: that is the paper's setting
    assert "visual.backbone" in params("--differing", "--data", "iu_xray", "--scale", "small")[1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("wcl.tua",), "wcl.tua is no setting and no section; did you mean wcl.tau?"),
        (("--data", "mimic"), "data.name is 'mimic'"),
        (("--scale", "small"), "scale: small is for iu_xray and mimic_cxr"),
    ],
)
def test_what_is_not_known_is_one_line(params, arguments, told):
    code, printed = params(*arguments)
    assert isinstance(code, str) and code.startswith("error: ") and told in code
    assert "\n" not in code and printed == ""


def test_a_section_of_another_family_says_whose_it_is(params, monkeypatch):
    class Show(Family):
        show: RVE

    monkeypatch.setattr("rcan.settings_table.family_names", lambda: ("nic", "rcan"))
    monkeypatch.setattr(
        "rcan.settings_table.family_class", {"nic": Show, "rcan": Config}.__getitem__
    )
    for key in ("show", "show.num_layers"):
        code, _ = params(key)
        assert "section show is read by model.family nic alone, and in use is rcan" in code
    assert "did you mean wcl.tau?" in params("wcl.tua")[0]


def test_a_file_that_holds_no_settings_is_one_line(params):
    Path("params.yaml").write_text("wcl: [\n")
    assert "not valid YAML" in params()[0]
