"""The section on what overlap scores cannot see, and results that lack it."""

import json

import pytest
from fabricated import scores_of, write_evaluation, write_run

from rcan.errors import UserError
from rcan.evaluation.results import read_results
from rcan.files import write_json
from rcan.reporting.tables import cautions, controls_markdown


def line(text: str, beginning: str) -> list[str]:
    """The cells of the first table row that begins so."""
    found = next(row for row in text.splitlines() if row.startswith(f"| {beginning} "))
    return [cell.strip() for cell in found.strip("|").split("|")]


def whole(**options) -> dict:
    """Made-up results no part of which stands in two places."""
    return json.loads(json.dumps(scores_of(**options)))


def test_the_control_stands_between_the_model_and_the_constant():
    text = controls_markdown(scores_of(model=0.186, constant=0.171))
    cells = line(text, "BLEU-4")
    assert cells == ["BLEU-4", "0.186", "0.126", "+0.060 [+0.040, +0.080]", "0.171"]


def test_groups_and_their_shares_are_told():
    text = controls_markdown(scores_of(num_studies=590))
    assert line(text, "reference not in train")[1:] == [
        "295", "0.186 [0.174, 0.198]", "0.171 [0.159, 0.183]",
    ]  # fmt: skip
    shares = [("25", "12 val", "33"), ("47", "590 test", "52")]
    for known, reports, normal in shares:
        assert (
            f"{known} % of the {reports} reports stand word for word in train, {normal} %" in text
        )
    assert text.count("% of the labelled ones are normal") == 2


def test_findings_are_shown_beside_the_control_the_constant_and_the_references():
    text = controls_markdown(scores_of())
    shown = {
        "model": "0.50 [0.40, 0.60]",
        "the same, other studies' images": "0.25 [0.15, 0.35]",
        "best constant report": "0.20 [0.10, 0.30]",
        "the references themselves": "0.88 [0.78, 0.97]",
    }
    for writer, macro_f1 in shown.items():
        assert line(text, writer)[3] == macro_f1
    assert line(text, "nodule") == [
        "nodule", "30", "20", "10", "0.50 [0.40, 0.60]", "0.88 [0.78, 0.97]",
    ]  # fmt: skip
    assert line(text, "hernia")[4:] == ["–", "–"]  # 0 / 0 is no 0
    assert "Labeler: words." in text and "place" not in text


def test_findings_with_side_and_place_have_a_row_of_their_own():
    scores = scores_of()
    rates = scores["findings"]["image_swap"]["micro"]
    scores["findings"]["with_attributes"] = {"model": rates}
    cells = line(controls_markdown(scores), "model, side, size and place right as well")
    assert cells[1:] == ["–"] * 3 + ["0.25 [0.15, 0.35]"] * 3


def test_data_without_labels_have_no_findings_and_no_normal_studies():
    scores = whole()
    del scores["findings"]
    for split in ("val", "test"):
        del scores["group_shares"][split]["normal"]
    for protocol in ("strict", "paper"):
        del scores["groups"][protocol]["normal"], scores["groups"][protocol]["abnormal"]
    text = controls_markdown(scores)
    assert "Labeler" not in text and "are normal" not in text and "| abnormal" not in text
    assert line(text, "reference word for word in train")[1] == "120"


def test_a_model_that_does_not_fall_with_wrong_images_is_called_so():
    scores = scores_of(model=0.3, constant=0.1)
    assert cautions(scores) == []
    scores["controls"]["image_swap"]["strict"]["fall"] = {
        "BLEU-4": {"difference": 0.001, "low": -0.002, "high": 0.004, "p": 0.4}
    }
    [caution] = cautions(scores)
    assert caution.startswith("The model is not shown to look at the images")


def changed(*keys: str, value: object = None) -> dict:
    """Whole results but for one place, which has another value, or none."""
    scores = whole(num_studies=12)
    place = scores
    for key in keys[:-1]:
        place = place[key]
    del place[keys[-1]]
    if value is not None:
        place[keys[-1]] = value
    return scores


RATE = {"score": 0.5, "low": 0.4, "high": 1.5}


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (changed("controls"), "expected 'controls', found none"),
        (changed("references"), "expected 'references', found none"),
        (changed("groups"), "expected 'groups', found none"),
        (changed("group_shares"), "expected 'group_shares', found none"),
        (changed("controls", "image_swap", "paper", "fall", "METEOR"), "fall: expected 'METEOR'"),
        (changed("groups", "paper", "normal", "model"), "paper, normal: expected 'model', found"),
        (changed("groups", "strict", value=[]), "strict: expected an object, found a list"),
        (changed("group_shares", "val", "in_train"), "val: expected 'in_train', found none"),
        (
            changed("group_shares", "val", "normal", value=3),
            "val, normal: expected 0 to 1, found 3",
        ),
        (changed("findings", "image_swap"), "findings: expected 'image_swap', found none"),
        (changed("findings", "model", "macro", "f1"), "model, macro: expected 'f1', found none"),
        (
            changed("findings", "model", "micro", "f1", value=RATE),
            "micro, f1: expected 0 to 1 or null as score",
        ),
        (
            changed("findings", "model", "micro", "f1", "low", value=None),
            "micro, f1: expected 0 to 1 or null as score",
        ),
        (
            changed("findings", "model", "per_finding", "hernia"),
            "model: expected the findings of the references, found others",
        ),
        (
            changed("findings", "references", "per_finding", "hernia", "hits"),
            "references, per_finding, hernia: expected 'hits', found none",
        ),
        (changed("findings", value=[]), "findings: expected an object, found a list"),
        (
            changed("findings", "labeler", value="x") | {"findings": {"with_attributes": {}}},
            "findings: expected 'labeler', found none",
        ),
    ],
)
def test_results_that_lack_a_control_are_one_line_that_says_where(scores, message, tmp_path):
    write_evaluation(tmp_path / "evaluation", scores)
    write_run(tmp_path / "run")
    with pytest.raises(UserError, match=message) as error:
        read_results(tmp_path / "evaluation", tmp_path / "run")
    assert str(error.value).endswith("run `dvc repro evaluate`")
    assert str(error.value).startswith(str(tmp_path / "evaluation" / "scores.json"))


def test_attributes_that_are_no_rates_are_told(tmp_path):
    scores = scores_of(num_studies=12)
    write_run(tmp_path / "run")
    for attributes in ([], {}, {"model": {}}, {"model": {"precision": 1}}):
        scores["findings"]["with_attributes"] = attributes
        write_evaluation(tmp_path / "evaluation", scores)
        with pytest.raises(UserError, match="with_attributes"):
            read_results(tmp_path / "evaluation", tmp_path / "run")
    scores["findings"]["with_attributes"] = {"model": scores["findings"]["model"]["micro"]}
    write_json(tmp_path / "evaluation" / "scores.json", scores)
    assert read_results(tmp_path / "evaluation", tmp_path / "run").scores == scores
