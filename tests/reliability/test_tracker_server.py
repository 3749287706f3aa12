"""A tracking server in trouble costs a training seconds and one line; afterwards it has it all."""

import random
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import pytest
import tracker_server as trouble
from stages import EPOCHS
from tracked import ALLOWED, Training
from tracker_server import Proxy, Served, served_here

from rcan.tracking import tracker

# What goes wrong, from which request on, and whether the training must notice.
TROUBLES = {
    "dies midway": (trouble.cut, 12, True),
    "loses its answers": (trouble.lose_answer, 3, True),
    "never answers": (trouble.hang, 0, True),
    "slow": (trouble.slow(0.3), 0, False),
    "down": (trouble.cut, 0, True),
    "overloaded": (trouble.refuse, 0, True),
    "wants a password": (trouble.forbid, 0, True),
    "something else answers": (trouble.login_page, 0, True),
    "hangs midway": (trouble.hang, 12, True),
    "breaks off its answers": (trouble.halve_answer, 5, True),
}
METRICS = b'"metrics": ['  # a request that records some has it


@pytest.fixture
def scene(data, fresh, tmp_path, monkeypatch) -> Callable:
    """A training, and a server over a new database with trouble on the way to it."""

    @contextmanager
    def set_up(name: object):
        folder = tmp_path / str(name)
        folder.mkdir()
        database = Path(shutil.copy(fresh, folder))
        with served_here(database) as uri, Proxy(lambda: uri) as proxy:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.uri)
            # A request is given up after two seconds, to keep this short.
            monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
            monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
            yield Training(folder / "work", data, monkeypatch), proxy, database

    return set_up


def require_one_line(printed: str) -> None:
    assert printed.count("\n") == 1, printed
    assert printed.startswith("MLflow (http"), printed
    assert printed.endswith("`rcan sync` catches up later.\n"), printed


def test_a_server_in_trouble_costs_seconds_and_one_line(
    scene, untracked, monkeypatch, capfd, amount, figure
):
    names = list(TROUBLES)[: amount(1, len(TROUBLES))]
    monkeypatch.setattr(tracker, "AT_THE_END", amount(4.0, 10.0))
    for name in names:
        handle, first, noticed = TROUBLES[name]
        with scene(name) as (training, proxy, database):
            proxy.trouble_from(first, handle)
            capfd.readouterr()
            training.run()
            assert training.lost < tracker.AT_THE_END + ALLOWED, name
            assert training.files() == untracked, name
            printed = capfd.readouterr().err
            if printed or noticed:
                require_one_line(printed)
            proxy.trouble_from(0, trouble.forward)
            for _ in range(2):
                assert training.sync() == 1, name
                assert capfd.readouterr().err == "", name
                assert training.require_every_epoch_once(database) == EPOCHS, name
    figure("tracker", "scenarios", len(names))
    figure("tracker", "epochs checked, each exactly once", len(names) * EPOCHS)


def any_trouble(draw: random.Random, share: float) -> Callable:
    """For each request by chance: no trouble, or one of them."""
    kinds = [
        trouble.refuse, trouble.cut, trouble.lose_answer, trouble.halve_answer, trouble.login_page,
        trouble.slow(0.1), trouble.late(lambda: time.sleep(draw.uniform(1, 4))),
    ]  # fmt: skip
    return lambda number: draw.choice(kinds) if draw.random() < share else trouble.forward


def test_whatever_happens_to_each_request_every_epoch_is_there_once(
    scene, untracked, monkeypatch, capfd, amount, figure
):
    """Interrupted and continued as well; some requests are recorded after the next has given up,
    some while the tracker is being brought up to date."""
    monkeypatch.setattr(tracker, "AT_THE_END", 2.0)
    seeds = range(amount(1, 20))
    for seed in seeds:
        draw = random.Random(seed)
        capfd.readouterr()
        with scene(seed) as (training, proxy, database):
            for stop_after in draw.choice([[None], [draw.randint(1, EPOCHS - 1), None]]):
                training.lost = 0.0
                proxy.trouble = any_trouble(draw, share=draw.choice([0.02, 0.1, 0.4]))
                training.run(stop_after)
                assert training.lost < tracker.AT_THE_END + ALLOWED, seed
                if printed := capfd.readouterr().err:
                    require_one_line(printed)
            assert training.files() == untracked, seed
            proxy.trouble = lambda number: trouble.forward
            assert training.sync() == 1, seed
            training.settle()
            proxy.settle()
            assert training.sync() == 1, seed
            assert training.require_every_epoch_once(database) == EPOCHS, seed
    figure("tracker", "scenarios", len(seeds))
    figure("tracker", "epochs checked, each exactly once", len(seeds) * EPOCHS)


def test_a_request_given_up_is_recorded_between_what_the_next_reads_and_writes(
    scene, untracked, figure
):
    arrive = threading.Event()
    with scene("late") as (training, proxy, database):

        def let_arrive(request) -> None:
            if METRICS in request.body:  # what was there has been read
                arrive.set()
                proxy.settle()
            trouble.forward(request)

        proxy.trouble_from(0, trouble.late(arrive.wait, of=METRICS))
        training.run()
        assert proxy.late
        proxy.trouble_from(0, let_arrive)
        assert training.sync() == 1
        assert arrive.is_set()
        assert training.files() == untracked
        assert training.require_every_epoch_once(database) == EPOCHS
    figure("tracker", "scenarios", 1)
    figure("tracker", "epochs checked, each exactly once", EPOCHS)


def test_a_real_server_killed_amid_a_training_and_started_again(
    data, fresh, untracked, tmp_path, monkeypatch, capfd, amount, figure
):
    times = amount(0, 2)
    for seed in range(times):
        folder = tmp_path / str(seed)
        folder.mkdir()
        database = Path(shutil.copy(fresh, folder))
        training = Training(folder / "work", data, monkeypatch)
        served = Served(f"sqlite:///{database}", folder / "artifacts")
        with Proxy(lambda served=served: served.uri) as way, served:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", way.uri)

            def kill(request, served=served) -> None:
                served.kill()
                trouble.forward(request)  # to nobody

            way.trouble_from(random.Random(seed).randint(4, 16), kill)
            capfd.readouterr()
            training.run()
            assert training.lost < tracker.AT_THE_END + ALLOWED
            assert training.files() == untracked
            require_one_line(capfd.readouterr().err)
            served.start()
            way.trouble_from(0, trouble.forward)
            assert training.sync() == 1
        assert training.require_every_epoch_once(database) == EPOCHS
    figure("tracker", "real servers killed", times)
    figure("tracker", "epochs checked, each exactly once", times * EPOCHS)
