"""Processes side by side: in order, none left behind, none stopped by another's failure."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tiny import TOP, tiny

from rcan.ablation.jobs import Job, places, run_side_by_side
from rcan.errors import UserError

NOTE = "import os, sys, time; print(os.environ.get('PLACE', '')); time.sleep({}); sys.exit({})"


def job(folder: Path, name: str, *, seconds: float = 0.0, code: int = 0) -> Job:
    return Job(name, [sys.executable, "-c", NOTE.format(seconds, code)], folder / f"{name}.txt")


def test_jobs_run_two_at_once_each_in_its_place(tmp_path, capfd):
    jobs = [job(tmp_path, name, seconds=1) for name in "abcd"]
    began = time.monotonic()
    run_side_by_side(jobs, [{"PLACE": "first"}, {"PLACE": "second"}])
    assert time.monotonic() - began >= 2
    said = capfd.readouterr().err
    assert "4 of 4" in said
    assert {(tmp_path / "a.txt").read_text(), (tmp_path / "b.txt").read_text()} == {
        "first\n", "second\n",
    }  # fmt: skip


def test_one_that_waits_for_another_lets_those_behind_it_go_first(tmp_path, capfd):
    waits = replace(job(tmp_path, "a"), after="b")
    run_side_by_side([waits, job(tmp_path, "b", seconds=1), job(tmp_path, "c")], [{}, {}])
    ends = [line.split(":")[0] for line in capfd.readouterr().err.splitlines()]
    assert ends == ["c", "b", "a"]
    run_side_by_side([replace(waits, after="done long ago")], [{}])


def test_one_that_fails_leaves_the_others_running_and_is_named_with_its_last_line(tmp_path, capfd):
    bad = Job("bad", [sys.executable, "-c", "raise SystemExit('error: no luck')"],
              tmp_path / "logs" / "bad.txt")  # fmt: skip
    with pytest.raises(UserError, match=r"1 of 3 failed: bad \(error: no luck; all of it: .*bad"):
        run_side_by_side([bad, job(tmp_path, "a"), job(tmp_path, "b", seconds=0.5)], [{}])
    assert (tmp_path / "b.txt").exists()
    assert "bad: failed; 1 of 3" in capfd.readouterr().err


def test_what_waits_for_one_that_failed_is_not_begun(tmp_path):
    jobs = [replace(job(tmp_path, "a"), after="b"), replace(job(tmp_path, "c"), after="a")]
    with pytest.raises(UserError, match=r"3 of 3 failed: b .*; a \(not begun: b failed\); c "):
        run_side_by_side([*jobs, job(tmp_path, "b", code=1)], [{}, {}])
    assert not (tmp_path / "a.txt").exists() and not (tmp_path / "c.txt").exists()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_stops_what_it_started(sent, tmp_path):
    code = (
        "import signal, sys; from pathlib import Path\n"
        "from rcan.ablation.jobs import Job, run_side_by_side\n"
        "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a job may ignore it
        "long = 'import os, time; print(os.getpid(), flush=True); time.sleep(600)'\n"
        "jobs = [Job(n, [sys.executable, '-c', long], Path(n)) for n in ('one', 'two')]\n"
        "run_side_by_side(jobs, [{}, {}])"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(TOP)},
    )  # fmt: skip
    logs = [tmp_path / name for name in ("one", "two")]
    for _ in range(300):
        if all(log.exists() and log.read_text() for log in logs):
            break
        time.sleep(0.1)
    children = [int(log.read_text()) for log in logs]
    parent.send_signal(sent)
    assert parent.wait(30) != 0
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


def test_a_progress_bar_is_told_by_its_last_state(tmp_path):
    bar = Job("bar", [sys.executable, "-c", r"print('1 %\r50 %\rerror: full', end=''); exit(1)"],
              tmp_path / "bar.txt")  # fmt: skip
    with pytest.raises(UserError, match=r"bar \(error: full; all"):
        run_side_by_side([bar], [{}])


@pytest.mark.parametrize(("threads", "at_once"), [(1, 8), (2, 4), (5, 1), (16, 1)])
def test_as_many_train_at_once_as_there_are_cores_for(threads, at_once, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(8))
    monkeypatch.delenv("RCAN_JOBS", raising=False)
    settings = tiny({"train.threads": threads})
    assert places(settings) == [{}] * at_once
    monkeypatch.setenv("RCAN_JOBS", "3")
    assert places(settings) == [{}] * 3


def test_one_that_takes_all_cores_trains_alone(monkeypatch):
    monkeypatch.delenv("RCAN_JOBS", raising=False)
    settings = tiny({"train.threads": None})
    assert places(settings) == [{}]
    monkeypatch.setenv("RCAN_JOBS", "2")
    with pytest.raises(UserError, match=r"RCAN_JOBS is 2, but train.threads is empty"):
        places(settings)
