"""What counts as code: all that runs, of every module that is imported anywhere, and no words."""

import ast
import io
import shutil
import tokenize
from collections import Counter

import pytest
from imports import sources

from rcan import code

CACHED = (code._tree, code.imported, code._running_code)
# `pipeline.top` imports one module at once and one when it is called, which imports another.
FILES = {
    "pipeline/top.py": '''"""What this module is for."""

import os
from rcan.near import (
    one,  # why
)


def run(x):
    """What it does.

    More of it.
    """
    from rcan.late import two

    return f"# {x}", one, two, "#", """a text
# of two lines"""  # and why


class Kind:
    """What it is."""

    value = 3
''',
    "rcan/__init__.py": '"""The package."""\n',
    "rcan/near.py": "one = 1\n",
    "rcan/late.py": "import rcan.deep\n\ntwo = 2\n",
    "rcan/deep.py": "async def wait():\n    '''Why.'''\n    return 0\n",
    "rcan/aside.py": "three = 3\n",
}


@pytest.fixture
def digest(tmp_path, monkeypatch):
    """The digest of `pipeline.top` of the files, some of them edited: (name, what, instead)."""
    monkeypatch.setattr(code, "TOP", tmp_path)

    def of(*edits: tuple[str, str, str], modules=("pipeline.top",)) -> str:
        files = dict(FILES)
        for name, what, instead in edits:
            assert files.get(name, "").count(what) == 1 or not what, what
            files[name] = files[name].replace(what, instead) if what else instead
        for top in code.PACKAGES:
            shutil.rmtree(tmp_path / top, ignore_errors=True)
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
        for cached in CACHED:
            cached.cache_clear()
        return code.code_digest(*modules)

    yield of
    for cached in CACHED:
        cached.cache_clear()


WORDS = [
    ("What this module is for.", "What it is for: µ.\n\nAnd # more."),
    ('"""What this module is for."""\n\n', ""),
    ("import os\n", "\n# The system's.\nimport os\n\n\n"),
    ("import os\n", "import os  # the system's\n"),
    ("one,  # why", "one,"),
    ("one,  # why", "one,  # an 'other' \"reason\""),
    ('"""What it does.', '"""What it does not.'),
    ('    """What it does.\n\n    More of it.\n    """\n', ""),
    ("More of it.", "More.\n\n    And more."),
    ("  # and why", "  # or not"),
    ("  # and why", ""),
    ("  # and why", "   "),
    ('    """What it is."""\n\n', ""),
    ("    value = 3", "\n\n    # Three.\n    value = 3"),
    ("    value = 3\n", "    value = 3\n    # at the end\n"),
]
RUNS = [
    ("import os", "import sys"),
    ("import os\n", "import os\nimport sys\n"),
    ("import os\n", ""),
    ("one,  # why", "one as one,  # why"),
    ('f"# {x}"', 'f"#  {x}"'),
    ('f"# {x}"', 'f"# {x!r}"'),
    ('f"# {x}"', 'f"#{x}"'),
    ('"#",', '"# ",'),
    ('"#",', '"#b",'),
    ("a text", "a  text"),
    ("# of two lines", "# of two  lines"),
    ("# of two lines", "# of\n\n# three lines"),
    ("# of two lines", "# of two lines\n"),
    ("    return f", "    return  f"),
    ("def run(x)", "def run(y)"),
    ("value = 3", "value = 4"),
    ("value = 3", 'value = 3\n    """A text that no class has as its own."""'),
    ("class Kind:", "class Kinds:"),
]


@pytest.mark.parametrize(("what", "instead"), WORDS)
def test_comments_docstrings_and_blank_lines_change_no_digest(what, instead, digest):
    assert digest(("pipeline/top.py", what, instead)) == digest()


@pytest.mark.parametrize(("what", "instead"), RUNS)
def test_whatever_else_is_edited_does(what, instead, digest):
    assert digest(("pipeline/top.py", what, instead)) != digest()


def test_every_module_that_is_imported_counts_and_no_other(digest):
    before = digest()
    for name in ("rcan/__init__.py", "rcan/near.py", "rcan/deep.py"):
        assert digest((name, "", FILES[name] + "edited = 1\n")) != before, name
    late = ("rcan/late.py", "two = 2", "two = 1 + 1")  # imported when a function is called
    assert digest(late) != before
    assert digest(("rcan/aside.py", "three = 3", "three = 1 + 2")) == before
    assert digest(("rcan/deep.py", "Why.", "Because.")) == before
    apart = ("pipeline/top.py", "from rcan.late import two", "two = 2")
    assert digest(apart) == digest(apart, late)


def test_a_file_by_another_name_is_other_code(digest):
    moved = ("pipeline/top.py", "from rcan.late", "from rcan.later")
    there = digest(moved, ("rcan/later.py", "", FILES["rcan/late.py"]))
    assert there != digest()


def test_code_that_shapes_nothing_is_left_out_with_what_it_alone_imports(digest, monkeypatch):
    monkeypatch.setattr(code, "SHAPES_NOTHING", {"rcan/late.py": "for this test"})
    before = digest()
    assert digest(("rcan/late.py", "two = 2", "two = 3")) == before
    assert digest(("rcan/deep.py", "return 0", "return 1")) == before
    assert digest(("rcan/near.py", "one = 1", "one = 2")) != before


def test_several_modules_count_together(digest):
    both = ("rcan.near", "rcan.aside")
    before = digest(modules=both)
    assert digest(modules=both[::-1]) == before
    for edit in (("rcan/near.py", "1", "7"), ("rcan/aside.py", "three", "four")):
        assert digest(edit, modules=both) != before
    assert digest(("rcan/late.py", "two = 2", "two = 3"), modules=both) == before


@pytest.mark.parametrize("name", ["rcan.gone", "rcan.near.one", "torch", "", "rcan.near.py"])
def test_what_is_no_module_of_the_project_is_a_lookup_error(name, digest):
    with pytest.raises(LookupError, match=f"{name} is no module of this project"):
        digest(modules=("pipeline.top", name))


def words_and_signs(text: bytes) -> list[str]:
    """What Python reads in a file, in order, without comments and line ends."""
    without = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    tokens = tokenize.tokenize(io.BytesIO(text).readline)
    return [token.string for token in tokens if token.type not in without]


def test_of_the_projects_own_files_nothing_is_left_out_but_words():
    for path in sources():
        source = path.read_bytes()
        kept, read = words_and_signs(code._running_code(path)), words_and_signs(source)
        docstrings = Counter(
            ast.get_source_segment(source.decode(), node.body[0])
            for node in ast.walk(ast.parse(source))
            if isinstance(node, code.WITH_DOCSTRING) and ast.get_docstring(node) is not None
        )
        assert Counter(read) - Counter(kept) == docstrings, path
        assert not Counter(kept) - Counter(read), path
        assert [word for word in read if word not in docstrings] == [
            word for word in kept if word not in docstrings
        ], path
