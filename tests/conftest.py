"""What several test files need."""

import os
from pathlib import Path

import pytest


def pytest_addoption(parser):
    parser.addoption(
        "--torture", action="store_true", help="the long versions of tests/reliability"
    )
    parser.addoption(
        "--figures", type=Path, help="folder for what tests/reliability counts, a file a test"
    )


@pytest.fixture(autouse=True)
def _no_command_stays_quiet():
    """`--quiet` is for the whole process, which tests share."""
    yield
    os.environ.pop("TQDM_DISABLE", None)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real reports, images and golden scores beside the checkout; without them the test skips."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "data" / "iu_xray").is_dir():
        pytest.skip("needs the real IU X-ray data beside the checkout")
    return folder


def pytest_collection_modifyitems(items):
    """The long ones first: the other processes are through with the rest meanwhile."""
    items.sort(key=lambda item: "slow" not in item.keywords)
