"""Short versions by `make test`, long ones by `make torture`, and the figures of both.

A test takes its size from `amount(short, long)`, of which 0 skips it; it leaves what it counted by
`figure(promise, what, number)`; `make torture` gathers these into docs/reliability.md.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from room import Room
from stages import Scene, snapshots
from tiny import prepare, tiny
from zygote import STAGES, Zygote

T = TypeVar("T")


@pytest.fixture(scope="session")
def torture(request) -> bool:
    """Whether this is `make torture`."""
    return request.config.getoption("--torture")


@pytest.fixture(scope="session")
def amount(torture) -> Callable[[T, T], T]:
    """The first number in `make test`, the second in `make torture`; where it is 0, a skip."""

    def of(short: T, long: T) -> T:
        if not (number := long if torture else short):
            pytest.skip("only in the long version: make torture")
        return number

    return of


@pytest.fixture
def long(amount) -> int:
    """For `make torture` alone."""
    return amount(0, 1)


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """A loaded process to run stages in: loading takes longer than most of them.

    It has disks of its own where the system allows it, see `room`.
    """
    with Room() if Room.is_allowed() else Zygote() as loaded:
        yield loaded


@pytest.fixture(scope="session")
def room(zygote) -> Room:
    """The same process, for what cannot do without disks of its own."""
    if not isinstance(zygote, Room):
        pytest.skip("needs user namespaces (unshare), to mount disks of its own")
    return zygote


@pytest.fixture(scope="session")
def undisturbed(zygote, tmp_path_factory, amount) -> dict:
    """What the stages leave that nobody disturbs, see `snapshots`; in short, the first three."""
    return snapshots(zygote, tmp_path_factory.mktemp("undisturbed"), STAGES[: amount(4, 6)])


@pytest.fixture
def scene(zygote, undisturbed, tmp_path) -> Callable[..., Scene]:
    """`scene("train")`: the stage, to be disturbed; each time in the folder as it was before."""
    return lambda stage, name="work": Scene(zygote, stage, *undisturbed[stage], tmp_path / name)


@pytest.fixture
def scene_on_a_disk(room, undisturbed, tmp_path) -> Callable:
    """The same on a disk of its own, with so many bytes to spare."""

    @contextmanager
    def of(stage: str, spare: int) -> Iterator[Scene]:
        place = Scene(room, stage, *undisturbed[stage], tmp_path / "disk", spare)
        yield place
        room.do("umount", place.folder)

    return of


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """The data that the trainings of `tracked` share."""
    folder = tmp_path_factory.mktemp("data")
    prepare(folder, tiny())
    return folder


@pytest.fixture(scope="session")
def fresh(tmp_path_factory) -> Path:
    """A database of the tracker: making one takes seconds."""
    from rcan.tracking import open_tracker

    folder = tmp_path_factory.mktemp("database")
    assert open_tracker(root=folder, data_name="aside").guard.finish(60)
    return folder / "mlflow.db"


@pytest.fixture(scope="session")
def untracked(data, tmp_path_factory) -> dict[str, bytes]:
    """What a training leaves that has no tracker at all."""
    from tracked import Training

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "nowhere://")
        training = Training(tmp_path_factory.mktemp("untracked") / "work", data, patch)
        training.run()
    return training.files()


@pytest.fixture
def figure(request) -> Callable[[str, str, float], None]:
    """`figure("bad input", "images", 1200)`: kept once the test is through; the table sums."""
    found: list[dict] = []
    yield lambda promise, what, number: found.append(
        {"promise": promise, "what": what, "number": number}
    )
    folder = request.config.getoption("--figures")
    failed = getattr(request.node, "failed", False)
    if folder and found and not failed:
        folder.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"\W+", "-", request.node.nodeid)
        (folder / f"{name}.json").write_text(json.dumps(found), encoding="utf-8")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    if outcome.get_result().failed:
        item.failed = True
