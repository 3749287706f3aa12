"""A training's state on disk: one file, replaced whole after every epoch, read without pickle.

`last.safetensors` holds model, optimiser moments and, as JSON in its header, the progress;
so weights and progress can never be of two different epochs. `best.safetensors` is written before
it: killed in between, the epoch is trained again and writes the same best weights. Each file's
header holds a digest of the rest, so that no damaged file is gone on with.
"""

import hashlib
import json
import shutil
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from rcan.errors import UserError
from rcan.files import exclusive, replacing
from rcan.reading import Shape, parse_json, require_file, require_shape
from rcan.training.key import BEST, DOING, HEADER, LAST, SELECTION, Progress

_AFRESH = "delete it and run again"
_PROGRESS: Shape = {
    "epoch": int,
    "history": [{"epoch": int}],
    "best": dict | None,
    "trained_on": [str],
    "before": int,
    "in_last_phase": bool,
}


class TrainingState:
    """The folder of one training's state, held by one process at a time.

    `folder` must name all that the training depends on (settings, data, tokenizer, code): state of
    anything else is never met. Use as a context manager. Of several processes of one training only
    the `owner` locks it. Raises `UserError` if another training holds it.
    """

    def __init__(self, folder: Path, *, owner: bool = True) -> None:
        self.folder, self.owner = folder, owner
        self._held = ExitStack()
        self.last = folder / LAST
        self.best = folder / BEST

    def __enter__(self) -> "TrainingState":
        if self.owner:
            lock = exclusive(self.folder / "lock", DOING)
            self._held.enter_context(lock)
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def require_room(self, model: nn.Module) -> None:
        """Raise `UserError` unless the disk has room for the state and run folder of `model`."""
        weights = sum(t.numel() * t.element_size() for t in model.state_dict().values())
        needed = 9 * weights  # last (with two moments) and best, each twice while replaced, and out
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise UserError(
                f"training needs about {needed / 1e6:.0f} MB in {self.folder}, {free / 1e6:.0f} MB "
                "are free: make room before it starts"
            )

    def load(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
        """Bring model and optimiser to where the last epoch left them; `epoch` 0 if none did."""
        if not self.last.exists():
            return Progress()
        tensors, facts = read_tensors(self.last)
        progress = _progress_from(facts.get("progress"), self.last)
        if progress.best:
            best, _ = read_tensors(self.best, remedy=f"delete {self.last} and run again")
            require_fit(model, best, self.best)
        load_weights(model, with_prefix(tensors, "model."), self.last)
        _load_optimizer(optimizer, with_prefix(tensors, "optimizer."), self.last)
        return progress

    def save(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress, is_best: bool
    ) -> None:
        """Keep the state after an epoch."""
        weights = model.state_dict()
        if is_best:
            write_tensors(self.best, weights)
        tensors = {f"model.{name}": tensor for name, tensor in weights.items()}
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
        write_tensors(self.last, tensors, {"progress": asdict(progress)})


def write_tensors(
    path: Path, tensors: dict[str, Tensor], facts: dict[str, Any] | None = None
) -> None:
    """Write a .safetensors file, with facts as JSON in its header, whole or not at all.

    `tensors` may have any shapes. Raises `UserError` if the file cannot be written.
    """
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    facts = facts or {}
    metadata = {HEADER: json.dumps({"digest": _digest(ready, facts), "facts": facts})}
    with replacing(path) as beside:
        try:
            save_file(ready, beside, metadata)
        except safetensors.SafetensorError as error:  # the library's own word for a failed write
            raise UserError(
                f"{path} cannot be written ({error}): make room or mend the folder and run again; "
                "what was there before is kept"
            ) from None
        beside.chmod(0o644)  # the library makes it private


def read_tensors(path: Path, remedy: str = _AFRESH) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts of a file by `write_tensors`. Raises `UserError` if it is damaged."""
    try:
        require_file(path)
        with safetensors.safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            header = (file.metadata() or {}).get(HEADER)
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"{path} cannot be read as weights ({error}): {remedy}") from None
    if header is None:
        raise UserError(f"{path}: expected weights with their digest, found no digest; {remedy}")
    shape: Shape = {"digest": str, "facts": dict}
    told = parse_json(header, shape, f"{path}, header", "a digest and facts", remedy)
    if told["digest"] != _digest(tensors, told["facts"]):
        raise UserError(f"{path}: expected what its digest says, found other bytes; {remedy}")
    return tensors, told["facts"]


def _digest(tensors: dict[str, Tensor], facts: dict[str, Any]) -> str:
    sha = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        sha.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()


def load_weights(model: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Copy weights into a model of the same settings; `path` is named if they do not fit."""
    require_fit(model, weights, path)
    model.load_state_dict(weights)


def require_fit(model: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Raise `UserError` unless `weights` are a model's of the same settings."""
    wanted = model.state_dict()
    for name in sorted(wanted.keys() | weights.keys()):
        ours, theirs = wanted.get(name), weights.get(name)
        if (
            ours is None
            or theirs is None
            or (ours.shape, ours.dtype) != (theirs.shape, theirs.dtype)
        ):
            must, found = (
                t if t is None else f"{tuple(t.shape)} {t.dtype}" for t in (ours, theirs)
            )
            raise UserError(
                f"{path} is of another model: {name} must be {must}, it is {found}; "
                "use the settings it was trained with, or train again"
            )


def _progress_from(told: Any, path: Path) -> Progress:
    """The progress that a state tells of, an epoch at least, if it is one."""
    place = f"{path}, progress"
    require_shape(told, _PROGRESS, place, _AFRESH)
    rows = told["history"]
    for row in rows:
        require_shape(row, dict.fromkeys(row, float), f"{place}, history", _AFRESH)
    scored = [row for row in rows if SELECTION in row]
    early = rows[: len(rows) - len(scored)]  # of pre-training
    alike = [*early, *scored] == rows and all(
        _scores_of(row) == _scores_of(part[0]) for part in (early, scored) for row in part
    )
    epochs = [row["epoch"] for row in rows]
    whole = epochs == list(range(1, len(rows) + 1)) and told["epoch"] == len(rows)
    if not rows or not alike or not whole:
        raise UserError(f"{place}: expected a row for every epoch, found others; {_AFRESH}")
    if told["best"] not in (scored or [None]):
        raise UserError(f"{place}: expected the best epoch among all, found another; {_AFRESH}")
    facts = ("best", "trained_on", "before", "in_last_phase")
    return Progress(told["epoch"], rows, **{name: told[name] for name in facts})


def _scores_of(row: dict[str, float]) -> set[str]:
    """What is told of every epoch; the losses are those of its phase."""
    return {name for name in row if not name.startswith("loss_")}


def with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, by the rest of their names."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _load_optimizer(
    optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], path: Path
) -> None:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    moments = ["momentum_buffer"]
    if not isinstance(optimizer, torch.optim.SGD):
        moments = ["exp_avg", "exp_avg_sq"] + ["max_exp_avg_sq"] * optimizer.defaults["amsgrad"]
    state: dict[int, dict[str, Tensor]] = {}
    for index, parameter in enumerate(parameters):
        if f"{index}.{moments[0]}" in tensors:  # one that has had a gradient
            state[index] = {}
            if moments[1:]:
                step = tensors.pop(f"{index}.step", torch.empty(0))
                if step.dim() or step.dtype != torch.float32:
                    raise _of_another_optimizer(path, f"{index}.step")
                state[index]["step"] = step
            for name in moments:
                moment = tensors.pop(f"{index}.{name}", torch.empty(0))
                if (moment.shape, moment.dtype) != (parameter.shape, parameter.dtype):
                    raise _of_another_optimizer(path, f"{index}.{name}")
                # In the layout of its parameter, so that the same kernels run.
                state[index][name] = torch.empty_like(parameter, device="cpu").copy_(moment)
    if tensors:
        raise _of_another_optimizer(path, next(iter(tensors)))
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _of_another_optimizer(path: Path, name: str) -> UserError:
    return UserError(f"{path} is of another optimiser: {name} does not fit; {_AFRESH}")
