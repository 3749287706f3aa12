"""Whose work the processor's cores do, and what a quota leaves of them."""

import re
import time
from pathlib import Path


def watch_cores(allowed: set[int], seconds: float) -> float:
    """How many of the `allowed` cores do others' work, watched for some `seconds`.

    Raises:
        OSError, ValueError: this system does not tell, or nothing of these cores.
    """
    before = _read()
    time.sleep(seconds)
    return busy_cores(before, _read(), allowed)


def _read() -> tuple[str, str]:
    stat, own = Path("/proc/stat"), Path("/proc/self/stat")
    return stat.read_text("ascii"), own.read_text("utf-8", errors="replace")


def busy_cores(before: tuple[str, str], after: tuple[str, str], allowed: set[int]) -> float:
    """How many of the `allowed` cores did others' work between two readings.

    Args:
        before: the texts of /proc/stat and /proc/self/stat, in ticks (man 5 proc).
        after: the same, later.

    Raises:
        ValueError: the texts tell nothing of these cores.
    """
    first, last = _ticks(before[0]), _ticks(after[0])
    busy = passed = 0
    known = allowed & first.keys() & last.keys()
    for core in known:
        idle, total = (last[core][i] - first[core][i] for i in range(2))
        busy, passed = busy + total - idle, passed + total
    if passed <= 0:
        raise ValueError("no time passed on these cores")
    # utime and stime are the 14th and 15th field; the 2nd, a name in brackets, may be anything
    spent = [sum(map(int, text[1].rpartition(")")[2].split()[11:13])) for text in (before, after)]
    others = min(max(0, busy - (spent[1] - spent[0])), passed)
    return len(allowed) * others / passed


def _ticks(stat: str) -> dict[int, tuple[int, int]]:
    """Core -> its ticks without work, and all its ticks."""
    found = {}
    for core, numbers in re.findall(r"^cpu(\d+) (.*)$", stat, re.MULTILINE):
        ticks = [int(number) for number in numbers.split()[:8]]  # guests' are in the user's
        found[int(core)] = sum(ticks[3:5]), sum(ticks)
    return found


def cpu_quota(membership: Path, mounted: Path) -> float | None:
    """How many cores' time the control groups of a process leave it; None without a limit.

    Args:
        membership: its /proc/<pid>/cgroup.
        mounted: where control groups are mounted, version 2 or 1 (man 7 cgroups).
    """
    try:
        lines = membership.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return None
    quotas = []
    for _, kinds, group in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if kinds and "cpu" not in kinds.split(","):
            continue
        top = mounted / kinds if (mounted / kinds).is_dir() else mounted / "cpu"
        place = Path(group.lstrip("/"))
        for folder in (place, *place.parents):  # a container may see its own as the top
            quotas.append(_quota(top / folder))
    return min((quota for quota in quotas if quota), default=None)


def _quota(group: Path) -> float | None:
    try:
        if (group / "cpu.max").is_file():
            quota, period = (group / "cpu.max").read_text("ascii").split()
        else:
            quota, period = (
                (group / f"cpu.cfs_{what}_us").read_text("ascii") for what in ("quota", "period")
            )
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # "max" is no number: there is no limit
        return None
