import json
import random

import numpy as np
import pandas as pd
import pytest
from java_programs import python_java
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.rouge.rouge import Rouge

from rcan.errors import UserError
from rcan.evaluation.bleu import BLEU, bleu, bleu_counts
from rcan.evaluation.floors import most_frequent
from rcan.evaluation.paraphrases import KeptParts
from rcan.evaluation.protocols import reference
from rcan.evaluation.scores import METRICS, common_length, score, score_systems, signature
from rcan.text.cleaning import clean_iu_xray
from rcan.text.tokenizer import Tokenizer

WORDS = ["the", "lungs", "are", "clear", ".", "heart", "is", "normal", "no", "<unk>", "x-xxxx"]


def random_reports(seed: int, num: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(1, 40))) for _ in range(num)]


def upstream(predictions, references) -> tuple[dict, dict]:
    """pycocoevalcap's BLEU and ROUGE-L: the corpus value and the values per study."""
    written = {study: [text] for study, text in enumerate(predictions)}
    wanted = {study: [text] for study, text in enumerate(references)}
    corpus, studies = Bleu(4).compute_score(wanted, written, verbose=0)
    of_rouge, studies_of_rouge = Rouge().compute_score(wanted, written)
    names = (*BLEU, "ROUGE-L")
    return (
        dict(zip(names, (*corpus, of_rouge), strict=True)),
        dict(zip(names, (*studies, studies_of_rouge), strict=True)),
    )


@pytest.mark.parametrize("seed", range(5))
def test_bleu_and_rouge_l_are_upstreams_of_corpus_and_of_studies(seed, capsys):
    predictions, references = random_reports(seed, 60), random_reports(seed + 100, 60)
    predictions[0] = references[0]
    references[1] = references[1].replace(" ", "  ", 3)  # upstream's ROUGE-L counts empty words
    corpus, studies = upstream(predictions, references)
    scores = score(predictions, references, meteor=False)
    assert scores.corpus == pytest.approx(corpus, abs=1e-12)
    assert bleu(predictions, references) == {m: scores.corpus[m] for m in BLEU}
    for metric in BLEU:
        np.testing.assert_allclose(scores.studies[metric], studies[metric], rtol=0, atol=1e-12)
    assert scores.studies["ROUGE-L"].tolist() == studies["ROUGE-L"].tolist()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("seed", range(5))
def test_bleu_of_blank_texts_is_upstreams(seed):
    predictions, references = random_reports(seed, 60), random_reports(seed + 100, 60)
    predictions[:2], references[1:3] = ["", " "], ["", " "]
    corpus, studies = upstream(predictions, references)
    scores = score(predictions, references, meteor=False)
    for metric in BLEU:
        assert scores.corpus[metric] == pytest.approx(corpus[metric], abs=1e-12)
        np.testing.assert_allclose(scores.studies[metric], studies[metric], rtol=0, atol=1e-12)


def longest_by_table(words, other) -> int:
    """The usual table: row by row, the longest common subsequence of every two beginnings."""
    row = [0] * (len(other) + 1)
    for word in words:
        above = row
        row = [0]
        for place, met in enumerate(other):
            row.append(above[place] + 1 if word == met else max(above[place + 1], row[-1]))
    return row[-1]


def test_the_longest_common_subsequence_is_that_of_the_usual_table():
    draw = random.Random(1)
    for _ in range(300):
        letters = "abcdefgh"[: draw.randint(1, 8)]
        words, other = (draw.choices(letters, k=draw.randint(0, 150)) for _ in range(2))
        assert common_length(words, other) == longest_by_table(words, other)


def test_bleu_counts_of_a_pair_counted_by_hand():
    counts = bleu_counts(["the lungs are are clear"], ["the lungs are clear ."])
    # 4 words match ("are" once), then "the lungs", "lungs are", "are clear"; "the lungs are"; none
    assert counts.tolist() == [[4, 3, 1, 0, 5, 4, 3, 2, 5, 5]]


@pytest.mark.parametrize(
    ("prediction", "wanted", "expected"),
    [
        ("lungs clear", "lungs clear", 1.0),
        ("lungs are clear", "lungs clear", (1 + 1.2**2) * (2 / 3) / (1 + 1.2**2 * (2 / 3))),
        ("clear lungs", "lungs clear", 0.5),
        ("normal", "lungs clear", 0.0),
        ("lungs  clear", "lungs clear", 2.44 * (2 / 3) / (1 + 1.44 * (2 / 3))),  # as upstream
        ("", "lungs clear", 0.0),
        ("", "", 0.0),  # upstream: 1
        (" ", "lungs  clear", 0.0),  # upstream splits both into empty words
    ],
)
def test_rouge_l_of_a_pair(prediction, wanted, expected):
    assert score([prediction], [wanted], meteor=False).corpus["ROUGE-L"] == pytest.approx(expected)


def test_blank_texts_score_zero_on_every_metric():
    scores = score(["", " ", ""], ["", "clear .", "clear ."], meteor=False)
    assert all(value == 0 for value in scores.corpus.values())
    assert all((values == 0).all() for values in scores.studies.values())


def test_meteor_is_part_of_the_scores_and_comes_from_the_java_that_is_named(tmp_path):
    assert tuple(score(["clear ."], ["clear ."], java=python_java(tmp_path)).corpus) == METRICS


def test_without_meteor_its_key_is_absent():
    scores = score(["clear"], ["clear"], meteor=False)
    assert tuple(scores.corpus) == tuple(scores.studies) == (*BLEU, "ROUGE-L")
    assert scores.meteor_counts is None and len(scores) == 1


@pytest.mark.parametrize("function", [bleu, score])
@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [(["clear"], [], "1 predictions and 0 references"), ([], [], "at least one study")],
)
def test_bad_input_is_told(function, predictions, references, message):
    with pytest.raises(UserError, match=message):
        function(predictions, references)


def test_the_signature_is_one_line_with_the_version():
    assert "pycocoevalcap 1." in signature() and "\n" not in signature()


# Real reports, and scores that others computed of them; one start of Java for all.


@pytest.fixture(scope="module")
def golden(shared):
    return json.loads((shared / "data" / "golden_metrics.json").read_text())


@pytest.fixture(scope="module")
def iu_xray(shared):
    """split -> cleaned reports."""
    annotation = json.loads((shared / "data" / "iu_xray" / "annotation.json").read_text())
    return {
        split: [clean_iu_xray(study["report"]) for study in studies]
        for split, studies in annotation.items()
    }


@pytest.fixture(scope="module")
def floor_rows(shared):
    """Recorded floors by (protocol, system): the most frequent report and two constants."""
    rows = json.loads((shared / "data" / "iu_floors.json").read_text())["rows"]
    chosen = [row for row in rows if row["system"].startswith(("a ", "b1 ", "b2 "))]
    return {(row["protocol"], row["system"]): row for row in chosen}


@pytest.fixture(scope="module")
def real(golden, iu_xray, floor_rows, tmp_path_factory):
    """name -> scores, by a part of METEOR's table."""
    items = golden["items"]
    systems = {
        "golden": ([item["hypothesis"] for item in items], [item["reference"] for item in items])
    }
    vocabulary = Tokenizer.train(iu_xray["train"], 3).vocabulary
    references = {
        (protocol, split): [reference(text, protocol, vocabulary, 60) for text in iu_xray[split]]
        for protocol in ("strict", "paper")
        for split in ("val", "test")
    }
    for split in ("val", "test"):
        wanted = references["paper", split]
        systems["most frequent", split] = ([most_frequent(iu_xray["train"])] * len(wanted), wanted)
    for (protocol, system), row in floor_rows.items():
        wanted = references[protocol, "test"]
        systems[protocol, system] = ([row["note"][0]] * len(wanted), wanted)
    parts = KeptParts(tmp_path_factory.mktemp("parts"))
    return dict(zip(systems, score_systems(list(systems.values()), parts=parts), strict=True))


def test_golden_scores_are_met_by_study_and_by_corpus(golden, real):
    for metric in METRICS:
        key = metric.replace("-", "_")
        expected = [item[key] for item in golden["items"]]
        np.testing.assert_allclose(real["golden"].studies[metric], expected, rtol=0, atol=1e-12)
        assert real["golden"].corpus[metric] == pytest.approx(golden["corpus"][key], abs=1e-12)


def test_the_most_frequent_report_scores_the_digits_of_a_public_run(shared, real):
    """Epoch 2 of that R2Gen run had collapsed onto it: our paper protocol is theirs, exactly."""
    epoch = pd.read_csv(shared / "paper" / "r2gen_public_run.csv").set_index("epoch").loc[2]
    for split in ("val", "test"):
        expected = [epoch[f"{split}_{metric.replace('-', '_')}"] for metric in METRICS]
        corpus = real["most frequent", split].corpus
        np.testing.assert_allclose([corpus[m] for m in METRICS], expected, rtol=0, atol=1e-15)


def test_floors_score_as_recorded(floor_rows, real):
    assert len(floor_rows) == 6
    for name, row in floor_rows.items():
        corpus = real[name].corpus
        np.testing.assert_allclose([corpus[m] for m in METRICS], row["scores"], rtol=0, atol=1e-12)
