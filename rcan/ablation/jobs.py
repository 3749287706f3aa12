"""Cells trained and scored side by side: which of them lack it, where each may run, and processes.

A process each, with a line whenever one begins or ends.
"""

import os
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rcan.ablation import finished
from rcan.ablation.plan import planned_runs, planned_settings, same_as, why_not
from rcan.config import PipelineSettings
from rcan.errors import UserError
from rcan.files import digest_of
from rcan.training.key import has_run, has_state, kept_parts, training_key

HEARTBEAT = 60  # seconds between lines while nothing ends
LAST_WORDS = 4096


def untrained(
    settings: PipelineSettings, *, root: Path, runs: Path, processed: Path, tokenizer: Path
) -> list[str]:
    """The planned runs of which there is neither a folder nor a finished state, in order."""
    from rcan.training.devices import kind_of_device

    inputs = {"root": root, "processed": processed, "tokenizer": tokenizer}
    missing = []
    for name, own in _to_train(settings, root):
        if trained_folder(own, run=runs / name, **inputs) is None:
            parts = kept_parts(own, processed, tokenizer, device=kind_of_device(own), root=root)
            if not has_state(root, training_key(parts)):
                missing.append(name)
    return missing


def unfinished(
    settings: PipelineSettings, *,
    root: Path, runs: Path, evaluations: Path, processed: Path, tokenizer: Path, floors: Path,
) -> list[str]:  # fmt: skip
    """The planned runs that are not both trained and scored, in order."""
    inputs = {"processed": processed, "tokenizer": tokenizer}
    missing = []
    for name, own in _to_train(settings, root):
        folder = trained_folder(own, root=root, run=runs / name, **inputs)
        if folder is None:
            missing.append(name)
            continue
        digest = finished.of_evaluation(own, folder, floors=floors, **inputs)
        has_scores = (evaluations / name / "scores.json").exists()
        if not finished.is_ready(root, digest) and not (
            has_scores and finished.was_taken(root, digest)
        ):
            missing.append(name)
    return missing


def trained_folder(
    settings: PipelineSettings, *, root: Path, run: Path, processed: Path, tokenizer: Path
) -> Path | None:
    """The folder that holds the training of these settings, their weights' path resolved: `run`,
    or the one kept as finished; None if neither does."""
    kept = finished.place(root, finished.of_training(settings, processed, tokenizer))
    folders = (run, kept)
    return next((f for f in folders if has_run(f, settings, processed, tokenizer)), None)


def bases(names: Collection[str], settings: PipelineSettings) -> dict[str, str]:
    """Run -> the one of `names` that is the same training without the curriculum that it has."""
    of = {name: planned_settings(name, settings) for name in names}
    by_digest = {digest_of(own.used()): name for name, own in of.items()}
    found = {name: by_digest.get(digest_of(own.base().used())) for name, own in of.items()}
    return {name: base for name, base in found.items() if base and base != name}


def has_base(name: str, settings: PipelineSettings) -> bool:
    """Whether what the curriculum of a planned run begins with is the main run or a planned one."""
    plain = digest_of(planned_settings(name, settings).base().used())
    names = [run for run in planned_runs() if same_as(run) == run]
    return plain == digest_of(settings.used()) or name in bases(names, settings)


def _to_train(settings: PipelineSettings, root: Path) -> Iterator[tuple[str, PipelineSettings]]:
    """The planned runs that are no pointers and can be trained, with their settings."""
    for name in planned_runs():
        if same_as(name) == name and not why_not(name):
            yield name, planned_settings(name, settings).with_weights_under(root)


def places(settings: PipelineSettings) -> list[dict[str, str]]:
    """What the environment tells each process of those that train at once.

    One a GPU, each its own, or as many as the CPU has cores for, each with `train.threads` of them;
    RCAN_JOBS asks for another number.

    Raises:
        UserError: RCAN_JOBS is no such number, or asks for several that would take all cores each.
    """
    import torch

    from rcan.training.devices import kind_of_device

    on_gpu, cores = kind_of_device(settings) == "cuda", len(os.sched_getaffinity(0))
    on_cpu = max(1, cores // (settings.train.threads or cores))
    most = torch.cuda.device_count() if on_gpu else on_cpu
    asked = os.environ.get("RCAN_JOBS", str(most))
    if not asked.isdecimal() or not 1 <= int(asked) <= 1000:
        raise UserError(f"RCAN_JOBS is {asked!r}; expected how many cells to train at once, e.g. 2")
    if not on_gpu:
        if settings.train.threads is None and int(asked) > 1:
            raise UserError(
                f"RCAN_JOBS is {asked}, but train.threads is empty, so each of them would take all "
                "cores: set train.threads too, e.g. to 1"
            )
        return [{} for _ in range(int(asked))]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(most)))
    gpus = visible.split(",")
    return [{"CUDA_VISIBLE_DEVICES": gpus[i % len(gpus)]} for i in range(int(asked))]


@dataclass(frozen=True)
class Job:
    """A command, the file that takes what it prints, and the job that must have ended before."""

    name: str
    command: Sequence[str]
    log: Path
    after: str | None = None


def run_side_by_side(jobs: Sequence[Job], places: Sequence[Mapping[str, str]]) -> None:
    """Run all jobs in order, one at a time in each of `places`, which add to the environment; one
    that waits for another lets those behind it go first.

    One that fails leaves the others running, but for what waits for it, which is not begun. However
    this ends, no process is left behind.
    Raises `UserError` that names the failed ones, with their last line, once all have been tried.
    """
    waiting, failed, lost = list(jobs), list[str](), set[str | None]()
    running: dict[int, tuple[Job, subprocess.Popen[bytes]]] = {}
    began, done, told = time.monotonic(), 0, time.monotonic()
    try:
        while waiting or running:
            while job := next((job for job in waiting if job.after in lost), None):
                waiting.remove(job)
                lost.add(job.name)
                done += 1
                failed.append(f"{job.name} (not begun: {job.after} failed)")
                _say(f"{job.name}: not begun, for {job.after} failed; {done} of {len(jobs)}")
            for place in range(len(places)):
                ahead = {job.name for job in (*waiting, *(job for job, _ in running.values()))}
                ready = [job for job in waiting if job.after not in ahead]
                if ready and place not in running:
                    waiting.remove(ready[0])
                    running[place] = (ready[0], _start(ready[0], places[place]))
            time.sleep(0.2)
            for place, (job, process) in list(running.items()):
                if process.poll() is None:
                    continue
                del running[place]
                done += 1
                if process.returncode:
                    lost.add(job.name)
                    failed.append(f"{job.name} ({_last_line(job.log)}; all of it: {job.log})")
                word = "failed" if process.returncode else "done"
                left = (len(jobs) - done) * (time.monotonic() - began) / done
                _say(f"{job.name}: {word}; {done} of {len(jobs)}, about {left / 60:.0f} min left")
                told = time.monotonic()
            if running and time.monotonic() - told > HEARTBEAT:
                _say("; ".join(f"{job.name}: {_last_line(job.log)}" for job, _ in running.values()))
                told = time.monotonic()
    finally:
        for _, process in running.values():
            process.terminate()
        for _, process in running.values():
            process.wait()
    if failed:
        raise UserError(
            f"{len(failed)} of {len(jobs)} failed: {'; '.join(failed)}; mend it and run the same "
            "command again: what is done is kept"
        )


def _start(job: Job, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with job.log.open("wb") as log:
        return subprocess.Popen(
            job.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
        )  # fmt: skip


def _last_line(log: Path) -> str:
    """The last thing that was printed, of a progress bar its last state."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LAST_WORDS))
        words = file.read().decode("utf-8", errors="replace").replace("\r", "\n")
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return lines[-1] if lines else "nothing printed yet"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
