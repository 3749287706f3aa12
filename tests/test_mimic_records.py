"""R2Gen's annotation is read a record at a time, as if it were read whole."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rcan.data.sets.mimic_cxr import r2gen
from rcan.errors import UserError

LISTS = ("train", "val", "test")
TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-1e9, 1e9) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OTHERS = st.dictionaries(TEXT.filter(lambda name: name not in LISTS), VALUES, max_size=2)
RECORDS = st.lists(st.dictionaries(TEXT, VALUES, max_size=3), max_size=4)
MAPPED = dict.fromkeys(LISTS, RECORDS)
SECRET = "effusion"
again = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)


def read(path) -> list:
    return [(name, *found) for name in LISTS for found in r2gen.read_records(path, name, "mend it")]


@again
@given(
    st.fixed_dictionaries(MAPPED), OTHERS, st.integers(1, 9), st.sampled_from([None, 1]),
    st.booleans(), st.booleans(),
)  # fmt: skip
def test_any_file_gives_what_reading_it_whole_gives(
    tmp_path, lists, others, chunk, indent, ascii_only, marked
):
    text = json.dumps(lists | others, indent=indent, ensure_ascii=ascii_only)
    (tmp_path / "a.json").write_text(text, encoding="utf-8-sig" if marked else "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(r2gen, "CHUNK", chunk)
        found = read(tmp_path / "a.json")
    assert found == [(name, n, one) for name in LISTS for n, one in enumerate(lists[name])]


LISTED = {name: [{"id": name, "report": SECRET, "n": 12}] * 2 for name in LISTS}
WHOLE = json.dumps({"more": [1.5e7, [True]]} | LISTED)


@again
@given(
    st.integers(0, len(WHOLE)), st.integers(1, 99),
    st.sampled_from(["", "{", "]", ",", '"', "\\", "0", "e@@", "\x00"]),
)  # fmt: skip
def test_a_damaged_file_is_an_error_that_quotes_nothing(tmp_path, place, chunk, mark):
    damaged = WHOLE[:place] + mark + (WHOLE[place:] if mark else "")
    (tmp_path / "a.json").write_text(damaged, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(r2gen, "CHUNK", chunk)
        require_the_same_or_an_error(tmp_path, damaged)


def require_the_same_or_an_error(tmp_path, damaged):
    try:
        whole = json.loads(damaged)
    except ValueError:
        with pytest.raises(UserError, match=r"a\.json.*; mend it") as error:
            read(tmp_path / "a.json")
        assert SECRET[:4] not in str(error.value)
        return
    lists = [whole.get(name) for name in LISTS]
    if all(isinstance(one, list) and all(isinstance(r, dict) for r in one) for one in lists):
        assert [one for *_, one in read(tmp_path / "a.json")] == [
            one for name in LISTS for one in whole[name]
        ]
    else:
        with pytest.raises(UserError):
            read(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"train": [], "train": [], "val": [], "test": []}', "stands twice"),
        ('{"train": [], "val": []}', "expected 'test', found none"),
        ('{"train": [], "val": [], "test": [[]]}', "test record 0: expected an object"),
        ('{"train": [], "val": [], "test": {}}', "expected a list under 'test'"),
        ('{"train": [{"n": NaN}], "val": [], "test": []}', "NaN is no number"),
        ('{"train": [{"n": 1, "n": 2}], "val": [], "test": []}', "stands twice"),
        ('{"train": [], "val": [], "test": []} more', "expected no more at character 38"),
        ("[" * 100_000, "expected '{' at character 1"),
        ('{"train": [' + "[" * 100_000, "expected a value at character 12"),
        ("", "expected '{' at character 1"),
        ("{" + "[" * 900 + "]" * 900 + ": 1}", "expected a name at character 2"),
        ('{"x": [1e@@@@], "train": [], "val": [], "test": []}', "expected ']' at character 9"),
        ('{"train": [{"r": "\\ud800"}], "val": [], "test": []}', "train record 0"),
    ],
)
def test_what_is_wrong_is_told_by_its_place(tmp_path, text, told):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=told):
        read(tmp_path / "a.json")


@pytest.mark.parametrize("start", ['{"train": ["', '{"train": [{"n": 1}5', '{"x": 1'])
def test_a_value_without_end_is_not_read_into_memory(tmp_path, monkeypatch, start):
    monkeypatch.setattr(r2gen, "LONGEST", 100_000)
    (tmp_path / "a.json").write_text(start + "5" * 10_000_000)
    given = []
    taken = r2gen._Text._more

    def more(self):
        given.append(len(self._part))
        return taken(self)

    monkeypatch.setattr(r2gen._Text, "_more", more)
    with pytest.raises(UserError, match="expected"):
        read(tmp_path / "a.json")
    assert max(given) < 300_000
