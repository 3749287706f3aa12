"""Counts on disk: the same scores come back, and whatever is no such file is told."""

import numpy as np
import pytest
from test_statistics import made_up

from rcan.errors import UserError
from rcan.evaluation.results import COUNTS, read_counts, write_counts
from rcan.evaluation.scores import METRICS
from rcan.evaluation.statistics import difference, intervals


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
