"""`dvc repro` and DVC's queue, stopped as a whole or in part at random instants, and started again.

Only in the long version: a run costs half a minute.
"""

import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from repository import Repository
from stages import CHANGES, leftovers, logged, results
from stops import processes_in, stop_until_through, wait_until_idle

SECONDS = 40  # of an undisturbed `dvc repro`, roughly
QUEUED = ("0.05", "0.2")


@pytest.fixture(scope="module", autouse=True)
def long_version_only(amount):
    amount(0, 1)


def repository(folder: Path) -> Repository:
    folder.mkdir()
    return Repository(folder, CHANGES)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Repository:
    project = repository(tmp_path_factory.mktemp("undisturbed") / "project")
    code, _, output = project.repro()
    assert code == 0, output
    return project


def require_the_same(project: Repository, undisturbed: Repository) -> None:
    assert results(project.folder) == results(undisturbed.folder)
    assert project.locked("dvc.lock") == undisturbed.locked("dvc.lock")
    assert "up to date" in project.run("dvc", "status", "dvc.yaml").stdout
    assert leftovers(project.folder) == []
    assert {n for (name, _), n in logged(project.folder).items() if "/" in name} == {1}


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_repro_stopped_with_all_its_processes(sent, undisturbed, tmp_path, amount, figure):
    project, draw = repository(tmp_path / "project"), random.Random(int(sent))
    wanted = amount(0, 8 if sent == signal.SIGKILL else 3)
    stops = stop_until_through(project, ["dvc", "repro"], sent, wanted, draw, SECONDS / 2)
    require_the_same(project, undisturbed)
    figure("killed", f"{sent.name}: stops of dvc and all it runs", stops)


def test_dvc_killed_alone_leaves_a_stage_that_no_second_one_disturbs(
    undisturbed, tmp_path, amount, figure
):
    project, draw, kills = repository(tmp_path / "project"), random.Random(3), 0
    for _ in range(amount(0, 3)):
        dvc = project.start("dvc", "repro")
        try:
            dvc.wait(draw.uniform(8, SECONDS / 2))
        except subprocess.TimeoutExpired:
            dvc.kill()
            dvc.wait()
            kills += 1
        code, _, output = project.repro()  # at once: the stage of the first may still be running
        assert code == 0 or "already" in output or "Unable to acquire lock" in output, output
        assert "Traceback" not in output
        wait_until_idle(project.folder)
    code, _, output = project.repro()
    assert code == 0, output
    require_the_same(project, undisturbed)
    figure("killed", "kills of dvc alone", kills)


def queue_the_grid(project: Repository) -> None:
    done = project.run("dvc", "exp", "run", "--queue", "-S", f"wcl.tau={','.join(QUEUED)}")
    assert done.returncode == 0, done.stdout
    started = project.start("dvc", "queue", "start", "-j", "2")  # workers hold its output
    assert started.wait(60) == 0, project.printed()


def weights_of_experiments(project: Repository) -> dict[str, str]:
    """tau -> DVC's hash of the trained folder, from the commits of all experiments."""
    found = {}
    refs = project.run("git", "for-each-ref", "--format=%(refname)", "refs/exps").stdout.split()
    for ref in refs:
        lock = project.run("git", "show", f"{ref}:dvc.lock")
        if lock.returncode == 0 and not ref.startswith("refs/exps/celery"):
            train = yaml.safe_load(lock.stdout)["stages"]["train"]
            params = yaml.safe_load(project.run("git", "show", f"{ref}:params.yaml").stdout)
            found[str(params["wcl"]["tau"])] = train["outs"][0]["md5"]
    return found


def all_done(project: Repository) -> bool:
    """As many ended as were queued; DVC calls the task of a killed worker running for ever."""
    status = project.run("dvc", "queue", "status").stdout
    return len(re.findall("Success|Failed", status)) >= len(QUEUED)


def test_a_grid_in_the_queue_with_its_workers_killed(tmp_path, amount, figure):
    calm, project = (repository(tmp_path / name) for name in ("calm", "killed"))
    for one in (calm, project):
        one.run("git", "add", "--all")
        done = one.run("git", "commit", "--quiet", "--message", "start")
        assert done.returncode == 0, done.stdout
    expected = {}
    for tau in QUEUED:
        calm.set({"wcl.tau": tau})
        code, _, output = calm.repro()
        assert code == 0, output
        lock = yaml.safe_load((calm.folder / "dvc.lock").read_text())
        expected[tau] = lock["stages"]["train"]["outs"][0]["md5"]

    draw, kills = random.Random(5), 0
    for _ in range(amount(0, 1)):
        queue_the_grid(project)
        time.sleep(draw.uniform(10, SECONDS / 2))
        for process in processes_in(project.folder):  # the workers, and what they run
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
            kills += 1
        project.run("dvc", "queue", "remove", "--all")
    queue_the_grid(project)
    for _ in range(300):
        if all_done(project):
            break
        time.sleep(2)
    wait_until_idle(project.folder)
    assert weights_of_experiments(project) == expected
    assert list((project.folder / ".rcan" / "checkpoints").glob("*/last.safetensors")) == []
    assert kills
    figure("killed", "kills of processes of the queue", kills)
    figure("same bits", "experiments in queue folders", len(QUEUED))
