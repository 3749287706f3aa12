"""What may not be shown: results that do not belong together, a score without its floor."""

import copy
import csv
import json
import shutil

import pytest
from fabricated import scores_of, write_evaluation, write_processed, write_run
from hypothesis import given, settings
from hypothesis import strategies as st
from java_programs import python_java

from rcan.errors import UserError
from rcan.evaluation.evaluate import score_table
from rcan.evaluation.protocols import PROTOCOLS, reference
from rcan.evaluation.scores import METRICS, score
from rcan.evaluation.statistics import difference
from rcan.files import write_csv, write_json
from rcan.reporting.consistency import require_agreement
from rcan.reporting.report import write_report
from rcan.reporting.tables import results_markdown, results_rows

HELD = ("honesty", "checks that held", 1)

# One table, one ground

FACTS = st.dictionaries(st.sampled_from("abc"), st.integers(0, 1), max_size=3)


def test_sources_that_tell_otherwise_are_refused_and_no_others(amount, figure):
    tried = 0

    @settings(max_examples=amount(200, 5000), derandomize=True, deadline=None, database=None)
    @given(told=st.dictionaries(st.text(max_size=3), FACTS, max_size=5))
    def check(told):
        nonlocal tried
        tried += 1
        values: dict[str, set] = {}
        for facts in told.values():
            for fact, value in facts.items():
                values.setdefault(fact, set()).add(value)
        if all(len(found) == 1 for found in values.values()):
            require_agreement(told)
        else:
            with pytest.raises(UserError, match=r"expected results of one [abc] in a table"):
                require_agreement(told)

    check()
    figure("honesty", "grounds of tables compared", tried)


def change_json(path, **changes) -> None:
    write_json(path, json.loads(path.read_text()) | changes)


def change_rows(path, change) -> None:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    change(rows)
    write_csv(path, rows)


def other_processed(top) -> None:
    shutil.rmtree(top / "processed")
    write_processed(top / "processed", num_studies=9)


MIXED = {
    "scores of another data set": (
        lambda top: change_json(top / "evaluation/scores.json", data="iu_xray"),
        "one data set in a table; scores.json tells 'iu_xray', the run's config.json 'demo'",
    ),
    "a run on another data set": (
        lambda top: change_json(top / "run/config.json", data={"name": "iu_xray"}),
        "one data set in a table",
    ),
    "scores of other data": (
        lambda top: change_json(top / "evaluation/scores.json", data_digest="e" * 32),
        "one digest of the data in a table",
    ),
    "a run on other data": (
        lambda top: change_json(top / "run/best.json", data_digest="e" * 32),
        "one digest of the data in a table",
    ),
    "scores of another run": (
        lambda top: change_json(top / "evaluation/scores.json", run="e" * 32),
        "one run in a table",
    ),
    "another run": (
        lambda top: change_json(top / "run/best.json", key="e" * 32),
        "one run in a table",
    ),
    "scores of fewer studies": (
        lambda top: change_json(top / "evaluation/scores.json", num_studies=7),
        "one number of studies in a table; scores.json tells 7, ",
    ),
    "processed data of another name": (
        lambda top: change_json(top / "processed/summary.json", name="iu_xray"),
        "one data set in a table",
    ),
    "other processed data": (other_processed, "study-008 is not in both"),
    "a prediction too few": (
        lambda top: change_rows(top / "evaluation/predictions.csv", lambda rows: rows.pop()),
        "expected one prediction for each study .* study-007 is not in both",
    ),
    "a prediction twice": (
        lambda top: change_rows(
            top / "evaluation/predictions.csv", lambda rows: rows.append(rows[0])
        ),
        "expected one prediction for each study .* one has two",
    ),
    "scores of another split": (
        lambda top: change_json(top / "evaluation/scores.json", split="val"),
        "expected one prediction for each study of the processed val split",
    ),
    "scores that tell no data": (
        lambda top: change_json(top / "evaluation/scores.json", data_digest=None),
        "scores.json, data_digest: expected a text, found nothing",
    ),
}


@pytest.fixture
def ground(tmp_path):
    """Fabricated results that belong together, and how to report on them."""
    digest = write_processed(tmp_path / "processed", num_studies=8)
    write_evaluation(tmp_path / "evaluation", scores_of(num_studies=8) | {"data_digest": digest})
    write_run(tmp_path / "run", data_digest=digest)

    def report() -> None:
        write_report(
            evaluation=tmp_path / "evaluation", run=tmp_path / "run", command="",
            processed=tmp_path / "processed", out=tmp_path / "out",
        )  # fmt: skip

    return tmp_path, report


@pytest.mark.parametrize("kind", MIXED)
def test_a_report_of_what_does_not_belong_together_is_refused(kind, ground, figure):
    top, report = ground
    mix, message = MIXED[kind]
    mix(top)
    with pytest.raises(UserError, match=message) as caught:
        report()
    assert "\n" not in str(caught.value)
    assert not (top / "out").exists()
    figure(*HELD)


# Two systems are compared on one ground too


@pytest.mark.parametrize("meteor", [False, True])
def test_systems_are_compared_against_the_same_references_alone(meteor, tmp_path, figure):
    text, how = "no pleural effusion .", {"meteor": meteor, "java": python_java(tmp_path)}
    vocabulary = set(text.split()) - {"pleural"}
    by_protocol = {
        protocol: score([text], [reference(text, protocol, vocabulary, 15)], **how)
        for protocol in PROTOCOLS
    }
    options = {"resamples": 5, "seed": 1}
    for scores in by_protocol.values():
        assert difference(scores, scores, **options)["BLEU-4"]["difference"] == 0
    with pytest.raises(UserError, match="against the same references; got different ones"):
        difference(by_protocol["strict"], by_protocol["paper"], **options)
    one, other = (score(["a", "b"], texts, **how) for texts in (["a", "b"], ["b", "a"]))
    with pytest.raises(UserError, match="under one protocol"):
        difference(one, other, **options)
    assert difference(one, score(["b", "b"], ["a", "b"], **how), **options)
    figure(*HELD)


# No score without its floors


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("floor", ["most_frequent", "best_constant"])
def test_no_number_is_printed_without_its_floors(protocol, floor, ground, figure):
    top, report = ground
    whole = json.loads((top / "evaluation/scores.json").read_text())

    def drop_floor(scores, metric=None):
        del scores["protocols"][protocol]["floors"][floor]

    def drop_number(scores, metric):
        del scores["protocols"][protocol]["floors"][floor][metric]

    def drop_lead(scores, metric):
        del scores["beats_floor"][protocol][metric]

    drops = [(drop_floor, None)]
    drops += [(drop, metric) for drop in (drop_number, drop_lead) for metric in METRICS]
    for drop, metric in drops:
        scores = copy.deepcopy(whole)
        drop(scores, metric)
        for show in (score_table, results_rows, lambda s: results_markdown(s, protocol)):
            with pytest.raises(UserError):
                show(scores)
            figure(*HELD)
    scores = copy.deepcopy(whole)
    drop_floor(scores)
    write_json(top / "evaluation/scores.json", scores)
    with pytest.raises(UserError, match=floor):
        report()
    assert not (top / "out").exists()
    figure(*HELD)


@pytest.mark.parametrize("missing", ["diagnostics", "beats_floor"])
def test_no_table_is_printed_without_what_qualifies_it(missing, figure):
    scores = scores_of()
    del scores[missing]
    with pytest.raises(UserError, match=missing):
        score_table(scores)
    figure(*HELD)
