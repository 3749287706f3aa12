"""A wrong params.yaml: the very values that it holds, or one line with key and what is allowed."""

from collections import Counter
from typing import Any

import pytest
import yaml
from cases import GARBAGE, INSTEAD, NASTY, attempt, damaged, edited, put, seeded
from hypothesis import given
from hypothesis import strategies as st
from tiny import PARAMS, TOP, changed

from rcan.config import load_settings

KIND = "settings"
TEXT = (TOP / "params.yaml").read_text(encoding="utf-8")
SECTIONS = {section: keys for section, keys in PARAMS.items() if isinstance(keys, dict)}
KEYS = [f"{section}.{key}" for section, keys in SECTIONS.items() for key in keys]
NAMES = ["demo", "paper", "iu_xray", "mimic_cxr", "small", "tau", "wcl", "data", "lr", "", "a" * 99]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "params.yaml"


def read(path) -> bool:
    """Whether it was read; then every setting is what a plain reading of the file finds there."""
    found = attempt(lambda: load_settings(path), str(path))
    if found is None:
        return False
    # Another library, to which every scalar is a text: no kind is guessed twice in the same way.
    plain = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=yaml.BaseLoader)
    profiles = ["demo"] if found.data.name == "demo" else [found.data.name, "paper"]
    profiles = ["small"] * (found.scale == "small") + profiles
    assert found.scale == plain["scale"]
    for section, values in found.model_dump().items():
        for key, value in values.items() if isinstance(values, dict) else ():
            assert is_said(value, chosen(plain[section][key], profiles)), (section, key)
    return True


def chosen(value: Any, profiles: list[str]) -> Any:
    return next(value[p] for p in profiles if p in value) if isinstance(value, dict) else value


def is_said(value: Any, text: Any) -> bool:
    """Whether a setting is what a text, or a list of texts, says."""
    if isinstance(value, list):
        return len(value) == len(text) and all(map(is_said, value, text))
    if value is None:
        return text in ("", "~", "null", "Null", "NULL")
    if isinstance(value, bool):
        return text.lower() == str(value).lower()
    if isinstance(value, int):
        return value == int(text.replace("_", ""), 0)
    if isinstance(value, float):
        return value == float(text.replace("_", ""))
    return value == text


def test_damaged_and_edited_files(path, amount, figure):
    counted = Counter()

    @seeded(amount(15, 500))
    @given(damaged(TEXT.encode()))
    def of_bytes(content):
        path.write_bytes(content)
        counted[read(path)] += 1

    @seeded(amount(15, 400))
    @given(edited(PARAMS, st.sampled_from(NAMES)))
    def of_values(value):
        path.write_text(yaml.dump(value, allow_unicode=True), encoding="utf-8", errors="replace")
        counted[read(path)] += 1

    of_bytes()
    of_values()
    assert counted[True] and counted[False]
    figure("bad input", KIND, counted.total())


def test_strange_values_of_every_key(path, amount, figure):
    counted = Counter()

    @seeded(amount(25, 600))
    @given(st.sampled_from(KEYS), st.sampled_from(NASTY) | st.integers() | st.floats())
    def of_keys(key, value):
        path.write_text(yaml.dump(changed({key: value})), encoding="utf-8", errors="replace")
        counted[read(path)] += 1

    of_keys()
    assert counted[True] and counted[False]
    figure("bad input", KIND, counted.total())


NINE = "[" + ", ".join(["*a0"] * 9) + "]"
BOMB = "\n".join(
    ["a0: &a0 [x, x]", *(f"a{n}: &a{n} {NINE.replace('a0', f'a{n - 1}')}" for n in range(1, 20))]
)
MERGED = "\n".join(
    ["m0: &m0 {a: 1}", *(f"m{n}: &m{n} {{<<: [{f'*m{n - 1}, ' * 9}]}}" for n in range(1, 20))]
)
LINES = {  # what may stand in the place of `  tau: 0.1`
    "a bomb": BOMB.replace("\n", "\n  "), "a bomb of merges": MERGED.replace("\n", "\n  "),
    "itself": "tau: &a [*a]", "an alias": "tau: &a 0.1\n  lambda: *a",
    "code": "tau: !!python/object/apply:os.mkdir [ran]", "a name": "tau: !!python/name:os.system",
    "a new object": "tau: !!python/object/new:os.system [ls]", "own tag": "tau: !tau 0.1",
    "twice": "tau: 0.1\n  tau: 0.2", "a date": "tau: 2001-01-01", "no date": "tau: 2001-99-99",
    "a time": "tau: 2001-12-14t21:59:43.10-05:00", "no number": "tau: .nan", "no end": "tau: .inf",
    "many digits": f"tau: {'9' * 6000}", "many hex digits": f"tau: 0x{'f' * 6000}",
    "a set": "tau: !!set {a, b}", "binary": "tau: !!binary aGVsbG8=", "no int": "tau: !!int ''",
    "no float": "tau: !!float ''", "no bool": "tau: !!bool x", "pairs": "tau: !!pairs [a: 1, a: 2]",
    "omap": "tau: !!omap [a: 1]", "sixty": "tau: 1:30", "value": "tau: =", "merge": "<<: 3",
    "a list as key": "[tau]: 0.1", "a map as key": "{tau: 1}: 0.1", "a number as key": "1.5: 0.1",
    "a long key": f"{'k' * 900}: 0.1", "many hex digits as key": f"0x{'f' * 6000}: 1",
    "a question": "? tau", "deep": f"tau: {'[' * 50_000}", "deeper": "tau: " + "{a: " * 20_000,
    "a tab": "tau:\t\t- 0.1", "an anchor twice": "tau: &a 0.1\n  x: &a 1", "half": 'tau: "\\ud800"',
    "beyond": 'tau: "\\U00110000"', "a long text": f"tau: {'x' * 300_000}",
    "a block": "tau: |9\n x", "many keys": "\n  ".join(f"k{n}: 1" for n in range(3_000)),
}  # fmt: skip
HEADS = {"an unknown version": "%YAML 9.9\n---\n", "a second document": "a: 1\n---\n"}


@pytest.mark.parametrize("line", LINES)
def test_yaml_that_is_more_than_plain_values(line, path, figure, monkeypatch):
    monkeypatch.chdir(path.parent)
    text = TEXT.replace("  tau: 0.1", f"  {LINES[line]}")
    assert text != TEXT
    path.write_text(text, encoding="utf-8")
    assert not read(path)
    assert not path.with_name("ran").exists()
    figure("bad input", KIND, 1)


def test_garbage_and_other_documents(path, figure):
    contents = [*GARBAGE, *((head + TEXT).encode() for head in HEADS.values())]
    contents.append(TEXT.encode("utf-16"))
    for content in contents:
        path.write_bytes(content)
        assert not read(path), content[:80]
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())  # an editor of Windows
    assert read(path)
    figure("bad input", KIND, len(contents) + 1)


@pytest.mark.parametrize("instead", INSTEAD)
def test_something_else_in_its_place(path, instead, figure):
    put(path, instead)
    assert not read(path)
    figure("bad input", KIND, 1)
