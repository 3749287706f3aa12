"""What makes two trainings the same bits: random numbers that follow from seed and epoch alone, a
number of threads that the settings name, and algorithms without chance."""

import os

import numpy as np
import torch

from rcan.config import Train


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
