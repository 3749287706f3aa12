"""Short versions by `make test`, long ones by `make torture`, and the figures of both.

A test takes its size from `amount(short, long)` and leaves what it counted by
`figure(promise, what, number)`; `make torture` gathers these into docs/reliability.md.
"""

import json
import re
from collections.abc import Callable, Iterator

import pytest
from room import Room
from stages import snapshots
from zygote import STAGES, Zygote


@pytest.fixture(scope="session")
def amount(request) -> Callable[[int, int], int]:
    """The first number in `make test`, the second in `make torture`."""
    torture = request.config.getoption("--torture")
    return lambda short, long: long if torture else short


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
