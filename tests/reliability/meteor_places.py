"""Where METEOR's files lie in a test, and what became of the Java that was started."""

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def package_in(folder: Path) -> Iterator[Path]:
    """METEOR's files are, meanwhile, those of a folder here: links, or 66 MB where none can be."""
    real = Path(importlib.util.find_spec("pycocoevalcap").submodule_search_locations[0])
    copy = folder / "pycocoevalcap"
    shutil.copytree(real / "meteor", copy / "meteor", copy_function=_link)
    (copy / "__init__.py").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, "pycocoevalcap", raising=False)
        patch.syspath_prepend(folder)
        yield copy / "meteor"
    shutil.rmtree(copy)


def _link(source: str, copy: str) -> None:
    try:
        os.link(source, copy)
    except OSError:
        shutil.copy2(source, copy)


def is_running(pid: int) -> bool:
    """Whether a process is there and no corpse."""
    found = subprocess.run(
        ["/bin/ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True
    )
    return bool(found.stdout.strip()) and not found.stdout.startswith("Z")


def wait_for_pid(folder: Path) -> int:
    path, end = folder / "pid", time.monotonic() + 60
    while time.monotonic() < end:
        if path.is_file() and path.read_text().endswith("\n"):
            return int(path.read_text())
        time.sleep(0.01)
    raise AssertionError("Java was not started")
