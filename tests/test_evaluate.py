import json
from dataclasses import replace

import pytest
from java_programs import python_java

from rcan.data.store import Study, View
from rcan.errors import UserError
from rcan.evaluation.controls import swap
from rcan.evaluation.evaluate import evaluate, score_table
from rcan.evaluation.floors import choose_floors
from rcan.evaluation.labelers import LABELERS
from rcan.evaluation.results import read_counts, write_counts
from rcan.evaluation.scores import METRICS, score
from rcan.evaluation.statistics import beats_floor, intervals
from rcan.text.cleaning import clean_iu_xray

NORMAL = "the heart is normal in size . the lungs are clear ."
LARGE = "the heart is enlarged . the lungs are clear ."
FLUID = "the heart is normal in size . there is a small effusion ."
VOCABULARY = {"the", "heart", "is", "normal", "in", "size", ".", "lungs", "are", "clear", "small"}
TRAIN = [NORMAL, NORMAL, LARGE, FLUID, NORMAL]
TEST = [NORMAL, LARGE, FLUID, LARGE, NORMAL, FLUID, NORMAL, FLUID]
PREDICTIONS = [NORMAL, LARGE, FLUID, LARGE, NORMAL, FLUID, LARGE, NORMAL]


FLOORS = choose_floors(TRAIN, [NORMAL, FLUID], vocabulary=VOCABULARY, max_length=60)


def studies(split: str, texts: list[str], labels: dict[str, tuple[str, ...]] | None = None):
    return [
        Study(f"s{i}", split, text, text, (View(i, "frontal"),), (labels or {}).get(text))
        for i, text in enumerate(texts)
    ]


def options(**changes) -> dict:
    return {
        "predictions": PREDICTIONS,
        "test": studies("test", TEST),
        "train_texts": TRAIN,
        "val": studies("val", [NORMAL, FLUID]),
        "vocabulary": VOCABULARY,
        "max_length": 60,
        "floors": FLOORS.reports,
        "clean": clean_iu_xray,
        "resamples": 100,
        "seed": 1,
    } | changes


@pytest.fixture(scope="module")
def java(tmp_path_factory):
    return python_java(tmp_path_factory.mktemp("java"))


@pytest.fixture(scope="module")
def evaluated(java):
    return evaluate(**options(java=java))


def test_java_is_started_once_for_all_systems_and_protocols(tmp_path):
    java = python_java(tmp_path)
    evaluate(**options(java=java))
    assert java.with_name("java.log").read_text() == "started\n"


def test_model_and_floors_are_scored_under_both_protocols(evaluated):
    scores, *_ = evaluated
    assert set(scores) == {
        "protocols", "floors", "diagnostics", "beats_floor", "controls", "groups", "group_shares",
        "references",
    }  # fmt: skip
    assert list(scores["protocols"]) == ["strict", "paper"]
    for systems in scores["protocols"].values():
        assert list(systems["floors"]) == ["most_frequent", "best_constant"]
        for system in (systems["model"], *systems["floors"].values()):
            assert tuple(system) == METRICS
            for value in system.values():
                assert 0 <= value["low"] <= value["score"] <= value["high"] <= 1


def test_floors_say_their_report_and_where_it_was_chosen(evaluated):
    floors = evaluated[0]["floors"]
    assert floors["most_frequent"] == {
        "text": NORMAL,
        "texts": {"strict": NORMAL, "paper": NORMAL},
        "chosen_on": "train",
    }
    assert floors["best_constant"]["chosen_on"] == "val"
    assert floors["best_constant"]["text"] == floors["best_constant"]["texts"]["strict"]


def test_the_model_is_compared_with_the_stronger_floor(evaluated):
    scores, *_ = evaluated
    for protocol, systems in scores["protocols"].items():
        for metric, found in scores["beats_floor"][protocol].items():
            floor = max(value[metric]["score"] for value in systems["floors"].values())
            expected = systems["model"][metric]["score"] - floor
            assert found["difference"] == pytest.approx(expected)
            assert systems["floors"][found["floor"]][metric]["score"] == floor


@pytest.mark.parametrize("stronger", ["most_frequent", "best_constant"])
def test_whichever_floor_is_stronger_is_the_rival(stronger):
    texts = {"model": PREDICTIONS, "most_frequent": [LARGE] * 8, "best_constant": [LARGE] * 8}
    texts[stronger] = [NORMAL] * 8
    systems = {name: score(written, TEST, meteor=False) for name, written in texts.items()}
    model = systems.pop("model")
    found = beats_floor(model, systems, resamples=100, seed=1)
    assert {value["floor"] for value in found.values()} == {stronger}


def test_unknown_words_cost_under_paper_alone(evaluated):
    protocols = evaluated[0]["protocols"]
    strict, paper = (protocols[name]["model"]["BLEU-1"]["score"] for name in ("strict", "paper"))
    assert paper < strict  # enlarged, effusion, there, a -> <unk>


def test_rows_hold_every_study_with_its_strict_scores(evaluated):
    _, rows, _ = evaluated
    assert list(rows[0]) == ["id", "reference", "prediction", *METRICS]
    assert [row["id"] for row in rows] == [f"s{i}" for i in range(8)]
    assert [row["reference"] for row in rows] == TEST
    assert rows[0]["METEOR"] == rows[0]["ROUGE-L"] == 1
    assert rows[1]["BLEU-1"] == pytest.approx(1)  # "enlarged" is unknown to `paper`
    assert rows[6]["BLEU-4"] < 1


def test_the_result_is_plain_json(evaluated):
    assert json.loads(json.dumps(evaluated[0])) == evaluated[0]
    assert all(type(row["METEOR"]) is float for row in evaluated[1])


def test_the_table_shows_the_floors_and_no_report(evaluated):
    table = score_table(evaluated[0])
    for part in ("strict", "paper", "most frequent", "best constant", "95 %", "varied"):
        assert part in table
    assert "heart" not in table
    assert max(map(len, table.splitlines())) <= 100


def test_the_table_is_this_to_the_letter():
    def about(score, name="score"):
        return {name: score, "low": score - 0.05, "high": score + 0.05}

    scores = {
        "protocols": {
            "strict": {
                "model": {"BLEU-4": about(0.5)},
                "floors": {
                    "most_frequent": {"BLEU-4": about(0.25)},
                    "best_constant": {"BLEU-4": about(0.3)},
                },
            }
        },
        "beats_floor": {"strict": {"BLEU-4": about(0.2, "difference")}},
        "diagnostics": {
            "num_studies": 40, "distinct_reports": 4, "top_share": 0.55, "copied_from_train": 0.25,
            "mean_length": 30.25, "reference_mean_length": 32.5,
        },
    }  # fmt: skip
    head = "strict           model, 95 %  most frequent  best constant  model - best floor, 95 %"
    line = "BLEU-4  0.500 [0.450, 0.550]          0.250          0.300   +0.200 [+0.150, +0.250]"
    told = """
collapsed: 4 different reports for 40 studies, the commonest for 55 %
25 % word for word from train; 30.2 words on average, 32.5 in the references"""
    assert score_table(scores) == f"{head}\n{line}\n{told}"
    scores["diagnostics"] |= {"top_share": 0.25}
    assert "\nvaried: 4 different reports for 40 studies, the commonest for 25 %" in score_table(
        scores
    )


@pytest.mark.parametrize("missing", ["most_frequent", "best_constant"])
def test_no_table_without_a_floor(evaluated, missing):
    scores = json.loads(json.dumps(evaluated[0]))
    del scores["protocols"]["paper"]["floors"][missing]
    with pytest.raises(UserError, match=f"floors and diagnostics; '{missing}' is missing"):
        score_table(scores)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"predictions": PREDICTIONS[:3]}, "3 predictions and 8 references"),
        ({"predictions": [], "test": []}, "at least one study"),
        ({"protocols": ()}, "at least one protocol"),
        ({"protocols": ("coco",)}, "'coco'"),
        ({"java": "/nowhere/java"}, "cannot be run"),
    ],
)
def test_bad_input_is_told(changes, message):
    with pytest.raises(UserError, match=message):
        evaluate(**options(**changes))


LABELS = {NORMAL: (), LARGE: ("cardiomegaly/mild",), FLUID: ("pleural_effusion/left/small",)}
SEEN = {"enlarged": "cardiomegaly", "effusion": "pleural_effusion"}


def words_read(text: str) -> frozenset[str]:
    return frozenset(finding for word, finding in SEEN.items() if word in text.split())


@pytest.fixture(scope="module")
def labelled(java):
    """The same studies with labels; scores.json and the model's scores."""
    labeler = replace(LABELERS["demo"], read=words_read)
    test, val = studies("test", TEST, LABELS), studies("val", [NORMAL, FLUID], LABELS)
    result, _, counts = evaluate(**options(java=java, test=test, val=val, labeler=labeler))
    return result, counts


def test_the_control_scores_other_studies_predictions_against_the_same_references(evaluated):
    scores, *_ = evaluated
    wrong = score(swap(PREDICTIONS), TEST, meteor=False)
    control = scores["controls"]["image_swap"]["strict"]
    for metric in ("BLEU-4", "ROUGE-L"):
        assert control["model"][metric]["score"] == pytest.approx(wrong.corpus[metric])
    assert set(scores["controls"]["image_swap"]) == {"strict", "paper"}
    assert set(control["fall"]["METEOR"]) == {"difference", "low", "high", "p"}
    for metric in METRICS:
        right = scores["protocols"]["strict"]["model"][metric]["score"]
        fall = right - control["model"][metric]["score"]
        assert control["fall"][metric]["difference"] == pytest.approx(fall) and fall > 0


def test_a_constant_model_falls_by_nothing_under_the_control(java):
    scores, *_ = evaluate(**options(java=java, predictions=[NORMAL] * 8))
    for value in scores["controls"]["image_swap"]["paper"]["fall"].values():
        assert (value["difference"], value["low"], value["high"], value["p"]) == (0, 0, 0, 1)


def test_groups_are_scored_apart_beside_the_constant_report(labelled):
    result, _ = labelled
    groups = result["groups"]["strict"]
    sizes = {name: group["num_studies"] for name, group in groups.items()}
    assert sizes == {"in_train": 8, "normal": 3, "abnormal": 5}  # every reference is in train
    rows = [row for row, text in enumerate(TEST) if text == NORMAL]
    alone = score([PREDICTIONS[r] for r in rows], [TEST[r] for r in rows], meteor=False)
    for metric in ("BLEU-1", "BLEU-4", "ROUGE-L"):
        assert groups["normal"]["model"][metric]["score"] == pytest.approx(alone.corpus[metric])
    whole = result["protocols"]["strict"]["floors"]["best_constant"]
    assert groups["in_train"]["best_constant"] == whole
    assert result["group_shares"] == {
        "val": {"num_studies": 2, "in_train": 1.0, "normal": 0.5},
        "test": {"num_studies": 8, "in_train": 1.0, "normal": 3 / 8},
    }


def test_without_labels_groups_are_by_train_alone_and_there_are_no_findings(evaluated):
    scores, *_ = evaluated
    assert set(scores["groups"]["paper"]) == {"in_train"} and "findings" not in scores
    assert scores["group_shares"]["val"] == {"num_studies": 2, "in_train": 1.0}


def test_findings_of_the_model_of_the_control_and_of_the_floor_by_hand(labelled):
    findings = labelled[0]["findings"]
    # Of 2 large hearts 2 are told and a third that is none; of 3 effusions 2, and no other.
    each = findings["model"]["per_finding"]
    counts = {
        name: (value["positives"], value["predicted"], value["hits"])
        for name, value in each.items()
        if value["positives"]
    }
    assert counts == {"cardiomegaly": (2, 3, 2), "pleural_effusion": (3, 2, 2)}
    assert findings["model"]["macro"]["f1"]["score"] == pytest.approx((4 / 5 + 4 / 5) / 2)
    assert findings["model"]["micro"]["precision"]["score"] == pytest.approx(4 / 5)
    wrong = [words_read(text) for text in swap(PREDICTIONS)]
    hits = sum(
        "cardiomegaly" in said for said, text in zip(wrong, TEST, strict=True) if text == LARGE
    )
    assert findings["image_swap"]["per_finding"]["cardiomegaly"]["hits"] == hits < 2
    assert findings["references"]["macro"]["f1"]["score"] == 1
    constant = words_read(labelled[0]["floors"]["best_constant"]["text"])
    told = {n for n, v in findings["best_constant"]["per_finding"].items() if v["predicted"] == 8}
    assert told == constant


def test_the_models_scores_come_back_from_their_counts(labelled, tmp_path):
    result, counts = labelled
    write_counts(tmp_path, counts)
    found = read_counts(tmp_path, result | {"num_studies": 8})
    for protocol, scores in found.items():
        for metric, value in result["protocols"][protocol]["model"].items():
            assert scores.corpus[metric] == value["score"]
        assert intervals(scores, resamples=100, seed=1) == result["protocols"][protocol]["model"]


def test_with_labels_too_the_result_is_plain_json_and_java_starts_once_an_evaluation(
    labelled, java
):
    assert json.loads(json.dumps(labelled[0])) == labelled[0]
    starts = java.with_name("java.log").read_text().count("started")
    evaluate(**options(java=java))
    assert java.with_name("java.log").read_text().count("started") == starts + 1
