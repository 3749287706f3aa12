"""What this machine has for the pipeline and what it lacks, each with the way to get it."""

import importlib.metadata
import os
import re
import shutil
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError

from rcan.cores import cpu_quota, watch_cores
from rcan.errors import UserError, one_line
from rcan.project import GitError, ask_git, code_root, git_output, is_shallow, project_root
from rcan.tracking.guard import without_password

GB = 1e9
LEAST_DISK, LEAST_MEMORY = 5 * GB, 4 * GB  # of the demo and of IU X-ray small, with room to spare
MOMENT = 0.25  # seconds over which the cores are watched
ANSWER_SECONDS = 5  # that a tracking server may take
IMAGENET = {  # backbone -> the file that torchvision keeps
    "resnet18": "resnet18-f37072fd.pth",
    "resnet101": "resnet101-cd907fc2.pth",
}


class LackingError(Exception):
    """What is not as it should be, and what to do about it."""


@dataclass(frozen=True)
class Finding:
    """One line of `rcan doctor`: state is ok, lacks (the pipeline needs it) or without (it may)."""

    name: str
    state: str
    told: str


def findings() -> list[Finding]:
    """Everything that is looked at, in order; nothing here raises."""
    return [_found(name, check, needed) for name, (check, needed) in _CHECKS.items()]


def _found(name: str, check: Callable[[], str], needed: bool) -> Finding:
    try:
        return Finding(name, "ok", check())
    except (LackingError, UserError) as reason:
        told = str(reason)
    except Exception as error:  # a library may fail in its own ways: that, too, is an answer
        told = f"{type(error).__name__}: {error}"
    return Finding(name, "lacks" if needed else "without", one_line(told))


def _python() -> str:
    return sys.version.split()[0]


def _git() -> str:
    if not shutil.which("git"):
        raise LackingError("not found: install git")
    root = project_root()
    try:
        commit = ask_git("rev-parse", "--short", "HEAD", folder=root).strip()
    except GitError as reason:
        if "not a git repository" in str(reason):
            raise LackingError(
                f"no repository in {root}: git init && git add . && git commit -m start"
            ) from None
        if "unknown revision" in str(reason) or "single revision" in str(reason):
            raise LackingError(f"no commit in {root}: git add . && git commit -m start") from None
        raise LackingError(str(reason)) from None
    told = [f"commit {commit}"]
    if is_shallow(root):
        told.append("a shallow clone: queued experiments are lost in it, git fetch --unshallow")
    if not all(git_output("config", f"user.{what}", folder=root) for what in ("name", "email")):
        told.append(
            "nobody's: `dvc exp run` may ask for a name, git config --global user.name NAME; "
            "the same for user.email"
        )
    return "; ".join(told)


def _code() -> str:
    root, code = project_root().resolve(), code_root()
    if code != root:  # as where an environment was copied or moved: it has its old place's
        raise LackingError(
            f"{code} runs, and not {root}: source {root}/.venv/bin/activate, without PYTHONPATH; "
            "if that .venv was copied or moved, rm -rf .venv && make setup"
        )
    if sys.flags.safe_path:
        raise LackingError("PYTHONSAFEPATH is set, with which no stage runs: unset it")
    first = os.environ.get("PYTHONPATH")
    return f"that of {code}" + (
        f"; PYTHONPATH is {first}: what lies there comes first" * bool(first)
    )


def _packages() -> str:
    pins = project_root() / "requirements.lock"
    if not pins.is_file():
        raise LackingError(f"{pins.name} not found: git checkout {pins.name}")
    pinned: dict[str, set[str]] = {}  # one for old and one for new Pythons, of some
    text = pins.read_text(encoding="utf-8")
    for name, version in re.findall(r"^([\w.-]+)==([\w.+]+)", text, re.MULTILINE):
        pinned.setdefault(name.lower(), set()).add(version)
    needed = {
        re.split(r"[^\w.-]", line, maxsplit=1)[0].lower()
        for line in importlib.metadata.requires("rcan") or []
        if "extra ==" not in line
    }
    others = []
    for name in sorted(needed & pinned.keys()):
        try:
            here = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            raise LackingError(f"{name} is not installed: `make setup` has it") from None
        if here.partition("+")[0] not in pinned[name]:
            others.append(f"{name} {here}, pinned {' or '.join(sorted(pinned[name]))}")
    if others:  # they may work, and give other bits
        return f"other versions than requirements.lock: {'; '.join(others)}"
    return "as requirements.lock pins them"


def _device() -> str:
    import torch

    if not torch.cuda.is_available():
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return f"no GPU that torch {torch.__version__} can use; {cores} CPU cores: scale small"
    gpus = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    bf16 = "bf16" if torch.cuda.is_bf16_supported() else "no bf16"
    told = ", ".join(f"{gpu.name} ({gpu.total_memory / GB:.0f} GB)" for gpu in gpus)
    return f"{told}, {bf16}"


def _cores() -> str:
    """How many of the cores others are busy on, over a moment, and how many a quota leaves."""
    try:
        allowed = os.sched_getaffinity(0)
        busy = watch_cores(allowed, MOMENT)
    except (OSError, AttributeError, ValueError):
        return "not known on this system"
    told = f"{len(allowed)}, {busy:.1f} of them busy with other processes' work"
    quota = cpu_quota(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))
    if quota is not None and quota < len(allowed):
        raise LackingError(
            f"{told}; this job may use {quota:.3g} of {len(allowed)} cores: "
            f"export RCAN_JOBS={max(1, int(quota))}"
        )
    if busy >= max(0.5, len(allowed) / 3):
        raise LackingError(f"{told}: all takes longer, and measured times mean little")
    return told


def _memory() -> str:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return "not known on this system"
    free = 1024 * int(re.findall(r"MemAvailable:\s+(\d+)", lines)[0])
    if free < LEAST_MEMORY:
        raise LackingError(f"{free / GB:.1f} GB free; {LEAST_MEMORY / GB:.0f} GB are wanted")
    return f"{free / GB:.1f} GB free"


def _disk() -> str:
    root = project_root()
    free = shutil.disk_usage(root).free
    if free < LEAST_DISK:
        raise LackingError(
            f"{free / GB:.1f} GB free in {root}; {LEAST_DISK / GB:.0f} GB are wanted"
        )
    return f"{free / GB:.0f} GB free"


def _meteor() -> str:
    from rcan.evaluation.meteor import meteor_counts

    meteor_counts(["no effusion ."], ["no effusion ."])
    return "Java answers"


def _imagenet() -> str:
    import torch

    kept = Path(torch.hub.get_dir()) / "checkpoints"
    missing = [name for name, file in IMAGENET.items() if not (kept / file).is_file()]
    if missing:
        raise LackingError(
            f"weights of {' and '.join(missing)} not in {kept}: fetched when first needed, or "
            "-S visual.weights=path/of/a/state_dict.pth; the demo needs none"
        )
    return f"in {kept}"


def _data() -> str:
    named = os.environ.get("RCAN_DATA")
    raw = project_root() / "data" / "raw"
    if named:
        if not Path(named).expanduser().is_dir():
            raise LackingError(f"RCAN_DATA is {named}, no folder: name the folder of the data")
        return f"RCAN_DATA: {named}; `rcan data check` tells more"
    held = sorted(path.name for path in raw.iterdir() if path.is_dir()) if raw.is_dir() else []
    if not held:
        raise LackingError("none in data/raw: `rcan data import FOLDER`; the demo draws its own")
    return f"{', '.join(held)}; `rcan data check` tells more"


def _tracker() -> str:
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri.startswith("http"):
        return f"{without_password(uri) or 'mlflow.db here'}: `rcan ui` shows it"
    address = without_password(uri).rstrip("/")
    try:
        urllib.request.urlopen(f"{address}/health", timeout=ANSWER_SECONDS).close()
    except HTTPError:
        pass  # it answers: whether it lets one in, it tells the tracker
    except (OSError, ValueError) as error:
        raise LackingError(f"{address} does not answer ({error}): `rcan sync` catches up") from None
    return f"{address} answers"


def _radeval() -> str:
    return _installed("radeval", "pip install 'rcan[radeval]': scores by models, docs/findings.md")


def _installed(package: str, remedy: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise LackingError(remedy) from None


_CHECKS: dict[
    str, tuple[Callable[[], str], bool]
] = {  # name -> check, whether the pipeline needs it
    "Python": (_python, True),
    "git": (_git, True),
    "code": (_code, True),
    "packages": (_packages, True),
    "device": (_device, True),
    "cores": (_cores, False),
    "memory": (_memory, True),
    "disk": (_disk, True),
    "METEOR": (_meteor, True),
    "data": (_data, False),
    "ImageNet weights": (_imagenet, False),
    "MLflow": (_tracker, False),
    "RadEval": (_radeval, False),
}
