"""A training's state on disk: one file, replaced whole after every epoch, read without pickle.

`last.safetensors` holds model, optimiser moments and, as JSON in its header, the progress;
so weights and progress can never be of two different epochs. `best.safetensors` is written before
it: killed in between, the epoch is trained again and writes the same best weights.
"""

import json
import shutil
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from rcan.errors import UserError
from rcan.files import exclusive, replacing


@dataclass
class Progress:
    """How far a training is: epochs done, one row of numbers for each, and the best of them."""

    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, float] | None = None  # epoch, length_penalty and validation scores


class TrainingState:
    """The folder of one training's state, held by one process at a time.

    `folder` must name all that the training depends on (settings, data, tokenizer, code): state of
    anything else is never met. Use as a context manager. Of several processes of one training only
    the `owner` locks it. Raises `UserError` if another training holds it.
    """

    def __init__(self, folder: Path, *, owner: bool = True) -> None:
        self.folder, self.owner = folder, owner
        self._held = ExitStack()
        self.last = folder / "last.safetensors"
        self.best = folder / "best.safetensors"

    def __enter__(self) -> "TrainingState":
        if self.owner:
            lock = exclusive(self.folder / "lock", "training this exact configuration")
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

    def discard(self) -> None:
        """Remove the state: its training is done, and trained again it starts afresh."""
        shutil.rmtree(self.folder)

    def load(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
        """Bring model and optimiser to where the last epoch left them; `epoch` 0 if none did."""
        if not self.last.exists():
            return Progress()
        tensors, metadata = read_tensors(self.last)
        if "progress" not in metadata:
            raise UserError(f"{self.last} is no training state: delete it and run again")
        load_weights(model, _with_prefix(tensors, "model."), self.last)
        _load_optimizer(optimizer, _with_prefix(tensors, "optimizer."))
        return Progress(**json.loads(metadata["progress"]))

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
        write_tensors(self.last, tensors, {"progress": json.dumps(asdict(progress))})


def write_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write a .safetensors file whole or not at all."""
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as beside:
        try:
            save_file(ready, beside, metadata)
        except safetensors.SafetensorError as error:  # the library's own word for a failed write
            raise UserError(
                f"{path} cannot be written ({error}): make room or mend the folder and run again; "
                "what was there before is kept"
            ) from None
        beside.chmod(0o644)  # the library makes it private


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a .safetensors file and its metadata. Raises `UserError` if it is damaged."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(
            f"{path} cannot be read as weights ({error}): delete it and run again"
        ) from None


def load_weights(model: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Copy weights into a model of the same settings; `path` is named if they do not fit."""
    wanted = model.state_dict()
    for name in sorted(wanted.keys() | weights.keys()):
        ours, theirs = wanted.get(name), weights.get(name)
        if ours is None or theirs is None or ours.shape != theirs.shape:
            shapes = [None if t is None else tuple(t.shape) for t in (ours, theirs)]
            raise UserError(
                f"{path} is of another model: {name} must be {shapes[0]}, it is {shapes[1]}; "
                "use the settings it was trained with, or train again"
            )
    model.load_state_dict(weights)


def _with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, name = key.split(".")
        if tensor.dim():  # in the layout of its parameter, so that the same kernels run
            tensor = torch.empty_like(parameters[int(index)], device="cpu").copy_(tensor)
        state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
