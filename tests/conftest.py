"""What several test files need."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real reports, images and golden scores beside the checkout; without them the test skips."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "data" / "iu_xray").is_dir():
        pytest.skip("needs the real IU X-ray data beside the checkout")
    return folder
