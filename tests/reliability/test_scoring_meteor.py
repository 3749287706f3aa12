"""METEOR under trouble that must change nothing, where pycocoevalcap's wrapper fails or hangs.

The short version starts Java once, in all the troubles that it must bear at once; the long one
starts it for each of them.
"""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from java_programs import before_java, python_java
from meteor_places import is_running, package_in, wait_for_pid

from rcan.errors import UserError
from rcan.evaluation.meteor import meteor_counts, meteor_of, without_perfect_chunks
from rcan.evaluation.scores import score

TRIED = ("scoring", "failures of METEOR tried")
PLAIN = "the lungs are clear ."
# What the jar answers to PLAIN for "the lungs seem clear .": one paraphrase among five words.
KNOWN = [5, 5, 3, 2, 2, 2, 2, 2, *[0] * 9, 1, 1, 0, 1, 5, 5]

# What is odd about a text -> prediction, reference, and a harmless pair that counts the same.
ODD = {
    "line feed": ("the lungs\nare clear .", PLAIN, (PLAIN, PLAIN)),
    "carriage return": ("the lungs\rare clear .", PLAIN, (PLAIN, PLAIN)),
    "both, in the reference": (PLAIN, "the lungs\r\nare clear .", (PLAIN, PLAIN)),
    "bars": ("the lungs ||| are clear .", PLAIN, (PLAIN, PLAIN)),
    "bars in the reference": (PLAIN, "the lungs ||| are clear .", (PLAIN, PLAIN)),
    "bars alone": ("||||||", PLAIN, ("", PLAIN)),
    "a command of the jar": ("EVAL 1 1", "EVAL ||| 1 1", ("EVAL 1 1", "EVAL  1 1")),
    "half a surrogate pair": ("lungs \ud800 clear", PLAIN, ("lungs ? clear", PLAIN)),
    "the other half": (PLAIN, "lungs \udfff clear", (PLAIN, "lungs ? clear")),
    "NUL": ("lungs \x00 clear", "lungs \x00 clear", None),
    "next line": ("lungs \x85 clear", "lungs \x85 clear", None),
    "line separator": ("lungs \u2028 clear", "lungs \u2028 clear", None),
    "paragraph separator": ("lungs \u2029 clear", "lungs \u2029 clear", None),
    "form feed": ("lungs \x0c clear", "lungs \x0c clear", None),
    "umlaut": ("herz größe normal", "herz größe normal", None),
    "han": ("心 肺 normal", "心 肺 normal", None),
    "emoji": ("lungs 🫁 clear", "lungs 🫁 clear", None),
    "right to left": ("الرئتان clear", "الرئتان clear", None),
    "upper case": ("INTERVAL CHANGE IS .", "interval change is .", ("interval change is .",) * 2),
    "tab": ("the\tlungs are clear .", PLAIN, (PLAIN, PLAIN)),
    "empty prediction": ("", PLAIN, (" ", PLAIN)),
    "empty reference": (PLAIN, "", (PLAIN, " ")),
    "both empty": ("", "", (" ", " ")),
}


def pairs_in_step(num: int) -> list[tuple[str, str]]:
    """All of ODD, each with its harmless pair, then `num` plain pairs, every 7th not predicted.

    Neighbours differ in their numbers of words, so that an answer out of step is seen.
    """
    pairs = [(PLAIN, "the lungs seem clear .")]
    for number, (prediction, reference, harmless) in enumerate(ODD.values()):
        words = "clear " * (number + 1)
        pairs += [(prediction, reference), harmless or (prediction, reference), (words, words)]
    for number in range(num):
        words = "clear " * (number % 60 + 1)
        pairs.append(("" if number % 7 == 0 else words, f"{words} {number}"))
    return pairs


def require_in_step(counts: np.ndarray, num: int) -> None:
    """Check the answers to `pairs_in_step(num)`."""
    odd, plain = counts[1 : 1 + 3 * len(ODD)].reshape(len(ODD), 3, 23), counts[1 + 3 * len(ODD) :]
    assert counts[0].tolist() == KNOWN
    for number, kind in enumerate(ODD):
        text, harmless, words = odd[number]
        assert text.tolist() == harmless.tolist(), kind
        assert words[:2].tolist() == [number + 1] * 2, kind
    scores = meteor_of(without_perfect_chunks(odd[:, 0]))
    for kind, value in zip(ODD, scores, strict=True):
        blank = kind.startswith(("empty", "both empty", "bars alone"))
        assert value == 0 if blank else 0 < value <= 1, kind
    number = np.arange(num)
    written = np.where(number % 7 == 0, 0, number % 60 + 1)
    assert plain[:, 0].tolist() == written.tolist()
    assert plain[:, 1].tolist() == (number % 60 + 2).tolist()
    assert plain[:, 21].tolist() == written.tolist()


# Several MB on stderr, as pycocoevalcap never reads it.
NOISE_BEFORE = '/usr/bin/head -c 3000000 /dev/zero >&2; exec "$java" "$@"'
NOISE_MEANWHILE = 'exec "$java" -Xlog:class+load=debug:stderr "$@"'
SURROUNDINGS = {
    "JAVA_TOOL_OPTIONS": "-XX:+NoSuchOption -Duser.language=tr",
    "_JAVA_OPTIONS": "-Xmx16m -Duser.language=tr",  # wins over the command line
    "JDK_JAVA_OPTIONS": "--no-such-option", "LC_ALL": "C", "PATH": "",
}  # fmt: skip


def test_all_troubles_at_once_change_nothing(tmp_path, monkeypatch, amount, figure):
    for name, value in SURROUNDINGS.items():
        monkeypatch.setenv(name, value)
    java = before_java(tmp_path / "noisy", amount(NOISE_BEFORE, NOISE_MEANWHILE))
    num = amount(300, 5000)
    with package_in(tmp_path / "a folder %20 ü"):
        counts = meteor_counts(*zip(*pairs_in_step(num), strict=True), java=java)
    require_in_step(counts, num)
    assert not is_running(wait_for_pid(tmp_path / "noisy"))
    figure(*TRIED, len(ODD) + len(SURROUNDINGS) + 4)  # folder: three; stderr


@pytest.mark.parametrize("name", ["a space", "%20", "ü", "a+b"])
def test_a_package_folder_with_an_odd_name_is_no_trouble(name, tmp_path, long, figure):
    with package_in(tmp_path / name):
        require_in_step(meteor_counts(*zip(*pairs_in_step(50), strict=True)), 50)
    figure(*TRIED, 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *SURROUNDINGS.items(), ("JAVA_TOOL_OPTIONS", "-Duser.language=it"),
        ("JDK_JAVA_OPTIONS", "-Duser.language=ar"), ("LC_ALL", "tr_TR.UTF-8"),
    ],
)  # fmt: skip
def test_an_odd_environment_is_no_trouble(name, value, monkeypatch, long, figure):
    monkeypatch.setenv(name, value)
    require_in_step(meteor_counts(*zip(*pairs_in_step(50), strict=True)), 50)
    figure(*TRIED, 1)


def test_very_long_texts_are_scored(long, figure):
    words = [f"word{number}" for number in range(2000)]
    pairs = [
        (" ".join(words), PLAIN), (" ".join(words), " ".join(words)), ("clear " * 400, PLAIN),
        ("x" * 1_000_000, PLAIN), (PLAIN, "x" * 1_000_000), (PLAIN, PLAIN),
    ]  # fmt: skip
    counts = meteor_counts(*zip(*pairs, strict=True))
    assert counts[:, 0].tolist() == [2000, 2000, 400, 1, 5, 5]
    assert meteor_of(without_perfect_chunks(counts))[[1, 5]].tolist() == [1, 1]
    figure(*TRIED, len(pairs) - 1)


@pytest.fixture
def java(torture, tmp_path) -> Path | None:
    """None, for the real one, in the long version; else one that matches words alone."""
    return None if torture else python_java(tmp_path)


def test_four_threads_at_once_get_their_own_answers(java, figure):
    words = [" ".join(["clear"] * number) for number in range(1, 5)]
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda text: meteor_counts([text], [PLAIN], java=java), words))
    assert [answer[0, 0] for answer in answers] == [1, 2, 3, 4]
    figure(*TRIED, 1)


FORKED = """
import sys
from multiprocessing import get_context
from pathlib import Path
from rcan.evaluation.meteor import meteor_counts

def words(number):
    return meteor_counts(["clear " * number], ["clear"], java=sys.argv[1] or None)[0, 0]

with get_context("fork").Pool(2) as workers:
    asked = workers.map_async(words, [2, 3])
    print(words(1), asked.get())
"""


def test_processes_forked_from_one_get_their_own_answers(java, figure):
    done = subprocess.run(
        [sys.executable, "-c", FORKED, str(java or "")], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.split("\n")[0] == "1.0 [np.float64(2.0), np.float64(3.0)]", done.stderr
    figure(*TRIED, 1)


def test_empty_predictions_among_thousands_count_as_written_nothing(amount, tmp_path, figure):
    java, num = python_java(tmp_path), amount(1000, 10_000)
    references = [f"{PLAIN} {number}" for number in range(num)]
    for kinds in ([0], [num - 1], range(0, num, 97)):
        blank = set(kinds)
        predictions = ["" if k in blank else text for k, text in enumerate(references)]
        scores = score(predictions, references, java=java)
        for metric, values in scores.studies.items():
            assert np.isfinite(values).all() and np.isfinite(scores.corpus[metric]), metric
            assert (values[list(blank)] == 0).all(), metric
            assert np.delete(values, list(blank)).min() > 0.9999, metric
            assert 0.9 < scores.corpus[metric] < 1, metric
    figure(*TRIED, 3)


def test_an_empty_set_is_refused_and_needs_no_java(figure):
    with pytest.raises(UserError, match="at least one study to score; got none"):
        score([], [], java="/nowhere/java")
    figure(*TRIED, 1)
