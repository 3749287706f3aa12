"""The tracker's own database in trouble: locked, damaged, of another version, made by several."""

import os
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

from cases import remove
from stages import EPOCHS, SEVERAL, make
from tracked import ALLOWED, Training

from rcan.tracking import tracker


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another program has it to itself."""
    with closing(sqlite3.connect(database)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


@contextmanager
def no_place_for_files(database: Path) -> Iterator[None]:
    """Files cannot be kept; curves can."""
    place = database.parent / "mlartifacts"
    place.write_text("in the way")
    yield
    place.unlink()


@contextmanager
def spoilt(spoil: Callable[[Path], object], database: Path) -> Iterator[None]:
    """As it was in the end.

    It stays one file: MLflow keeps its connections as long as its process lives, which here is also
    that of `sync`, and they would go on reading the file that was removed.
    """
    kept = database.read_bytes()
    spoil(database)
    yield
    if database.is_dir():
        remove(database)
    database.write_bytes(kept)


def of_a_later_mlflow(database: Path) -> None:
    with closing(sqlite3.connect(database)) as other, other:
        other.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")


def a_folder(database: Path) -> None:
    database.unlink()
    database.mkdir()


TROUBLES = {
    "locked": locked,
    "no place for files": no_place_for_files,
    "garbage": partial(spoilt, lambda path: path.write_bytes(random.Random(1).randbytes(20_000))),
    "cut short": partial(spoilt, lambda path: os.truncate(path, path.stat().st_size // 2)),
    "newer": partial(spoilt, of_a_later_mlflow),
    "a folder instead": partial(spoilt, a_folder),
}


def test_a_database_in_trouble_costs_seconds_and_one_line(
    data, fresh, untracked, tmp_path, monkeypatch, capfd, amount, figure
):
    monkeypatch.setattr(tracker, "AT_THE_END", amount(2.0, 10.0))
    troubles = list(TROUBLES)[: amount(1, len(TROUBLES))]
    for trouble in troubles:
        training = Training(tmp_path / trouble, data, monkeypatch)
        database = Path(shutil.copy(fresh, training.folder))
        with TROUBLES[trouble](database):
            capfd.readouterr()
            training.run()
            printed = capfd.readouterr().err
            assert training.lost < tracker.AT_THE_END + ALLOWED, trouble
            assert training.files() == untracked, trouble
            if trouble == "no place for files":
                assert printed == ""  # no file was to be kept
                assert training.sync() == 0  # now there are some
                printed = capfd.readouterr().err
                assert training.require_every_epoch_once(database) == EPOCHS
            assert printed.count("\n") == 1, printed
            assert f"MLflow (sqlite:///{database}) is not available" in printed
        assert training.sync() == 1, trouble
        assert training.sync() == 1, trouble
        assert capfd.readouterr().err == "", trouble
        assert training.require_every_epoch_once(database) == EPOCHS, trouble
    figure("tracker", "scenarios", len(troubles))
    figure("tracker", "epochs checked, each exactly once", len(troubles) * EPOCHS)


def test_a_database_locked_amid_a_training_is_caught_up_with(
    data, fresh, untracked, tmp_path, monkeypatch, capfd, long, figure
):
    monkeypatch.setattr(tracker, "AT_THE_END", 1.0)
    training = Training(tmp_path / "work", data, monkeypatch)
    database = Path(shutil.copy(fresh, training.folder))
    training.run(stop_after=2)
    with locked(database):
        training.lost = 0.0
        training.run()
    assert training.lost < tracker.AT_THE_END + ALLOWED
    assert training.files() == untracked
    assert capfd.readouterr().err.count("\n") == 1
    assert training.sync() == 1
    assert training.require_every_epoch_once(database) == EPOCHS
    figure("tracker", "scenarios", 1)
    figure("tracker", "epochs checked, each exactly once", EPOCHS)


def test_several_trainings_start_at_once_on_a_fresh_database(
    data, zygote, tmp_path, monkeypatch, amount, figure
):
    times, several = amount(1, 3), amount(2, 4)
    for turn in range(times):
        root = make(tmp_path / str(turn) / "root")
        folders = [root.parent / str(number) for number in range(several)]
        trainings = [Training(folder, data, monkeypatch) for folder in folders]
        for seed, folder in enumerate(folders):
            make(folder, {"train.seed": seed})
        at_once = SEVERAL.format(folders=list(map(str, folders)))
        ended = zygote.run("train", root, prelude=at_once, environment={"DVC_ROOT": str(root)})
        assert ended.code == 0, ended.printed
        for training in trainings:
            training.root = root
            assert training.sync() == 1
            assert training.require_every_epoch_once(root / "mlflow.db") == EPOCHS
        assert not list(root.glob(".mlflow*"))
    figure("tracker", "scenarios", times)
    figure("tracker", "epochs checked, each exactly once", times * several * EPOCHS)


def test_a_training_killed_while_it_makes_the_database_leaves_none_or_a_whole_one(
    data, zygote, tmp_path, monkeypatch, amount, figure
):
    draw, times, amid = random.Random(5), amount(0, 4), 0
    for turn in range(times):
        training = Training(tmp_path / str(turn), data, monkeypatch)
        database = training.folder / "mlflow.db"
        with zygote.running("train", training.folder) as (pid, ended):
            wait_for_any(training.folder, "*mlflow.db*")
            time.sleep(draw.uniform(0, 1))
            amid += not database.exists()
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            ended()
        assert zygote.run("train", training.folder).code == 0
        assert training.sync() == 1
        assert training.require_every_epoch_once(database) == EPOCHS
        assert [path.name for path in training.folder.glob("*mlflow.db*")] == ["mlflow.db"]
    assert amid
    figure("tracker", "killed while the database is made", amid)
    figure("tracker", "epochs checked, each exactly once", times * EPOCHS)


def wait_for_any(folder: Path, pattern: str) -> None:
    start = time.monotonic()
    while not list(folder.glob(pattern)):
        assert time.monotonic() - start < 60
        time.sleep(0.01)
