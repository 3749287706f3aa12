"""One thread against one a core, on quiet cores and with another process that keeps one busy.

Threads that share out a small piece of work wait for the one that is not scheduled. What
`train.threads` has for a profile follows from these tables.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from benchmarks.measure import Result, in_turns, timed
from rcan.config import Settings, resolve
from rcan.data.batches import Batch
from rcan.model.build import build_model
from rcan.model.interface import Alone
from rcan.reading import parse_yaml
from rcan.training.optimization import build_optimizer

TOP = Path(__file__).resolve().parents[1]
SIZES = {  # profile -> what chooses it, and steps of one measurement
    "demo": ({"data.name": "demo"}, 20),
    "small": ({"data.name": "iu_xray", "scale": "small"}, 10),
    "paper": ({"data.name": "iu_xray"}, 1),
}
WORDS = 800  # of the vocabulary


def run(options) -> list[Result]:
    """Seconds of a training step at each size: one thread's and, on the other side, all cores'."""
    cores = len(os.sched_getaffinity(0))
    results = []
    for size in ("demo",) if options.quick else SIZES:
        for beside, busy in (("quiet", contextlib.nullcontext), ("one core busy", _busy)):
            rounds = 1 if size == "paper" else min(options.rounds, 3)
            with busy():
                one, all_cores = in_turns(
                    partial(_seconds, size, 1), partial(_seconds, size, cores), rounds
                )
            what = f"training step, {size}, {beside}: one thread"
            results.append(Result(what, one, "s", all_cores, f"{cores} threads"))
    return results


@contextlib.contextmanager
def _busy() -> Iterator[None]:
    """Another process that wants a whole core."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        other.kill()
        other.wait()


def _seconds(size: str, threads: int) -> float:
    """Of one step, in a process that never had another number of threads."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.threads", size, str(threads)], cwd=TOP, text=True,
        stdout=subprocess.PIPE, check=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)},
    )  # fmt: skip
    return float(done.stdout)


def _settings(size: str) -> Settings:
    raw = parse_yaml((TOP / "params.yaml").read_text(encoding="utf-8"))
    for key, value in {**SIZES[size][0], "visual.weights": "none"}.items():
        section, _, field = key.partition(".")
        if field:
            raw[section][field] = value
        else:
            raw[section] = value
    return resolve(raw)


def _step(settings: Settings) -> Callable[[], object]:
    """A step of the training loop on random studies."""
    torch.manual_seed(0)
    model = build_model(settings, WORDS).train()
    optimizer = build_optimizer(model, settings.train)
    visual, shape = settings.visual, (settings.train.batch_size, settings.data.num_views)
    if visual.frozen:
        side = visual.feature_window or model.visual.map_side
        seen = torch.rand(*shape, model.visual.channels, side, side).half()
    else:
        seen = torch.randint(0, 256, (*shape, visual.crop, visual.crop)).to(torch.uint8)
    projections = torch.zeros(shape, dtype=torch.long)
    tokens = torch.randint(3, WORDS, (shape[0], settings.data.max_length // 2))
    batch = Batch(seen, projections, tokens, pad_id=0)

    def step() -> None:
        model.losses(model(batch), batch, Alone())["loss"].backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def _measure(size: str, threads: int) -> float:
    torch.set_num_threads(threads)
    step, steps = _step(_settings(size)), SIZES[size][1]
    step()
    return timed(lambda: [step() for _ in range(steps)]) / steps


if __name__ == "__main__":
    print(_measure(sys.argv[1], int(sys.argv[2])))
