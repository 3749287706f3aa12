"""Samples of params.yaml: strange values of every key, and YAML that is more than plain values."""

from pathlib import Path
from typing import Any

import yaml
from cases import NASTY, Fuzz, Sample, attempt, damaged, edited
from hypothesis import strategies as st
from tiny import PARAMS, TOP, changed

from rcan.config import load_settings

TEXT = (TOP / "params.yaml").read_text(encoding="utf-8")
SECTIONS = {section: keys for section, keys in PARAMS.items() if isinstance(keys, dict)}
KEYS = [f"{section}.{key}" for section, keys in SECTIONS.items() for key in keys]
NAMES = ["demo", "paper", "iu_xray", "mimic_cxr", "small", "tau", "wcl", "data", "lr", "", "a" * 99]


def read_settings(path: Path) -> bool:
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


def _dumped(value: Any) -> bytes:
    return yaml.dump(value, allow_unicode=True).encode("utf-8", "replace")


def _with(key: str, value: Any) -> bytes:
    return yaml.dump(changed({key: value})).encode("utf-8", "replace")


def settings(folder: Path, patch) -> Sample:
    path = folder / "params.yaml"
    path.write_text(TEXT, encoding="utf-8")
    values = st.sampled_from(NASTY) | st.integers() | st.floats() | st.sampled_from([0.5, 2, 8])
    others = [TEXT.replace("  tau: 0.1", f"  {line}") for line in LINES.values()]
    assert TEXT not in others
    return Sample(
        "settings", path, lambda: read_settings(path),
        fuzz=[
            Fuzz(damaged(TEXT.encode()), (40, 500)),
            Fuzz(edited(PARAMS, st.sampled_from(NAMES)).map(_dumped), (15, 400), good=False),
            Fuzz(st.builds(_with, st.sampled_from(KEYS), values), (30, 600)),
        ],
        wrong=[*others, *(head + TEXT for head in HEADS.values()), TEXT.encode("utf-16")],
        right=[b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode()],  # an editor of Windows
    )  # fmt: skip
