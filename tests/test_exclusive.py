"""A lock is held by one process and let go of by a dead one."""

import subprocess
import sys
import time

import pytest

from rcan.errors import UserError
from rcan.files import exclusive

HOLD = """
import sys, time
from pathlib import Path
from rcan.files import exclusive
with exclusive(Path(sys.argv[1]), "at it"):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def holder(tmp_path, request):
    """Another process that holds `lock` for some seconds."""
    running = []

    def start(seconds: float) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path / "lock"), str(seconds)],
            cwd=request.config.rootpath, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        running.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_a_second_process_is_refused_in_one_line_that_names_the_first(holder, tmp_path):
    first = holder(60)
    with (
        pytest.raises(UserError, match=rf"process {first.pid} is already at it.*kill {first.pid}"),
        exclusive(tmp_path / "lock", "at it"),
    ):
        pass


def test_a_second_process_may_wait_and_says_for_whom(holder, tmp_path, capsys):
    first, started = holder(1), time.monotonic()
    with exclusive(tmp_path / "lock", "at it", wait=True):
        assert time.monotonic() - started > 0.5
    assert capsys.readouterr().out == f"waiting for process {first.pid}, which is at it\n"


def test_a_killed_process_lets_go(holder, tmp_path):
    first = holder(60)
    first.kill()
    first.wait()
    with exclusive(tmp_path / "lock", "at it"):
        pass
