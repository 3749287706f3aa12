"""What an evaluation leaves, scores.json and counts.npz, is written and read in one place."""

import json
from zipfile import ZipFile

import numpy as np
import pytest
from fabricated import scores_of
from test_statistics import made_up
from tiny import TOP

from rcan.ablation.cells import CONTROLS
from rcan.errors import UserError
from rcan.evaluation.results import (
    COUNTS,
    parse_metrics,
    read_best,
    read_config,
    read_counts,
    read_scores,
    write_counts,
    write_metrics,
    write_scores,
)
from rcan.evaluation.schema import TEXTLESS, ScoresFile, require
from rcan.evaluation.scores import METRICS
from rcan.evaluation.statistics import difference, intervals
from rcan.files import write_json

PUBLISHED = sorted((TOP / "reports/iu_xray-small/runs").glob("*/scores.json"))


@pytest.mark.parametrize("scores", PUBLISHED, ids=lambda path: path.parent.name)
def test_published_runs_are_whole_but_for_texts(scores):
    run = scores.parent
    read_scores(scores, "get it again", TEXTLESS)
    read_best(run, "get it again")
    if run.name.rpartition("-")[0] not in CONTROLS:  # which have settings of few words
        read_config(run, "get it again")
    with pytest.raises(UserError, match="expected 'floors', found none; get it again"):
        read_scores(scores, "get it again")


def test_what_is_written_is_read_as_it_was_and_more_may_stand_there(tmp_path):
    scores = scores_of() | {"note": ["of my own"], "length_penalty": 1}
    write_scores(tmp_path / "scores.json", scores)
    text = json.dumps(scores, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert (tmp_path / "scores.json").read_text(encoding="utf-8") == text
    assert read_scores(tmp_path / "scores.json", "-") == scores


@pytest.mark.parametrize("f1", [0.49996, None])
def test_metrics_are_rounded_and_no_finding_has_no_score(f1, tmp_path):
    scores = scores_of()
    scores["findings"]["model"]["macro"]["f1"] = dict.fromkeys(("score", "low", "high"), f1)
    write_metrics(tmp_path / "metrics.json", scores)
    metrics = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["finding_f1"] == (f1 and 0.5) and metrics["fall"] == 0.06
    assert (metrics["distinct"], metrics["floor"]["BLEU-4"]) == (120, 0.171)
    told = parse_metrics(json.dumps({"test": metrics["test"]}), "here", "-")
    assert told == {metric: round(value, 4) for metric, value in told.items()}
    with pytest.raises(UserError, match=r"^here, test, METEOR: expected a number, found a text; -"):
        parse_metrics(json.dumps({"test": {"METEOR": "0.2"}}), "here", "-")


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


@pytest.fixture
def written(tmp_path):
    """Counts of 20 studies on disk; the folder, what was written, what scores.json says of it."""
    scores = {"strict": made_up(20, 1, share=0.3), "paper": made_up(20, 2, share=0.3)}
    write_counts(tmp_path, scores)
    references = {protocol: found.references for protocol, found in scores.items()}
    return tmp_path, scores, {"num_studies": 20, "references": references}


def test_what_is_read_back_scores_resamples_and_compares_to_the_same_digits(written):
    folder, scores, told = written
    found = read_counts(folder, told)
    assert list(found) == ["strict", "paper"]
    for protocol, before in scores.items():
        again = found[protocol]
        assert again.corpus == before.corpus and tuple(again.corpus) == METRICS
        for metric in METRICS:
            assert again.studies[metric].tolist() == before.studies[metric].tolist()
        options = {"resamples": 50, "seed": 1}
        assert intervals(again, **options) == intervals(before, **options)
        assert difference(again, before, **options)["METEOR"]["difference"] == 0


def test_the_same_counts_are_the_same_bytes_and_no_object(written, tmp_path):
    folder, scores, _ = written
    before = (folder / COUNTS).read_bytes()
    write_counts(folder, scores)
    assert (folder / COUNTS).read_bytes() == before
    with np.load(folder / COUNTS, allow_pickle=False) as file:
        assert {file[name].dtype.kind for name in file.files} == {"i", "f"}
    assert [path.name for path in folder.iterdir()] == [COUNTS]


def test_the_counts_have_plain_headers_that_no_version_of_python_changes(written):
    with ZipFile(written[0] / COUNTS) as file:
        entries = file.infolist()
    assert {(entry.extract_version, entry.extra) for entry in entries} == {(20, b"")}
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}


def edited(path, **changes):
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    np.savez(path, **{name: array for name, array in (arrays | changes).items() if len(array)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"paper_bleu": []}, "expected the counts of each study .KeyError."),
        ({"paper_bleu": np.array([{}] * 20)}, "expected the counts of each study .ValueError."),
        ({"strict_bleu": np.ones((20, 9))}, r"strict_bleu: expected .20, 10. numbers.*.20, 9."),
        ({"strict_rouge": np.ones((20, 1))}, r"strict_rouge: expected .20,. numbers.*.20, 1."),
        ({"paper_meteor": np.ones((19, 23))}, r"paper_meteor: expected .20, 23. numbers.*.19, 23."),
        ({"strict_rouge": np.full(20, np.nan)}, "strict_rouge: expected counts, found other"),
        ({"strict_rouge": np.full(20, -1.0)}, "strict_rouge: expected counts, found other"),
        ({"strict_rouge": np.array(["a"] * 20)}, "strict_rouge: expected .20,. numbers, found <U1"),
    ],
)
def test_other_arrays_are_told(written, changes, message):
    folder, _, told = written
    edited(folder / COUNTS, **changes)
    with pytest.raises(UserError, match=message):
        read_counts(folder, told)


def test_a_file_that_is_missing_cut_or_no_file_is_told(written):
    folder, _, told = written
    whole = (folder / COUNTS).read_bytes()
    for content in (
        whole[: len(whole) // 2],
        b"",
        b"PK",
        b"\x93NUMPY",
        b"cos\nsystem\n(S'true'\ntR.",
    ):
        (folder / COUNTS).write_bytes(content)
        with pytest.raises(UserError, match=r"counts.npz: expected the counts of each study"):
            read_counts(folder, told)
    (folder / COUNTS).unlink()
    with pytest.raises(UserError, match=r"FileNotFoundError.*run the evaluation again"):
        read_counts(folder, told)


def test_scores_without_the_digests_of_their_references_are_told(written):
    folder, _, told = written
    with pytest.raises(UserError, match=r"scores.json: expected 'references', found none"):
        read_counts(folder, {"num_studies": 20})
    told["references"].pop("paper")
    with pytest.raises(UserError, match="references: expected 'paper', found none"):
        read_counts(folder, told)
    with pytest.raises(UserError, match="num_studies: expected a whole number, found a text"):
        read_counts(folder, {"num_studies": "20", "references": {}})
