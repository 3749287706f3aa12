"""Damaged, edited, foreign or hostile files of every format: what they hold, or one line.

One engine over a table of formats. What is right is for a format's `read` to say, where its sample
is made; what only one format can suffer is in the other files test_bad_*.py.
"""

import os
from functools import partial

import formats_of_models as models
import formats_of_results as results
import formats_of_studies as studies
import pytest
from cases import GARBAGE, INSTEAD, put
from formats_of_images import images
from formats_of_settings import settings
from formats_of_weights import SUFFIXES, weights

FORMATS = {
    "annotation": studies.annotations,
    "XML": studies.xml_reports,
    "table": studies.tables,
    **{f"image{suffix}": partial(images, suffix) for suffix in (".png", ".jpg")},
    "settings": settings,
    **{f"processed {name}": partial(results.processed, name) for name in results.PROCESSED},
    **{f"results {name}": partial(results.results, name) for name in results.RESULTS},
    "tokenizer": models.tokenizers_of_words,
    **{f"state {name}": partial(models.states, name) for name in ("last", "best")},
    **{f"run {name}": partial(models.runs, name) for name in models.RUN},
    **{f"weights{suffix}": partial(weights, suffix) for suffix in SUFFIXES},
}


pytestmark = pytest.mark.computes


@pytest.fixture(scope="module", params=FORMATS)
def made(request, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)  # these need not outlast a power cut
        patch.chdir(tmp_path_factory.mktemp("bad"))
        yield FORMATS[request.param](tmp_path_factory.mktemp("bad"), patch)


@pytest.fixture
def sample(made):
    yield made
    assert not made.path.with_name("ran").exists() and not os.path.exists("ran")
    made.restore()
    assert made.read()


# What Pillow only warns of, of EXIF data that nobody reads, goes by unsaid, as in the program.
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_what_hypothesis_makes_of_it(sample, amount, figure):
    for fuzz in sample.fuzz:
        figure("bad input", sample.kind, sample.try_all(fuzz, amount(*fuzz.tries)))


def test_garbage_wrong_and_odd_contents(sample, figure):
    for case in [*GARBAGE, *sample.wrong]:
        content, *told = case if isinstance(case, tuple) else (case, *sample.told)
        sample.path.write_bytes(content.encode() if isinstance(content, str) else content)
        assert not sample.read(*told), content[:80]
    for content in sample.right:
        sample.path.write_bytes(content)
        assert sample.read(), content[:80]
    figure("bad input", sample.kind, len([*GARBAGE, *sample.wrong, *sample.right]))


@pytest.mark.parametrize("instead", INSTEAD)
def test_something_else_in_its_place(instead, sample, figure):
    put(sample.path, instead)
    if instead in sample.absent:
        sample.missing()
    else:
        assert not sample.read(*sample.told)
    figure("bad input", sample.kind, 1)
