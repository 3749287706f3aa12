"""What a training runs on: CPU or GPUs, one or several, processes that train as one; and what makes
two trainings the same bits.

Each process has a share of every batch; gradients are averaged by Fabric. Gradients pass through
every exchange here, so a step is that of one process with the whole batch.
"""

import os
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn

from rcan.config import Settings, Train
from rcan.errors import UserError
from rcan.files import exclusive

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # slow to load, and nothing that generation needs


@contextmanager
def devices_of(settings: Settings, root: Path) -> Iterator[int | str | list[int]]:
    """What `launch` takes: the devices asked for, of which a single GPU is one of its own."""
    devices: int | str = settings.train.devices
    if devices != 1 or kind_of_device(settings) != "cuda":
        yield devices
        return
    with free_gpu(root, torch.cuda.device_count()) as index:
        yield [index]


_UNUSED = "ddp_find_unused_parameters_true"


def _has_phases(settings: Settings) -> bool:
    """Whether some epochs leave parameters of others without a gradient."""
    return bool(settings.family.pretrain_share or settings.reward.share)


def launch(settings: Settings, devices: int | str | list[int]) -> "Fabric":
    """Device, precision and processes as the settings ask, bf16 on a GPU unless they say more.

    Raises:
        UserError: this machine does not have them.
    """
    train = settings.train
    from lightning_fabric import Fabric

    accelerator, precision = kind_of_device(settings), train.precision
    if precision == "auto":
        bf16 = accelerator == "cuda" and torch.cuda.is_bf16_supported()
        precision = "bf16-mixed" if bf16 else "32-true"
    try:
        fabric = Fabric(
            accelerator=accelerator, devices=devices, precision=precision,
            strategy=_UNUSED if devices != 1 and _has_phases(settings) else "auto",
        )  # fmt: skip
    except Exception as error:  # Lightning has its own kinds
        reason = " ".join(str(error).split())
        raise UserError(
            f"train.accelerator {train.accelerator} with train.devices {train.devices} cannot be "
            f"had here ({reason}): set train.accelerator to auto and train.devices to 1"
        ) from None
    fabric.launch()
    compute_as(train)
    return fabric


def cpu_has_bf16() -> bool:
    """Whether the processor itself multiplies bfloat16, which torch would imitate, slowly."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def kind_of_device(settings: Settings) -> str:
    """`cpu` or `cuda`: what these settings train on here."""
    accelerator: str = settings.train.accelerator
    if accelerator == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return accelerator


def require_bf16(settings: Settings, device: str) -> None:
    """Raise `UserError` if each step would imitate bfloat16, slowly."""
    if settings.train.precision == "bf16-mixed" and device == "cpu" and not cpu_has_bf16():
        raise UserError(
            "train.precision is bf16-mixed, but this processor has no bfloat16 (AVX-512 BF16 or "
            "AMX): a step would take 2 to 14 times that of float32; set train.precision to auto or "
            "32-true"
        )


@contextmanager
def free_gpu(root: Path, count: int) -> Iterator[int]:
    """The first of the `count` visible GPUs that no other training of the project at `root` holds,
    by its index, held while the block runs; if all are held, 0, which is then shared unheld.

    A training on several GPUs holds none.
    """
    named = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(count)))
    with ExitStack() as held:
        for index, name in enumerate(named.split(",")[:count]):
            lock = (
                root / ".rcan" / "gpu" / f"{platform.node()}-{name.strip().replace('/', '_')}.lock"
            )
            try:
                held.enter_context(exclusive(lock, "training on this GPU"))
            except UserError:
                continue
            yield index
            return
        yield 0


class Processes:
    """Several processes of one training, as a model's `losses` see them."""

    def __init__(self, fabric: "Fabric") -> None:
        self.fabric = fabric

    def gathered(self, x: Tensor) -> Tensor:
        """Dimension 1 of all processes' `x` (n, b, ...) joined, (n, B, ...), with gradients."""
        fabric = self.fabric
        sizes = cast(Tensor, fabric.all_gather(torch.tensor(x.shape[1], device=x.device))).tolist()
        padding = (0, 0) * (x.dim() - 2) + (0, max(sizes) - x.shape[1])
        padded = nn.functional.pad(x, padding)
        everyone = cast(
            Tensor, fabric.all_gather(padded, sync_grads=True)
        )  # (processes, n, b, ...)
        some = [own[:, :size] for own, size in zip(everyone, sizes, strict=True)]
        return torch.cat(some, dim=1)

    def share_of_tokens(self, targets: Tensor, pad_id: int) -> Tensor | float:
        """What a process' mean over its target tokens (B, T) is weighed by, so that the mean over
        processes is the mean over all tokens."""
        own = (targets != pad_id).sum().float()
        return own / cast(Tensor, self.fabric.all_reduce(own.clone(), reduce_op="mean"))


class _OfAllProcesses(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation by mean and variance over all processes, of shares of any size.

    torch's own SyncBatchNorm needs a GPU.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        x_ = x.float()
        dims = [dim for dim in range(x.dim()) if dim != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        count = _sum(x_.new_tensor(x.numel() / x.shape[1]))
        mean = _sum(x_.sum(dims)) / count
        centred = x_ - mean.view(shape)
        var = _sum(centred.square().sum(dims)) / count
        with torch.no_grad():
            assert self.running_mean is not None and self.running_var is not None
            self.running_mean.lerp_(mean, cast(float, self.momentum))
            unbiased = var * count / (count - 1).clamp(min=1)
            self.running_var.lerp_(unbiased, cast(float, self.momentum))
            if self.num_batches_tracked is not None:
                self.num_batches_tracked += 1
        y = centred * (var + self.eps).rsqrt().view(shape)
        if self.affine:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(x.dtype)


class _BatchNorm1d(_OfAllProcesses, nn.BatchNorm1d):
    pass


class _BatchNorm2d(_OfAllProcesses, nn.BatchNorm2d):
    pass


def share_batch_statistics(model: nn.Module) -> None:
    """Have every batch normalisation of the model normalise over all processes, in place."""
    kinds: dict[type, type] = {nn.BatchNorm1d: _BatchNorm1d, nn.BatchNorm2d: _BatchNorm2d}
    for module in model.modules():
        if type(module) in kinds:  # the same parameters and buffers, under the same names
            module.__class__ = kinds[type(module)]


def _sum(x: Tensor) -> Tensor:
    """The sum over all processes; the gradient is summed over them too."""
    from torch.distributed.nn import functional

    return cast(Tensor, functional.all_reduce(x))


def seed_epoch(seed: int, epoch: int, rank: int = 0) -> None:
    """Seed torch for one epoch (0: the initial weights), so that resuming needs no random state.

    Each process of one training (`rank`) draws its own dropout, but all the same initial weights.
    """
    state = np.random.SeedSequence([seed, epoch, rank]).generate_state(1, np.uint64)[0]
    torch.manual_seed(int(state >> np.uint64(1)))


def processor(device: torch.device) -> str:
    """What rounds a training's sums in its own way: `cpu AVX512, 1 thread`, `cuda NVIDIA H200`."""
    if device.type == "cuda":
        return f"cuda {torch.cuda.get_device_name(device)}"
    threads = torch.get_num_threads()
    kind = torch.backends.cpu.get_cpu_capability()
    return f"cpu {kind}, {threads} thread{'s' * (threads != 1)}"


def compute_as(train: Train) -> None:
    """Have torch compute on `train.threads` threads (None: as many as torch has) and, with
    `train.deterministic`, by no algorithm whose bits differ from run to run, as some of a GPU's do.

    Where there is no other algorithm, torch raises RuntimeError and names the operation.
    """
    if train.threads is not None:
        torch.set_num_threads(train.threads)
    if train.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as cuBLAS asks for
    torch.use_deterministic_algorithms(train.deterministic)
