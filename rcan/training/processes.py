"""What makes several processes train as one: batch statistics, embeddings and token counts of all.

Each process has a share of every batch; gradients are averaged by Fabric. Gradients pass through
every exchange here, so a step is that of one process with the whole batch.
"""

from typing import cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn


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


def gathered(p: Tensor | None, fabric: Fabric) -> Tensor | None:
    """WCL's embeddings of all processes, (2, B, D), with gradients: graph and loss see them all."""
    if p is None or fabric.world_size == 1:
        return p
    sizes = cast(Tensor, fabric.all_gather(torch.tensor(p.shape[1], device=p.device))).tolist()
    padded = nn.functional.pad(p, (0, 0, 0, max(sizes) - p.shape[1]))
    everyone = cast(Tensor, fabric.all_gather(padded, sync_grads=True))  # (processes, 2, B_max, D)
    return torch.cat([some[:, :size] for some, size in zip(everyone, sizes, strict=True)], dim=1)


def share_of_tokens(targets: Tensor, pad_id: int, fabric: Fabric) -> Tensor | float:
    """What a process' mean over its target tokens is weighed by, so that the mean over processes
    is the mean over all tokens."""
    if fabric.world_size == 1:
        return 1.0
    own = (targets != pad_id).sum().float()
    return own / cast(Tensor, fabric.all_reduce(own.clone(), reduce_op="mean"))


def _sum(x: Tensor) -> Tensor:
    """The sum over all processes; the gradient is summed over them too."""
    from torch.distributed.nn import functional

    return cast(Tensor, functional.all_reduce(x))
