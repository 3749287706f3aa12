"""Timing both sides in one run on the same work, and what is kept of it.

Absolute times of a shared machine say little, so both sides alternate in one process, the order
turned round every round, and what is quoted is the median of the ratios of the rounds.
"""

import gc
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = ("torch", "torchvision", "numpy", "pillow", "pycocoevalcap")


@dataclass(frozen=True)
class Result:
    """One line of a table: a quantity measured on ours and, if there is one, on the other side.

    `ours`, `theirs`: one value a round, in `unit`; `theirs` empty: nothing to compare with.
    `higher_is_better`: of a speed, not of a time or a size. `target`: the least ratio wanted, or
    the most (`at_most`) of the value itself; None: for information.
    """

    what: str
    ours: list[float]
    unit: str
    theirs: list[float] = field(default_factory=list)
    against: str = ""
    higher_is_better: bool = False
    target: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def ratios(self) -> list[float]:
        """How many times better ours is, round by round."""
        pairs = zip(self.ours, self.theirs, strict=True) if self.theirs else ()
        return [o / t if self.higher_is_better else t / o for o, t in pairs]

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None if there is none."""
        if self.target is not None:
            against = self.ratios or self.ours
            return statistics.median(against) >= self.target
        if self.at_most is not None:
            return statistics.median(self.ours) <= self.at_most
        return None

    def as_dict(self) -> dict:
        return {**asdict(self), "ratios": self.ratios, "met": self.met}


def paired(
    ours: Callable[[], object], theirs: Callable[[], object], *, rounds: int, warm_up: bool = True
) -> tuple[list[float], list[float]]:
    """Seconds of both sides, one value each a round."""
    if warm_up:
        ours(), theirs()
    return in_turns(lambda: timed(ours), lambda: timed(theirs), rounds)


def in_turns(
    ours: Callable[[], float], theirs: Callable[[], float], rounds: int
) -> tuple[list[float], list[float]]:
    """What both sides measure of themselves, one value each a round; the order turns."""
    values: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        sides = ((0, ours), (1, theirs))
        for side, measure in sides if number % 2 == 0 else reversed(sides):
            values[side].append(measure())
    return values


def timed(call: Callable[[], object]) -> float:
    """Seconds of one call, garbage collected before it; a GPU's work is waited for."""
    gc.collect()
    _synchronize()
    started = time.perf_counter()
    call()
    _synchronize()
    return time.perf_counter() - started


def exponent(sizes: list[float], costs: list[float]) -> float:
    """Slope of log cost against log size, by least squares: 1 is linear growth."""
    import numpy as np

    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def rss_anon_mb(pid: int | str = "self") -> float:
    """Anonymous memory of a process in MB: what is not backed by a file (Linux)."""
    return _status_mb("RssAnon", pid)


def peak_rss_mb(pid: int | str = "self") -> float:
    """Highest resident memory of a process so far in MB (Linux)."""
    return _status_mb("VmHWM", pid)


def _status_mb(key: str, pid: int | str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/{pid}/status has no {key}: this measurement needs Linux")


def machine() -> dict:
    """What the numbers depend on besides the code."""
    facts = {"cpu": _cpu(), "system": platform.platform(), "python": platform.python_version()}
    try:
        import torch

        facts["threads"] = torch.get_num_threads()
        facts["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    except ImportError:
        pass
    for library in LIBRARIES:
        try:
            facts[library] = version(library)
        except PackageNotFoundError:
            facts[library] = None
    return facts


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        if names:
            return f"{len(names)} cores of {names[0]}"
    return platform.processor() or platform.machine()


def _synchronize() -> None:
    import sys

    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.synchronize()
