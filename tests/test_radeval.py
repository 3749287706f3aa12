"""RadEval, where it is installed and where it, or its weights, are not."""

import importlib
import os
import subprocess
import sys

import pytest
from imports import TOP

from pipeline.radeval import WEIGHTS, radeval_scores
from rcan.errors import UserError

STANDS_IN = """
import os

class RadEval:
    def __init__(self, metrics, show_progress):
        self.name = metrics[0]
        if self.name == "f1chexbert":
            raise OSError("chexbert.pth is not\\nin the cache")
    def __call__(self, refs, hyps):
        same = sum(one == other for one, other in zip(refs, hyps, strict=True))
        return {self.name: same / len(refs), "offline": float(os.environ["HF_HUB_OFFLINE"])}
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package `radeval` that counts equal reports, and lacks one scorer's weights."""
    (tmp_path / "radeval.py").write_text(STANDS_IN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    importlib.invalidate_caches()
    yield
    for name in ("radeval", "RadEval"):
        sys.modules.pop(name, None)
    os.environ.pop("HF_HUB_OFFLINE", None)


@pytest.mark.usefixtures("installed")
def test_its_scores_are_handed_on_and_nothing_is_fetched_unasked():
    found = radeval_scores("radgraph", ["a .", "b ."], ["a .", "c ."])
    assert found == {"radgraph": 0.5, "offline": 1.0}


@pytest.mark.usefixtures("installed")
def test_whoever_says_so_lets_it_fetch(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert radeval_scores("radgraph", ["a ."], ["a ."])["offline"] == 0


@pytest.mark.usefixtures("installed")
def test_weights_that_are_lacking_are_named_in_one_line():
    with pytest.raises(UserError, match=r"OSError: chexbert.pth is not in the cache.*1.3 GB"):
        radeval_scores("f1chexbert", ["a ."], ["a ."])


@pytest.mark.parametrize("scorer", WEIGHTS)
def test_without_the_package_one_line_names_it_and_the_weights(scorer, monkeypatch):
    monkeypatch.setitem(sys.modules, "radeval", None)  # as if it were not installed
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match=r"pip install .rcan\[radeval\]") as error:
        radeval_scores(scorer, ["a ."], ["a ."])
    assert WEIGHTS[scorer] in str(error.value) and "\n" not in str(error.value)


def test_an_unknown_scorer_is_told():
    with pytest.raises(UserError, match=r"expected a scorer of radgraph, .*; got 'bleu'"):
        radeval_scores("bleu", ["a ."], ["a ."])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [([], "the name of an evaluated run"), (["nowhere", "radgraph"], "nowhere/predictions.csv")],
)
def test_the_command_ends_in_one_line(arguments, told):
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.radeval", *arguments], cwd=TOP, capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert told in done.stderr
