"""What an evaluation leaves is written and read by one schema, each reader checking its needs."""

import json

import pytest
from fabricated import scores_of
from tiny import TOP

from rcan.errors import UserError
from rcan.evaluation.results import read_best, read_config, read_scores, write_scores
from rcan.evaluation.schema import TEXTLESS, ScoresFile, require
from rcan.files import write_json

PUBLISHED = sorted((TOP / "reports/iu_xray-small/runs").iterdir())


@pytest.mark.parametrize("run", PUBLISHED, ids=lambda run: run.name)
def test_published_runs_are_whole_but_for_texts(run):
    read_scores(run / "scores.json", "get it again", TEXTLESS)
    read_best(run, "get it again")
    read_config(run, "get it again")
    with pytest.raises(UserError, match="expected 'floors', found none; get it again"):
        read_scores(run / "scores.json", "get it again")


def test_what_is_written_is_read_as_it_was_and_more_may_stand_there(tmp_path):
    scores = scores_of() | {"note": ["of my own"], "length_penalty": 1}
    write_scores(tmp_path / "scores.json", scores)
    text = json.dumps(scores, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert (tmp_path / "scores.json").read_text(encoding="utf-8") == text
    assert read_scores(tmp_path / "scores.json", "-") == scores


def test_half_an_evaluation_is_not_written(tmp_path):
    scores = scores_of()
    del scores["controls"]
    with pytest.raises(UserError, match="expected 'controls', found none"):
        write_scores(tmp_path / "scores.json", scores)
    assert not list(tmp_path.iterdir())


def test_a_reader_checks_what_it_needs_and_no_more(tmp_path):
    path = tmp_path / "scores.json"
    scores = scores_of()
    del scores["protocols"]["paper"], scores["controls"]
    scores["diagnostics"] |= {"top_share": 2, "mean_length": "long"}
    write_json(path, scores)
    read_scores(path, "-", ["data", "protocols.strict", "diagnostics.num_studies"], ["controls"])
    for need, told in {
        "controls": ": expected 'controls', found none",
        "protocols": ", protocols: expected 'paper', found none",
        "protocols.paper": ", protocols: expected 'paper', found none",
        "diagnostics.top_share": ", diagnostics, top_share: expected 0 to 1, found 2",
        "diagnostics": ", diagnostics, top_share: expected 0 to 1, found 2",
    }.items():
        with pytest.raises(UserError) as error:
            read_scores(path, "mend it", ["data", need])
        assert str(error.value) == f"{path}{told}; mend it"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"seed": True}, "seed: expected a whole number, found true or false"),
        ({"seed": 1.0}, "seed: expected a whole number, found a number"),
        ({"length_penalty": "1"}, "length_penalty: expected a number, found a text"),
        ({"restricted": 1}, "restricted: expected true or false, found a whole number"),
        ({"data": None}, "data: expected a text, found nothing"),
        ({"split": "tes"}, "split: expected a text like train|val|test"),
        ({"protocols": []}, "protocols: expected an object, found a list"),
        ({"findings": None}, "findings: expected an object, found nothing"),
        ({"references": {"strict": 1, "paper": ""}}, "references, strict: expected a text, found"),
    ],
)
def test_a_value_of_another_kind_is_told_without_the_value(changed, told):
    with pytest.raises(UserError) as error:
        require(ScoresFile, scores_of() | changed, "scores.json", "mend it")
    assert str(error.value).startswith(f"scores.json, {told}")
